"""Pools of nodes stay dedicated to those whom they were bought for.

## What it does
A pool is a set of nodes with a taint and labels, and the namespaces whose work runs there. The check keeps both sides:

- **At home**: a workload in a namespace of a pool with `required` tolerates the taint *and* selects the labels, by
  `nodeSelector` or by required node affinity in every one of its terms. Of several such pools, one is enough. A
  workload that does one of both is found for every pool of its namespace: with the toleration alone it also runs
  elsewhere, with the labels alone it runs nowhere.
- **Strangers**: no other workload tolerates the taint. Wildcards count: `operator: Exists` without a key tolerates
  every taint there is, one with the key alone every value of it. A workload whose node selector or affinity keeps it
  off the pool (another value of one of its labels, or another pool) cannot get there, and passes.
- **Interruptible** pools (spot, preemptible) are open to all their namespaces for work that says by a label of its
  pods that it may be interrupted, and for DaemonSets and OpenKruise's BroadcastJobs, which go down with the node
  anyway. Such work may run elsewhere too, so it does not have to select the pool.

A `nodeName` is a finding in any workload: the scheduler is not asked, and no `NoSchedule` keeps the pod off.

Workloads are judged where they are declared; what their controllers make is not judged again. Namespaces under
`everywhere` are not asked: agents of the platform run on all nodes.

## Why
A taint keeps nobody out who tolerates it, and `operator: Exists`, copied from an agent's manifest, tolerates all of
them: the web shop then runs on the GPUs. A toleration without a selector is a permission, no wish: the work that the
pool was bought for runs somewhere else. And a database on a spot node has thirty seconds' notice.

## Example
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  tolerations: [{operator: Exists}]
  containers: [{name: web, image: "registry.example/shop/web:1.4.2"}]
```

## Use instead
```yaml
apiVersion: v1
kind: Pod
metadata: {name: train, namespace: research}
spec:
  nodeSelector: {acme.example/pool: gpu}
  tolerations: [{key: acme.example/pool, operator: Equal, value: gpu, effect: NoSchedule}]
  containers: [{name: train, image: "registry.example/research/train:1.0.0"}]
```

## Parameters
- `pools` (default: none): the pools. Each has a `name`, a `taint` (`key`, and where there are, `value` and `effect`;
  without one `NoSchedule`), `labels` of its nodes, globs of `namespaces` whose work may run there (default: all for
  interruptible pools, else none), `required` (default: true, and false for interruptible pools; false: the namespaces'
  work may run there, and may as well run elsewhere), and `interruptible` (default: false).
- `interruptibleLabel` (default: plimsoll.dev/interruptible): the label of pods that may be interrupted, with the value
  `true`.
- `everywhere` (default: kube-system): globs of namespaces whose work may run on all nodes.

```yaml
params:
  pools:
    - name: gpu
      taint: {key: acme.example/pool, value: gpu}
      labels: {acme.example/pool: gpu}
      namespaces: [research, "research-*"]
    - name: spot
      taint: {key: cloud.google.com/gke-spot, value: "true"}
      labels: {cloud.google.com/gke-spot: "true"}
      interruptible: true
```

## Fix
Adds the toleration and the labels where one of them is missing, or both. Which pool is meant has to be clear: the one
that the workload tolerates or selects already, or the only one of its namespace. Where its `nodeSelector` has another
value for one of the labels, nothing is added. Tolerations of strangers are not taken away: an agent may need them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from webhook.checks.check import Check
from webhook.checks.spoken import NAMESPACE, Spoken, daemon, globbed, lacking, literal
from webhook.model import pointer as pointers
from webhook.model.canonical import told
from webhook.model.decision import Violation
from webhook.model.glob import Globs, compile_globs
from webhook.model.patch import Draft
from webhook.model.pods import Pod, Subject, listing, mapping
from webhook.model.record import record

ID = "dedicated-nodes"
_TEXTS = {"type": "array", "items": {"type": "string", "minLength": 1}}
_POOL = {
    "name": {"type": "string", "minLength": 1, "description": "What people call the pool."},
    "taint": {
        "type": "object",
        "description": "The taint of its nodes.",
        "additionalProperties": False,
        "required": ["key"],
        "properties": {
            "key": {"type": "string", "minLength": 1, "description": "The key of the taint."},
            "value": {"type": "string", "description": "The value of the taint; none by default."},
            "effect": {"enum": ["NoSchedule", "NoExecute", "PreferNoSchedule"], "description": "What it does."},
        },
    },
    "labels": {
        "type": "object",
        "minProperties": 1,
        "additionalProperties": {"type": "string"},
        "description": "The labels of its nodes, and of no others.",
    },
    "namespaces": {**_TEXTS, "description": "Globs of the namespaces whose work may run there."},
    "required": {"type": "boolean", "description": "Whether the work of these namespaces has to run there."},
    "interruptible": {"type": "boolean", "description": "Whether its nodes can go at any time."},
}
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "pools": {
            "type": "array",
            "description": "The pools of nodes that are dedicated.",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name", "taint", "labels"],
                "properties": _POOL,
            },
        },
        "interruptibleLabel": {
            "type": "string",
            "minLength": 1,
            "description": "The label of pods that may be interrupted, with the value true.",
        },
        "everywhere": {**_TEXTS, "description": "Globs of the namespaces whose work may run on all nodes."},
    },
}
DEFAULTS: dict[str, Any] = {
    "pools": [],
    "interruptibleLabel": "plimsoll.dev/interruptible",
    "everywhere": ["kube-system"],
}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("pod",)


@record(frozen=True, slots=True)
class Pool:
    """One compiled entry of `pools`."""

    name: str
    key: str
    value: str
    effect: str
    labels: Mapping[str, str]
    namespaces: Globs
    required: bool
    interruptible: bool

    @property
    def taint(self) -> str:
        """The taint as kubectl writes it."""
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"

    @property
    def toleration(self) -> dict[str, str]:
        """The narrowest toleration of the taint."""
        value = {"operator": "Equal", "value": self.value} if self.value else {"operator": "Exists"}
        return {"key": self.key, **value, "effect": self.effect}


@record(frozen=True, slots=True)
class Standard:
    """The parameters of one rule."""

    pools: tuple[Pool, ...]
    interruptible: str
    everywhere: Globs


@record(frozen=True, slots=True)
class Place:
    """Nodes on which a pod may run: the values that labels have there, and those that they do not have."""

    among: Mapping[str, frozenset[str]]
    without: Mapping[str, frozenset[str]]

    def reaches(self, pool: Pool) -> bool:
        """Say whether nodes of the pool are among them."""
        return all(
            value in self.among.get(key, (value,)) and value not in self.without.get(key, ())
            for key, value in pool.labels.items()
        )

    def inside(self, pools: Iterable[Pool]) -> bool:
        """Say whether all of them are in these pools."""
        pools = tuple(pools)
        return any(
            all(
                self.among.get(key) and self.among[key] <= {other.labels.get(key) for other in pools}
                for key in pool.labels
            )
            for pool in pools
        )


Places = tuple[Place, ...]


def _pool(entry: Mapping[str, Any]) -> Pool:
    taint, spot = entry["taint"], entry.get("interruptible", False)
    return Pool(
        entry["name"],
        taint["key"],
        taint.get("value", ""),
        taint.get("effect", "NoSchedule"),
        entry["labels"],
        compile_globs(entry.get("namespaces", ["*"] if spot else [])),
        entry.get("required", not spot),
        spot,
    )


def build(params: Mapping[str, Any]) -> Check:
    """Return the check."""
    pools = tuple(map(_pool, params["pools"]))
    standard = Standard(pools, params["interruptibleLabel"], compile_globs(params["everywhere"]))
    return Check(subject=partial(_judge, standard), fix_subject=partial(_fix, standard))


def CEL(params: Mapping[str, Any]) -> Spoken:  # noqa: N802 - what the other constants of a check are
    """Return the check in CEL, on the words of `_judge` below: `places` are those of the pod, `pools` each with `ours`.

    `rows` are the pools with what the pod is to each: whether it tolerates its taint, reaches it, and stays in it.
    """
    pools = []
    for number, pool in enumerate(map(_pool, params["pools"])):
        known = {"number": number, "name": pool.name, "key": pool.key, "value": pool.value, "effect": pool.effect}
        more = {"labels": dict(pool.labels), "required": pool.required, "interruptible": pool.interruptible}
        pools.append(literal({**known, **more})[:-1] + f", 'ours': {globbed(NAMESPACE, pool.namespaces)}}}")
    tolerated = "pod.spec.?tolerations.orValue([]).exists(t, " + " && ".join(
        (
            "t.?effect.orValue('') in ['', p.effect]",
            "t.?key.orValue('') in ['', p.key]",
            "(t.?operator.orValue('') == 'Exists' || (t.?operator.orValue('') in ['', 'Equal']"
            " && t.?key.orValue('') == p.key && t.?value.orValue('') == p.value)))",
        )
    )
    row = f"{{'pool': p, 'tolerated': {tolerated}, 'reached': variables.places.exists(q, {_SPOKEN_REACHES})"
    row += f", 'alone': {_spoken_inside('[p]')}}}"
    half = "(r.tolerated ? r.pool.required && r.reached && !r.alone : r.alone)"
    settled = f"{_spoken_inside('variables.home.map(r, r.pool)')} && variables.home.exists(r, r.tolerated && r.reached)"
    elsewhere = _spoken_inside("variables.pools.filter(o, o.number != r.pool.number)")
    stranger = "!r.pool.ours || (r.pool.interruptible && !variables.stops)"
    strangers = f"variables.rows.filter(r, r.tolerated && r.reached && ({stranger}) && !{elsewhere})"
    lost = f"variables.home.filter(r, {half} || r.pool.required)"
    placed = "object.?status.?conditions.orValue([]).exists(c, c.?type.orValue('') == 'PodScheduled')"
    named = f"pod.spec.?nodeName.orValue('') != '' && !{placed}"
    everywhere = globbed(NAMESPACE, compile_globs(params["everywhere"]))
    bad = (
        f"variables.pools.size() == 0 || {everywhere} ? []"
        f" : ({named} ? ['nodeName: ' + pod.spec.nodeName] : [])"
        f" + {strangers}.map(r, 'tolerates the taint of the pool ' + r.pool.name)"
        f" + ({settled} ? [] : {lost}.map(r, 'not in the pool ' + r.pool.name + ' alone'))"
    )
    label = f"pod.metadata.?labels[?{literal(params['interruptibleLabel'])}].orValue('') == 'true'"
    return lacking(
        (
            ("pools", f"[{', '.join(pools)}]"),
            ("stops", f"{daemon()} || {label}"),
            ("places", _SPOKEN_PLACES),
            ("rows", f"variables.pools.map(p, {row})"),
            ("home", "variables.rows.filter(r, r.pool.ours && (!r.pool.interruptible || variables.stops))"),
            ("bad", bad),
        ),
        fix="which pool is meant it weighs by all of them, and no policy is written for that",
    )


_SPOKEN_REQUIRED = "pod.spec.?affinity.?nodeAffinity.?requiredDuringSchedulingIgnoredDuringExecution"
_SPOKEN_TERMS = f"{_SPOKEN_REQUIRED}.?nodeSelectorTerms.orValue([])"
_SPOKEN_SELECTOR = "pod.spec.?nodeSelector.orValue({})"
_SPOKEN_PLACES = (
    f"{_SPOKEN_TERMS}.size() == 0 ? [{{'selector': {_SPOKEN_SELECTOR}, 'clauses': []}}]"
    f" : {_SPOKEN_TERMS}.map(t, {{'selector': {_SPOKEN_SELECTOR}, 'clauses': t.?matchExpressions.orValue([])}})"
)
# whether a value may stand at a label `k` of the nodes of a place `q`
_SPOKEN_LET = (
    "q.clauses.all(e, e.key != k || (e.operator == 'In' ? {value} in e.?values.orValue([]) : {more}"
    "e.operator != 'DoesNotExist'))"
)
_SPOKEN_REACHES = "p.labels.all(k, (!(k in q.selector) || q.selector[k] == p.labels[k]) && {})".format(
    _SPOKEN_LET.format(value="p.labels[k]", more="e.operator == 'NotIn' ? !(p.labels[k] in e.?values.orValue([])) : ")
)


def _spoken_inside(pools: str) -> str:
    """Return in CEL whether all places of the pod are in these pools, as `Place.inside` says of each."""
    asked = "q.clauses.filter(e, e.key == k && e.operator == 'In')"
    values = f"(k in q.selector ? [q.selector[k]] : {asked}.size() > 0 ? {asked}[0].?values.orValue([]) : [])"
    among = f"{values}.filter(v, {_SPOKEN_LET.format(value='v', more='')})"
    inside = f"[{among}].all(vs, vs.size() > 0 && vs.all(v, {pools}.exists(o, o.labels[?k].orValue('') == v)))"
    return f"variables.places.all(q, {pools}.exists(i, i.labels.all(k, {inside})))"


def _judge(standard: Standard, subject: Subject) -> Iterable[Violation]:
    return _pods(standard, subject) if standard.pools and not standard.everywhere(subject.namespace) else ()


def _pods(standard: Standard, subject: Subject) -> Iterator[Violation]:
    for pod in subject.pods:
        yield from _named(standard, subject, pod)
        yield from _strangers(standard, subject, pod)
        yield from _at_home(standard, subject, pod)


def _named(standard: Standard, subject: Subject, pod: Pod) -> Iterator[Violation]:
    """Judge a pod whose author named its node; of a Pod with the condition PodScheduled, the scheduler did."""
    conditions = map(mapping, listing(mapping(subject.object.get("status")).get("conditions")))
    name, placed = pod.spec.get("nodeName"), any(one.get("type") == "PodScheduled" for one in conditions)
    if standard.pools and isinstance(name, str) and name and not placed:
        at, wanted = f"{pod.pointer}/spec/nodeName", "a nodeSelector, by which the scheduler finds a node"
        yield Violation(at, "names a node, past its taints", f"nodeName: {name[:60]}", wanted, same=(name,))


def _strangers(standard: Standard, subject: Subject, pod: Pod) -> Iterator[Violation]:
    for pool in standard.pools:
        number = _tolerating(pool, pod)
        if number is None:
            continue
        places = _places(pod)
        if not _reaches(places, pool):
            continue
        if _inside(places, (other for other in standard.pools if other is not pool)):
            continue  # a node is in one pool
        at = f"{pod.pointer}/spec/tolerations/{number}"
        written = listing(pod.spec.get("tolerations"))
        found = f"tolerates {pool.taint} by {_shown(written[number])}"
        same = tuple([told({**written[one], "tolerationSeconds": None}) for one in _all_tolerating(pool, pod)])
        reach: tuple[str, ...] = ("no other nodes",) if _inside(places, [pool]) else ()
        if not pool.namespaces(subject.namespace):
            homes = " or ".join(pool.namespaces.texts) or "no namespace"
            wanted = f"the pool {pool.name} left to {homes}, or a selector of other nodes"
            yield Violation(at, "tolerates the taint of a pool of others", found, wanted, None, same, reach)
        elif pool.interruptible and not _may_stop(standard, pod):
            wanted = f"{standard.interruptible}: true on pods that may be interrupted, or no toleration"
            yield Violation(at, "may not be interrupted", f"{found}, the pool {pool.name}", wanted, None, same, reach)


def _at_home(standard: Standard, subject: Subject, pod: Pod) -> Iterator[Violation]:
    home = _homes(standard, subject, pod)
    if not home or _settled(home, pod):
        return
    half = [pool for pool in home if _half(pool, pod)]
    at = f"{pod.pointer}/spec/nodeSelector"
    for pool in half:
        labels = ", ".join(f"{key}={value}" for key, value in pool.labels.items())
        if _tolerating(pool, pod) is None:
            where, wanted = f"{pod.pointer}/spec/tolerations", f"a toleration of {pool.taint}"
            yield Violation(where, "selects a pool and runs nowhere", f"selects {labels}", wanted)
        else:
            found = f"tolerates {pool.taint} without selecting {labels}"
            yield Violation(at, "runs beside its pool", found, f"nodeSelector {labels}")
    meant = [pool for pool in home if pool.required]
    if meant and not half:
        names = " or ".join(pool.name for pool in meant)
        wanted = f"a toleration of {meant[0].taint}, and its nodes selected"
        yield Violation(at, "not in its pool", f"neither tolerates nor selects the pool {names}", wanted)


def _homes(standard: Standard, subject: Subject, pod: Pod) -> list[Pool]:
    """Return the pools in which a pod may run by its namespace and by what it is."""
    return [
        pool
        for pool in standard.pools
        if pool.namespaces(subject.namespace) and (not pool.interruptible or _may_stop(standard, pod))
    ]


def _settled(home: list[Pool], pod: Pod) -> bool:
    """Say whether the pod runs in its pools and nowhere else."""
    places = _places(pod)
    return _inside(places, home) and any(_tolerating(pool, pod) is not None and _reaches(places, pool) for pool in home)


def _half(pool: Pool, pod: Pod) -> bool:
    """Say whether the pod selects the pool without tolerating it, or tolerates one that it ought to select."""
    places = _places(pod)
    if _tolerating(pool, pod) is None:
        return _inside(places, [pool])
    return pool.required and _reaches(places, pool) and not _inside(places, [pool])


def _may_stop(standard: Standard, pod: Pod) -> bool:
    return pod.daemon or pod.labels.get(standard.interruptible) == "true"


def _tolerating(pool: Pool, pod: Pod) -> int | None:
    """Return the number of the first toleration of the pool's taint; None where none is."""
    return next(_all_tolerating(pool, pod), None)


