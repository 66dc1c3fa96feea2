"""`${values.x}`: what only a company knows, put into the rules at load."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from webhook.errors import Problem
from webhook.packs.merge import extend
from webhook.packs.parse import NODES, PROBLEMS, Document, Path, Place, render
from webhook.packs.suggest import hint

__all__ = ["extend", "substitute"]

_WHOLE = re.compile(r"\$\{values((?:\.[A-Za-z_][A-Za-z0-9_-]*)+)\}")
# Also what is nearly a reference: left alone, it would be compared literally and never match.
_NEARLY = re.compile(r"\$\{\s*values?\s*[.\[}][^}]*\}?", re.IGNORECASE)
_PARTS = ("match", "rules", "exemptions")


def substitute(document: Document) -> tuple[Document, list[Problem]]:
    """Return the pack with every `${values.x}` in match, rules and exemptions replaced, and the mistakes.

    A reference stands alone in its scalar and takes a value of any type; `${values.a.b}` goes into mappings.
    What could not be replaced stays as it was written.
    """
    spec = document.value.get("spec")
    if not isinstance(spec, dict):
        return document, []
    values = spec.get("values")
    work = _Work(document, values if isinstance(values, dict) else {})
    work.problems += [
        document.problem(path, f"{text!r}: values cannot refer to one another; write the value out")
        for path, text in _texts(("spec", "values"), values)
        if _NEARLY.search(text)
    ]
    done = {key: work.replaced(("spec", key), value) if key in _PARTS else value for key, value in spec.items()}
    if not work.changed:
        return document, work.problems
    places, starts = MappingProxyType(work.places), MappingProxyType(work.starts)
    return Document({**document.value, "spec": done}, places, starts), work.problems


@dataclass(slots=True)
class _Work:
    document: Document
    values: dict[str, Any]
    problems: list[Problem] = field(default_factory=list)
    changed: bool = False
    places: dict[Path, Place] = field(default_factory=dict)
    starts: dict[Path, Place] = field(default_factory=dict)

    def replaced(self, path: Path, value: Any) -> Any:
        """Return `value`, which stands at `path`, with references replaced."""
        if isinstance(value, dict):
            return {key: self.replaced((*path, key), inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.replaced((*path, index), inner) for index, inner in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        whole = _WHOLE.fullmatch(value)
        if whole:
            return self._value(path, value, whole[1][1:].split("."))
        found = _NEARLY.search(value)
        if found:
            self._say(path, _misplaced(value, found[0]))
        return value

    def _say(self, path: Path, text: str) -> None:
        if len(self.problems) < PROBLEMS:
            self.problems.append(self.document.problem(path, text))

    def _value(self, path: Path, written: str, names: list[str]) -> Any:
        value: Any = self.values
        for depth, name in enumerate(names):
            if not isinstance(value, dict) or name not in value:
                # Looking for the name that was meant takes time.
                if len(self.problems) < PROBLEMS:
                    self._say(path, _unknown(names, depth, value))
                return written
            value = value[name]
        if not self.changed:
            self.changed = True
            self.places, self.starts = dict(self.document.places), dict(self.document.starts)
        origin: Path = ("spec", "values", *names)
        use = f"used by {_user(self.document, path)}"
        self.starts[path] = replace(self.document.value_place(origin), use=use)
        return self._copy(path, origin, value, use)

    def _copy(self, path: Path, origin: Path, value: Any, use: str) -> Any:
        """Return a copy of a value; what is below it has its places among the values, where it is mended."""
        children: list[tuple[str | int, Any]] = []
        if isinstance(value, dict):
            children = list(value.items())
        elif isinstance(value, list):
            children = list(enumerate(value))
        if len(self.places) + len(children) > NODES:
            text = f"the pack has more than {NODES} keys and values with this one put in; make it smaller"
            if not any(problem.text == text for problem in self.problems):
                self._say(path, text)
            return value
        for key, _ in children:
            place = self.document.place((*origin, key))
            start = self.document.value_place((*origin, key))
            self.places[(*path, key)] = replace(place, use=use)
            self.starts[(*path, key)] = replace(start, use=use)
        copies = [(key, self._copy((*path, key), (*origin, key), inner, use)) for key, inner in children]
        if isinstance(value, dict):
            return dict(copies)
        return [inner for _, inner in copies] if isinstance(value, list) else value


def _texts(path: Path, value: object) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts((*path, key), inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts((*path, index), inner)


def _user(document: Document, path: Path) -> str:
    """Return who uses a value: `rule <name>`, or the path in the pack."""
    if path[1] == "rules" and len(path) > 2 and isinstance(path[2], int):
        rule = document.value["spec"]["rules"][path[2]]
        if isinstance(rule, dict) and isinstance(rule.get("name"), str):
            return f"rule {rule['name']}, {render(path[3:])}"
    return render(path)


def _misplaced(value: str, reference: str) -> str:
    if reference == value:
        return f"{value!r} is no reference to a value; wanted ${{values.name}}"
    short = value if len(value) <= 60 else value[:57] + "..."
    return (
        f"{reference} stands inside a longer text ({short!r}); a value is only put in as the whole text, "
        "in CEL write values.name"
    )


def _unknown(names: list[str], depth: int, value: object) -> str:
    parent, name = ".".join(["values", *names[:depth]]), names[depth]
    if not isinstance(value, dict):
        return f"{parent} is no mapping, and has no {name}"
    known = list(value)
    meant = hint(name, known)
    return f"{parent} has no {name}; {meant}it has: {', '.join(known[:20]) or 'nothing'}"
