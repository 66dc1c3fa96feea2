"""JSON Patch (RFC 6902) operations of fixes, collected on a draft of the object."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jsonpatch

from webhook.model import pointer as pointers

Operation = dict[str, Any]
_MISSING = object()


@dataclass(frozen=True, slots=True)
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
    conflicts: list[Conflict] = field(default_factory=list)
    _log: list[tuple[str, str]] = field(default_factory=list)  # for each operation: the pointer asked for, by whom

    @classmethod
    def of(cls, original: Mapping[str, Any]) -> Draft:
        """Return a draft on a deep copy of `original`, which stays as it is."""
        return cls(original, copy.deepcopy(dict(original)))

    def rewind(self, count: int) -> None:
        """Take back every operation after the first `count`."""
        del self.operations[count:], self._log[count:]
        self.document = apply(self.original, self.operations)

    def put(self, pointer: str, value: Any) -> bool:
        """Set the value at `pointer`, making missing parents (objects); a last token `-` appends to a list.

        Returns whether the draft changed. Writing what is already there changes nothing.
        Raises ValueError where a parent is neither an object nor a list, or a list has no such index.
        """
        tokens = pointers.split(pointer)
        if tokens and tokens[-1] != "-" and pointers.get(self.document, tokens, _MISSING) == value:
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
        self._log.append((pointer, self.rule))
        return True

    def _may_write(self, pointer: str, exists: bool) -> bool:
        if pointer.endswith("/-"):
            return True
        for written, rule in self._log:
            if rule == self.rule:
                continue
            # over what another rule wrote, or over a value inside of it; a new key beside it is no conflict
            if pointers.starts(written, pointer) or (exists and pointers.starts(pointer, written)):
                conflict = Conflict(self.rule, pointer, rule)
                if conflict not in self.conflicts:
                    self.conflicts.append(conflict)
                return False
        return True

    def _write(self, parent: Any, tokens: list[str], value: Any, wanted: str) -> bool:
        path, key = pointers.join("", *tokens), tokens[-1]
        op = "add"
        if isinstance(parent, dict):
            op = "replace" if key in parent else "add"
            parent[key] = copy.deepcopy(value)
        elif isinstance(parent, list) and key == "-":
            path = pointers.join("", *tokens[:-1], len(parent))
            wanted = path
            parent.append(copy.deepcopy(value))
        elif isinstance(parent, list) and key.isascii() and key.isdigit() and int(key) < len(parent):
            op = "replace"
            parent[int(key)] = copy.deepcopy(value)
        else:
            raise ValueError(f"nothing can be written at {wanted}: its parent is {type(parent).__name__}")
        self.operations.append({"op": op, "path": path, "value": copy.deepcopy(value)})
        self._log.append((wanted, self.rule))
        return True


def _nest(tokens: list[str], value: Any) -> Any:
    for key in reversed(tokens):
        value = [value] if key == "-" else {key: value}
    return value


def apply(original: Mapping[str, Any], operations: list[Operation]) -> dict[str, Any]:
    """Return a copy of `original` with the operations applied, as the API server will.

    Raises jsonpatch.JsonPatchException or jsonpointer.JsonPointerException where one cannot be applied.
    """
    result: dict[str, Any] = jsonpatch.apply_patch(dict(original), copy.deepcopy(operations))
    return result