def _all_tolerating(pool: Pool, pod: Pod) -> Iterator[int]:
    """Yield the numbers of the tolerations of the pool's taint (ToleratesTaint in k8s.io/api/core/v1)."""
    for number, toleration in enumerate(map(mapping, listing(pod.spec.get("tolerations")))):
        effect, key = toleration.get("effect") or "", toleration.get("key") or ""
        operator = toleration.get("operator") or "Equal"
        if effect not in ("", pool.effect) or key not in ("", pool.key):
            continue
        same = operator == "Equal" and key == pool.key and (toleration.get("value") or "") == pool.value
        if operator == "Exists" or same:
            yield number


def _places(pod: Pod) -> Places:
    """Return where the pod's node selector and required node affinity let it run; terms are alternatives."""
    selector = {key: _texts([value]) for key, value in mapping(pod.spec.get("nodeSelector")).items()}
    affinity = mapping(mapping(pod.spec.get("affinity")).get("nodeAffinity"))
    required = mapping(affinity.get("requiredDuringSchedulingIgnoredDuringExecution"))
    places = []
    for term in map(mapping, listing(required.get("nodeSelectorTerms"))):
        among, without = dict(selector), dict[str, frozenset[str]]()
        for clause in map(mapping, listing(term.get("matchExpressions"))):
            key, values = str(clause.get("key")), _texts(listing(clause.get("values")))
            match clause.get("operator"):
                case "In":
                    among[key] = among.get(key, values) & values
                case "NotIn":
                    without[key] = without.get(key, frozenset()) | values
                case "DoesNotExist":
                    among[key] = frozenset()
        places.append(Place(among, without))
    return tuple(places) or (Place(selector, {}),)


