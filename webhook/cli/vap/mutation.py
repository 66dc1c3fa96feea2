"""The patch of a rule as a policy makes it: a JSON Patch in CEL, at the requests at which Plimsoll would mend."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from webhook.checks.spoken import Unspoken, literal
from webhook.cli.vap.places import Place
from webhook.model import pointer as pointers
from webhook.model.review import MIRROR
from webhook.packs.rule import Mutation, Rule, Write

_OWNED = "object.metadata.?ownerReferences.orValue([]).exists(o, o.?controller.orValue(false))"
# the API takes no change of these templates, as the engine's `fixes` has it
_IMMUTABLE = frozenset({("", "Pod"), ("batch", "Job")})


def check(rule: Rule, rules: Iterable[Rule]) -> None:
    """Raise Unspoken where a policy cannot make the patch of a rule as Plimsoll does, among all `rules`."""
    mutation = rule.mutation
    assert mutation is not None  # asked of rules with a patch alone
    for write in mutation.writes:
        if write.program is not None:
            raise Unspoken("a `valueExpression` may give any type, and the API server wants to know it before")
        if any(token in ("*", "-") or token.isdigit() for token in write.tokens):
            raise Unspoken("it writes into lists, whose elements a policy's patch cannot go through")
    parents = [write.tokens[:2] for write in mutation.writes]
    if len(set(parents)) < len(parents):
        raise Unspoken("two of its operations write below one field, and each sees the object as it came")
    for other in rules:
        if other is not rule and other.mutation is not None and _meet(mutation, other.mutation):
            raise Unspoken(f"{other.label} writes the same field, and which of two policies comes first is open")


def _meet(one: Mutation, other: Mutation) -> bool:
    return any(mine.tokens[:2] == theirs.tokens[:2] for mine in one.writes for theirs in other.writes)


def taken(place: Place, mutation: Mutation) -> Place | None:
    """Return the kinds of a place whose own webhook takes what the patch writes; None where there are none."""
    return place.only(lambda row: all(row.takes(write.tokens) for write in mutation.writes))


def conditions(place: Place) -> list[dict[str, str]]:
    """Return when Plimsoll mends: what is made by nobody's controller, or a Pod, and changes that an update makes."""
    fixed = [f"({literal(group)} == request.kind.group && {literal(kind)} == request.kind.kind)"
             for group, kind in sorted(_IMMUTABLE & place.kinds)]  # fmt: skip
    never = f"!({' || '.join(fixed)}) && " if fixed else ""
    pod = "request.kind.group == '' && request.kind.kind == 'Pod' || " if ("", "Pod") in place.kinds else ""
    created = f"request.operation != 'CREATE' || {pod}!{_OWNED}"
    updated = f"request.operation != 'UPDATE' || ({never}!{_OWNED} && ({place.pod_changed()}))"
    mirror = f"!({literal(MIRROR)} in object.metadata.?annotations.orValue({{}}))"
    return [
        {"name": "mends-at-creation", "expression": created},
        {"name": "mends-what-changes", "expression": updated},
        {"name": "mends-no-mirror-pod", "expression": mirror},
    ]


def patch(mutation: Mutation, place: Place, pod: str) -> str:
    """Return the operations as a list in CEL; `pod` is the word for the pod."""
    return " + ".join(_operations(write, place, pod) for write in mutation.writes)


def _operations(write: Write, place: Place, pod: str) -> str:
    """Return one write: nothing where it changes nothing, and parents made where they are missing."""
    at = "".join(f"[?{literal(key)}]" for key in write.tokens[1:])
    there = f"{pod}.{write.tokens[0]}{at}"
    path = (place.path or ()) + write.tokens
    if write.op == "remove":
        return f"({there}.hasValue() ? [JSONPatch{{op: 'remove', path: {_path(path)}}}] : [])"
    value = literal(write.value)
    put = _put(write, place, pod)
    same = f"{there}.orValue(null) == dyn({value})"
    if write.op == "replace":
        return f"(!{there}.hasValue() || {same} ? [] : {put})"
    return f"({same} ? [] : {put})"


def _put(write: Write, place: Place, pod: str) -> str:
    """Return what adds the value below the deepest parent that is there."""
    text = _add(place, write.tokens, write.value)
    for depth in range(len(write.tokens) - 1, 0, -1):
        parent = "".join(f"[?{literal(key)}]" for key in write.tokens[1:depth])
        value: Any = write.value
        for key in reversed(write.tokens[depth:]):
            value = {key: value}
        missing = f"{pod}.{write.tokens[0]}{parent}.orValue(null) == null" if parent else place.has_not(write.tokens[0])
        text = f"({missing} ? {_add(place, write.tokens[:depth], value)} : {text})"
    return text


def _add(place: Place, tokens: tuple[str, ...], value: Any) -> str:
    path = (place.path or ()) + tokens
    return f"[JSONPatch{{op: 'add', path: {_path(path)}, value: {literal(value)}}}]"


def _path(tokens: tuple[str, ...]) -> str:
    return literal(pointers.join("", *tokens))
