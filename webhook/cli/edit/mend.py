"""Patched objects written back into the text that they were read from; nothing that does not read as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jsonpatch
import jsonpointer

from webhook.cli import objects
from webhook.cli.edit import lines, nodes, splice
from webhook.cli.edit.nodes import BREAK, Node
from webhook.cli.edit.splice import Edit, Held
from webhook.cli.judge import Judged
from webhook.cli.objects import Document, Manifest
from webhook.errors import ConfigError, Problem
from webhook.model import patch as patches
from webhook.model import pointer as pointers
from webhook.model.decision import Fixed
from webhook.model.pods import mapping
from webhook.model.review import clean

_UNSURE = "cannot be changed without changing more around it; change it by hand"
_BUILDS = "it builds on another fix that could not be made"


class Made(NamedTuple):
    """A fix of one object; `why` says why it could not be made, and is empty for one that was."""

    judged: Judged
    fixed: Fixed
    why: str = ""


@dataclass(slots=True)
class _Wish:
    """An object to be fixed, and the fixes that cannot be made, by their numbers, with the reason."""

    base: str
    judged: Judged
    fixes: Sequence[Fixed]
    dropped: dict[int, str] = field(default_factory=dict)

    def value(self, there: Mapping[str, Any]) -> dict[str, Any]:
        """Return what stands in the text for the object, when the fixes are made; `there` is what stands there now."""
        owners = {step: number for number, fixed in enumerate(self.fixes) for step in fixed.steps}
        review = self.judged.review
        value = dict(review.object or {})
        for step, operation in enumerate(self.judged.mended.patch):
            if owners[step] in self.dropped:
                continue
            try:
                value = patches.apply(value, [operation])
            except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException):
                self.dropped[owners[step]] = _BUILDS
                return self.value(there)
        return _as_written(value, review.object or {}, there)

    def drop(self, held: Held) -> bool:
        """Drop the fixes that write where something is held; say whether there were any."""
        if not pointers.starts(held.pointer, self.base):
            return False
        place = held.pointer[len(self.base) :]
        patch = self.judged.mended.patch
        found = [
            number
            for number, fixed in enumerate(self.fixes)
            if number not in self.dropped and any(_meet(place, str(patch[step]["path"])) for step in fixed.steps)
        ]
        self.dropped.update(dict.fromkeys(found, f"{place or '/'} {held.why}"))
        return bool(found)


def mend(name: str, text: str, heard: Sequence[tuple[Manifest, Judged | None]]) -> tuple[str, list[Made]]:
    """Return a text with the fixes of its objects made, and what was made and what was not.

    `heard` has the objects in the order of the text, and what was judged of them. Raises ConfigError where these are
    not the objects of the text.
    """
    json, documents = objects.documents(name, text)
    found = list(documents)
    inside = [manifest.value for document in found for _, manifest in document.inside if manifest is not None]
    if inside != [manifest.value for manifest, _ in heard]:
        raise ConfigError([Problem(name, 0, "", "it was changed while it was read, and is left as it is; try again")])
    roots = list(nodes.json_roots(text) if json else nodes.yaml_roots(text))
    edits: list[Edit] = []
    values, wishes = [], []
    rest = iter([judged for _, judged in heard])
    for number, document in enumerate(found):
        here = list(_wishes(document, rest))
        value = clean(document.value)
        root = roots[number] if len(roots) == len(found) else None
        made, value = _settle(name, text, root, value, here, json)
        edits += made
        values.append(value)
        wishes += here
    mended = splice.applied(text, edits)
    if mended is None or not _reads(name, mended, values):
        for wish in wishes:
            wish.drop(Held(wish.base, _UNSURE))
        mended = text
    return mended, [
        Made(wish.judged, fixed, wish.dropped.get(number, ""))
        for wish in wishes
        for number, fixed in enumerate(wish.fixes)
    ]


def _wishes(document: Document, judged: Iterator[Judged | None]) -> Iterator[_Wish]:
    for base, manifest in document.inside:
        one = next(judged) if manifest is not None else None
        if one is not None and one.mended.patch:
            yield _Wish(base, one, [fixed for fixed in one.mended.patched if not fixed.would])


def _settle(
    name: str, text: str, root: Node | None, value: Any, wishes: Sequence[_Wish], json: bool
) -> tuple[list[Edit], Any]:
    """Return the edits for as many fixes of a document as can be made, and its value then."""
    while True:
        new = value
        for wish in wishes:
            tokens = pointers.split(wish.base)
            new = _put(new, tokens, wish.value(pointers.get(value, tokens)))
        if new == value:
            return [], value
        edits, held = ([], []) if root is None else _tried(name, text, root, value, new, json)
        if edits:
            return edits, new
        if any([wish.drop(one) for wish in wishes for one in held]):
            continue
        if not any([wish.drop(Held(wish.base, _UNSURE)) for wish in wishes]):
            return [], value


def _tried(name: str, text: str, root: Node, old: Any, new: Any, json: bool) -> tuple[list[Edit], list[Held]]:
    """Return the edits that make a document's value `new`, read again; or none of them, and what is in the way."""
    for careful in (False, True):
        edits, held = splice.changes(text, root, old, new, json=json, careful=careful)
        if held:
            return [], held
        if _verified(name, text, root, edits, new):
            return edits, []
    return [], []


def _verified(name: str, text: str, root: Node, edits: Sequence[Edit], new: Any) -> bool:
    """Say whether a document reads as `new` after the edits."""
    start = root.first if lines.margin(text, root.first) is None else lines.begin(text, root.first)
    found = BREAK.search(text, root.end)
    end = found.end() if found else len(text)
    moved = [Edit(edit.start - start, edit.end - start, edit.text) for edit in edits]
    mended = splice.applied(text[start:end], moved)
    return mended is not None and _reads(name, mended, [new])


def _reads(name: str, text: str, values: Sequence[Any]) -> bool:
    try:
        return [clean(tree.value) for tree in objects.parse(name, text)] == list(values)
    except ConfigError:
        return False


def _as_written(value: dict[str, Any], before: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object as its author would have written it: without what it was given to be judged.

    That is its namespace, and its kind where a list (`PodList`) says it for all.
    """
    found = {key: item for key, item in value.items() if key in there or key not in before or key == "metadata"}
    meta, written = dict(mapping(value.get("metadata"))), mapping(there.get("metadata"))
    meta.pop("namespace", None)
    if "namespace" in written:
        meta["namespace"] = written["namespace"]
    if meta or "metadata" in there:
        return {**found, "metadata": meta}
    found.pop("metadata", None)
    return found


def _put(document: Any, tokens: Sequence[str], value: Any) -> Any:
    """Return a document with another value at a place that is there."""
    if not tokens:
        return value
    token, *rest = tokens
    if isinstance(document, list):
        number = int(token)
        return [*document[:number], _put(document[number], rest, value), *document[number + 1 :]]
    return {**document, token: _put(document[token], rest, value)}


def _meet(one: str, other: str) -> bool:
    return pointers.starts(one, other) or pointers.starts(other, one)
