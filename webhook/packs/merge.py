"""Packs that extend one another: each becomes whole, and every part still knows where it was written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from types import MappingProxyType
from typing import Any

from webhook.errors import ConfigError, Problem
from webhook.model.record import record
from webhook.packs.parse import Document, Path, Place
from webhook.packs.suggest import hint

CHAIN = 8
"""Packs that may extend one another in a row."""

_OWN = ("version", "extends", "values", "rules", "exemptions")


def extend(documents: Sequence[Document]) -> list[Document]:
    """Return the packs with `extends` resolved among themselves, in the order given.

    Raises ConfigError for a pack name given twice, an unknown base, a cycle, or more than CHAIN in a row.
    """
    merged, problems = resolve(documents)
    if problems:
        raise ConfigError(problems)
    return merged


def resolve(
    documents: Sequence[Document], *, complete: bool = True, also: Iterable[str] = ()
) -> tuple[list[Document], list[Problem]]:
    """Return the packs with `extends` resolved where it can be, and what is wrong with the rest.

    A resolved pack has no `extends` any more; one that keeps it could not be resolved. `complete` says that
    no other packs could be meant; if False, an unknown base is no problem. `also` are names to suggest.
    """
    problems = list(_twice(documents))
    packs: dict[str, Document] = {}
    for document in documents:
        packs.setdefault(name_of(document), document)
    packs.pop("", None)
    for document in documents:
        problem = _broken(document, packs, complete, also)
        if problem:
            problems.append(problem)
    done: dict[int, Document] = {}
    return [_resolved(document, packs, done) for document in documents], problems


def name_of(document: Document) -> str:
    """Return a pack's name, or '' where it has none that can be read."""
    metadata = document.value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else ""


def _spec(document: Document) -> dict[str, Any]:
    spec = document.value.get("spec")
    return spec if isinstance(spec, dict) else {}


def base_of(document: Document) -> str:
    """Return the name of the pack that a pack extends, or ''."""
    base = _spec(document).get("extends")
    return base if isinstance(base, str) else ""


def _twice(documents: Sequence[Document]) -> Iterator[Problem]:
    first: dict[str, Document] = {}
    path = ("metadata", "name")
    for document in documents:
        name = name_of(document)
        if name and name in first:
            place = first[name].place(path)
            text = f"the pack {name} is loaded twice; the other stands at {place.where}"
            yield document.problem(path, f"{text}; give one another name, or load one")
        first.setdefault(name, document)


def _chain(document: Document, packs: Mapping[str, Document]) -> list[str]:
    """Return the names from a pack to its last base; the last is repeated in a cycle, unknown where there is none."""
    names = [name_of(document)]
    here: Document | None = document
    while here is not None and base_of(here):
        base = base_of(here)
        names.append(base)
        if base in names[:-1] or len(names) > CHAIN:
            break
        here = packs.get(base)
    return names


def _broken(document: Document, packs: Mapping[str, Document], complete: bool, also: Iterable[str]) -> Problem | None:
    """Return what keeps this very pack from being resolved; what its base suffers from is told there."""
    base, path = base_of(document), ("spec", "extends")
    if not base:
        return None
    if base not in packs:
        known = sorted({*packs, *also} - {name_of(document)})
        text = f"no pack is named {base}; {hint(base, known)}there are: {', '.join(known[:20]) or 'no other'}"
        return document.problem(path, f"{text}; give the file of the base too") if complete else None
    names = _chain(document, packs)
    if names[-1] in names[:-1]:
        # Told once for each cycle: by its first name.
        cycle = names[names.index(names[-1]) :]
        if name_of(document) != min(cycle):
            return None
        return document.problem(path, f"packs cannot extend themselves: {' -> '.join(cycle)}")
    if len(names) > CHAIN:
        return document.problem(path, f"more than {CHAIN} packs extend one another: {' -> '.join(names)}")
    return None


def _resolved(document: Document, packs: Mapping[str, Document], done: dict[int, Document]) -> Document:
    key = id(document)
    if key not in done:
        names = _chain(document, packs)
        whole = len(names) <= CHAIN and names[-1] not in names[:-1] and (len(names) == 1 or names[-1] in packs)
        base = _resolved(packs[base_of(document)], packs, done) if whole and len(names) > 1 else None
        done[key] = _merge(base, document) if base is not None else document
    return done[key]


