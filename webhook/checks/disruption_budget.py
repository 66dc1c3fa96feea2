"""A drained node takes no service down.

## What it does
Asks of every workload with several replicas that one PodDisruptionBudget selects its pods, and lets some of them go,
and not all.

- **None**: nothing keeps those who drain nodes, or shrink the cluster, from taking all replicas at once.
- **Several**: a pod that two budgets select cannot be evicted at all; the API server answers every try with an error.
  A budget with the selector of another one is found as well.
- **No disruption allowed**: the node of such a pod can never be drained, until somebody forces it, at night. So it is
  with `maxUnavailable: 0`, with `minAvailable: 100%`, with a `minAvailable` of as many replicas as there are, and with
  a budget that says neither.
- **All allowed**: `minAvailable: 0`, or a `maxUnavailable` of all replicas, protects nothing.

It counts as Kubernetes does: percentages are rounded up, of replicas that must be there as of those that may be
missing. `minAvailable: 90%` of three replicas are three. Where an autoscaler sets the number of replicas, its
`minReplicas` counts, for the nodes are drained at night too. Of a budget that selects the pods of several workloads,
such as a release and its canary, all their replicas count together, and the budget is judged where they are seen.

Judged are workloads with `spec.replicas` that no controller made, and PodDisruptionBudgets, with the workloads that
they select. What belongs together is looked for among the files (or in the wrapper), and in a cluster in the namespace.
A workload whose budget may be where nobody looked is *unknown*: the rule's `onUnknown` decides. DaemonSets and Jobs
are not judged: draining leaves the first alone, and the second begin again.

In a cluster, a budget has to be there before its workload, or with it where the rule only warns: Helm and Argo CD send
budgets first, `kubectl apply -f` what stands first in the file.

## Why
Nodes are drained every week, for their updates and by autoscalers. Without a budget, that is an outage whenever two
replicas happened to stand on the nodes of the same batch. With one that allows nothing, the update of the cluster
stands still, and somebody deletes pods by hand.

## Example
Three of three replicas have to be there.
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
      containers: [{name: cart, image: "registry.example/shop/cart:4.0.2"}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: cart, namespace: shop}
spec:
  minAvailable: 3
  selector: {matchLabels: {app: cart}}
```

## Use instead
```yaml
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: cart, namespace: shop}
spec:
  maxUnavailable: 1
  selector: {matchLabels: {app: cart}}
```

## Parameters
- `replicas` (default: 2): from how many replicas on a workload needs a budget. One replica is down while its node is
  drained, with a budget or without.
- `missing` (default: 1): how many replicas a manifest is taken to have that says nothing and has no autoscaler.
- `evictUnhealthy` (default: false): whether budgets have to say `unhealthyPodEvictionPolicy: AlwaysAllow`, so that pods
  that run and are never ready don't hold up a drain.

```yaml
params:
  replicas: 3
  evictUnhealthy: true
```

## Fix
None. A budget is an object of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from webhook.checks.check import Check
from webhook.model import rollout
from webhook.model.affinity import matches
from webhook.model.canonical import told
from webhook.model.decision import Unsure, Violation
from webhook.model.neighbours import Ref
from webhook.model.pods import Pod, Subject, mapping, subjects
from webhook.model.record import record
from webhook.model.scaling import AUTOSCALERS, WITH_REPLICAS, replicas, scaled_by, whole

ID = "disruption-budget"
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "replicas": {
            "type": "integer",
            "minimum": 2,
            "description": "From how many replicas on a workload needs a budget.",
        },
        "missing": {
            "type": "integer",
            "minimum": 0,
            "description": "How many replicas a manifest is taken to have that says nothing and has no autoscaler.",
        },
        "evictUnhealthy": {
            "type": "boolean",
            "description": "Budgets have to say unhealthyPodEvictionPolicy: AlwaysAllow.",
        },
    },
}
DEFAULTS: dict[str, Any] = {"replicas": 2, "missing": 1, "evictUnhealthy": False}
KINDS: tuple[str, ...] = ("PodDisruptionBudget",)
READS: tuple[str, ...] = ("object",)
CEL = "it looks for what stands beside a workload, and a policy sees one object"

BUDGETS = Ref("policy/v1", "PodDisruptionBudget")
# what a controller makes (ReplicaSets) has no budget of its own
_SELECTED = tuple(
    Ref(version, kind)
    for (_, kind), version in WITH_REPLICAS.items()
    if kind not in ("ReplicaSet", "ReplicationController")
)
_NONE, _ALL = "budget allows no disruption", "budget protects nothing"
_SEVERAL, _ONE = "several disruption budgets", "one PodDisruptionBudget for a pod"
_SOME = "maxUnavailable of at least 1, and below the number of replicas"


@record(frozen=True, slots=True)
class Standard:
    """The parameters of one rule."""

    replicas: int
    missing: int
    unhealthy: bool


@record(frozen=True, slots=True)
class Budget:
    """A PodDisruptionBudget: its name, its spec, and the field that counts (`maxUnavailable` comes first)."""

    name: str
    spec: Mapping[str, Any]
    field: str

    @property
    def text(self) -> str:
        """Return what it says: `minAvailable: 3`."""
        return f"{self.field}: {self.spec[self.field]}" if self.field else "neither minAvailable nor maxUnavailable"

    def allowed(self, count: int) -> int | None:
        """Return how many of `count` pods may be missing; None where what is written is no number.

        As getExpectedPodCount of pkg/controller/disruption: percentages of replicas are rounded up on both sides.
        """
        if not self.field:
            return 0
        amount = _scaled(self.spec[self.field], count)
        if amount is None:
            return None
        return min(count, amount) if self.field == "maxUnavailable" else max(0, count - amount)


def build(params: Mapping[str, Any]) -> Check:
    """Return the check."""
    standard = Standard(params["replicas"], params["missing"], params["evictUnhealthy"])
    return Check(subject=partial(_judge, standard), seeks=partial(_seeks, standard))


def _is_budget(subject: Subject) -> bool:
    return (subject.group, subject.kind) == (BUDGETS.group, BUDGETS.kind)


def _seeks(standard: Standard, subject: Subject) -> Iterator[Ref]:
    if _is_budget(subject):
        yield BUDGETS
        if _hangs(_budget(subject.object), standard.replicas):
            yield from (*_SELECTED, AUTOSCALERS)
    elif _judged(subject):
        yield from (BUDGETS, AUTOSCALERS)


def _judged(subject: Subject) -> bool:
    stopped = mapping(subject.object.get("spec")).get("replicas") == 0
    return (subject.group, subject.kind) in WITH_REPLICAS and bool(subject.pods) and not stopped


def _judge(standard: Standard, subject: Subject) -> Iterator[Violation | Unsure]:
    if _is_budget(subject):
        yield from _itself(standard, subject)
    elif _judged(subject):
        scalers = scaled_by(subject, subject.neighbours(AUTOSCALERS))
        count = replicas(subject, scalers, standard.missing)
        if count is not None and count >= standard.replicas:
            for pod in subject.pods:
                yield from _workload(subject, pod, count, "".join(f" that {one.title} keeps" for one in scalers[:1]))


def _workload(subject: Subject, pod: Pod, count: int, kept: str) -> Iterator[Violation | Unsure]:
    known = subject.neighbours(BUDGETS)
    found = [b for b in map(_budget, known.objects) if matches(b.spec.get("selector"), pod.labels)]
    selecting = list({budget.name: budget for budget in found}.values())  # the overlays of one manifest are one object
    at = f"{pod.pointer}/metadata/labels"
    if not selecting and known.lacking:
        yield Unsure(f"a PodDisruptionBudget for its {count} replicas: none is known; {known.lacking}")
    elif not selecting:
        labels = ", ".join(f"{key}={value}" for key, value in sorted(pod.labels.items())) or "no labels"
        same = "which no budget selects"
        what = f"{count} replicas with {_short(labels)}, {same}"
        wanted = "a PodDisruptionBudget that selects the pods, and allows 1"
        yield Violation(at, "no disruption budget", what, wanted, same=(same,))
    elif len(selecting) > 1:
        what = "budgets " + ", ".join(sorted(budget.name for budget in selecting))
        yield Violation(at, _SEVERAL, what, _ONE)
    elif _only(selecting[0], subject) or _always(selecting[0]) is not None:
        (budget,) = selecting
        same = f"budget {budget.name}, {budget.text}"
        yield from _verdict(budget.allowed(count), count, at, f"{same}, for the {count} replicas{kept}", same)


def _only(budget: Budget, subject: Subject) -> bool:
    """Say whether a budget selects nobody else's pods: it asks for all the labels that the workload selects its own by.

    The pods of all workloads that it selects are counted together, so that a wider one is judged where they are seen.
    """
    selector = mapping(mapping(subject.object.get("spec")).get("selector"))
    expressions = "matchExpressions" in selector
    own = mapping(selector.get("matchLabels")) if expressions or "matchLabels" in selector else selector
    asked = mapping(mapping(budget.spec.get("selector")).get("matchLabels"))
    return not expressions and own.items() <= asked.items()


def _verdict(allowed: int | None, count: int, at: str, found: str, same: str) -> Iterator[Violation]:
    if allowed == 0:
        yield Violation(at, _NONE, found, _SOME, same=(same,))
    elif allowed is not None and allowed >= count:
        yield Violation(at, _ALL, found, _SOME, same=(same,))


def _itself(standard: Standard, subject: Subject) -> Iterator[Violation | Unsure]:
    budget, at = _budget(subject.object), f"{subject.pointer}/spec"
    where = f"{at}/{budget.field}" if budget.field else at
    selector = budget.spec.get("selector")
    if not isinstance(selector, dict):
        wanted = "the labels of the pods that it is for"
        yield Violation(f"{at}/selector", "budget selects no pods", "no selector", wanted)
    if standard.unhealthy and budget.spec.get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
        found = f"unhealthyPodEvictionPolicy: {budget.spec.get('unhealthyPodEvictionPolicy', 'IfHealthyBudget')}"
        wanted = "unhealthyPodEvictionPolicy: AlwaysAllow"
        where_policy, same = f"{at}/unhealthyPodEvictionPolicy", (f"{found} {told(selector)}",)
        yield Violation(where_policy, "unhealthy pods hold up a drain", found, wanted, same=same)
    yield from _rivals(subject, selector, at)
    always = _always(budget)
    if always is not None:
        yield Violation(where, always, budget.text, _SOME, same=(f"{budget.text} {told(selector)}",))
    elif isinstance(selector, dict) and _hangs(budget, standard.replicas):
        yield from _selected(standard, subject, budget, where)


def _rivals(subject: Subject, selector: object, at: str) -> Iterator[Violation]:
    """Judge the budgets with the same selector: of the workload, nobody reviews it when another one comes."""
    others = map(_budget, subject.neighbours(BUDGETS).objects)
    names = {one.name for one in others if selector and one.spec.get("selector") == selector} - {subject.name}
    if names:
        found = f"budgets {', '.join(sorted({*names, subject.name}))} with the same selector"
        yield Violation(f"{at}/selector", _SEVERAL, found, _ONE)


def _selected(standard: Standard, subject: Subject, budget: Budget, at: str) -> Iterator[Violation | Unsure]:
    """Judge a budget by the workloads that it selects, all together: it may come after them."""
    scalers = subject.neighbours(AUTOSCALERS)
    counts: dict[str, int] = {}
    lacking = scalers.lacking
    for ref in _SELECTED:
        found = subject.neighbours(ref)
        lacking = lacking or found.lacking
        for obj in found.objects:
            name = str(mapping(obj.get("metadata")).get("name") or "")
            (workload, *_) = subjects(obj, ref.group, ref.kind, subject.namespace, name)
            if any(matches(budget.spec["selector"], pod.labels) for pod in workload.pods):
                count = replicas(workload, scaled_by(workload, scalers), standard.missing) or 0
                title = f"{ref.kind} {name}"
                counts[title] = max(count, counts.get(title, 0))
    total = sum(counts.values())
    if total >= standard.replicas:
        verb = "has" if len(counts) == 1 else "have"
        names = ", ".join(sorted(counts))
        text = f"{budget.text}, and {_short(names)} {verb} {total} replicas"
        yield from _verdict(budget.allowed(total), total, at, text, f"{budget.text}, and {names}")
    if not counts and lacking:
        yield Unsure(f"the replicas of the pods that it selects: {lacking}")


def _budget(obj: Mapping[str, Any]) -> Budget:
    spec = mapping(obj.get("spec"))
    fields = (field for field in ("maxUnavailable", "minAvailable") if spec.get(field) is not None)
    return Budget(str(mapping(obj.get("metadata")).get("name") or ""), spec, next(fields, ""))


def _always(budget: Budget) -> str | None:
    """Return what is wrong with a budget for any number of replicas; None where it hangs on their number."""
    few, many = budget.allowed(1), budget.allowed(1_000_000)
    if few == many == 0:
        return _NONE
    return _ALL if many == 1_000_000 else None


def _hangs(budget: Budget, least: int) -> bool:
    """Say whether the verdict on a budget hangs on the number of replicas, from `least` on.

    Beyond 200 a percentage that was right stays right, and a number of pods that was is too.
    """
    fine = all(0 < (budget.allowed(count) or 0) < count for count in range(least, max(200, 2 * least)))
    return not fine and _always(budget) is None


def _scaled(value: object, count: int) -> int | None:
    """Return an IntOrString of `count`, percentages rounded up; None for a text that is no percentage."""
    written = rollout.count(value)
    return whole(value) if written is None else written.of(count, up=True)  # below 0 it stays what it is


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:120] + "…"
