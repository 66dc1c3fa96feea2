"""Capacity follows the load.

## What it does
Looks at HorizontalPodAutoscalers, and at the workloads that they scale.

- **The range**: at least `minReplicas` replicas are kept, and there is something to scale, so that `maxReplicas` is
  above `minReplicas`. How many replicas there may be at most is the matter of `resource-shape`.
- **A target that can be reached**: utilization is counted in percent of the requests. Where requests equal limits, no
  pod uses more than 100 %, so that a target near it or above never adds a replica.
- **Requests**: an autoscaler that counts percent of requests needs requests of that resource, of every container and
  sidecar. With one container that has none, Kubernetes has no figure, and the autoscaler does nothing. In a pod with
  resources of its own (`spec.resources`) theirs count, or those of whichever containers have some. A limit counts: it
  becomes the request. A metric of one container (`ContainerResource`) needs that container, with its requests.
  Requests that a LimitRange of the namespace gives to containers count, too.
- **One hand on the number**: no `replicas` in the manifest of a workload that an autoscaler scales: each apply would
  set it back, in the middle of the day's peak. `replicas: 0` is an autoscaler at rest, and passes. What comes from an
  API server has its replicas filled in; there the manifest that `kubectl apply` keeps is looked at, and the fields that
  a server-side apply owns. Neither may two autoscalers scale one workload.
- **A business metric**, with `businessMetric`: one of type `Pods`, `Object` or `External` (requests, messages that
  wait), since cpu often follows the load too late.

The workload of an autoscaler, and the autoscaler of a workload, are looked for among the files (or in the wrapper), and
in a cluster in the namespace. Where they cannot be seen the rule is *unknown*, and its `onUnknown` decides. Autoscalers
that KEDA makes are judged like any other.

## Why
An autoscaler looks as if it took care of the load, and says nowhere on `kubectl apply` that it cannot: `<unknown>/70%`
is found in its status in the hour when the replicas were needed.

## Example
One container has no requests of cpu, and each apply sets the replicas back to three.
```yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec:
      containers:
        - {name: cart, image: "registry.example/shop/cart:4.0.2", resources: {requests: {memory: 1Gi}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: cart, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: cart}
  minReplicas: 3
  maxReplicas: 12
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
```

## Use instead
```yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec:
      containers:
        - name: cart
          image: registry.example/shop/cart:4.0.2
          resources: {requests: {cpu: "1", memory: 1Gi}, limits: {cpu: "1", memory: 1Gi}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: cart, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: cart}
  minReplicas: 3
  maxReplicas: 12
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}
```

## Parameters
- `minReplicas` (default: 2): how many replicas an autoscaler keeps at least. 1 where one replica will do at night, 0
  where workloads are scaled to nothing.
- `mostUtilization` (default: 90): the highest target, in percent of the requests. 0: any.
- `businessMetric` (default: false): whether a metric of type `Pods`, `Object` or `External` is asked for.

```yaml
params:
  minReplicas: 1
  mostUtilization: 80
  businessMetric: true
```

## Fix
None. What a service needs has to be measured, and a number taken out of the manifest when it is stored would be filled
in again by the API server.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from webhook.checks.check import Check
from webhook.model.decision import Unsure, Violation
from webhook.model.neighbours import Ref
from webhook.model.pods import Container, Pod, Subject, mapping, subjects
from webhook.model.record import record
from webhook.model.scaling import (
    AUTOSCALERS,
    LIMITS,
    WITH_REPLICAS,
    Autoscaler,
    Metric,
    autoscaler,
    fixed,
    given,
    scaled_by,
    target,
)

ID = "autoscaling"
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "minReplicas": {
            "type": "integer",
            "minimum": 0,
            "description": "How many replicas an autoscaler keeps at least.",
        },
        "mostUtilization": {
            "type": "integer",
            "minimum": 0,
            "description": "The highest target of utilization, in percent of the requests; 0: any.",
        },
        "businessMetric": {
            "type": "boolean",
            "description": "A metric of type Pods, Object or External is asked for.",
        },
    },
}
DEFAULTS: dict[str, Any] = {"minReplicas": 2, "mostUtilization": 90, "businessMetric": False}
KINDS: tuple[str, ...] = ("HorizontalPodAutoscaler",)
READS: tuple[str, ...] = ("object",)
CEL = "it looks for what stands beside a workload, and a policy sees one object"

_MISSING = "requests are missing"
_SEVERAL = "several autoscalers"
_BUSINESS = frozenset({"Pods", "Object", "External"})
# what the sum of a pod's requests is made from: calculatePodRequestsFromContainers,
# pkg/controller/podautoscaler/replica_calculator.go
_COUNTED = frozenset({"container", "sidecar"})
_OF_PODS = ("cpu", "memory")  # and huge pages: IsSupportedPodLevelResource, component-helpers/resource


@record(frozen=True, slots=True)
class Standard:
    """The parameters of one rule."""

    least: int
    utilization: int
    business: bool


def build(params: Mapping[str, Any]) -> Check:
    """Return the check."""
    standard = Standard(params["minReplicas"], params["mostUtilization"], params["businessMetric"])
    return Check(subject=partial(_judge, standard), seeks=_seeks)


def _is_autoscaler(subject: Subject) -> bool:
    return (subject.group, subject.kind) == (AUTOSCALERS.group, AUTOSCALERS.kind)


def _seeks(subject: Subject) -> Iterator[Ref]:
    if _is_autoscaler(subject):
        yield AUTOSCALERS
        sought = target(autoscaler(subject.object))
        if sought is not None:
            yield from (sought, LIMITS)
    elif (subject.group, subject.kind) in WITH_REPLICAS:
        yield AUTOSCALERS
        if any(True for resource in _OF_PODS for _ in _without(subject, Metric("Resource", "", resource))):
            yield LIMITS


def _judge(standard: Standard, subject: Subject) -> Iterator[Violation | Unsure]:
    if _is_autoscaler(subject):
        scaler = autoscaler(subject.object)
        yield from _range(standard, subject, scaler)
        yield from _rivals(subject, scaler)
        yield from _aims(standard, subject, scaler)
        yield from _target(subject, scaler)
    elif (subject.group, subject.kind) in WITH_REPLICAS:
        yield from _workload(subject)


def _range(standard: Standard, subject: Subject, scaler: Autoscaler) -> Iterator[Violation]:
    at = f"{subject.pointer}/spec"
    if scaler.low < standard.least:
        wanted = f"minReplicas of at least {standard.least}"
        found = f"minReplicas: {scaler.low}"
        yield Violation(f"{at}/minReplicas", "too few replicas kept", found, wanted, same=_of(scaler, found))
    if scaler.high is not None and scaler.high <= scaler.low:
        found = f"minReplicas: {scaler.low}, maxReplicas: {scaler.high}"
        wanted = f"maxReplicas above {scaler.low}"
        yield Violation(f"{at}/maxReplicas", "nothing to scale", found, wanted, same=_of(scaler, found))


def _of(scaler: Autoscaler, found: str) -> tuple[str, ...]:
    """Return what a finding on an autoscaler was there before by: at another workload it is another."""
    return (f"{found} of {scaler.target}",)


def _rivals(subject: Subject, scaler: Autoscaler) -> Iterator[Violation]:
    """Judge the other autoscalers of a workload, which nobody reviews when another one comes."""
    every = map(autoscaler, subject.neighbours(AUTOSCALERS).objects)
    aim = scaler.target
    names = {one.name for one in every if aim.name and one.target.fits(aim.group, aim.kind, aim.name)}
    if names - {subject.name}:
        found = f"autoscalers {', '.join(sorted(names | {subject.name}))} of {aim}"
        yield Violation(f"{subject.pointer}/spec/scaleTargetRef", _SEVERAL, found, "one autoscaler for a workload")


def _aims(standard: Standard, subject: Subject, scaler: Autoscaler) -> Iterator[Violation]:
    for metric in scaler.metrics:
        if standard.utilization and (metric.utilization or 0) > standard.utilization:
            found = f"{metric.utilization} % of the requests of {metric.resource}"
            wanted = f"at most {standard.utilization} %, so that there is time to start more"
            same, at = _of(scaler, f"{found} {metric.container}"), subject.pointer + metric.path
            yield Violation(at, "target that is hardly ever reached", found, wanted, same=same)
    if standard.business and not any(metric.type in _BUSINESS for metric in scaler.metrics):
        found = "metrics of type " + ", ".join(sorted({metric.type or "(none)" for metric in scaler.metrics}))
        wanted = "a metric of type Pods, Object or External that says what the service has to do"
        at = f"{subject.pointer}/spec/metrics"
        yield Violation(at, "no business metric", found, wanted, same=_of(scaler, found))


def _target(subject: Subject, scaler: Autoscaler) -> Iterator[Violation | Unsure]:
    """Judge the requests of what an autoscaler scales, at the autoscaler: it may come after its workload."""
    sought = target(scaler)
    counting = [metric for metric in scaler.metrics if metric.utilization is not None]
    if sought is None or not counting:
        return
    found = subject.neighbours(sought)
    if not found.objects and found.lacking:
        yield Unsure(f"{sought}, which it scales: {found.lacking}")
        return
    for obj in found.objects:
        (workload, *_) = subjects(obj, sought.group, sought.kind, subject.namespace, sought.name)
        for metric in counting:
            for place in _lacking(workload, metric, subject):
                found_there = f"{sought}: {place.what}"
                yield Violation(subject.pointer + metric.path, place.reason, found_there, place.wanted)


def _workload(subject: Subject) -> Iterator[Violation | Unsure]:
    found = subject.neighbours(AUTOSCALERS)
    scalers = scaled_by(subject, found)
    if not scalers and found.failed:
        yield Unsure(f"whether an autoscaler scales it: {found.lacking}")
    if not scalers:
        return  # none is asked for; where only the files are looked at, most have none
    count, at = fixed(subject.object), f"{subject.pointer}/spec/replicas"
    if len({scaler.name for scaler in scalers}) > 1:  # the overlays of one manifest are one object
        names = ", ".join(sorted({scaler.name for scaler in scalers}))
        yield Violation(at, _SEVERAL, f"autoscalers {names}", "one autoscaler for a workload")
    if count:
        wanted = "no replicas in the manifest; the autoscaler sets the number"
        same = scalers[0].title
        yield Violation(at, "fixed replicas beside an autoscaler", f"replicas: {count}, {same}", wanted, same=(same,))
    for scaler in scalers:
        for metric in scaler.metrics:
            for place in _lacking(subject, metric, subject) if metric.utilization is not None else ():
                what = f"{place.what}; {scaler.title} scales by it"
                yield Violation(place.pointer, place.reason, what, place.wanted, place.container)


@record(frozen=True, slots=True)
class _Place:
    """A place where requests are missing that a metric counts."""

    pointer: str
    reason: str
    what: str
    wanted: str
    container: str | None = None


def _lacking(workload: Subject, metric: Metric, at: Subject) -> Iterator[_Place]:
    """Yield where requests are missing that no LimitRange gives; `at` is the subject beside which they stand."""
    limits = given(at.neighbours(LIMITS))
    return (place for place in _without(workload, metric) if place.reason != _MISSING or metric.resource not in limits)


def _without(workload: Subject, metric: Metric) -> Iterator[_Place]:
    for pod in workload.pods:
        if metric.container:
            named = [c for c in pod.containers if c.name == metric.container and c.role in _COUNTED]
            if not named:
                at = f"{pod.pointer}/spec/containers"
                yield _Place(at, "no such container", f"no container {metric.container}", "the name of a container")
            yield from (_missing(metric, c) for c in named if not _asks(c.spec, metric.resource))
        elif _of_pod(pod):
            if not _asks(pod.spec, metric.resource) and not any(_asks(c.spec, metric.resource) for c in pod.containers):
                at = f"{pod.pointer}/spec/resources/requests"
                what = f"no requests of {metric.resource} in the pod's own resources, nor in a container"
                yield _Place(at, _MISSING, what, f"requests of {metric.resource}")
        else:
            counted = (container for container in pod.containers if container.role in _COUNTED)
            yield from (_missing(metric, c) for c in counted if not _asks(c.spec, metric.resource))


def _missing(metric: Metric, container: Container) -> _Place:
    at = f"{container.pointer}/resources/requests"
    what = f"no requests of {metric.resource} in container {container.name}"
    return _Place(at, _MISSING, what, f"requests of {metric.resource}", container.name)


def _of_pod(pod: Pod) -> bool:
    """Say whether a pod has requests of its own: they count then, and of what they leave out the sum of the containers.

    Its limits give it requests (defaultPodRequests, pkg/apis/core/v1), and PodRequests of component-helpers/resource
    adds up those containers that have some.
    """
    resources = mapping(pod.spec.get("resources"))
    asked = (name for part in ("requests", "limits") for name in mapping(resources.get(part)))
    return any(name in _OF_PODS or str(name).startswith("hugepages-") for name in asked)


def _asks(spec: Mapping[str, Any], resource: str) -> bool:
    resources = mapping(spec.get("resources"))
    return any(resource in mapping(resources.get(part)) for part in ("requests", "limits"))
