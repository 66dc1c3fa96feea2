"""Capacity that packs well: pods fit the shape of the nodes, and say how much of a disk they need.

## What it does
Judges how much containers and pods ask for, by their requests; where there are none, by their limits, which
Kubernetes takes in their place. For each container under `container`, and for the whole pod under `pod`:

- GiB of memory per core within a range (`gibPerCore`), or cpu and memory as one of a list of `shapes`,
- a minimum, a maximum and a step for `cpu`, `memory` and `ephemeral-storage`.

What a pod asks for is what the scheduler counts: its containers and sidecars together, or an init container that
asks for more, or `spec.resources` of the pod. Where a container says nothing about a resource, the sum is only held
against the maximum. A value that is missing is no finding here (`requests-equal-limits` is about that), nor is one of
0, nor what Kubernetes refuses as no quantity. Of init containers alone, only the step and the maximum are judged: they
give back what they had. Ephemeral containers have no resources.

With `requireEphemeralStorage`, each container has a limit of `ephemeral-storage`. A limit alone is enough, because the
API server sets the request to it.

`replicas` are at most `maxReplicas`: of workloads, when they are scaled (`kubectl scale`), and as the `maxReplicas` of
a HorizontalPodAutoscaler. Not of a ReplicaSet that a Deployment made.

## Why
A node with 8 cores and 32 GiB is paid for with both. A pod with 1 core and 30 GiB leaves seven cores on it that nobody
can use; pods of odd sizes leave pieces that are too small for anything. A container that fills the disk of its node
gets every pod there evicted. And a zero too many in `replicas` buys nodes until somebody looks.

## Example
```yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1000
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: registry.example/shop/web:1.4.2
          resources:
            requests: {cpu: "1", memory: 30Gi}
            limits: {cpu: "1", memory: 30Gi}
```

## Use instead
```yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 10
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: registry.example/shop/web:1.4.2
          resources:
            requests: {cpu: "4", memory: 16Gi, ephemeral-storage: 2Gi}
            limits: {cpu: "4", memory: 16Gi, ephemeral-storage: 2Gi}
```

## Parameters
- `pod`: what holds for pods; default `{gibPerCore: {min: 1, max: 8}, from: {cpu: "4", memory: 16Gi}}`.
- `container`: what holds for each container, likewise; default `{}`, nothing. Both have these keys:
    - `gibPerCore`: GiB of memory for each core, `min` and `max`; numbers.
    - `shapes`: pairs of `cpu` and `memory`; one of them it has to be.
    - `from`: a size, `cpu` and `memory`. What asks for less of both fits beside anything, and is not judged by
      `gibPerCore` and `shapes`.
    - `cpu`, `memory`, `ephemeral-storage`: each with `min`, `max`, `step`; quantities.
- `requireEphemeralStorage`: whether each container has a limit of ephemeral-storage; default `true`.
- `maxReplicas`: the most replicas of one workload; default 100. 0: there is no most.

```yaml
params:
  container:
    cpu: {min: 100m, max: "16", step: 100m}
    memory: {min: 128Mi, step: 128Mi}
  pod:
    shapes: [{cpu: "2", memory: 8Gi}, {cpu: "4", memory: 16Gi}, {cpu: "8", memory: 32Gi}]
    from: {cpu: "2", memory: 8Gi}
  maxReplicas: 40
```

Where `match.containers` narrows a rule, what the other containers ask for is not counted.

## Fix
None. How much a service needs is measured, not made up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

from webhook.checks.check import Check, ParamError
from webhook.model import quantity
from webhook.model.decision import Violation
from webhook.model.pods import Container, Pod, Subject, group_of, listing, mapping
from webhook.model.record import record
from webhook.model.workloads import KINDS as WORKLOADS

RESOURCES = ("cpu", "memory", "ephemeral-storage")
_QUANTITY: dict[str, Any] = {"type": ["string", "number"]}
_PAIR: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["cpu", "memory"],
    "properties": {
        "cpu": {**_QUANTITY, "description": "An amount of CPU, such as 2 or 500m."},
        "memory": {**_QUANTITY, "description": "An amount of memory, such as 8Gi."},
    },
}
_BOUNDS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "min": {**_QUANTITY, "description": "The least."},
        "max": {**_QUANTITY, "description": "The most."},
        "step": {**_QUANTITY, "description": "What it is a multiple of."},
    },
}
_SHAPE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "gibPerCore": {
            "type": "object",
            "additionalProperties": False,
            "description": "GiB of memory for each core.",
            "properties": {
                "min": {"type": "number", "minimum": 0, "description": "The least."},
                "max": {"type": "number", "minimum": 0, "description": "The most."},
            },
        },
        "shapes": {
            "type": "array",
            "items": _PAIR,
            "minItems": 1,
            "description": "The only pairs of CPU and memory that are allowed.",
        },
        "from": {**_PAIR, "description": "What is smaller than this in both is not judged by the ratio or the shapes."},
        **{name: {**_BOUNDS, "description": f"The bounds of {name}."} for name in RESOURCES},
    },
}

ID = "resource-shape"
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "container": {**_SHAPE, "description": "GiB per core or shapes, and bounds, of each container."},
        "pod": {**_SHAPE, "description": "GiB per core or shapes, and bounds, of each pod."},
        "requireEphemeralStorage": {
            "type": "boolean",
            "description": "Whether each container has a limit of ephemeral-storage.",
        },
        "maxReplicas": {
            "type": "integer",
            "minimum": 0,
            "description": "The most replicas of a workload or its autoscaler; 0: there is no most.",
        },
    },
}
DEFAULTS: dict[str, Any] = {
    "container": {},
    "pod": {"gibPerCore": {"min": 1, "max": 8}, "from": {"cpu": "4", "memory": "16Gi"}},
    "requireEphemeralStorage": True,
    "maxReplicas": 100,
}
KINDS: tuple[str, ...] = ("HorizontalPodAutoscaler",)
READS: tuple[str, ...] = ("pod", "object", "replicas")
CEL = "it judges scaling too, and adds up the quantities of a list, for which CEL's sum() takes numbers alone"

_ONE = 10**9
_GIB = 2**30
_Problem = tuple[tuple[str | int, ...], str]


@record(frozen=True, slots=True)
class Bounds:
    """The bounds of one resource, in billionths; None where there is none."""

    least: int | None
    most: int | None
    step: int | None


@record(frozen=True, slots=True)
class Standard:
    """What holds for containers, or for pods. `shapes` and `start` are (cpu, memory); `start` is `from`.

    Amounts are in billionths, `least` and `most` in GiB for a core. `bounds` has the resources that have any.
    """

    least: Fraction | None
    most: Fraction | None
    shapes: tuple[tuple[int, int], ...]
    start: tuple[int, int]
    bounds: Mapping[str, Bounds]

    @property
    def asks(self) -> bool:
        """Say whether it asks anything at all."""
        ratio = self.least is not None or self.most is not None
        return ratio or bool(self.shapes) or bool(self.bounds)


@record(frozen=True, slots=True)
class Asked:
    """How much is asked for of each resource, in billionths. `partly`: of which resources some container says nothing.

    `passing`: it is given back, by an init container.
    """

    amounts: Mapping[str, int]
    partly: frozenset[str] = frozenset()
    passing: bool = False


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for what is no quantity, and for a least above the most."""
    problems: list[_Problem] = []
    container, pod = (_standard(params[key], key, problems) for key in ("container", "pod"))
    if problems:
        raise ParamError(problems)
    asked = (container if container.asks else None, pod if pod.asks else None, params["requireEphemeralStorage"])
    return Check(
        pod=partial(_pod, *asked),
        kept=partial(_kept, *asked),
        subject=partial(_replicas, params["maxReplicas"]),
    )


