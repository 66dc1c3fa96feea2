"""Compute-, io- and memory-bound work is mixed well over the nodes.

## What it does
Asks of every pod for a label that says what it is bound by, with a value from a list, and for a rule that keeps it from
sharing a node with its like: a `podAntiAffinity`, preferred or required, or a topology spread constraint, whose
selector selects pods by that label alone. A selector that also names the app keeps it from its own replicas only, and
does not count; nor does one that leaves the own class or the own namespace out.

Workloads are judged by their pod template. DaemonSets and OpenKruise's BroadcastJobs are not: they have a pod on every
node, whatever the class.

## Why
A node is full when one of its resources is. Two services that wait for the disk slow each other down while the node's
cores are idle; beside one that computes, each would have had what it needs. Requests can't say it: nobody requests disk
operations or memory bandwidth.

## Example
```yaml
apiVersion: v1
kind: Pod
metadata: {name: search, labels: {app: search}}
spec:
  containers: [{name: search, image: "registry.example/shop/search:2.2.0"}]
```

## Use instead
```yaml
apiVersion: v1
kind: Pod
metadata: {name: search, labels: {app: search, plimsoll.dev/workload-class: io}}
spec:
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 50
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector: {matchLabels: {plimsoll.dev/workload-class: io}}
            namespaceSelector: {}
  containers: [{name: search, image: "registry.example/shop/search:2.2.0"}]
```

## Parameters
- `label` (default: plimsoll.dev/workload-class): the label of pods that names the class.
- `classes` (default: compute, io, memory): the classes that are to be kept from their like.
- `others` (default: general): further classes that are accepted, and may stand beside anything.
- `required` (default: true): whether a pod without the label is a finding.
- `topology` (default: kubernetes.io/hostname): the label of nodes within which like keeps from like.
- `weight` (default: 50): the weight, of 1 to 100, of the preference that the fix adds.

```yaml
params:
  label: acme.example/bound-by
  classes: [cpu, disk, memory, network]
```

## Fix
Adds a preferred anti-affinity to the same class, in all namespaces. The scheduler weighs it against everything else,
and never leaves a pod pending for it. Which class a pod belongs to is not guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from webhook.checks import spoken_affinity
from webhook.checks.check import Check, ParamError
from webhook.checks.spoken import Mend, Put, Spoken, Unspoken, daemon, lacking, literal
from webhook.model import pointer as pointers
from webhook.model.affinity import ADDED, Rule, rules, selects
from webhook.model.decision import Violation
from webhook.model.patch import Draft
from webhook.model.pods import Pod, Subject, listing, mapping
from webhook.model.record import record

ID = "workload-class"
_TEXTS = {"type": "array", "items": {"type": "string", "minLength": 1}}
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "label": {"type": "string", "minLength": 1, "description": "The label of pods that names the class."},
        "classes": {**_TEXTS, "description": "The classes that are to be kept from their like."},
        "others": {**_TEXTS, "description": "Further classes, which may stand beside anything."},
        "required": {"type": "boolean", "description": "Whether a pod without the label is a finding."},
        "topology": {
            "type": "string",
            "minLength": 1,
            "description": "The label of nodes within which like keeps from like.",
        },
        "weight": {
            "type": "integer",
            "minimum": 1,
            "maximum": 100,
            "description": "The weight of the preference that the fix adds.",
        },
    },
}
DEFAULTS: dict[str, Any] = {
    "label": "plimsoll.dev/workload-class",
    "classes": ["compute", "io", "memory"],
    "others": ["general"],
    "required": True,
    "topology": "kubernetes.io/hostname",
    "weight": 50,
}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("pod",)
_ELSEWHERE = "-"  # no namespace has this name: a term that names namespaces may mean others
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


@record(frozen=True, slots=True)
class Standard:
    """The parameters of one rule."""

    label: str
    classes: tuple[str, ...]
    others: tuple[str, ...]
    required: bool
    topology: str
    weight: int


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError where there is no class, or one stands in both lists."""
    problems: list[tuple[tuple[str | int, ...], str]] = []
    if not params["classes"] and not params["others"]:
        problems.append((("classes",), "names no class; wanted for instance [compute, io, memory]"))
    for number, name in enumerate(params["others"]):
        if name in params["classes"]:
            problems.append((("others", number), f"{name!r} is among `classes` too"))
    if problems:
        raise ParamError(problems)
    standard = Standard(
        params["label"],
        tuple(params["classes"]),
        tuple(params["others"]),
        params["required"],
        params["topology"],
        params["weight"],
    )
    return Check(subject=partial(_judge, standard), fix=partial(_fix, standard))


