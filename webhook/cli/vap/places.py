"""Where the pods of kinds are, said in CEL: kinds whose pods stand at the same place share a policy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from webhook.checks.spoken import literal
from webhook.model.kinds import OTHERS
from webhook.model.pods import LISTS
from webhook.model.workloads import Kinds, Row
from webhook.packs.rule import Rule

Kind = tuple[str, str]
# A policy names its subresources, as a webhook does. Both carry the whole Pod.
_SUBRESOURCES = {"pods": ("pods/ephemeralcontainers", "pods/resize")}
# What an update of metadata can change, and rules can hang on: ObjectMeta without what the engine's `changes` leaves
# out.
_METADATA = ("name", "generateName", "namespace", "labels", "annotations", "ownerReferences")


@dataclass(frozen=True, slots=True)
class Place:
    """Kinds that one policy can judge.

    `path` leads to their pod template, None where pods are not looked at. `own`: they are Kubernetes' own, so that the
    API server has given every field its type.
    """

    name: str
    rows: tuple[tuple[str, str, str], ...]
    path: tuple[str, ...] | None
    own: bool
    table: Kinds

    def only(self, wanted: Callable[[Row], bool]) -> Place | None:
        """Return the place with those kinds of the table alone for which `wanted` says yes; None without any."""
        rows = tuple(row for row in self.rows if (row[0], row[1]) in self.table and wanted(self.table[row[0], row[1]]))
        return replace(self, rows=rows) if rows else None

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds, as (group, kind)."""
        return frozenset((group, kind) for group, kind, _ in self.rows)

    def resource_rules(self, operations: Iterable[str], subresources: bool = True) -> list[dict[str, object]]:
        """Return what the policy matches: one entry for each API group."""
        by_group: dict[str, list[str]] = {}
        for group, _, resource in self.rows:
            more = _SUBRESOURCES.get(resource, ()) if subresources and not group else ()
            by_group.setdefault(group, []).extend((resource, *more))
        return [
            {
                "apiGroups": [group],
                "apiVersions": [_VERSIONS.get(group, "v1") if own(group) else "*"],
                "operations": sorted(operations),
                "resources": resources,
            }
            for group, resources in sorted(by_group.items())
        ]

    def pod(self) -> str:
        """Return the word `pod`: metadata and spec of the pod template; an error where the spec is no map."""
        at = _plain("object", self.path or ())
        if not self.path:
            return "{'metadata': object.metadata, 'spec': object.spec}"
        spec = f"{at}.spec" if self.own else f"type({at}.spec) == map ? {at}.spec : {at}.spec.of_another_type"
        return f"{{'metadata': {at}.?metadata.orValue({{}}), 'spec': {spec}}}"

    def containers(self, pod: str, kept: str) -> str:
        """Return the word `containers`, in the engine's order; `kept` says in CEL whether a container `c` is one."""
        lists = " + ".join(self.listed(f"{pod}.spec", key) for key in LISTS)
        return lists if kept == "true" else f"({lists}).filter(c, {kept})"

    def listed(self, at: str, key: str) -> str:
        """Return a list below `at`, empty where there is none; in kinds of others it may be null."""
        return f"{at}.?{key}.orValue([])" if self.own else f"({at}.?{key}.orValue(null) == null ? [] : {at}.{key})"

    def has_not(self, key: str) -> str:
        """Return what says whether a template has nothing under a key (`metadata`, `spec`)."""
        return f"{_optional('object', (*(self.path or ()), key))}.orValue(null) == null"

    def there(self) -> str:
        """Return what says whether there is a pod template; empty where there always is one."""
        if self.own or self.path is None:
            return ""
        # also where it is no map: `pod` then fails, as rules on pods do
        spec = f"{_optional('object', (*self.path, 'spec'))}.orValue(null) != null"
        if "argoproj.io" not in {group for group, _, _ in self.rows}:
            return spec
        # the template of a Rollout that refers to another object's is that object's
        refers = (
            "request.kind.group == 'argoproj.io' && !(object.spec.?workloadRef.orValue(null) in [dyn(null), dyn({})])"
        )
        return f"{spec} && !({refers})"

    def pod_changed(self) -> str:
        """Return what says whether an update changes a pod template."""
        path = self.path or ()
        spec = [_optional(word, (*path, "spec")) for word in ("object", "oldObject")]
        return f"{spec[0]} != {spec[1]} || {_metadata_changed(path)}"


_VERSIONS = {"autoscaling": "v2"}


def object_changed(roots: frozenset[str] | None) -> str:
    """Return what says whether an update changes one of the fields of an object, or (None) anything in it.

    Without the status, and without what the API server itself writes into metadata.
    """
    if roots is not None:
        parts = [f"object.?{root} != oldObject.?{root}" for root in sorted(roots - {"metadata", "status"})]
        parts += [_metadata_changed(())] if "metadata" in roots else []
        return " || ".join(parts) or "false"
    new = "object.exists(k, !(k in ['metadata', 'status']) && object[?k] != oldObject[?k])"
    gone = "oldObject.exists(k, !(k in ['metadata', 'status']) && !(k in object))"
    return f"{new} || {gone} || {_metadata_changed(())}"


