"""What limits a container: its own limit of a resource, else its pod's.

Source: k8s.io/kubernetes pkg/kubelet/kuberuntime, `getCPULimit` and `getMemoryLimit` (KEP-2837): a container without
a limit of its own gets the pod's into its cgroup, where a program finds it.
"""

from __future__ import annotations

from fractions import Fraction

from webhook.model import quantity
from webhook.model.pods import Container, Pod, mapping
from webhook.model.record import record


@record(frozen=True, slots=True)
class Limit:
    """A limit: how much, and whether it is the container's own."""

    amount: Fraction
    own: bool


def limit(pod: Pod, container: Container, resource: str) -> Limit | None:
    """Return what limits a container; None where nothing does, or where that cannot be read."""
    for spec in (container.spec, pod.spec):
        value = mapping(mapping(spec.get("resources")).get("limits")).get(resource)
        amount = None if value is None else amount_of(value)
        if amount:
            return Limit(amount, spec is container.spec)
    return None


def amount_of(value: object) -> Fraction | None:
    """Return the amount that a field says, None where it is none."""
    try:
        amount = quantity.read(value)
    except ValueError:
        return None
    return amount if amount >= 0 else None