def _texts(values: list[Any]) -> frozenset[str]:
    return frozenset(value for value in values if isinstance(value, str))


def _reaches(places: Places, pool: Pool) -> bool:
    return any(place.reaches(pool) for place in places)


def _inside(places: Places, pools: Iterable[Pool]) -> bool:
    pools = tuple(pools)
    return all(place.inside(pools) for place in places)


def _fix(standard: Standard, subject: Subject, draft: Draft) -> None:
    if standard.everywhere(subject.namespace):
        return
    for pod in subject.pods:
        home = _homes(standard, subject, pod)
        half = [pool for pool in home if _half(pool, pod)]
        meant = half or [pool for pool in home if pool.required]
        if len(meant) == 1 and not _settled(home, pod):
            _move(meant[0], pod, draft)


def _move(pool: Pool, pod: Pod, draft: Draft) -> None:
    selector, tolerations = pod.spec.get("nodeSelector"), pod.spec.get("tolerations")
    if not isinstance(selector, dict | None) or not isinstance(tolerations, list | None):
        return
    if not _reaches(_places(pod), pool):
        return
    if pool.required and not _inside(_places(pod), [pool]):
        for key, value in pool.labels.items():
            draft.put(pointers.join(pod.pointer, "spec", "nodeSelector", key), value)
    if _tolerating(pool, pod) is None:
        draft.put(f"{pod.pointer}/spec/tolerations/-", pool.toleration)


def _shown(toleration: Any) -> str:
    parts = mapping(toleration)
    keys = ("key", "operator", "value", "effect")
    text = ", ".join(f"{key}: {parts[key]}" for key in keys if parts.get(key))
    return (text if parts.get("key") else f"the wildcard {text}")[:120]
