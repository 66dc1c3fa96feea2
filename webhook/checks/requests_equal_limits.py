"""Requests equal limits, so that a container gets what it asks for, and no node is promised twice.

## What it does
Compares `resources.requests` with `resources.limits`, for every resource in `resources`, in init containers,
sidecars, containers, and in the pod-level `spec.resources`. Ephemeral containers have no resources of their own.

Values are compared as Kubernetes computes them: `1` is `1000m`, `1Gi` is `1073741824`. A limit without a request
counts as equal, because the API server sets the request to it. A limit of `0` is no limit. A value that Kubernetes
would refuse (`1KB`, a negative one, a part of a GPU) is a finding.

Where `spec.resources` has a limit of a resource, the pod level is judged, and containers may leave that resource
out, or give a request alone: the pod's limit holds for all of them. A container that gives both is still judged.
A pod-level limit without a request is equal too, unless containers ask for the resource: Kubernetes then takes
the sum of what they ask. A pod-level request without a limit says nothing about the containers' limits.
Kubernetes drops `spec.resources` where its feature gate `PodLevelResources` is off, the default before 1.34.

## Why
Memory above the request is borrowed: when the node runs short, the kernel ends the borrower first, often at night
and far from the change that caused it. A pod whose requests equal its limits has the class `Guaranteed`, is evicted
last, and behaves in production as it did in the test.

## Example
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - name: web
      image: registry.example/shop/web:1.4.2
      resources:
        requests: {cpu: 500m, memory: 256Mi}
        limits: {cpu: "1", memory: 512Mi}
```

## Use instead
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - name: web
      image: registry.example/shop/web:1.4.2
      resources:
        requests: {cpu: "1", memory: 512Mi}
        limits: {cpu: "1", memory: 512Mi}
```

## Parameters
- `resources`: which resources; default `[cpu, memory]`. `ephemeral-storage`, `hugepages-2Mi` and extended resources
  such as `nvidia.com/gpu` can be named too. Of those last two a container may have none.
- `ratio`: for a resource, how many times its request the limit may be at most, for instance `{cpu: 4}`. Not for
  huge pages and extended resources, which Kubernetes never overcommits.
- `requireLimits`: whether a container that names neither request nor limit is a finding; default `true`.
- `default`: what the fix sets as the limit where both are missing; default `{cpu: "1", memory: 1Gi}`. With
  `default: {}` the fix leaves those containers alone.

A pack that allows a container four times its request of CPU, and of memory no more than it asks for:

```yaml
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  rules:
    - name: requests-equal-limits
      check: requests-equal-limits
      params: {resources: [cpu, memory], ratio: {cpu: 4}}
      action: deny
      fix: true
```

## Fix
Raises requests to limits (with a `ratio`, to the limit divided by it, rounded up to whole millicores or mebibytes),
sets limits to requests where there are none, and to `default` where both are missing. It leaves alone what it
can't mend safely: values that are no quantities, requests above their limits, and containers of a pod that has the
resource at the pod level, where Kubernetes bounds the sum of the requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import lru_cache, partial
from itertools import chain
from typing import Any

import re2

from webhook.checks.check import Check, ParamError
from webhook.model import pointer as pointers
from webhook.model import quantity
from webhook.model.decision import Violation
from webhook.model.patch import Draft
from webhook.model.pods import Container, Pod, mapping
from webhook.model.record import record

ID = "requests-equal-limits"
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "resources": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "description": "Resources to judge: cpu, memory, ephemeral-storage, hugepages-<size>, domain/name.",
        },
        "ratio": {
            "type": "object",
            "additionalProperties": {"type": "number", "minimum": 1},
            "description": "How many times its request the limit of a resource may be at most; 1 where not given.",
        },
        "requireLimits": {
            "type": "boolean",
            "description": "Whether a container with neither request nor limit of a resource is a finding.",
        },
        "default": {
            "type": "object",
            "additionalProperties": {"type": ["string", "number"]},
            "description": "Limits that the fix sets where a container has neither request nor limit.",
        },
    },
}
DEFAULTS: dict[str, Any] = {
    "resources": ["cpu", "memory"],
    "ratio": {},
    "requireLimits": True,
    "default": {"cpu": "1", "memory": "1Gi"},
}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("pod",)
CEL = "where a pod has limits it adds up its containers' quantities, for which CEL's sum() takes numbers alone"

_NATIVE = ("cpu", "memory", "ephemeral-storage")
_EXTENDED = re2.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_MILLI, _MEBI = Fraction(1, 1000), Fraction(2**20)


@record(frozen=True, slots=True)
class Standard:
    """The parameters of one rule for one resource."""

    resource: str
    ratio: Fraction
    required: bool
    default: str | int | float | None

    equal: bool
    """Whether the ratio is 1."""
    wanted: str
    """What is wanted, in words."""


@record(frozen=True, slots=True)
class Amounts:
    """One resource of one container or pod: both values as written, None where missing, and as numbers.

    `problem` is the sentence about a value that Kubernetes would refuse, with what was found. A limit of 0
    is a `limit` of None: runtimes take it for none.
    """

    raw_request: Any
    raw_limit: Any
    request: Fraction | None = None
    limit: Fraction | None = None
    problem: tuple[str, str] | None = None
    over: bool = False
    """Whether the request is above the limit."""
    same: bool = False
    """Whether they are the same value."""

    @property
    def named(self) -> bool:
        """Whether there is a request or a limit at all."""
        return self.raw_request is not None or self.raw_limit is not None


_NOTHING = Amounts(None, None)


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for unknown resources, ratios below 1, defaults that are no quantity."""
    problems = tuple(_problems(params))
    if problems:
        raise ParamError(problems)
    standards = tuple(_standard(resource, params) for resource in params["resources"])

    def fix(pod: Pod, draft: Draft) -> None:
        for standard in standards:
            _fix(pod, standard, draft)

    return Check(pod=partial(_pod, standards), kept=partial(_kept, standards), fix=fix)