def _standard(written: Mapping[str, Any], where: str, problems: list[_Problem]) -> Standard:
    def number(value: Any, *path: str | int) -> int:
        try:
            parsed = quantity.count(quantity.parse(value))
        except ValueError as error:
            problems.append(((where, *path), str(error)))
            return _ONE
        if parsed <= 0:
            problems.append(((where, *path), f"is {value}; wanted a quantity above 0"))
        return parsed

    def pair(value: Mapping[str, Any], *path: str | int) -> tuple[int, int]:
        return number(value["cpu"], *path, "cpu"), number(value["memory"], *path, "memory")

    bounds = {}
    for resource in RESOURCES:
        given = {key: number(value, resource, key) for key, value in written.get(resource, {}).items()}
        if given:
            bounds[resource] = Bounds(given.get("min"), given.get("max"), given.get("step"))
        whole = {key: _whole(count) for key, count in given.items()}
        problems += _crossed((where, resource), whole.get("min"), whole.get("max"))
    ratio = {key: Fraction(str(value)) for key, value in written.get("gibPerCore", {}).items()}
    problems += _crossed((where, "gibPerCore"), ratio.get("min"), ratio.get("max"))
    shapes = tuple(pair(shape, "shapes", index) for index, shape in enumerate(written.get("shapes", [])))
    start = pair(written["from"], "from") if "from" in written else (0, 0)
    return Standard(ratio.get("min"), ratio.get("max"), shapes, start, bounds)


