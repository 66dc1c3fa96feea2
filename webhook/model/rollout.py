"""How controllers replace the pods of a workload, and how many are missing while they do.

Sources: ResolveFenceposts in kubernetes/pkg/controller/deployment/util, and in argo-rollouts/utils/replicaset;
k8s.io/api apps/v1, RollingUpdateStatefulSetStrategy and RollingUpdateDaemonSet; OpenKruise's apis/apps/v1alpha1 and
v1beta1, and calculateDiffsWithExpectation of its CloneSet controller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from webhook.model import pointer as pointers
from webhook.model.pods import Subject, mapping
from webhook.model.record import record
from webhook.model.scaling import AUTOSCALERS, scaled_by, whole


@record(frozen=True, slots=True)
class Count:
    """A number of pods, or a percentage of them."""

    number: int
    percent: bool

    def of(self, total: int, *, up: bool) -> int:
        """Return how many of `total` pods these are."""
        if not self.percent:
            return self.number
        return -(-self.number * total // 100) if up else self.number * total // 100


def count(value: object) -> Count | None:
    """Return the count that a field holds, such as 1 or `25%`; None where it is none."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Count(value, False)
    if isinstance(value, str) and value.endswith("%"):
        number = value[:-1]
        if number.isascii() and number.isdigit() and len(number) < 4:
            return Count(int(number), True)
    return None


@record(frozen=True, slots=True)
class Rolling:
    """How a controller replaces pods: where that stands, and what counts where nothing is written.

    `surge` is None where the controller never makes the new pod first. `up` says whether a percentage of
    maxUnavailable is rounded up, once it is known whether there is a surge. `nodes`: it runs a pod on each node, and
    nobody knows how many there are.
    """

    at: tuple[str, ...]
    unavailable: int | str
    surge: int | str | None
    up: Callable[[bool], bool]
    nodes: bool = False
    min_ready: tuple[str, ...] = ("spec", "minReadySeconds")


_UPDATE = ("spec", "updateStrategy", "rollingUpdate")
ROLLING: Mapping[tuple[str, str], Rolling] = {
    ("apps", "Deployment"): Rolling(("spec", "strategy", "rollingUpdate"), "25%", "25%", lambda surges: False),
    ("apps", "StatefulSet"): Rolling(_UPDATE, 1, None, lambda surges: True),
    ("apps", "DaemonSet"): Rolling(_UPDATE, 1, None, lambda surges: True, nodes=True),
    ("argoproj.io", "Rollout"): Rolling(("spec", "strategy", "canary"), "25%", "25%", lambda surges: False),
    ("apps.kruise.io", "CloneSet"): Rolling(("spec", "updateStrategy"), "20%", 0, lambda surges: not surges),
    ("apps.kruise.io", "StatefulSet"): Rolling(
        _UPDATE, 1, None, lambda surges: False, min_ready=(*_UPDATE, "minReadySeconds")
    ),
    ("apps.kruise.io", "DaemonSet"): Rolling(_UPDATE, 1, None, lambda surges: True, nodes=True),
}


@record(frozen=True, slots=True)
class Rollout:
    """The rollout of one workload, as its object says it."""

    subject: Subject
    rolling: Rolling

    @property
    def rolls(self) -> bool:
        """Whether the object's own controller replaces the pods, one part of them after the other."""
        spec = mapping(self.subject.object.get("spec"))
        if self.subject.group == "argoproj.io":
            canary = mapping(spec.get("strategy")).get("canary")
            return isinstance(canary, dict) and not canary.get("trafficRouting")
        return mapping(spec.get("updateStrategy")).get("type") != "OnDelete"

    @property
    def kind(self) -> str:
        """The strategy of a Deployment, `RollingUpdate` where none is written; of other kinds always that."""
        if (self.subject.group, self.subject.kind) != ("apps", "Deployment"):
            return "RollingUpdate"
        written = mapping(mapping(self.subject.object.get("spec")).get("strategy")).get("type")
        return "RollingUpdate" if written is None else str(written)

    @property
    def replicas(self) -> int | None:
        """The number of replicas, as the API server fills it in or an autoscaler keeps; None where it is no number."""
        written = mapping(self.subject.object.get("spec")).get("replicas")
        found: Any = whole(1 if written is None else written)
        scalers = scaled_by(self.subject, self.subject.neighbours(AUTOSCALERS)) if found else ()
        return found if found is None else max([found, *(one.low for one in scalers)])

    @property
    def unavailable(self) -> Count | None:
        """How many pods may be missing; None where that is not a count."""
        written = self.written("maxUnavailable")
        return count(self.rolling.unavailable if written is None else written)

    @property
    def surge(self) -> int:
        """How many pods a rollout may add; 0 where that is not a count."""
        written = self.written("maxSurge")
        found = count(self.rolling.surge if written is None else written)
        return 0 if found is None or self.rolling.surge is None else found.of(self.replicas or 0, up=True)

    @property
    def least(self) -> int:
        """The fewest pods that are missing: with neither surge nor a missing pod nothing would ever move."""
        return 0 if self.surge > 0 else 1

    @property
    def missing(self) -> int | None:
        """How many pods are missing at a time, of a workload that is not one pod a node; None where not known."""
        if self.unavailable is None or self.replicas is None:
            return None
        return max(self.least, self.unavailable.of(self.replicas, up=self.rolling.up(self.surge > 0)))

    @property
    def min_ready(self) -> int | None:
        """For how long a new pod must have been ready, in seconds; None where that is not a number."""
        written = _at(self.subject, self.rolling.min_ready[:-1]).get("minReadySeconds")
        seconds = 0 if written is None else written
        return seconds if isinstance(seconds, int) else None

    @property
    def open(self) -> bool:
        """Whether every parent of the strategy's fields is an object, or absent."""
        at = self.rolling.at
        parents = [pointers.get(self.subject.object, at[:depth], None) for depth in range(1, len(at) + 1)]
        return all(parent is None or isinstance(parent, dict) for parent in parents)

    def written(self, field: str) -> Any:
        """Return what the object writes of `maxUnavailable` or `maxSurge`, or None."""
        return _at(self.subject, self.rolling.at).get(field)

    def pointer(self, field: str) -> str:
        """Return where `maxUnavailable` or `maxSurge` stands."""
        return pointers.join(self.subject.pointer, *self.rolling.at, field)


def rollout(subject: Subject) -> Rollout | None:
    """Return the rollout of a workload; None where no controller rolls it out."""
    rolling = ROLLING.get((subject.group, subject.kind))
    return None if rolling is None else Rollout(subject, rolling)


def _at(subject: Subject, path: tuple[str, ...]) -> Mapping[str, Any]:
    return mapping(pointers.get(subject.object, path, None))