def _standard(resource: str, params: Mapping[str, Any]) -> Standard:
    ratio = Fraction(str(params["ratio"].get(resource, 1)))
    required, default = params["requireLimits"] and resource in _NATIVE, params["default"].get(resource)
    wanted = "the same value" if ratio == 1 else f"limits at most {_number(ratio)} times requests"
    return Standard(resource, ratio, required, default, ratio == 1, wanted)


def _problems(params: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    resources = params["resources"]
    if not resources:
        yield ("resources",), "names no resource; wanted for instance [cpu, memory]"
    for index, resource in enumerate(resources):
        if resource not in _NATIVE and not _never_overcommitted(resource):
            known = ", ".join(_NATIVE)
            yield ("resources", index), f"{resource!r} is no resource; wanted {known}, hugepages-<size> or domain/name"
        if resource in resources[:index]:
            yield ("resources", index), f"{resource!r} is named twice"
    for resource, ratio in params["ratio"].items():
        if isinstance(ratio, bool) or not 1 <= ratio < float("inf"):
            yield ("ratio", resource), f"is {ratio}; wanted a number of 1 or more"
        elif resource not in resources:
            yield ("ratio", resource), f"{resource!r} is not among `resources`"
        elif _never_overcommitted(resource):
            yield ("ratio", resource), "Kubernetes wants requests and limits of this resource to be equal"
    for resource, value in params["default"].items():
        if resource not in _NATIVE and not _never_overcommitted(resource):
            yield ("default", resource), f"{resource!r} is no resource"
        problem = _parsed(resource, value)
        if isinstance(problem, str) or problem <= 0:
            text = problem if isinstance(problem, str) else f"is {value}; wanted a quantity above 0"
            yield ("default", resource), text


def _kept(standards: tuple[Standard, ...], pod: Pod) -> bool:
    """Say whether a pod plainly keeps the standard, with the same in all requests and limits of its containers."""
    if pod.spec.get("resources"):
        return False
    for container in pod.containers:
        if container.role != "ephemeral":
            for standard in standards:
                amounts = _amounts(container.spec, standard.resource)
                if not amounts.same or amounts.limit is None:
                    return False
    return True


def _pod(standards: tuple[Standard, ...], pod: Pod) -> Iterator[Violation]:
    for standard in standards:
        yield from _judge(pod, standard)


def _judge(pod: Pod, standard: Standard) -> Iterator[Violation]:
    whole = _amounts(pod.spec, standard.resource)
    shared = _shared(whole, standard.resource)
    if shared:
        asked = _sum(pod, standard.resource) if whole.raw_request is None else None
        at = f"{pod.pointer}/spec/resources"
        yield from _compare(whole, standard, at, None, asked)
    for container in _containers(pod):
        amounts = _amounts(container.spec, standard.resource)
        if shared and amounts.problem is None and amounts.limit is None:
            continue  # KEP-2837: the pod's limit bounds a container that has none
        at = f"{container.pointer}/resources"
        yield from _compare(amounts, standard, at, container.name, None)


def _compare(
    amounts: Amounts, standard: Standard, at: str, container: str | None, asked: Fraction | None
) -> Iterator[Violation]:
    resource = standard.resource
    if amounts.problem is not None:
        found, wanted = amounts.problem
        yield Violation(at, "not a quantity of this resource", found, wanted, container, _full(amounts, found))
        return
    request = asked if amounts.raw_request is None else amounts.request
    if amounts.limit is None:
        wanted = f"{resource} {'limits equal to requests' if standard.equal else standard.wanted}"
        if request or standard.required:
            found = _unlimited(amounts, resource)
            reason = "requests without limits" if request else "no requests and limits"
            yield Violation(at, reason, found, wanted, container, _full(amounts, found))
    elif request is None or (asked is None and amounts.same):  # no ratio is below 1
        return
    else:
        over = amounts.over if asked is None else request > amounts.limit
        if not over and (request == amounts.limit if standard.equal else amounts.limit <= request * standard.ratio):
            return
        shown = _text(amounts.raw_request) if asked is None else f"{quantity.show(asked)} (the sum of the containers')"
        found = f"{resource} requests {shown}, limits {_text(amounts.raw_limit)}"
        far = "requests differ from limits" if standard.equal else "limits too far above requests"
        reason = "requests above limits" if over else far
        yield Violation(at, reason, found, standard.wanted, container, _full(amounts, found))


def _fix(pod: Pod, standard: Standard, draft: Draft) -> None:
    whole = _amounts(pod.spec, standard.resource)
    shared = _shared(whole, standard.resource)
    if shared and _open(pod.spec):
        at = pointers.join(pod.pointer, "spec", "resources")
        asked = _sum(pod, standard.resource) if whole.raw_request is None else None
        _raise(whole, standard, at, whole.request if asked is None else asked, draft)
    for container in _containers(pod):
        amounts = _amounts(container.spec, standard.resource)
        if amounts.problem is not None or shared or not _open(container.spec):
            continue
        at = pointers.join(container.pointer, "resources")
        if amounts.limit is not None:
            _raise(amounts, standard, at, amounts.request, draft)
        elif amounts.request:
            draft.put(pointers.join(at, "limits", standard.resource), amounts.raw_request)
        elif standard.required and standard.default is not None and not whole.named:
            draft.put(pointers.join(at, "limits", standard.resource), standard.default)
            if amounts.raw_request is not None:  # a request of 0 stays 0 beside a limit
                draft.put(pointers.join(at, "requests", standard.resource), standard.default)


def _raise(amounts: Amounts, standard: Standard, at: str, request: Fraction | None, draft: Draft) -> None:
    if amounts.problem is not None or amounts.limit is None or request is None:
        return
    if request * standard.ratio < amounts.limit:
        target = pointers.join(at, "requests", standard.resource)
        draft.put(target, amounts.raw_limit if standard.equal else _share(amounts.limit, standard))


def _share(limit: Fraction, standard: Standard) -> str:
    """Return the smallest request that keeps the ratio, rounded up to what a person would write."""
    exact = limit / standard.ratio
    step = _MILLI if standard.resource == "cpu" else _MEBI if exact >= _MEBI else Fraction(1)
    return quantity.show(min(limit, -(-exact // step) * step))


def _amounts(spec: Mapping[str, Any], resource: str) -> Amounts:
    resources = mapping(spec.get("resources"))
    if not resources:
        return _NOTHING
    raw_request = mapping(resources.get("requests")).get(resource)
    raw_limit = mapping(resources.get("limits")).get(resource)
    if (raw_request is None or isinstance(raw_request, str)) and (raw_limit is None or isinstance(raw_limit, str)):
        return _stated(resource, raw_request, raw_limit)
    return _compared(resource, raw_request, raw_limit)


@lru_cache(maxsize=2048)  # the same few texts come again and again
def _stated(resource: str, request: str | None, limit: str | None) -> Amounts:
    return _compared(resource, request, limit)


def _compared(resource: str, raw_request: object, raw_limit: object) -> Amounts:
    request = None if raw_request is None else _parsed(resource, raw_request)
    limit = None if raw_limit is None else _parsed(resource, raw_limit)
    if not isinstance(request, str) and not isinstance(limit, str):
        if request is None or limit is None:
            return Amounts(raw_request, raw_limit, request, limit or None)
        return Amounts(raw_request, raw_limit, request, limit or None, None, request > limit, request == limit)
    wanted = "a whole number" if "/" in resource else "a quantity such as 500m, 2 or 1Gi"
    found = f"limits {_text(raw_limit)}: {limit}"
    if isinstance(request, str):
        found = f"requests {_text(raw_request)}: {request}"
    return Amounts(raw_request, raw_limit, problem=(f"{resource} {found}", wanted))


def _parsed(resource: str, value: object) -> Fraction | str:
    """Return the value, or the sentence with which Kubernetes' validation refuses it."""
    try:
        parsed = quantity.read(value)
    except ValueError as error:
        return str(error)
    if parsed.numerator < 0:
        return "a quantity of a resource is never negative"
    if "/" in resource and parsed.denominator != 1:
        return "an extended resource has no parts"
    return parsed


def _shared(whole: Amounts, resource: str) -> bool:
    # the pod level knows these only; a request alone is what the API server itself writes there
    pod_level = resource in ("cpu", "memory") or resource.startswith("hugepages-")
    return pod_level and (whole.limit is not None or whole.problem is not None)


def _sum(pod: Pod, resource: str) -> Fraction | None:
    """Return what the containers ask for together, as `AggregateContainerRequests` does; None where none asks."""
    asks = [(container, _request(_amounts(container.spec, resource))) for container in _containers(pod)]
    if all(ask is None for _, ask in asks):
        return None
    sidecars, peak = Fraction(0), Fraction(0)
    for container, ask in asks:
        if container.role == "sidecar":
            sidecars += ask or 0
            peak = max(peak, sidecars)
        elif container.role == "init":
            peak = max(peak, sidecars + (ask or 0))
    return max(peak, sidecars + sum(ask or 0 for container, ask in asks if container.role == "container"))


def _request(amounts: Amounts) -> Fraction | None:
    return amounts.limit if amounts.raw_request is None else amounts.request


def _containers(pod: Pod) -> Iterator[Container]:
    return (container for container in pod.containers if container.role != "ephemeral")


def _open(spec: Mapping[str, Any]) -> bool:
    """Say whether a fix can write into `resources`: what is there are objects, as they should be."""
    resources = spec.get("resources")
    parts = chain([resources], (mapping(resources).get(key) for key in ("requests", "limits")))
    return all(part is None or isinstance(part, dict) for part in parts)


def _never_overcommitted(resource: str) -> bool:
    if resource.startswith("hugepages-"):
        return not isinstance(_parsed("", resource.removeprefix("hugepages-")), str)
    return _EXTENDED.fullmatch(resource) is not None


def _unlimited(amounts: Amounts, resource: str) -> str:
    if not amounts.named:
        return f"no {resource} requests and limits"
    requests = "no requests" if amounts.raw_request is None else f"requests {_text(amounts.raw_request)}"
    limits = "no limits" if amounts.raw_limit is None else f"limits {_text(amounts.raw_limit)}, which is none"
    return f"{resource} {requests}, {limits}"


def _full(amounts: Amounts, found: str) -> tuple[str, ...]:
    """Return what a finding was there before by, which may have no room for all of the values."""
    return (f"{found} {amounts.raw_request} {amounts.raw_limit}",)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 40 else text[:40] + "…"


def _number(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else str(float(value))