def _whole(count: int) -> Fraction:
    return Fraction(count, _ONE)


def _crossed(path: tuple[str, str], least: Fraction | None, most: Fraction | None) -> list[_Problem]:
    if least is None or most is None or least <= most:
        return []
    return [((*path, "min"), f"is {_number(least)}, more than max, {_number(most)}")]


def _kept(container: Standard | None, whole: Standard | None, storage: bool, pod: Pod) -> bool:
    """Say whether a pod plainly keeps the standard: all its containers together ask for less than `from`.

    Or, where they do run at once and all say what they ask for, in the right ratio.
    """
    if container is not None or (whole is not None and (whole.bounds or pod.spec.get("resources"))):
        return False
    cpu = memory = 0
    at_once = True
    for one in pod.containers:
        if one.role == "ephemeral":
            continue
        resources = mapping(one.spec.get("resources"))
        requests, limits = mapping(resources.get("requests")), mapping(resources.get("limits"))
        if storage and limits.get("ephemeral-storage") is None:
            return False
        if whole is not None:
            cores, size = _amount(requests, limits, "cpu"), _amount(requests, limits, "memory")
            at_once = at_once and one.role == "container" and cores is not None and size is not None
            cpu += cores or 0
            memory += size or 0
    if whole is None or (cpu < whole.start[0] and memory < whole.start[1]):
        return True
    return at_once and not whole.shapes and _in_ratio(whole, cpu, memory)


def _in_ratio(standard: Standard, cpu: int, memory: int) -> bool:
    """Say whether there are so many GiB for a core as there may be."""
    least, most = standard.least, standard.most
    if least is not None and memory * least.denominator < least.numerator * _GIB * cpu:
        return False
    return most is None or memory * most.denominator <= most.numerator * _GIB * cpu


def _pod(container: Standard | None, whole: Standard | None, storage: bool, pod: Pod) -> Iterator[Violation]:
    asking = [one for one in pod.containers if one.role != "ephemeral"]
    for one in asking:
        at = f"{one.pointer}/resources"
        resources = mapping(one.spec.get("resources"))
        if container is not None:
            asked = Asked(_amounts(resources), passing=one.role == "init")
            yield from _judge(container, asked, at, one.name)
        if storage and mapping(resources.get("limits")).get("ephemeral-storage") is None:
            requests = mapping(resources.get("requests")).get("ephemeral-storage")
            found = "no requests and limits" if requests is None else f"requests {str(requests)[:40]}, no limits"
            wanted = "a limit of ephemeral-storage"
            found, same = f"ephemeral-storage: {found}", (f"{requests}",)
            yield Violation(at, "ephemeral-storage without a limit", found, wanted, one.name, same)
    if whole is not None:
        own = mapping(pod.spec.get("resources"))
        at = f"{pod.pointer}/spec/{'resources' if own else 'containers'}"
        yield from _judge(whole, _together(own, asking), at, None)


def _judge(standard: Standard, asked: Asked, at: str, name: str | None) -> Iterator[Violation]:
    for resource, amount in asked.amounts.items():
        bounds = standard.bounds.get(resource)
        if bounds is None:
            continue
        whole = resource not in asked.partly
        if bounds.most is not None and amount > bounds.most:
            yield Violation(at, "too much", _found(resource, amount), f"at most {_show(bounds.most)}", name)
        if bounds.least is not None and amount < bounds.least and whole and not asked.passing:
            yield Violation(at, "too little", _found(resource, amount), f"at least {_show(bounds.least)}", name)
        if bounds.step is not None and amount % bounds.step and whole:
            yield Violation(at, "not in steps", _found(resource, amount), f"a multiple of {_show(bounds.step)}", name)
    cpu, memory = asked.amounts.get("cpu"), asked.amounts.get("memory")
    if cpu is None or memory is None or asked.passing or asked.partly & {"cpu", "memory"}:
        return
    if cpu < standard.start[0] and memory < standard.start[1]:
        return
    yield from _shape(standard, cpu, memory, at, name)


def _shape(standard: Standard, cpu: int, memory: int, at: str, name: str | None) -> Iterator[Violation]:
    ratio, found = Fraction(memory, _GIB * cpu), f"cpu {_show(cpu)}, memory {_show(memory)}"
    low = standard.least is not None and ratio < standard.least
    if low or (standard.most is not None and ratio > standard.most):
        reason = f"too {'little' if low else 'much'} memory for its cores"
        yield Violation(at, reason, f"{found}: {_number(ratio)} GiB per core", _range(standard), name)
    if standard.shapes and (cpu, memory) not in standard.shapes:
        shapes = [f"cpu {_show(c)} with memory {_show(m)}" for c, m in standard.shapes]
        more = f", or {len(shapes) - 8} others" if len(shapes) > 8 else ""
        yield Violation(at, "no shape of the list", found, " or ".join(shapes[:8]) + more, name)