LABELS_CHANGED = "object.metadata.?labels != oldObject.metadata.?labels"
ENDING_CHANGED = (
    "object.?status != oldObject.?status || object.metadata.?finalizers != oldObject.metadata.?finalizers"
    " || object.metadata.?deletionTimestamp != oldObject.metadata.?deletionTimestamp"
)


def _metadata_changed(path: tuple[str, ...]) -> str:
    new, old = (_optional(word, (*path, "metadata")) for word in ("object", "oldObject"))
    return f"{literal(list(_METADATA))}.exists(k, {new}[?k] != {old}[?k])"


def _optional(word: str, path: tuple[str, ...]) -> str:
    return word + "".join(f".?{key}" if _simple(key) else f"[?{literal(key)}]" for key in path)


def _plain(word: str, path: tuple[str, ...]) -> str:
    return word + "".join(f".{key}" if _simple(key) else f"[{literal(key)}]" for key in path)


def _simple(key: str) -> bool:
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) is not None


def own(group: str) -> bool:
    """Say whether an API group is Kubernetes' own."""
    return group in ("", "apps", "batch", "autoscaling", "policy") or group.endswith(".k8s.io")


def places(rule: Rule, kinds: Kinds, pods: bool, others: bool) -> tuple[list[Place], dict[str, list[str]]]:
    """Return the places that a rule judges, and by reason the kinds that no policy can judge as it does.

    `pods`: it is said of pods; `others`: of kinds without pods there is something else to say.
    """
    found: dict[tuple[tuple[str, ...] | None, bool], list[tuple[str, str, str]]] = {}
    out: dict[str, list[str]] = {}
    for group, kind in sorted(rule.kinds):
        row = kinds.get((group, kind))
        why = _why_not(row, pods)
        if row is None and pods and rule.check is not None and not others:
            why = "its check has a form in CEL for pods alone"
        resource = row.resource if row else OTHERS.get((group, kind), "")
        if not why and not resource:
            why = "its resource is not known; name the kind by --workload"
        if why:
            out.setdefault(why, []).append(f"{group}/{kind}".lstrip("/"))
        elif row is not None or not pods or others:  # where there are no pods, a rule on pods has nothing to say
            path = row.paths[0] if row is not None and pods else None
            found.setdefault((path, own(group)), []).append((group, kind, resource))
    named = [Place(_name(key, rows), tuple(rows), *key, kinds) for key, rows in found.items()]
    return sorted(named, key=lambda place: place.name), out


def _why_not(row: Row | None, pods: bool) -> str:
    if row is not None and row.wraps:
        return "what it wraps is judged object by object, for which a policy has no way"
    if row is not None and pods and (len(row.paths) > 1 or "*" in row.paths[0]):
        return "it has several pod templates, and a rule judges each by itself"
    return ""


def _name(key: tuple[tuple[str, ...] | None, bool], rows: list[tuple[str, str, str]]) -> str:
    path, ours = key
    whose = "" if ours else "custom-"
    if path is None:
        return f"{whose}objects"
    if path == ("spec", "template"):
        return f"{whose}workloads"
    if ours and len(rows) == 1:
        return rows[0][2]
    return whose + re.sub(r"[^a-z0-9]+", "-", "-".join(path).lower()).strip("-")


def made_by_a_workload(rule: Rule, place: Place, kinds: Kinds) -> str:
    """Return what says whether another workload's controller made an object; empty where that cannot be.

    As `engine.view.made_by_a_workload` says it.
    """
    named = any(scope.kinds is not None and ("", "Pod") in scope.kinds for scope in rule.scopes)
    makers: Mapping[Kind, list[str]] = {kind: _makers(kind, named, kinds) for kind in sorted(place.kinds & set(kinds))}
    clauses = [
        f"request.kind.group == {literal(group)} && request.kind.kind == {literal(kind)} && owner in {literal(owners)}"
        for (group, kind), owners in makers.items()
        if owners
    ]
    if not clauses:
        return ""
    name = "(o.apiVersion.contains('/') ? o.apiVersion.split('/')[0] : '') + '/' + o.kind"
    either = " || ".join(f"({clause.replace('owner in', f'({name}) in')})" for clause in clauses)
    return f"object.metadata.?ownerReferences.orValue([]).exists(o, o.?controller.orValue(false) && ({either}))"


def _makers(kind: Kind, named: bool, kinds: Kinds) -> list[str]:
    if kind == ("", "Pod"):
        return [] if named else sorted(f"{group}/{name}" for group, name in kinds if (group, name) != ("", "Pod"))
    return sorted(kinds[kind].owners)
