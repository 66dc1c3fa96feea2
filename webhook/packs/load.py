"""Texts to sound packs: parsed, extended, with values put in, validated; all mistakes at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from webhook.errors import Problem
from webhook.model.record import record
from webhook.packs.blanks import blanks
from webhook.packs.merge import base_of, name_of, resolve
from webhook.packs.parse import Document, Path, Place, scan
from webhook.packs.schema import KIND, CheckModule, validate
from webhook.packs.values import substitute


@record(frozen=True, slots=True)
class Loaded:
    """Packs without a mistake, those with some, and all mistakes, sorted, one for each place."""

    sound: tuple[Document, ...]
    unsound: tuple[Document, ...]
    problems: tuple[Problem, ...]


def load(
    texts: Iterable[tuple[str, str]],
    checks: Mapping[str, CheckModule],
    bases: Iterable[tuple[str, str]] = (),
) -> Loaded:
    """Return the packs of all texts (name, text), whole: `extends` is resolved, values are put in.

    A pack that another one extends does not judge by itself: it is not among those returned. `bases` are packs
    that may be extended without being named among the texts (the shipped ones). Raises nothing; what is to be
    done with mistakes (refuse to start, keep the last good packs) is the caller's to say.
    """
    problems: list[Problem] = []
    packs = _read(texts, problems)
    spoilt = {problem.source for problem in problems}
    strangers = [pack for pack in packs if pack.value.get("kind") != KIND]
    for stranger in strangers:
        problems += validate(stranger, checks)
    ours = [pack for pack in packs if pack.value.get("kind") == KIND]
    given = {name_of(pack) for pack in ours}
    shelf = _read(bases, []) if any(base_of(pack) for pack in ours) else []
    lent = _extended(shelf, given, ours)
    # A base that isn't there may be what could not be read.
    resolved, broken = resolve([*ours, *lent], complete=not spoilt and not strangers, also=map(name_of, shelf))
    problems += broken
    silent = {base_of(pack) for pack in [*ours, *lent]}
    sound, unsound = [], []
    for pack in resolved:
        whole, unknown = substitute(pack)
        wrong = [*unknown, *blanks(whole), *validate(whole, checks)]
        problems += wrong
        if wrong or any(place.source in spoilt for place in whole.places.values()):
            unsound.append(whole)
        elif base_of(pack):
            continue  # its base is not known, which is a mistake; what it would inherit can't be compiled
        elif name_of(pack) in given - silent:
            sound.append(whole)
    return Loaded(tuple(sound), tuple(unsound), tuple(sorted(_once(problems))))


def _read(texts: Iterable[tuple[str, str]], problems: list[Problem]) -> list[Document]:
    """Return the documents of all texts as far as they can be read; problems are noted."""
    packs: list[Document] = []
    for source, text in texts:
        found, wrong = scan(source, text)
        problems += wrong
        if not found and not wrong:
            problems.append(Problem(source, 0, "", f"holds no pack; wanted a document with kind: {KIND}"))
        packs += [pack for document in found for pack in _listed(document)]
    return packs


def _extended(lent: list[Document], given: set[str], ours: list[Document]) -> list[Document]:
    """Return the lent packs that ours extend, directly or through one another, and don't replace by name."""
    by_name = {name_of(pack): pack for pack in lent if name_of(pack) not in given}
    wanted = [base_of(pack) for pack in ours]
    found: dict[str, Document] = {}
    while wanted:
        name = wanted.pop()
        if name in by_name and name not in found:
            found[name] = by_name[name]
            wanted.append(base_of(by_name[name]))
    return list(found.values())


def _once(problems: list[Problem]) -> list[Problem]:
    """Return the first problem of each place: a base is validated once for each pack that extends it."""
    found: dict[tuple[str, int, str], Problem] = {}
    for problem in problems:
        found.setdefault((problem.source, problem.line, problem.path), problem)
    return list(found.values())


def _listed(document: Document) -> list[Document]:
    """Return the documents in a `kind: List`, as `kubectl get -o yaml` prints it; else the document itself."""
    items = document.value.get("items")
    kind = document.value.get("kind")
    if not (isinstance(kind, str) and kind.endswith("List") and isinstance(items, list)):
        return [document]
    places, starts = _by_item(document.places), _by_item(document.starts)
    return [
        Document(item, MappingProxyType(places.get(index, {})), MappingProxyType(starts.get(index, {})))
        for index, item in enumerate(items)
        if isinstance(item, dict)
    ]


def _by_item(places: Mapping[Path, Place]) -> dict[int, dict[Path, Place]]:
    """Return the places of each element of `items`, in one pass: a list may have many."""
    found: dict[int, dict[Path, Place]] = {}
    for path, place in places.items():
        if len(path) > 1 and path[0] == "items" and isinstance(path[1], int):
            found.setdefault(path[1], {})[path[2:]] = place
    return found
