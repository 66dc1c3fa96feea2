"""Texts to sound packs: parsed, extended, with values put in, validated; all mistakes at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from webhook.errors import Problem
from webhook.packs.merge import resolve
from webhook.packs.parse import Document, Path, Place, scan
from webhook.packs.schema import KIND, CheckModule, validate
from webhook.packs.values import substitute


def load(texts: Iterable[tuple[str, str]], checks: Mapping[str, CheckModule]) -> tuple[list[Document], list[Problem]]:
    """Return the packs of all texts (name, text) that have no mistake, and all mistakes, one for each place.

    The packs are whole: `extends` is resolved, values are put in. Raises nothing; what is to be done with
    mistakes (refuse to start, keep the last good packs) is the caller's to say.
    """
    problems: list[Problem] = []
    packs: list[Document] = []
    for source, text in texts:
        found, wrong = scan(source, text)
        problems += wrong
        if not found and not wrong:
            problems.append(Problem(source, 0, "", f"holds no pack; wanted a document with kind: {KIND}"))
        packs += [pack for document in found for pack in _listed(document)]
    spoilt = {problem.source for problem in problems}
    strangers = [pack for pack in packs if pack.value.get("kind") != KIND]
    for stranger in strangers:
        problems += validate(stranger, checks)
    ours = [pack for pack in packs if pack.value.get("kind") == KIND]
    # A base that isn't there may be what could not be read.
    resolved, broken = resolve(ours, complete=not spoilt and not strangers)
    problems += broken
    sound = []
    for pack in resolved:
        whole, unknown = substitute(pack)
        wrong = [*unknown, *validate(whole, checks)]
        problems += wrong
        if not wrong and not any(place.source in spoilt for place in whole.places.values()):
            sound.append(whole)
    return sound, sorted(_once(problems))


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
    found: list[Document] = []
    for index, item in enumerate(items):
        if isinstance(item, dict):
            parts = [_below(places, ("items", index)) for places in (document.places, document.starts)]
            found.append(Document(item, MappingProxyType(parts[0]), MappingProxyType(parts[1])))
    return found


def _below(places: Mapping[Path, Place], prefix: Path) -> dict[Path, Place]:
    length = len(prefix)
    return {path[length:]: place for path, place in places.items() if path[:length] == prefix}
