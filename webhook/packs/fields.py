"""The fields that a CEL text reads of objects, held to those that the kinds have: what can never be there.

The CEL binding takes `object` as a mapping of anything, so types are followed here: along names, indexes, macros over
lists (`all`, `exists`, `filter`, `map`, ...) and optionals. Where a type is not known (custom resources, what a
function gives, free maps) nothing is said, so that what is said is certain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from webhook.checks.cellib.text import Token, literal, scan
from webhook.packs.suggest import hint, listed

Types = frozenset[str]
"""What a value may be, as the table writes types; empty where that is not known."""

UNKNOWN: Types = frozenset()
POD = "the pod"
_MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "filter", "map", "transformList"})
_SAME = frozenset({"filter", "orValue", "or", "value"})
_OPTIONAL = frozenset({"optMap", "optFlatMap"})


@dataclass(frozen=True, slots=True)
class Table:
    """The types of a version of Kubernetes: those of each kind (`apps/Deployment`, `Pod`), and the fields of each type.

    A type is the name of one with fields, `[` and a name (a list of such), `{` and a name (a mapping to such).
    """

    version: str
    kinds: Mapping[str, Sequence[str]]
    types: Mapping[str, Mapping[str, str]]

    def of(self, kinds: frozenset[tuple[str, str]]) -> Types:
        """Return what an object of these kinds may be; not known where one of the kinds is not."""
        names = [f"{group}/{kind}".lstrip("/") for group, kind in kinds]
        if any(name not in self.kinds for name in names):
            return UNKNOWN
        return frozenset(one for name in names for one in self.kinds[name])

    def fields(self, one: str) -> Mapping[str, str] | None:
        """Return the fields of a type; None where it has none that we know."""
        if one == POD:
            return {"metadata": "meta.v1.ObjectMeta", "spec": "core.v1.PodSpec"}
        return self.types.get(one)


def names(table: Table, kinds: frozenset[tuple[str, str]]) -> dict[str, Types]:
    """Return the words of CEL whose types are known, for a rule that judges these kinds."""
    whole = table.of(kinds)
    containers = frozenset({"[core.v1.Container", "[core.v1.EphemeralContainer"})
    space = table.of(frozenset({("", "Namespace")}))
    return {
        "object": whole,
        "oldObject": whole,
        "pod": frozenset({POD}),
        "containers": containers,
        "namespaceObject": space,
    }


def absent(table: Table, text: str, known: Mapping[str, Types], variables: Mapping[str, Types]) -> list[str]:
    """Return a sentence for each field that a text reads and that cannot be there, in order, each once.

    `known` are the types of words, `variables` those of what stands under `variables`.
    """
    reader = _Reader(table, scan(text), variables)
    reader.through(0, len(reader.tokens), dict(known))
    return list(dict.fromkeys(reader.said))


def gives(table: Table, text: str, known: Mapping[str, Types], variables: Mapping[str, Types]) -> Types:
    """Return what a text gives, where it is one path and nothing more; else that is not known."""
    reader = _Reader(table, scan(text), variables)
    if not reader.tokens or reader.tokens[0].kind != "name":
        return UNKNOWN
    end, found = reader.chain(0, len(reader.tokens), dict(known))
    return found if end == len(reader.tokens) else UNKNOWN


def absent_below(table: Table, tokens: Sequence[str]) -> str | None:
    """Return what is wrong with the path of a patch on the pod, split; None where nothing is."""
    here: Types = frozenset({POD})
    reader = _Reader(table, (), {})
    for number, token in enumerate(tokens):
        here = reader.inside(here) if _lists(here) else reader.field(here, token, "/" + "/".join(tokens[: number + 1]))
    return reader.said[0] if reader.said else None


def _lists(types: Types) -> bool:
    return bool(types) and all(one[0] == "[" for one in types)


@dataclass(slots=True)
class _Reader:
    """One text, and what was said about it."""

    table: Table
    tokens: Sequence[Token]
    variables: Mapping[str, Types]
    said: list[str]

    def __init__(self, table: Table, tokens: Sequence[Token], variables: Mapping[str, Types]) -> None:
        self.table, self.tokens, self.variables, self.said = table, tokens, variables, []

    def through(self, start: int, end: int, known: dict[str, Types]) -> None:
        """Read the tokens from `start` to `end`, with the types of the words that are known there."""
        at = start
        while at < end:
            token = self.tokens[at]
            if token.kind == "name" or (token.text == "." and at > start):
                at, _ = self.chain(at, end, known)
            else:
                at += 1

    def chain(self, start: int, end: int, known: dict[str, Types]) -> tuple[int, Types]:
        """Return where a path of names, indexes and calls ends, and what it gives.

        It begins with a word, or with the dot behind something whose type is not known.
        """
        here, at, path = UNKNOWN, start, ""
        if self.tokens[start].kind == "name":
            path = self.tokens[start].text
            here = known.get(path, UNKNOWN)
            at += 1
            if self._sign(at, end, "("):  # a function: what it gives is not known
                close = self._close(at, end)
                self.through(at + 1, close, known)
                here, at = UNKNOWN, close + 1
            elif path == "variables" and self._sign(at, end, ".") and at + 1 < end:
                path = f"variables.{self.tokens[at + 1].text}"
                here, at = self.variables.get(self.tokens[at + 1].text, UNKNOWN), at + 2
        while at < end and self.tokens[at].text in (".", "["):
            at, here, path = (self._name if self.tokens[at].text == "." else self._index)(at, end, here, path, known)
        return at, here

    def _name(self, at: int, end: int, here: Types, path: str, known: dict[str, Types]) -> tuple[int, Types, str]:
        at += 2 if self._sign(at + 1, end, "?") else 1
        if at >= end or self.tokens[at].kind != "name":
            return at, UNKNOWN, path
        name = self.tokens[at].text
        if self._sign(at + 1, end, "("):
            close = self._close(at + 1, end)
            return close + 1, self._call(name, at + 2, close, here, known), f"{path}.{name}()"
        return at + 1, self.field(here, name, f"{path}.{name}"), f"{path}.{name}"

    def _index(self, at: int, end: int, here: Types, path: str, known: dict[str, Types]) -> tuple[int, Types, str]:
        close = self._close(at, end)
        inside = at + (2 if self._sign(at + 1, close, "?") else 1)
        key = literal(self.tokens[inside]) if close == inside + 1 else None
        self.through(inside, close, known)
        if key is not None and here and all(self.table.fields(one) is not None for one in here):
            return close + 1, self.field(here, key, f"{path}.{key}"), f"{path}.{key}"
        return close + 1, self.inside(here), f"{path}[]"

    def _call(self, name: str, start: int, end: int, here: Types, known: dict[str, Types]) -> Types:
        """Read the arguments of a call on a value, and return what it gives."""
        inner = dict(known)
        words = self._words(start, end)
        if words and name in _OPTIONAL:
            inner[words[0]] = here
        elif words and name in _MACROS:
            # with two words the first is the number or the key
            two = len(words) > 1 and name != "map"
            inner[words[0]] = UNKNOWN if two else self.inside(here)
            if two:
                inner[words[1]] = self.inside(here)
        self.through(start, end, inner)
        return here if name in _SAME else UNKNOWN

    def _words(self, start: int, end: int) -> list[str]:
        """Return the words that a macro binds: names that stand alone before a comma."""
        words = []
        while start + 1 < end and self.tokens[start].kind == "name" and self.tokens[start + 1].text == ",":
            words.append(self.tokens[start].text)
            start += 2
        return words[:2]

    def field(self, here: Types, name: str, path: str) -> Types:
        """Return what a field of a value may be; that it cannot be there is said."""
        found: set[str] = set()
        has: set[str] = set()
        for one in here:
            fields = self.table.fields(one)
            if fields is None:  # a mapping has any key, and of others nothing is known
                return self.inside(here)
            has |= set(fields)
            found |= {fields[name]} if name in fields else set()
        if here and name not in has:
            owners = listed(sorted({one.rpartition(".")[2] for one in here}), "and")
            some = ", ".join(sorted(has)[:12]) + (", ..." if len(has) > 12 else "")
            lead = f"{path}: Kubernetes {self.table.version} has no field {name} in {owners}"
            self.said.append(f"{lead}; {hint(name, has)}it has: {some}")
        return frozenset(found) if "" not in found else UNKNOWN

    def inside(self, here: Types) -> Types:
        """Return what an element of a list or mapping may be."""
        inner = {one[1:] for one in here if one[:1] in ("[", "{")}
        return frozenset(inner) if len(inner) == len(here) and "" not in inner else UNKNOWN

    def _sign(self, at: int, end: int, text: str) -> bool:
        return at < end and self.tokens[at].kind == "sign" and self.tokens[at].text == text

    def _close(self, at: int, end: int) -> int:
        """Return where the bracket that opens at `at` closes."""
        depth = 0
        for number in range(at, end):
            if self.tokens[number].kind == "sign":
                depth += (self.tokens[number].text in "([{") - (self.tokens[number].text in ")]}")
            if depth == 0:
                return number
        return end
