"""The instances of a service run on different nodes.

## What it does
Asks of every workload with several replicas that it says how they are spread: by `topologySpreadConstraints` or by
`podAntiAffinity`, over nodes, and over whatever else is named in `topologies`. Judged are kinds with `spec.replicas`
(Deployment, StatefulSet, ReplicaSet and ReplicationController, Argo Rollout, OpenKruise's CloneSet and StatefulSet, and
a company's own kinds where they say it), wherever they stand; what such a workload's controller makes is not judged
again. Where an autoscaler sets the number, its `minReplicas` count; it is looked for among the files (or in the
wrapper), and in a cluster in the namespace.

- **Its own pods**: a constraint counts only where its selector (`matchLabels` and `matchExpressions`) selects the
  labels of the very pod it stands in. `matchLabelKeys` and `mismatchLabelKeys` are taken into account:
  `matchLabelKeys: [pod-template-hash]` is fine, one that compares the pod's own name selects nobody else. A term of an
  anti-affinity counts only where its namespaces include the pod's own. A missing `labelSelector` selects nothing.
- **Soft and hard**: `ScheduleAnyway` and a preferred anti-affinity are soft, `DoNotSchedule` and a required one hard.
  With `strength: soft` both count. A `DoNotSchedule` whose `maxSkew` is not below the number of replicas forbids
  nothing, and counts for nothing.
- **Without a constraint**: pods that use the same `hostPort` (or a port, with `hostNetwork`) never share a node. A
  required anti-affinity by zone or region keeps pods on different nodes too.

## Why
Without it, the scheduler may put all replicas onto one node, often the one that has just been added and is empty. That
node's end is then the end of the service, for which two replicas were paid. A selector copied from another service is
worse than none: it looks as if it had been taken care of.

## Example
The selector is that of another service.
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
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector: {matchLabels: {app: checkout}}
      containers: [{name: cart, image: "registry.example/shop/cart:4.0.2"}]
```

## Use instead
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
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector: {matchLabels: {app: cart}}
      containers: [{name: cart, image: "registry.example/shop/cart:4.0.2"}]
```

## Parameters
- `replicas` (default: 2): from how many replicas on a workload has to be spread.
- `missing` (default: 1): how many replicas a manifest is taken to have that does not say it. Kubernetes' own value is
  1; where something else sets the number and manifests leave it out, give what they have at least.
- `topologies` (default: kubernetes.io/hostname): the labels of nodes to spread by, all of them. Add
  `topology.kubernetes.io/zone` where every node carries it: for a pod with a soft constraint by a label, the scheduler
  gives no score to nodes that lack it.
- `strength` (default: soft): `hard` asks for constraints that the scheduler must keep. Replicas then stay pending
  where there are fewer nodes than they need.

```yaml
params:
  replicas: 3
  topologies: [kubernetes.io/hostname, topology.kubernetes.io/zone]
```

## Fix
Adds a soft constraint (`maxSkew: 1`, `ScheduleAnyway`) for each of `topologies` by which the pods are not spread yet,
with the selector of the workload. A hard one it never adds, since it can keep replicas from starting. What stands
there stays: where a soft constraint by the same label selects other pods, Kubernetes accepts no second one, and only
its owner knows whom it was meant for. A pod with constraints of its own no longer gets the scheduler's default ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from webhook.checks.check import Check
from webhook.model import pointer as pointers
from webhook.model.affinity import Rule, matches, rules, selects
from webhook.model.decision import Violation
from webhook.model.neighbours import Ref
from webhook.model.patch import Draft
from webhook.model.pods import Pod, Subject, group_of, listing, mapping
from webhook.model.record import record
from webhook.model.scaling import AUTOSCALERS, WITH_REPLICAS, scaled_by, whole

ID = "spread-replicas"
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "replicas": {
            "type": "integer",
            "minimum": 2,
            "description": "From how many replicas on a workload has to be spread.",
        },
        "missing": {
            "type": "integer",
            "minimum": 0,
            "description": "How many replicas a manifest is taken to have that does not say it.",
        },
        "topologies": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "minLength": 1},
            "description": "The labels of nodes to spread by, all of them.",
        },
        "strength": {
            "enum": ["soft", "hard"],
            "description": "Whether a spread counts that the scheduler only tries to keep.",
        },
    },
}
HOSTNAME = "kubernetes.io/hostname"
DEFAULTS: dict[str, Any] = {"replicas": 2, "missing": 1, "topologies": [HOSTNAME], "strength": "soft"}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("object",)
CEL = "an autoscaler beside the workload may say how many replicas there are, and a policy sees one object"

# each lies within the next: pods in different zones are on different nodes
_NESTED = (HOSTNAME, "topology.kubernetes.io/zone", "topology.kubernetes.io/region")
_ELSEWHERE = "-"  # no namespace has this name


@record(frozen=True, slots=True)
class Standard:
    """The parameters of one rule."""

    replicas: int
    missing: int
    topologies: tuple[str, ...]
    hard: bool


def build(params: Mapping[str, Any]) -> Check:
    """Return the check."""
    standard = Standard(
        params["replicas"],
        params["missing"],
        tuple(dict.fromkeys(params["topologies"])),
        params["strength"] == "hard",
    )
    return Check(subject=partial(_judge, standard), fix=partial(_fix, standard), seeks=partial(_seeks, standard))


def _judge(standard: Standard, subject: Subject) -> Iterator[Violation]:
    count = _replicas(standard, subject)
    if count is None or count < standard.replicas:
        return
    for pod in subject.pods:
        for topology in standard.topologies:
            yield from _violations(standard, pod, topology, subject.namespace, count)


def _seeks(standard: Standard, subject: Subject) -> tuple[Ref, ...]:
    written = _written(subject)
    asked = (subject.group, subject.kind) in WITH_REPLICAS and (written is None or 0 < written < standard.replicas)
    return (AUTOSCALERS,) if asked else ()


def _written(subject: Subject) -> int | None:
    return whole(mapping(subject.object.get("spec")).get("replicas"))


def _replicas(standard: Standard, subject: Subject) -> int | None:
    """Return how many replicas a workload has; None for a kind that has none, such as a DaemonSet.

    An autoscaler keeps its least, whatever the manifest says, but rests at 0.
    """
    written = _written(subject)
    if (subject.group, subject.kind) not in WITH_REPLICAS or written == 0:
        return written
    kept = [one.low for one in scaled_by(subject, subject.neighbours(AUTOSCALERS))]
    return max([standard.missing if written is None else written, *kept])


def _violations(standard: Standard, pod: Pod, topology: str, namespace: str, count: int) -> Iterator[Violation]:
    if topology == HOSTNAME and _holds_a_port(pod):
        return
    by_it = [rule for rule in rules(pod) if _spreads_by(rule, topology)]
    own = [rule for rule in by_it if selects(rule, pod.labels, namespace)]
    binding = [rule for rule in own if not _loose(rule, count)]
    if any(rule.hard or not standard.hard for rule in binding):
        return
    kind = "a hard spread" if standard.hard else "a spread"
    wanted = f"{kind} by {topology} whose selector selects the pod's own labels"
    if binding:
        yield Violation(binding[0].pointer, "only a soft spread", f"a soft spread by {topology}", wanted)
    elif own:
        skew, at = own[0].term.get("maxSkew"), f"{own[0].pointer}/maxSkew"
        found = f"maxSkew {skew} with {count} replicas by {topology}"
        every = tuple([f"maxSkew {rule.term.get('maxSkew')} by {topology}" for rule in own])
        yield Violation(at, "a spread that forbids nothing", found, f"maxSkew below {count}", same=every)
    elif by_it:
        every = tuple([f"a spread by {topology} over {_described(rule)}" for rule in by_it])
        found = f"a spread by {topology} over {_short(_described(by_it[0]))}; the pod has {_labels(pod.labels)}"
        yield Violation(by_it[0].pointer, "spread by other pods", found, wanted, same=every)
    else:
        at = f"{pod.pointer}/spec/topologySpreadConstraints"
        same = f"without a spread by {topology}"
        yield Violation(at, "replicas are not spread", f"{count} replicas {same}", wanted, same=(same,))


def _spreads_by(rule: Rule, topology: str) -> bool:
    if rule.topology == topology:
        return True
    wider = _NESTED[_NESTED.index(topology) + 1 :] if topology in _NESTED else ()
    return rule.anti and rule.hard and rule.topology in wider


def _loose(rule: Rule, count: int | None) -> bool:
    """Say whether a hard constraint lets all replicas into one place; the scheduler does not score it either."""
    skew = rule.term.get("maxSkew")
    return rule.hard and not rule.anti and isinstance(skew, int) and count is not None and skew >= count


def _holds_a_port(pod: Pod) -> bool:
    # with hostNetwork the API server sets each hostPort to the containerPort
    on_host = pod.spec.get("hostNetwork") is True
    return any(
        mapping(port).get("hostPort") or (on_host and mapping(port).get("containerPort"))
        for container in pod.containers
        if container.role in ("container", "sidecar")
        for port in listing(container.spec.get("ports"))
    )


def _described(rule: Rule) -> str:
    selector = rule.term.get("labelSelector")
    if not isinstance(selector, dict):
        return "no pods (it has no labelSelector)"
    parts = [f"{key}={value}" for key, value in mapping(selector.get("matchLabels")).items()]
    for clause in map(mapping, listing(selector.get("matchExpressions"))):
        values = ", ".join(map(str, listing(clause.get("values"))))
        parts.append(f"{clause.get('key')} {clause.get('operator')}" + (f" ({values})" if values else ""))
    parts += [f"namespaces {', '.join(map(str, named))}" for named in [listing(rule.term.get("namespaces"))] if named]
    for key in ("namespaceSelector", "matchLabelKeys", "mismatchLabelKeys"):
        if rule.term.get(key):
            parts.append(f"its {key}")
    return " and ".join(parts) or "all pods"


def _labels(labels: Mapping[str, Any]) -> str:
    return _short(", ".join(f"{key}={value}" for key, value in labels.items()) or "no labels")


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:120] + "…"


def _fix(standard: Standard, pod: Pod, draft: Draft) -> None:
    """Add a soft constraint for each topology without any; the selector stands in the workload around the pod."""
    workload = _around(pod, draft)
    selector = mapping(workload.object.get("spec")).get("selector")
    if isinstance(selector, dict) and not {"matchLabels", "matchExpressions"} & set(selector):
        selector = {"matchLabels": selector}  # a ReplicationController's is a plain map
    if not selector or not pod.labels or not matches(selector, pod.labels):
        return
    constraints = pod.spec.get("topologySpreadConstraints")
    if constraints is not None and not isinstance(constraints, list):
        return
    count = _replicas(standard, workload)
    for topology in standard.topologies:
        if topology == HOSTNAME and _holds_a_port(pod):
            continue
        if any(_in_the_way(rule, topology, pod, count) for rule in rules(pod)):
            continue
        constraint = {
            "maxSkew": 1,
            "topologyKey": topology,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": selector,
        }
        draft.put(f"{pod.pointer}/spec/topologySpreadConstraints/-", constraint)


def _around(pod: Pod, draft: Draft) -> Subject:
    """Return the workload that a pod template stands in, as it is by now, with what stands beside it."""
    at = pointers.split(pod.pointer)[:-2]
    obj = mapping(pointers.get(draft.document, at))
    name, kind = str(mapping(obj.get("metadata")).get("name") or ""), str(obj.get("kind") or "")
    return Subject(
        obj, group_of(obj.get("apiVersion")), kind, "", name, pointers.join("", *at), (), neighbours=pod.neighbours
    )


def _in_the_way(rule: Rule, topology: str, pod: Pod, count: int | None) -> bool:
    """Say whether the pods are spread already, or a soft constraint by this label has taken the place."""
    if not rule.anti and not rule.hard:
        return rule.topology == topology
    # a term that names namespaces may mean others; a constraint beside it does no harm
    return _spreads_by(rule, topology) and selects(rule, pod.labels, _ELSEWHERE) and not _loose(rule, count)
