"""Tests of packs: `kind: RulePackTest`, from text to cases; every mistake at once, with its line."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import jsonpatch
import jsonpointer

from webhook.cli import objects
from webhook.cli.shape import KIND, SCHEMA, SOURCES
from webhook.errors import ConfigError, Problem
from webhook.model import image
from webhook.model.patch import apply
from webhook.model.record import record
from webhook.model.review import clean
from webhook.packs.blanks import blanks
from webhook.packs.parse import Document, documents
from webhook.packs.parse import Path as Place
from webhook.packs.suggest import hint
from webhook.packs.walk import walk


@record(frozen=True, slots=True)
class Case:
    """One case: what is asked (`spec` as written), of which objects, and the line where it stands."""

    name: str
    line: int
    spec: Mapping[str, Any]
    object: dict[str, Any]
    old: dict[str, Any] | None

    @property
    def day(self) -> date | None:
        """Return the day that it is judged on, None for today."""
        return date.fromisoformat(self.spec["date"]) if "date" in self.spec else None

    @property
    def mode(self) -> str | None:
        """Return the mode that every pack has for it, None for each pack's own."""
        return self.spec.get("mode")


@record(frozen=True, slots=True)
class Suite:
    """The tests of one document: the paths of its packs, and its cases."""

    source: str
    name: str
    packs: tuple[str, ...]
    cases: tuple[Case, ...]


def load(source: str, text: str, folder: Path) -> list[Suite]:
    """Return the suites in a text; paths in it start at `folder`. Raises ConfigError with every problem."""
    problems: list[Problem] = []
    suites = []
    found = documents(source, text)
    if not found:
        problems.append(Problem(source, 0, "", f"holds no test; wanted a document with kind: {KIND}"))
    for document in found:
        # a blank is told alone: what else is wrong with its place comes of its being one
        wrong = list(blanks(document)) or list(walk(document, (), document.value, SCHEMA))
        if not wrong:
            loader = _Loader(document, source, folder)
            suites.append(loader.suite())
            wrong = loader.problems
        problems += wrong
    if problems:
        raise ConfigError(problems)
    return suites


@dataclass(slots=True)
class _Loader:
    document: Document
    source: str
    folder: Path
    problems: list[Problem] = field(default_factory=list)

    def suite(self) -> Suite:
        """Return the suite; what is wrong with it is in `problems`."""
        spec = self.document.value["spec"]
        cases = tuple(self._cases(spec))
        packs = tuple(str(self.folder / pack) for pack in spec["packs"])
        return Suite(self.source, self.document.value["metadata"]["name"], packs, cases)

    def _say(self, path: Place, text: str) -> None:
        self.problems.append(self.document.problem(path, text))

    def _cases(self, spec: Mapping[str, Any]) -> Iterator[Case]:
        names: dict[str, int] = {}
        for number, case in enumerate(spec["cases"]):
            path: Place = ("spec", "cases", number)
            line = self.document.place(path).line
            first = names.setdefault(case["name"], line)
            if first != line:
                self._say((*path, "name"), f"another case has this name, in line {first}; each needs its own")
            obj = self._object(path, case, spec.get("base", {}))
            old = self._old(path, case, spec.get("base", {}))
            self._consistent(path, case)
            if obj is not None:
                yield Case(case["name"], line, case, obj, old)

    def _consistent(self, path: Place, case: Mapping[str, Any]) -> None:
        if case.get("operation") == "UPDATE" and "oldObject" not in case:
            self._say(path, "an UPDATE needs its oldObject: an object, or the name of a base")
        if "oldObject" in case and case.get("operation", "CREATE") == "CREATE":
            self._say((*path, "oldObject"), "a CREATE has no old object; set operation: UPDATE")
        if "changes" in case and "base" not in case:
            self._say((*path, "changes"), "there is no base that it could change; name one")
        if "namespaceLabels" in case and "namespace" in case.get("facts", {}):
            self._say((*path, "namespaceLabels"), "facts.namespace says the labels already; keep one")
        for name, known in case.get("facts", {}).get("images", {}).items():
            self._image((*path, "facts", "images", name), name, known)
        patched = case["expect"].get("patched")
        if patched is not None and case.get("endpoint", "all") not in ("mutate", "all"):
            self._say((*path, "expect", "patched"), f"/{case['endpoint']} patches nothing; set endpoint: mutate")

    def _image(self, path: Place, name: str, known: Mapping[str, Any]) -> None:
        try:
            image.parse(name)
        except ValueError as error:
            self._say(path, str(error))
        if ("builds" in known) != ("digest" in known):
            self._say(path, "digest and builds go together: both say what the image is")
        elif "builds" in known and ("lacking" in known or known.get("absent")):
            self._say(path, "found builds and a reason why nothing is known; wanted one of them")

    def _object(self, path: Place, case: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any] | None:
        given = [key for key in SOURCES if key in case]
        if len(given) != 1:
            found = f"found {' and '.join(given)}" if given else "found none"
            self._say(path, f"{found}; wanted exactly one of object, file, base")
            return None
        if "object" in case:
            return clean_object(case["object"])
        if "file" in case:
            return self._file((*path, "file"), case["file"])
        start = self._base((*path, "base"), case["base"], base)
        return None if start is None else self._changed((*path, "changes"), start, case.get("changes"))

    def _old(self, path: Place, case: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any] | None:
        old = case.get("oldObject")
        if isinstance(old, str):
            return self._base((*path, "oldObject"), old, base)
        return None if old is None else clean_object(old)

    def _base(self, path: Place, name: str, base: Mapping[str, Any]) -> dict[str, Any] | None:
        if name in base:
            return clean_object(base[name])
        self._say(path, f"{name!r} is not in spec.base; {hint(name, base)}there is {', '.join(base) or 'nothing'}")
        return None

    def _file(self, path: Place, name: str) -> dict[str, Any] | None:
        found = objects.read([str(self.folder / name)])
        self.problems += found.problems
        if len(found.manifests) == 1:
            return found.manifests[0].value
        if not found.problems:
            self._say(path, f"{name} holds {len(found.manifests)} Kubernetes objects; wanted exactly one")
        return None

    def _changed(self, path: Place, start: dict[str, Any], changes: Any) -> dict[str, Any] | None:
        if changes is None:
            return start
        if isinstance(changes, dict):
            changed = merge(start, changes)
        else:
            try:
                changed = apply(start, changes)
            except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
                self._say(path, f"cannot be made: {error}")
                return None
        if not (isinstance(changed.get("apiVersion"), str) and isinstance(changed.get("kind"), str)):
            self._say(path, "takes apiVersion or kind away; wanted a Kubernetes object")
            return None
        return clean_object(changed)


def clean_object(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of an object as the API server reads it: without null members."""
    result: dict[str, Any] = clean(value)
    return result


def merge(value: Any, changes: Any) -> Any:
    """Return `value` with a JSON Merge Patch applied (RFC 7386): null takes away, lists are replaced."""
    if not isinstance(changes, dict):
        return copy.deepcopy(changes)
    result = dict(value) if isinstance(value, dict) else {}
    for key, change in changes.items():
        if change is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), change)
    return result
