"""The scope of a rule as a policy has it: selectors, and conditions in CEL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from webhook.checks.spoken import NAMESPACE, Unspoken, globbed, literal
from webhook.cli.vap import places
from webhook.cli.vap.places import Place
from webhook.cli.vap.text import decided, translated
from webhook.model.glob import Globs
from webhook.model.review import MIRROR
from webhook.model.workloads import Kinds
from webhook.packs.exempt import Exemption, active
from webhook.packs.match import Scope
from webhook.packs.rule import Rule

Condition = dict[str, str]
NAME_LABEL = "kubernetes.io/metadata.name"
_USER = "request.userInfo.?username.orValue('')"
_GROUPS = "request.userInfo.?groups.orValue([])"
MOST = 64
"""Conditions that the API server takes in a policy."""


@dataclass(frozen=True, slots=True)
class Matched:
    """What a policy matches besides operations and kinds; `kept` says in CEL whether a container `c` is looked at.

    `expires` are the days of the exemptions that hold: after the first of them the policy says less than the rule.
    """

    namespace_selector: dict[str, Any]
    object_selector: dict[str, Any]
    conditions: tuple[Condition, ...]
    kept: str
    expires: tuple[date, ...]


def matched(
    rule: Rule, given: list[Mapping[str, Any]], values: str, place: Place, kinds: Kinds, now: datetime
) -> Matched:
    """Return the scope of a rule for one place. Raises Unspoken with what a policy cannot say.

    `given` are the `match` of pack and rule as written, `values` those of the pack in CEL.
    """
    if "UPDATE" in rule.operations and sum(scope.object_selector is not None for scope in rule.scopes) > 1:
        raise Unspoken(
            "pack and rule both have an objectSelector: an update may be meant by the one for its old labels and by "
            "the other for its new ones, and a policy has only one selector for both"
        )
    conditions = list(_of_kind(rule, place, kinds))
    for scope in rule.scopes:
        conditions += [*_of_scope(scope), *_written(scope, values)]
    exemptions = [exemption for exemption in rule.exemptions if active(exemption, now)]
    conditions += (_exempting(number, exemption, place) for number, exemption in enumerate(exemptions, 1))
    if "UPDATE" in rule.operations:
        conditions.append({"name": "changes-something", "expression": _changes(rule, place)})
    named = [{**one, "name": name} for one, name in zip(conditions, _distinct(conditions), strict=True)]
    if len(named) > MOST:
        raise Unspoken(f"it has {len(named)} conditions, and the API server takes {MOST}")
    return Matched(
        _selector(given, "namespaceSelector", _namespaces(rule)),
        _selector(given, "objectSelector", []),
        tuple(named),
        _kept(rule.scopes),
        tuple(sorted(exemption.expires for exemption in exemptions)),
    )


def _distinct(conditions: list[Condition]) -> Iterator[str]:
    """Yield a name for each condition; an author's own may stand in pack and rule."""
    taken: set[str] = set()
    for condition in conditions:
        name, number = condition["name"], 1
        while name in taken:
            number += 1
            name = f"{condition['name']}-{number}"
        taken.add(name)
        yield name


def _of_kind(rule: Rule, place: Place, kinds: Kinds) -> Iterator[Condition]:
    if ("", "Pod") in place.kinds:
        mirror = f"{literal(MIRROR)} in object.metadata.?annotations.orValue({{}})"
        node = f"{_USER}.startsWith('system:node:') && 'system:nodes' in {_GROUPS}"
        text = f"!(request.kind.kind == 'Pod' && {node} && {mirror})"
        yield {"name": "no-mirror-pod", "expression": text}
    made = places.made_by_a_workload(rule, place, kinds) if rule.on_workload else ""
    if made:
        yield {"name": "not-made-by-a-workload", "expression": f"!{made}"}


