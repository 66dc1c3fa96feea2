"""JSON Patch (RFC 6902) operations of fixes, collected on a draft of the object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jsonpatch

from webhook.errors import RuleError
from webhook.model import pointer as pointers
from webhook.model.record import record

Operation = dict[str, Any]
_MISSING = object()


@record(frozen=True, slots=True)
class Conflict:
    """A write that was not made, because another rule had written the same place: who, where, who before."""

    rule: str
    pointer: str
    first: str


@dataclass(slots=True)
class Draft:
    """An object as the fixes have made it so far, and the operations that lead there from the original.

    Not frozen, and that is its job: one draft lives for one review, in one function of the engine.
    `rule` is the name of the rule that writes now. A second rule that wants another value at a pointer
    already written is refused and noted in `conflicts`.
    """

    original: Mapping[str, Any]
    document: dict[str, Any]
    rule: str = ""
    operations: list[Operation] = field(default_factory=list)
    conflicts: dict[Conflict, None] = field(default_factory=dict)
    _log: list[tuple[str, str]] = field(default_factory=list)  # for each operation: the pointer asked for, by whom
    # who wrote exactly here, and who here or below: thousands of writes are looked up, never compared one by one
    _at: dict[str, dict[str, None]] = field(default_factory=dict)
    _within: dict[str, dict[str, None]] = field(default_factory=dict)

    @classmethod
    def of(cls, original: Mapping[str, Any]) -> Draft:
        """Return a draft on a deep copy of `original`, which stays as it is."""
        return cls(original, copied(dict(original)))

    def rewind(self, count: int) -> None:
        """Take back every operation after the first `count`."""
        log = self._log[:count]
        del self.operations[count:]
        self._log, self._at, self._within = [], {}, {}
        for pointer, rule in log:
            self._note(pointer, rule)
        self.document = apply(self.original, self.operations)

    def put(self, pointer: str, value: Any) -> bool:
        """Set the value at `pointer`, making missing parents (objects); a last token `-` appends to a list.

        Returns whether the draft changed. Writing what is already there changes nothing, nor does appending what
        the list already has: a patch whose rule asks too little would append it again at every review.
        Raises RuleError where a parent is neither an object nor a list, or a list has no such index.
        """
        tokens = pointers.split(pointer)
        if pointers.get(self.document, tokens, _MISSING) == value:
            return False
        exists = bool(tokens) and pointers.get(self.document, tokens, _MISSING) is not _MISSING
        if not self._may_write(pointer, exists):
            return False
        parent: Any = self.document
        for depth, token in enumerate(tokens[:-1]):
            child = pointers.get(parent, [token], _MISSING)
            if child is _MISSING or child is None:
                value = _nest(tokens[depth + 1 :], value)
                return self._write(parent, tokens[: depth + 1], value, pointer)
            parent = child
        return self._write(parent, tokens, value, pointer)

    def remove(self, pointer: str) -> bool:
        """Take the value at `pointer` away; returns whether there was one and it could be removed."""
        tokens = pointers.split(pointer)
        if not tokens or pointers.get(self.document, tokens, _MISSING) is _MISSING:
            return False
        if not self._may_write(pointer, True):
            return False
        parent = pointers.get(self.document, tokens[:-1])
        if isinstance(parent, list):
            del parent[int(tokens[-1])]
        else:
            del parent[tokens[-1]]
        self.operations.append({"op": "remove", "path": pointer})
        self._note(pointer, self.rule)
        return True

    def _may_write(self, pointer: str, exists: bool) -> bool:
        if pointer.endswith("/-"):
            return True
        # over what another rule wrote, or over a value inside of it; a new key beside it is no conflict
        found = [self._within.get(pointer, {})]
        if exists:
            found += [self._at[place] for place in pointers.upwards(pointer) if place in self._at]
        first = next((rule for rules in found for rule in rules if rule != self.rule), None)
        if first is not None:
            self.conflicts[Conflict(self.rule, pointer, first)] = None
        return first is None

    def _note(self, pointer: str, rule: str) -> None:
        self._log.append((pointer, rule))
        self._at.setdefault(pointer, {})[rule] = None
        for place in pointers.upwards(pointer):
            self._within.setdefault(place, {})[rule] = None

    def _write(self, parent: Any, tokens: list[str], value: Any, wanted: str) -> bool:
        path, key = pointers.join("", *tokens), tokens[-1]
        op = "add"
        if isinstance(parent, dict) and key != "-":
            op = "replace" if key in parent else "add"
            parent[key] = copied(value)
        elif isinstance(parent, list) and key == "-":
            if value in parent:
                return False
            path = pointers.join("", *tokens[:-1], len(parent))
            wanted = path
            parent.append(copied(value))
        elif isinstance(parent, list) and key.isascii() and key.isdigit() and int(key) < len(parent):
            op = "replace"
            parent[int(key)] = copied(value)
        else:
            raise RuleError(f"nothing can be written at {wanted}: its parent is {type(parent).__name__}")
        self.operations.append({"op": op, "path": path, "value": copied(value)})
        self._note(wanted, self.rule)
        return True


def _nest(tokens: list[str], value: Any) -> Any:
    for key in reversed(tokens):
        value = [value] if key == "-" else {key: value}
    return value


def copied(value: Any) -> Any:
    """Return a deep copy of a JSON value; `copy.deepcopy` looks for cycles too, and takes ten times as long."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value


def apply(original: Mapping[str, Any], operations: list[Operation]) -> dict[str, Any]:
    """Return a copy of `original` with the operations applied, as the API server will.

    Raises jsonpatch.JsonPatchException or jsonpointer.JsonPointerException where one cannot be applied.
    """
    result: dict[str, Any] = copied(dict(original))
    if operations:
        result = jsonpatch.apply_patch(result, copied(operations), in_place=True)
    return result
