"""Where everything stands in a text: the nodes of YAML and JSON documents, with the characters they take.

Built for texts that were read before without a problem (`objects.parse`), so nothing is refused here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import yaml

from webhook.cli.scalars import resolve
from webhook.cli.yamltext import LOADER, MERGE, key_name

BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
"""What ends a line in YAML 1.1, as the parser counts."""
_GAP = re.compile(r"(?:[ \t\r\n\x85\u2028\u2029\ufeff]|(?:(?<=[\s])|\A)#[^\r\n\x85\u2028\u2029]*)*")
_PROPERTY = re.compile(r"[&!][^\s,\[\]{}]*")
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(slots=True, eq=False)
class Node:
    """A value in the text: the characters `start` to `end` are its own.

    `first` is where its anchor or tag begins, `start` what follows them. Comments and blank lines behind a block are
    not its own. `style` is `block` or `flow` for mappings and lists, for scalars what they begin with: `'`, `"`, `|`,
    `>`, or nothing. `uses` counts the aliases of an anchored node; `merged` says that one of them is merged by `<<`.
    """

    kind: Literal["scalar", "mapping", "list", "alias"]
    first: int
    start: int
    end: int
    style: str = ""
    entries: list[tuple[Node, Node]] = field(default_factory=list)
    items: list[Node] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    anchor: str | None = None
    of: Node | None = None
    uses: int = 0
    merged: bool = False
    null: bool = False

    def inner(self) -> Iterator[Node]:
        """Yield the values in it."""
        yield from self.items
        yield from (value for _, value in self.entries)


def gap(text: str, at: int) -> int:
    """Return the first place from `at` that is neither white space nor comment."""
    found = _GAP.match(text, at)
    return found.end() if found else at


def yaml_roots(text: str) -> Iterator[Node]:
    """Yield the root of each document of a YAML text, those that hold nothing left out."""
    reader = _Reader(text)
    for event in yaml.parse(text, Loader=LOADER):
        root = reader.take(event)
        if root is not None and not root.null:
            yield root


def json_roots(text: str) -> Iterator[Node]:
    """Yield the root of each document of a JSON text."""
    at = _space(text, 0)
    while at < len(text):
        root = _json(text, at)
        yield root
        at = _space(text, root.end)


@dataclass(slots=True)
class _Reader:
    text: str
    _open: list[Node] = field(default_factory=list)
    _keys: list[tuple[Node, str | None] | None] = field(default_factory=list)  # that wait for their values
    _anchors: dict[str, Node] = field(default_factory=dict)

    def take(self, event: Any) -> Node | None:
        """Take the next event; return the root of a document when it is complete."""
        kind = type(event)
        if kind is yaml.DocumentStartEvent:
            self._anchors = {}
        elif kind is yaml.ScalarEvent:
            return self._done(self._scalar(event), event)
        elif kind is yaml.AliasEvent:
            of = self._anchors[event.anchor]
            of.uses += 1
            start, end = event.start_mark.index, event.end_mark.index
            return self._done(Node("alias", start, start, end, of=of), None)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            node = self._node(event, "mapping" if kind is yaml.MappingStartEvent else "list")
            node.style = "flow" if event.flow_style else "block"
            self._open.append(node)
            self._keys.append(None)
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            node = self._open.pop()
            self._keys.pop()
            last = [inner.end for inner in node.inner()][-1:]
            node.end = event.end_mark.index if node.style == "flow" else max([node.end, *last])
            return self._done(node, None)
        return None

    def _node(self, event: Any, kind: Literal["scalar", "mapping", "list"]) -> Node:
        first, end = event.start_mark.index, event.end_mark.index
        start = first
        for _ in [given for given in (event.anchor, event.tag) if given is not None]:
            found = _PROPERTY.match(self.text, gap(self.text, start))
            start = found.end() if found else start
        if start > first and (kind != "scalar" or start < end):
            start = gap(self.text, start)
        node = Node(kind, first, start, max(start, end if kind == "scalar" else start), anchor=event.anchor)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _scalar(self, event: Any) -> Node:
        node = self._node(event, "scalar")
        node.style = event.style if event.style in ("'", '"', "|", ">") else ""
        node.null = event.tag is None and event.implicit[0] and resolve(event.value) is None
        if node.style in ("|", ">"):
            node.end = _block_end(self.text, node.start, node.end, event.value)
        return node

    def _done(self, node: Node, event: Any) -> Node | None:
        if not self._open:
            return node
        top, key = self._open[-1], self._keys[-1]
        if top.kind == "list":
            top.items.append(node)
        elif key is None:
            plain = event.tag is None and event.implicit[0]
            value = resolve(event.value) if plain else event.value
            self._keys[-1] = (node, None if plain and value == MERGE else key_name(value))
        else:
            self._keys[-1] = None
            self._entry(top, *key, node)
        return None

    def _entry(self, top: Node, key: Node, name: str | None, value: Node) -> None:
        if name is not None:
            top.names[name] = len(top.entries)
        else:
            for one in (value, *value.items):
                (one.of or one).merged = True
        top.entries.append((key, value))


def _block_end(text: str, start: int, end: int, value: str) -> int:
    """Return the end of the last line of a block scalar, without the blank lines that are none of its content."""
    lines = [match.start() for match in BREAK.finditer(text, start, end)]
    header, _, _ = text[start:end].partition("#")
    if not lines:
        return end
    if "+" in header[: lines[0] - start]:
        return lines[-1] if BREAK.fullmatch(text, lines[-1], end) else end
    body = text[lines[0] : end]
    width = _lead(body) - _lead(value)  # a header like `|2` leaves spaces to the text
    blank = re.compile(rf"(?:{BREAK.pattern}) {{0,{width}}}")
    ends = len(body)
    for found in reversed(list(BREAK.finditer(body))):
        if not blank.fullmatch(body, found.start(), ends):
            break
        ends = found.start()
    return lines[0] + ends


def _lead(text: str) -> int:
    """Return how many spaces its first line begins with that has anything else; 0 where there is none."""
    return next((len(line) - len(line.lstrip(" ")) for line in BREAK.split(text) if line.strip(" ")), 0)


def _space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


_scan = json.JSONDecoder().raw_decode


def _json(text: str, at: int) -> Node:
    first = text[at]
    if first not in "{[":
        value, end = _scan(text, at)
        return Node("scalar", at, at, end, '"' if first == '"' else "", null=value is None)
    node = Node("mapping" if first == "{" else "list", at, at, at, "flow")
    here = _space(text, at + 1)
    while text[here] not in "}]":
        here = _space(text, here + 1) if text[here] == "," else here
        if first == "{":
            key = _json(text, here)
            colon = _space(text, key.end)
            value_node = _json(text, _space(text, colon + 1))
            node.names[_scan(text, key.start)[0]] = len(node.entries)
            node.entries.append((key, value_node))
        else:
            value_node = _json(text, here)
            node.items.append(value_node)
        here = _space(text, value_node.end)
    node.end = here + 1
    return node
