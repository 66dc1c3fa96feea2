"""The patch of a rule as a policy makes it: a JSON Patch in CEL, at the requests at which Plimsoll would mend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webhook.checks.spoken import Each, Mend, Put, Unspoken, literal
from webhook.cli.vap.places import Place
from webhook.cli.vap.text import translated
from webhook.model import pointer as pointers
from webhook.model.review import MIRROR
from webhook.packs.rule import Mutation, Write

_OWNED = "object.metadata.?ownerReferences.orValue([]).exists(o, o.?controller.orValue(false))"
# the API takes no change of these templates, as the engine's `fixes` has it
_IMMUTABLE = frozenset({("", "Pod"), ("batch", "Job")})


Paths = tuple[tuple[str, ...], ...]
"""Fields of a pod, by their keys."""


def check(mutation: Mutation) -> None:
    """Raise Unspoken where a policy cannot make the patch of a rule as Plimsoll does."""
    for write in mutation.writes:
        if write.program is not None:
            raise Unspoken("a `valueExpression` may give any type, and the API server wants to know it before")
        if any(token in ("*", "-") or token.isdigit() for token in write.tokens):
            raise Unspoken("it writes into lists, whose elements a policy's patch cannot go through")
    parents = [write.tokens[:2] for write in mutation.writes]
    if len(set(parents)) < len(parents):
        raise Unspoken("two of its operations write below one field, and each sees the object as it came")


def apart(label: str, paths: Paths, others: Mapping[str, Paths]) -> None:
    """Raise Unspoken where a fix writes what that of another rule writes: policies have no order among them."""
    for other, theirs in others.items():
        if other != label and {path[:2] for path in paths} & {path[:2] for path in theirs}:
            raise Unspoken(f"{other} writes the same field, and which of two policies comes first is open")


def taken(place: Place, paths: Paths) -> Place | None:
    """Return the kinds of a place whose own webhook takes these fields of a pod; None where there are none."""
    return place.only(lambda row: all(row.takes(path) for path in paths))


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


def mend(fix: Mend, place: Place, pod: str, words: Mapping[str, str]) -> str:
    """Return the operations of a check's fix as a list in CEL: missing parents of all fields first, then the fields."""
    puts = [one for one in fix.writes if isinstance(one, Put)]
    above: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for put in puts:
        for depth in range(1, len(put.path)):
            empty = "[]" if put.path[depth:] == ("-",) else "{}"
            above.setdefault((put.path[:depth], empty), []).append(f"({put.when})")
    texts = [
        f"({_missing(path, place, pod)} && ({translated(' || '.join(whens), words)})"
        f" ? [JSONPatch{{op: 'add', path: {_path((place.path or ()) + path)}, value: {empty}}}] : [])"
        for (path, empty), whens in sorted(above.items(), key=lambda entry: len(entry[0][0]))
    ]
    for one in fix.writes:
        if isinstance(one, Each):
            texts.append(translated(one.text, {**words, "at": _path(place.path or ())}))
        else:
            at, value = _path((place.path or ()) + one.path), translated(one.value, words)
            texts.append(f"({translated(one.when, words)} ? [JSONPatch{{op: 'add', path: {at}, value: {value}}}] : [])")
    return " + ".join(texts)


def _missing(path: tuple[str, ...], place: Place, pod: str) -> str:
    at = "".join(f"[?{literal(key)}]" for key in path[1:])
    return f"{pod}.{path[0]}{at}.orValue(null) == null" if at else place.has_not(path[0])


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