def CEL(params: Mapping[str, Any]) -> Spoken:  # noqa: N802 - what the other constants of a check are
    """Return the check in CEL: `rules` are the pod's, `own` the label of its class."""
    label = params["label"]
    if label in ADDED:
        raise Unspoken(f"{label} is a label that controllers write, which no template shows")
    name, key = "variables.name", literal(label)
    named = (
        f"{key} in r.term.?labelSelector.?matchLabels.orValue({{}})"
        f" || r.term.?labelSelector.?matchExpressions.orValue([]).exists(e, e.key == {key})"
        f" || {key} in r.term.?matchLabelKeys.orValue([])"
    )
    alone = f"r.term.?matchLabelKeys.orValue([]).all(k, k == {key})"
    topology = f"r.term.?topologyKey.orValue('') == {literal(params['topology'])}"
    away, anyway = (
        f"variables.rules.exists(r, {topology} && {spoken_affinity.selects('r', 'variables.own', *namespace)}"
        f" && ({named}) && {alone})"
        for namespace in ((), (literal(_ELSEWHERE),))
    )
    term = (
        f"{{'weight': {params['weight']}, 'podAffinityTerm': {{'topologyKey': {literal(params['topology'])},"
        f" 'labelSelector': {{'matchLabels': {{{key}: {name}}}}}, 'namespaceSelector': {{}}}}}}"
    )
    at = ("spec", "affinity", "podAntiAffinity", _PREFERRED, "-")
    meant = f"{name} in {literal(params['classes'])} && !{anyway}"
    missing = literal([f"no label {label}"] if params["required"] else [])
    bad = (
        f"{daemon()} ? [] : {name} == null ? {missing}"
        f" : {name} in {literal(params['classes'])}"
        f" ? ({away} ? [] : ['class ' + {name} + ' without an anti-affinity to it'])"
        f" : {name} in {literal(params['others'])} ? [] : [{literal(label + ': ')} + string({name})]"
    )
    return lacking(
        (
            ("name", f"dyn(pod.metadata.?labels[?{key}].orValue(null))"),
            ("own", f"{{{key}: {name}}}"),
            ("rules", spoken_affinity.RULES),
            ("bad", bad),
        ),
        fix=Mend((Put(at, term, meant),)),
    )


def _judge(standard: Standard, subject: Subject) -> Iterable[Violation]:
    if not standard.required and not any([standard.label in pod.labels for pod in subject.pods]):
        return ()
    return _pods(standard, subject)


def _pods(standard: Standard, subject: Subject) -> Iterator[Violation]:
    for pod in subject.pods:
        if not pod.daemon:
            yield from _violations(standard, pod, subject.namespace)


def _violations(standard: Standard, pod: Pod, namespace: str) -> Iterator[Violation]:
    name = pod.labels.get(standard.label)
    at = pointers.join(pod.pointer, "metadata", "labels", standard.label)
    one_of = f"{standard.label}: {' or '.join((*standard.classes, *standard.others))}"
    if name is None:
        if standard.required:
            yield Violation(at, "no class", f"no label {standard.label}", one_of)
    elif name in standard.classes:
        if not any(_keeps_away(standard, rule, str(name), namespace) for rule in rules(pod)):
            where = f"{pod.pointer}/spec/affinity/podAntiAffinity"
            wanted = f"a preferred anti-affinity by {standard.topology} to {standard.label}: {name}"
            yield Violation(where, "not kept from its like", f"class {name} without an anti-affinity to it", wanted)
    elif name not in standard.others:
        yield Violation(at, "unknown class", f"{standard.label}: {_short(name)}", one_of, same=(str(name),))


def _keeps_away(standard: Standard, rule: Rule, name: str, namespace: str) -> bool:
    if rule.topology != standard.topology or not selects(rule, {standard.label: name}, namespace):
        return False
    selector, keys = mapping(rule.term.get("labelSelector")), rule.keys("matchLabelKeys")
    named = {*keys, *mapping(selector.get("matchLabels"))}
    named |= {str(mapping(clause).get("key")) for clause in listing(selector.get("matchExpressions"))}
    # another key that has to match, such as the revision's hash, leaves the pods of other workloads out
    return standard.label in named and all(key == standard.label for key in keys)


def _fix(standard: Standard, pod: Pod, draft: Draft) -> None:
    if pod.daemon:
        return
    name = pod.labels.get(standard.label)
    affinity = pod.spec.get("affinity")
    anti = mapping(affinity).get("podAntiAffinity")
    terms = mapping(anti).get(_PREFERRED)
    parts = zip((affinity, anti, terms), (dict, dict, list), strict=True)
    if name not in standard.classes or not all(part is None or isinstance(part, kind) for part, kind in parts):
        return
    if any(_keeps_away(standard, rule, str(name), _ELSEWHERE) for rule in rules(pod)):
        return
    term = {
        "topologyKey": standard.topology,
        "labelSelector": {"matchLabels": {standard.label: name}},
        "namespaceSelector": {},
    }
    at = f"{pod.pointer}/spec/affinity/podAntiAffinity/{_PREFERRED}/-"
    draft.put(at, {"weight": standard.weight, "podAffinityTerm": term})


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:60] + "…"