def _together(own: Mapping[str, Any], containers: list[Container]) -> Asked:
    """Return what a pod asks for, as the scheduler counts it (`AggregateContainerRequests`, KEP-753, KEP-2837)."""
    each = [(one, _amounts(mapping(one.spec.get("resources")))) for one in containers]
    amounts: dict[str, int] = {}
    partly: set[str] = set()
    if len(each) == 1:  # as mostly: nothing to add up
        one, amounts = each[0]
        partly = {resource for resource in RESOURCES if resource not in amounts} if one.role != "init" else set()
    for resource in RESOURCES if len(each) > 1 else ():
        asks = [(one.role, asked[resource]) for one, asked in each if resource in asked]
        if asks:
            amounts[resource] = _peak(asks)
        if any([resource not in asked and one.role != "init" for one, asked in each]):
            partly.add(resource)
    for resource in ("cpu", "memory") if own else ():
        stated = _read(mapping(own.get("requests")).get(resource))
        if stated is None and resource not in amounts:
            stated = _read(mapping(own.get("limits")).get(resource))
        if stated is not None:
            amounts[resource] = stated
            partly.discard(resource)
    return Asked(amounts, frozenset(partly))


def _peak(asks: Sequence[tuple[str, int]]) -> int:
    if len(asks) == 1:
        return asks[0][1]
    running = sidecars = peak = 0
    for role, amount in asks:
        if role == "sidecar":
            sidecars += amount
            peak = max(peak, sidecars)
        elif role == "init":
            peak = max(peak, sidecars + amount)
        else:
            running += amount
    return max(peak, sidecars + running)


def _amounts(resources: Mapping[str, Any]) -> dict[str, int]:
    """Return what is asked for of each resource."""
    requests, limits = mapping(resources.get("requests")), mapping(resources.get("limits"))
    found = {}
    for resource in RESOURCES:
        amount = _amount(requests, limits, resource)
        if amount is not None:
            found[resource] = amount
    return found


def _amount(requests: dict[str, Any], limits: dict[str, Any], resource: str) -> int | None:
    """Return what is asked for of a resource; a limit without a request is the request."""
    written = requests.get(resource)
    return _read(limits.get(resource) if written is None else written)


def _found(resource: str, amount: int) -> str:
    return f"{resource} {_show(amount)}"


def _show(count: int) -> str:
    return quantity.show(_whole(count))


def _read(value: object) -> int | None:
    """Return an amount above 0, in billionths; None where there is none, or what Kubernetes refuses by itself."""
    if value is None:
        return None
    try:
        amount = quantity.billionths(value)
    except ValueError:
        return None
    return amount if amount > 0 else None


def _replicas(most: int, subject: Subject) -> Iterable[Violation]:
    scaler = subject.kind == "HorizontalPodAutoscaler" and subject.group == "autoscaling"
    key = "maxReplicas" if scaler else "replicas"
    replicas = mapping(subject.object.get("spec")).get(key)
    if not most or not isinstance(replicas, int) or isinstance(replicas, bool) or replicas <= most:
        return ()
    # a kind that a company added is a workload by its pods; scaled, it is seen as a Scale, which has none
    known = (subject.group, subject.kind) in WORKLOADS
    if not (scaler or known or subject.pods or subject.object.get("kind") == "Scale") or _made(subject):
        return ()
    at = f"{subject.pointer}/spec/{key}"
    return (Violation(at, "too many replicas", f"{key}: {replicas}", f"at most {most}"),)


def _made(subject: Subject) -> bool:
    """Say whether another workload's controller made it, whose replicas are judged in its place."""
    row = WORKLOADS.get((subject.group, subject.kind))
    owners = listing(mapping(subject.object.get("metadata")).get("ownerReferences"))
    made_by = [
        f"{group_of(owner.get('apiVersion'))}/{owner.get('kind')}"
        for owner in owners
        if isinstance(owner, dict) and owner.get("controller") is True
    ]
    return row is not None and any(owner in row.owners for owner in made_by)


def _range(standard: Standard) -> str:
    if standard.least is None:
        return f"at most {_number(standard.most or Fraction(0))} GiB per core"
    if standard.most is None:
        return f"at least {_number(standard.least)} GiB per core"
    return f"{_number(standard.least)} to {_number(standard.most)} GiB per core"


def _number(value: Fraction) -> str:
    return f"{float(value):.4g}" if value < 10**4 else quantity.show(value)
