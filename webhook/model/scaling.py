"""How many replicas a workload has: what its manifest says, and the HorizontalPodAutoscalers that set the number."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from webhook.model.neighbours import Found, Ref
from webhook.model.pods import Subject, listing, mapping
from webhook.model.record import record
from webhook.model.workloads import KINDS

AUTOSCALERS = Ref("autoscaling/v2", "HorizontalPodAutoscaler")
LIMITS = Ref("v1", "LimitRange")
WITH_REPLICAS: Mapping[tuple[str, str], str] = {
    ("", "ReplicationController"): "v1",
    ("apps", "Deployment"): "apps/v1",
    ("apps", "ReplicaSet"): "apps/v1",
    ("apps", "StatefulSet"): "apps/v1",
    ("apps.kruise.io", "CloneSet"): "apps.kruise.io/v1alpha1",
    ("apps.kruise.io", "StatefulSet"): "apps.kruise.io/v1beta1",
    ("argoproj.io", "Rollout"): "argoproj.io/v1alpha1",
}
"""The kinds that have `spec.replicas` and a `scale`, and the version of each that API servers are asked for."""
DEFAULT_UTILIZATION = 80
"""Percent of cpu that an autoscaler without metrics aims at (autoscaling/v2, SetDefaults_HorizontalPodAutoscaler)."""


@record(frozen=True, slots=True)
class Metric:
    """A metric of an autoscaler, wherever its version keeps it.

    `type` is that of autoscaling/v2 (Resource, ContainerResource, Pods, Object, External). `resource`, `container` and
    `utilization` (percent of requests) are there for the first two; `path` is where it stands below the object.
    """

    type: str
    path: str
    resource: str = ""
    container: str = ""
    utilization: int | None = None


@record(frozen=True, slots=True)
class Autoscaler:
    """A HorizontalPodAutoscaler, in whatever version: `low` and `high` replicas (`high` None where it has none)."""

    name: str
    target: Ref
    low: int
    high: int | None
    metrics: tuple[Metric, ...]

    @property
    def title(self) -> str:
        """Return what a person calls it: `HorizontalPodAutoscaler web (2 to 10)`."""
        return f"{AUTOSCALERS.kind} {self.name} ({self.low} to {self.high})"


def whole(value: object) -> int | None:
    """Return a whole number as it is, None for everything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def autoscaler(obj: Mapping[str, Any]) -> Autoscaler:
    """Return what a HorizontalPodAutoscaler says; `minReplicas` is 1 where it is not given."""
    spec = mapping(obj.get("spec"))
    target = mapping(spec.get("scaleTargetRef"))
    low = whole(spec.get("minReplicas"))
    return Autoscaler(
        str(mapping(obj.get("metadata")).get("name") or ""),
        Ref(*(str(target.get(key) or "") for key in ("apiVersion", "kind", "name"))),
        1 if low is None else low,
        whole(spec.get("maxReplicas")),
        tuple(_metrics(spec)),
    )


def _metrics(spec: Mapping[str, Any]) -> Iterator[Metric]:
    one = whole(spec.get("targetCPUUtilizationPercentage"))  # autoscaling/v1
    listed = listing(spec.get("metrics"))
    if not listed:
        where = "/spec/metrics" if one is None else "/spec/targetCPUUtilizationPercentage"
        yield Metric("Resource", where, "cpu", "", DEFAULT_UTILIZATION if one is None else one)
    for number, entry in enumerate(map(mapping, listed)):
        kind = str(entry.get("type") or "")
        source = mapping(entry.get({"Resource": "resource", "ContainerResource": "containerResource"}.get(kind, "")))
        percent = whole(mapping(source.get("target")).get("averageUtilization"))
        name, container = (str(source.get(key) or "") for key in ("name", "container"))
        yield Metric(kind, f"/spec/metrics/{number}", name, container, percent)


def scaled_by(subject: Subject, found: Found) -> tuple[Autoscaler, ...]:
    """Return the autoscalers among those found whose target a workload is."""
    # by their names first: among many files each workload is held against every autoscaler of its namespace; and an
    # empty name would be every object of the kind
    named = (obj for obj in found.objects if subject.name and _named(obj) == subject.name)
    every = (autoscaler(obj) for obj in named)
    return tuple(one for one in every if one.target.fits(subject.group, subject.kind, subject.name))


def _named(obj: Mapping[str, Any]) -> str:
    return str(mapping(mapping(obj.get("spec")).get("scaleTargetRef")).get("name") or "")


def target(one: Autoscaler) -> Ref | None:
    """Return where to look for what an autoscaler scales; None for a kind whose pods nobody here can find.

    Of its apiVersion only the group counts for the autoscaler (RESTMappings in pkg/controller/podautoscaler), so that
    one of a version which is long gone works as well.
    """
    kind = (one.target.group, one.target.kind)
    if kind not in KINDS or not one.target.name:
        return None
    return Ref(WITH_REPLICAS.get(kind, one.target.api_version), one.target.kind, one.target.name)


def given(found: Found) -> frozenset[str]:
    """Return the resources of which LimitRanges give requests to each container that has none.

    Their `max` and `min` are defaults where they say no other: SetDefaults_LimitRangeItem, pkg/apis/core/v1.
    """
    ranges = (mapping(obj.get("spec")).get("limits") for obj in found.objects)
    items = [item for limits in ranges for item in map(mapping, listing(limits)) if item.get("type") == "Container"]
    fields = ("defaultRequest", "default", "max", "min")
    return frozenset(str(name) for item in items for field in fields for name in mapping(item.get(field)))


def replicas(subject: Subject, scalers: tuple[Autoscaler, ...], missing: int) -> int | None:
    """Return how many replicas a workload has at least; None for a kind that has none, such as a DaemonSet.

    What an autoscaler keeps as its least counts; then `spec.replicas`, then `missing`.
    """
    if (subject.group, subject.kind) not in WITH_REPLICAS:
        return None
    count = whole(mapping(subject.object.get("spec")).get("replicas"))
    if scalers and count != 0:  # at 0 the autoscaler rests
        return min(one.low for one in scalers)
    return missing if count is None else count


def fixed(obj: Mapping[str, Any]) -> int | None:
    """Return the number of replicas that the author of a manifest wrote; None where nobody can say that one was.

    Of what comes from an API server, `spec.replicas` says nothing: it is filled in, and set by autoscalers. There the
    manifest that `kubectl apply` keeps counts, and the fields that a server-side apply owns (KEP-555).
    """
    meta = mapping(obj.get("metadata"))
    count = whole(mapping(obj.get("spec")).get("replicas"))
    kept = mapping(meta.get("annotations")).get("kubectl.kubernetes.io/last-applied-configuration")
    managed = listing(meta.get("managedFields"))
    if not managed and not meta.get("uid") and kept is None:
        return count
    applied = [entry for entry in map(mapping, managed) if entry.get("operation") == "Apply"]
    owned = (mapping(mapping(entry.get("fieldsV1")).get("f:spec")) for entry in applied if not entry.get("subresource"))
    if any("f:replicas" in fields for fields in owned):
        return count
    return whole(mapping(mapping(_manifest(kept)).get("spec")).get("replicas"))


def _manifest(kept: object) -> object:
    if not isinstance(kept, str):
        return None
    try:
        return json.loads(kept)
    except (ValueError, RecursionError):
        return None  # somebody else's annotation