@record(frozen=True, slots=True)
class _Draft:
    """Places of a document that is being put together from parts of others."""

    places: dict[Path, Place] = field(default_factory=dict)
    starts: dict[Path, Place] = field(default_factory=dict)

    def mark(self, to: Path, origin: Document, at: Path) -> None:
        """Take over the place of one key or element."""
        if at in origin.places:
            self.places[to] = origin.places[at]
        if at in origin.starts:
            self.starts[to] = origin.starts[at]

    def graft(self, to: Path, origin: Document, at: Path, value: Any) -> Any:
        """Return a copy of `value`, which stands at `at` in `origin`, and take over its places."""
        self.mark(to, origin, at)
        if isinstance(value, dict):
            return {key: self.graft((*to, key), origin, (*at, key), inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.graft((*to, i), origin, (*at, i), inner) for i, inner in enumerate(value)]
        return value


def _merge(base: Document, document: Document) -> Document:
    """Return `document` on top of `base`: values and rules by name, exemptions appended, other keys replaced.

    The version stays the pack's own: it names this pack in the API server's audit log.
    """
    draft = _Draft()
    value = {
        key: draft.graft((key,), document, (key,), inner) for key, inner in document.value.items() if key != "spec"
    }
    for path in ((), ("spec",)):
        draft.mark(path, document, path)
    below, above = _spec(base), _spec(document)
    spec: dict[str, Any] = {}
    for origin, part in ((base, below), (document, above)):
        for key, inner in part.items():
            if key not in _OWN and (origin is document or key not in above):
                spec[key] = draft.graft(("spec", key), origin, ("spec", key), inner)
    if "version" in above:
        spec["version"] = draft.graft(("spec", "version"), document, ("spec", "version"), above["version"])
    for key, merge in (("values", _values), ("rules", _rules), ("exemptions", _exemptions)):
        if key in below or key in above:
            origin = document if key in above else base
            draft.mark(("spec", key), origin, ("spec", key))
            spec[key] = merge(draft, base, document)
    value["spec"] = spec
    return Document(value, MappingProxyType(draft.places), MappingProxyType(draft.starts))


def _values(draft: _Draft, base: Document, document: Document) -> Any:
    below, above = _spec(base).get("values", {}), _spec(document).get("values", {})
    path: Path = ("spec", "values")
    if not isinstance(above, dict):
        return draft.graft(path, document, path, above)
    below = below if isinstance(below, dict) else {}
    return {
        name: draft.graft((*path, name), document if name in above else base, (*path, name), value)
        for name, value in {**below, **above}.items()
    }


def _exemptions(draft: _Draft, base: Document, document: Document) -> Any:
    above = _spec(document).get("exemptions", [])
    path: Path = ("spec", "exemptions")
    if not isinstance(above, list):
        return draft.graft(path, document, path, above)
    parts = [(base, i, one) for i, one in enumerate(_elements(base, "exemptions"))]
    parts += [(document, i, one) for i, one in enumerate(above)]
    return [draft.graft((*path, to), origin, (*path, i), one) for to, (origin, i, one) in enumerate(parts)]


def _elements(document: Document, key: str) -> list[Any]:
    found = _spec(document).get(key)
    return found if isinstance(found, list) else []


def _by_name(rules: list[Any]) -> dict[str, int]:
    """Return the index of the first rule of each name; later ones are mistakes, and told by the validation."""
    found: dict[str, int] = {}
    for index, rule in enumerate(rules):
        if isinstance(rule, dict) and isinstance(rule.get("name"), str):
            found.setdefault(rule["name"], index)
    return found


def _rules(draft: _Draft, base: Document, document: Document) -> Any:
    above = _spec(document).get("rules", [])
    path: Path = ("spec", "rules")
    if not isinstance(above, list):
        return draft.graft(path, document, path, above)
    below = _elements(base, "rules")
    here, there = _by_name(above), _by_name(below)
    rules: list[Any] = []
    for index, rule in enumerate(below):
        to = (*path, len(rules))
        name = rule.get("name") if isinstance(rule, dict) else None
        if isinstance(name, str) and name in here and there[name] == index:
            rules.append(_rule(draft, to, (base, index, rule), (document, here[name], above[here[name]])))
        else:
            rules.append(draft.graft(to, base, (*path, index), rule))
    taken = {here[name] for name in here if name in there}
    for index, rule in enumerate(above):
        if index not in taken:
            rules.append(draft.graft((*path, len(rules)), document, (*path, index), rule))
    return rules


_Part = tuple[Document, int, dict[str, Any]]


def _rule(draft: _Draft, to: Path, below: _Part, above: _Part) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for origin, index, rule in (below, above):
        at: Path = ("spec", "rules", index)
        draft.mark(to, origin, at)
        for key, value in rule.items():
            if origin is above[0] or key not in above[2]:
                merged[key] = draft.graft((*to, key), origin, (*at, key), value)
    return merged