def _of_scope(scope: Scope) -> Iterator[Condition]:
    if scope.names is not None and not scope.names.everything:
        raise Unspoken("`names` also matches the names of an object's controllers, which a policy cannot look up")
    if scope.images is not None:
        raise Unspoken("`images` matches what a reference means, normalized, which CEL has no function for")
    if scope.namespaces is not None and not _exact(scope.namespaces) and not scope.namespaces.everything:
        inside = f"{NAMESPACE} == '' || {globbed(NAMESPACE, scope.namespaces)}"
        yield {"name": "namespaces", "expression": inside}
    if scope.exclude_namespaces is not None and not _exact(scope.exclude_namespaces):
        outside = f"{NAMESPACE} == '' || !({globbed(NAMESPACE, scope.exclude_namespaces)})"
        yield {"name": "exclude-namespaces", "expression": outside}
    if scope.exclude_users is not None:
        yield {"name": "exclude-users", "expression": f"!({globbed(_USER, scope.exclude_users)})"}
    if scope.exclude_groups is not None:
        groups = f"{_GROUPS}.exists(g, {globbed('g', scope.exclude_groups)})"
        yield {"name": "exclude-groups", "expression": f"!{groups}"}


def _exact(globs: Globs) -> bool:
    return not globs.everything and len(globs.literals) == len(globs.texts)


def _namespaces(rule: Rule) -> list[dict[str, Any]]:
    found = []
    for scope in rule.scopes:
        for operator, globs in (("In", scope.namespaces), ("NotIn", scope.exclude_namespaces)):
            if globs is not None and _exact(globs) and globs.texts:
                found.append({"key": NAME_LABEL, "operator": operator, "values": sorted(globs.literals)})
    return found


def _selector(given: list[Mapping[str, Any]], key: str, more: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the selectors of pack and rule as one: both must hold."""
    clauses = list(more)
    for match in given:
        selector = match.get(key) or {}
        labels = selector.get("matchLabels") or {}
        clauses += [{"key": label, "operator": "In", "values": [value]} for label, value in labels.items()]
        clauses += [dict(clause) for clause in selector.get("matchExpressions") or ()]
    return {"matchExpressions": clauses} if clauses else {}


def _written(scope: Scope, values: str) -> Iterator[Condition]:
    for name, program in scope.conditions:
        if "namespaceObject" in program.reads:
            raise Unspoken("its matchConditions read `namespaceObject`, which the API server does not give them")
        yield {"name": name, "expression": decided(translated(program.text, {"values": values}), program.typed)}


def _kept(scopes: tuple[Scope, ...]) -> str:
    name = "c.?name.orValue('')"
    texts = [globbed(name, scope.containers) for scope in scopes if scope.containers is not None]
    wanted = [text for text in texts if text != "true"]
    return " && ".join(f"({text})" for text in wanted) or "true"


def _exempting(number: int, exemption: Exemption, place: Place) -> Condition:
    if not exemption.whole:
        raise Unspoken("an exemption of single containers or images needs findings, and a policy has one verdict")
    if exemption.names is not None and not exemption.names.everything:
        raise Unspoken("an exemption by `names` also covers what those names' controllers make, which CEL cannot see")
    clauses = []
    if exemption.namespaces is not None:
        clauses.append(f"({globbed(NAMESPACE, exemption.namespaces)})")
    if exemption.kinds is not None:
        kinds = sorted(f"{group}/{kind}" for group, kind in exemption.kinds & place.kinds)
        clauses.append(f"(request.kind.group + '/' + request.kind.kind) in {literal(kinds)}")
    return {"name": f"not-exempt-{number}", "expression": f"!({' && '.join(clauses) or 'true'})"}


def _changes(rule: Rule, place: Place) -> str:
    """Return what says whether an update changes something that the rule reads, as `engine.changes` does."""
    if rule.always:
        return f"request.operation != 'UPDATE' || {places.object_changed(None)} || !({places.ENDING_CHANGED})"
    parts = [place.pod_changed()] if "pod" in rule.reads else []
    parts += [places.object_changed(rule.object_roots)] if "object" in rule.reads else []
    parts += [places.LABELS_CHANGED] if any(scope.object_selector for scope in rule.scopes) else []
    return " || ".join(["request.operation != 'UPDATE'", *parts])
