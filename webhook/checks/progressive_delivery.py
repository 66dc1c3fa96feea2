"""A release reaches some users first, and all of them after someone or something has looked.

## What it does
In the scope of the rule, services are released by [Argo Rollouts](https://argo-rollouts.readthedocs.io).

- **A Deployment** is a finding: it rolls a release out to everybody, however bad it is. One with `replicas: 0` passes,
  and so does one that a Rollout refers to by `workloadRef`, for as long as both run during a migration. The Rollout is
  looked for among the files (or in the wrapper), and in a cluster in the namespace; it has to be there first. Where
  Rollouts cannot be read, the Deployment is a finding.
- **A canary** begins with a small step, and something waits or looks before everybody gets the release. Small is a
  `setWeight` of at most `maxFirstWeight` percent (of `maxTrafficWeight`, where the traffic router has one), a
  `setHeaderRoute` or `setMirrorRoute`, or an `experiment`. After it and before the weight is 100, there has to be a
  `pause` (not one of 0 seconds), an `analysis`, an `experiment`, or the background analysis of the canary. A step by a
  `plugin` counts as both: what it does is not in the manifest. A canary without steps is an ordinary rolling update.
- **Blue-green** gives nobody the new version before all get it, so something has to come before that:
  `autoPromotionEnabled: false`, `autoPromotionSeconds`, or `prePromotionAnalysis`. What `postPromotionAnalysis` sees
  has happened to everybody.

`kubectl scale` and autoscalers are judged too: a Deployment at 0 replicas is not brought back past its Rollout.
StatefulSets, DaemonSets, Jobs and other kinds are not judged.

## Why
Most outages begin with a release. Where one user of ten gets it first, nine see nothing of what is wrong with it, and
the way back is one step, not a second release.

## Example
```yaml
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: web
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  strategy:
    canary:
      steps:
        - setWeight: 50
        - pause: {}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "registry.example/shop/web:1.4.2"}]
```

## Use instead
```yaml
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: web
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  strategy:
    canary:
      steps:
        - setWeight: 10
        - pause: {duration: 10m}
        - setWeight: 50
        - analysis: {templates: [{templateName: error-rate}]}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "registry.example/shop/web:1.4.2"}]
```

## Parameters
- `maxFirstWeight`: how many percent of the traffic the first step may take; default 20. Without traffic routing,
  Argo Rollouts comes as near to it as the number of replicas lets it: 10 of 2 replicas is half of them.
- `strategies`: which may be used; default `[canary, blueGreen]`.

The rule belongs where releases reach users: give it a scope.

```yaml
rules:
  - name: progressive-delivery
    check: progressive-delivery
    params: {maxFirstWeight: 10, strategies: [canary]}
    match: {namespaces: ["*-production"]}
    action: warn
```

## Fix
None. How a service is released, and what shows that it is well, only its owner knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from webhook.checks.check import Check
from webhook.model.decision import Violation
from webhook.model.neighbours import Ref
from webhook.model.pods import Subject, group_of, listing, mapping
from webhook.model.record import record

ID = "progressive-delivery"
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "maxFirstWeight": {
            "type": "integer",
            "minimum": 1,
            "maximum": 99,
            "description": "How many percent of the traffic the first step of a canary may take.",
        },
        "strategies": {
            "type": "array",
            "items": {"enum": ["canary", "blueGreen"]},
            "minItems": 1,
            "description": "Which strategies a Rollout may use.",
        },
    },
}
DEFAULTS: dict[str, Any] = {"maxFirstWeight": 20, "strategies": ["canary", "blueGreen"]}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("object", "replicas")
CEL = "it looks for the Rollout that refers to a Deployment, and a policy sees one object"

ROLLOUTS = Ref("argoproj.io/v1alpha1", "Rollout")
AT_ONCE = "everybody gets a release at once"


@record(frozen=True, slots=True)
class Step:
    """One step of a canary: the weight that it sets, in percent, whether it shows the release to some, and waits."""

    weight: float | None
    shows: bool
    waits: bool


def build(params: Mapping[str, Any]) -> Check:
    """Return the check."""
    most, strategies = params["maxFirstWeight"], tuple(params["strategies"])

    def judge(subject: Subject) -> Iterator[Violation]:
        if (subject.group, subject.kind) == ("apps", "Deployment"):
            yield from _deployment(subject)
        elif (subject.group, subject.kind) == ("argoproj.io", "Rollout"):
            yield from _rollout(subject, most, strategies)

    return Check(subject=judge, seeks=lambda subject: (ROLLOUTS,) if _runs(subject) else ())


def _runs(subject: Subject) -> bool:
    is_deployment = (subject.group, subject.kind) == ("apps", "Deployment")
    return is_deployment and mapping(subject.object.get("spec")).get("replicas") != 0


def _refers(rollout: Mapping[str, Any], subject: Subject) -> bool:
    reference = mapping(mapping(rollout.get("spec")).get("workloadRef"))
    named = (group_of(reference.get("apiVersion")), reference.get("kind"), reference.get("name"))
    return named == (subject.group, subject.kind, subject.name)


def _deployment(subject: Subject) -> Iterator[Violation]:
    if _runs(subject) and not any(_refers(rollout, subject) for rollout in subject.neighbours(ROLLOUTS).objects):
        wanted = "a Rollout of argoproj.io; the Deployment that it refers to by workloadRef has 0 replicas"
        yield Violation(f"{subject.pointer}/spec/replicas", AT_ONCE, "a Deployment that runs pods", wanted)


def _rollout(subject: Subject, most: int, strategies: tuple[str, ...]) -> Iterator[Violation]:
    spec = mapping(subject.object.get("spec"))
    if not spec.get("template") and not spec.get("workloadRef"):
        return  # a scale: nothing but a number of replicas
    strategy = mapping(spec.get("strategy"))
    at = f"{subject.pointer}/spec/strategy"
    used = next((name for name in ("blueGreen", "canary") if isinstance(strategy.get(name), dict)), None)
    if used not in strategies:
        found = "no strategy" if used is None else f"strategy {used}"
        yield Violation(at, "no approved strategy", found, f"strategy {' or '.join(strategies)}")
    elif used == "canary":
        yield from _canary(strategy["canary"], f"{at}/canary", most)
    else:
        yield from _blue_green(strategy["blueGreen"], f"{at}/blueGreen")


def _blue_green(strategy: Mapping[str, Any], at: str) -> Iterator[Violation]:
    if strategy.get("autoPromotionEnabled") is False or mapping(strategy.get("prePromotionAnalysis")):
        return
    if not strategy.get("autoPromotionSeconds"):
        wanted = "autoPromotionEnabled: false, autoPromotionSeconds, or prePromotionAnalysis"
        yield Violation(at, AT_ONCE, "blue-green that is promoted as soon as its pods are ready", wanted)


def _canary(canary: Mapping[str, Any], at: str, most: int) -> Iterator[Violation]:
    top = mapping(canary.get("trafficRouting")).get("maxTrafficWeight")
    steps = [_step(mapping(step), top if isinstance(top, int) and top > 0 else 100) for step in _steps(canary)]
    small = f"a first step of at most {most} percent"
    first = next((number for number, step in enumerate(steps) if step.shows), None)
    if first is None:
        found = "a canary without steps" if not steps else "a canary of which no step goes to some users only"
        yield Violation(f"{at}/steps", AT_ONCE, found, f"{small}, then a pause or an analysis")
        return
    weight = steps[first].weight
    if weight is not None and weight > most:
        found = f"setWeight {_steps(canary)[first]['setWeight']}" + ("" if top is None else f" of {top}")
        yield Violation(f"{at}/steps/{first}/setWeight", "first step too large", found, small)
    before = steps[first:]
    full = next((number for number, step in enumerate(before) if (step.weight or 0) >= 100), len(before))
    looked = mapping(canary.get("analysis")).get("templates")
    if full and not looked and not any(step.waits for step in before[:full]):
        wanted = "a pause or an analysis after the first step"
        yield Violation(f"{at}/steps", "nothing waits before everybody gets it", "no pause, no analysis", wanted)


def _steps(canary: Mapping[str, Any]) -> list[Any]:
    return listing(canary.get("steps"))


def _step(step: Mapping[str, Any], top: int) -> Step:
    written = step.get("setWeight")
    weight = written * 100 / top if isinstance(written, int) and not isinstance(written, bool) else None
    route = mapping(step.get("setHeaderRoute")).get("match") or mapping(step.get("setMirrorRoute")).get("match")
    unknown = any(isinstance(step.get(key), dict) for key in ("experiment", "plugin"))
    return Step(
        weight,
        shows=bool(weight) or bool(route) or unknown,
        waits=unknown or isinstance(step.get("analysis"), dict) or _pauses(step.get("pause")),
    )


def _pauses(pause: object) -> bool:
    if not isinstance(pause, dict):
        return False
    duration = pause.get("duration")
    if duration is None:
        return True  # until a person says so
    return str(duration).strip("smhd").strip("0") != ""
