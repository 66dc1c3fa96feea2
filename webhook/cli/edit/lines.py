"""The lines of a text: where they begin and end, how far something stands in, and how the author writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from webhook.cli.edit.emit import Manner
from webhook.cli.edit.nodes import BREAK, Node, gap

BREAKS = "\r\n\x85\u2028\u2029"


def begin(text: str, at: int) -> int:
    """Return where the line begins in which `at` is."""
    while at > 0 and text[at - 1] not in BREAKS:
        at -= 1
    return at


def end(text: str, at: int) -> int:
    """Return where the line ends in which `at` is, before its break."""
    found = BREAK.search(text, at)
    return found.start() if found else len(text)


def before(text: str, at: int) -> int:
    """Return where the break begins that ends the line before the one in which `at` is; 0 in the first line."""
    start = begin(text, at)
    return start - 2 if text[start - 2 : start] == "\r\n" else max(0, start - 1)


def column(text: str, at: int) -> int:
    """Return how many characters stand before `at` in its line."""
    return at - begin(text, at)


def margin(text: str, at: int) -> str | None:
    """Return the white space before `at` in its line; None where there is more than that."""
    found = text[begin(text, at) : at]
    return None if found.strip(" \t") else found


def dash(text: str, node: Node, number: int) -> int:
    """Return where the dash of an item of a block list stands."""
    return gap(text, node.items[number - 1].end if number else node.start)


def manner(root: Node, text: str, json: bool) -> Manner:
    """Return how the author of a document writes, by what he did most often."""
    found = BREAK.search(text)
    newline = found[0] if found else "\n"
    if json:
        return Manner(json=True, newline=newline, indent=_indent(root, text))
    nodes = list(_all(root))
    quotes = Counter(node.style for node in nodes if node.kind == "scalar")
    units = Counter(
        column(text, value.entries[0][0].first) - column(text, node.entries[0][0].first)
        for node in nodes
        if node.kind == "mapping" and node.style == "block"
        for _, value in node.entries
        if value.kind == "mapping" and value.style == "block"
    )
    offsets = Counter(offset for node in nodes for offset in offsets_in(node, text))
    unit = _most(units, 2)
    quote = "'" if quotes["'"] > quotes['"'] else '"'
    return Manner(quote=quote, unit=unit, offset=_most(offsets, unit), newline=newline)


def offsets_in(node: Node, text: str) -> Iterator[int]:
    """Yield how far the dashes of the lists in a block mapping stand behind their keys."""
    if node.kind == "mapping" and node.style == "block":
        here = column(text, node.entries[0][0].first)
        lists = (value for _, value in node.entries if value.kind == "list" and value.style == "block")
        yield from (column(text, dash(text, value, 0)) - here for value in lists)


def _indent(root: Node, text: str) -> str:
    """Return what JSON puts before what is one level deeper: nothing where the document is on one line."""
    inside = root.entries[0][0] if root.entries else root
    found = margin(text, inside.first)
    return found if inside is not root and begin(text, inside.first) > root.start and found else ""


def _most(counted: Counter[int], default: int) -> int:
    return max(counted, key=lambda number: (counted[number], -number), default=default)


def _all(node: Node) -> Iterator[Node]:
    yield node
    for inner in (*node.items, *(value for _, value in node.entries)):
        yield from _all(inner)
