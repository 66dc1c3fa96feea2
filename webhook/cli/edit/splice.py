"""From one value to another in the text that holds it: the smallest edits, and which changes none can make.

A node that aliases share is changed where all of its places want the same; else it is left, and a sentence says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple

import yaml

from webhook.cli.edit import emit, lines
from webhook.cli.edit.emit import Gaps, Manner, is_scalar
from webhook.cli.edit.nodes import BREAK, Node, gap
from webhook.cli.scalars import resolve
from webhook.cli.yamltext import LOADER
from webhook.model import pointer as pointers

WIDTH = 100
"""Columns up to which what was empty in flow style is filled on its own line."""
_ABSENT = object()
_HEADER = re.compile(r"[|>][0-9+-]*")
_BLANK = re.compile(rf"(?:(?>{BREAK.pattern})[ \t]*(?={BREAK.pattern}|\Z))*")

_SHARED = "is shared by the anchor &{name} with other places, which would change with it; change it by hand"
_ALIAS = "is an alias of what stands at the anchor &{name}; change it there, or write it out here"
_MERGED = "comes from another place by <<; change it there, or write it out here"
_TEMPLATE = "is filled in by a template ({{ }}); change what fills it in"
_OTHER = "is of another form than what is wanted; change it by hand"


class Edit(NamedTuple):
    """`text` in place of the characters from `start` to `end`."""

    start: int
    end: int
    text: str


class Held(NamedTuple):
    """A change that is not made: the pointer from the root of its document, and why, as a sentence that it begins."""

    pointer: str
    why: str


def applied(text: str, edits: Sequence[Edit]) -> str | None:
    """Return the text with all edits made, those at one place in their order; None where they overlap."""
    parts, at = [], 0
    for start, end, new in sorted(edits, key=lambda edit: edit[:2]):
        if start < at:
            return None
        parts += [text[at:start], new]
        at = end
    return "".join([*parts, text[at:]])


def changes(text: str, root: Node, old: Any, new: Any, *, json: bool, careful: bool) -> tuple[list[Edit], list[Held]]:
    """Return the edits that make a document's value `new`, which is `old` now, and what they leave out.

    With `careful` nothing is changed that `<<` merges into another place; without, the caller has to look whether
    that place wants it, too.
    """
    wants: dict[int, list[Any]] = {}
    _wanted(root, new, wants)
    splicer = _Splicer(text, root, lines.manner(root, text, json), wants, careful)
    if old != new:
        splicer.change(root, old, new, "", None, None)
        splicer.close()
    return splicer.edits, splicer.held


def _wanted(node: Node, value: Any, wants: dict[int, list[Any]]) -> None:
    """Note what each place of an anchored node shall be."""
    if node.of is not None:
        wants.setdefault(id(node.of), []).append(value)
        return
    if node.uses:
        wants.setdefault(id(node), []).append(value)
    for name, number in node.names.items():
        _wanted(node.entries[number][1], value.get(name, _ABSENT) if isinstance(value, dict) else _ABSENT, wants)
    for number, item in enumerate(node.items):
        _wanted(item, value[number] if isinstance(value, list) and number < len(value) else _ABSENT, wants)


@dataclass(slots=True)
class _Splicer:
    text: str
    root: Node
    manner: Manner
    wants: Mapping[int, list[Any]]
    careful: bool
    edits: list[Edit] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)  # the ids of values that are taken away

    def edit(self, start: int, end: int, text: str) -> None:
        self.edits.append(Edit(start, end, text))

    def hold(self, pointer: str, why: str, name: str | None = None) -> None:
        self.held.append(Held(pointer, why.replace("{name}", name or "")))

    def agreed(self, node: Node) -> bool:
        """Say whether all places that share an anchored node want the same of it."""
        first, *others = self.wants.get(id(node), [_ABSENT])
        return all(other == first for other in others) and not (self.careful and node.merged)

    def change(self, node: Node, old: Any, new: Any, pointer: str, parent: Node | None, key: Node | None) -> None:
        """Make a node's value `new`; it stands in `parent`, in a mapping behind `key`."""
        if node.of is not None:
            self._alias(node, node.of, new, pointer)
        elif node.uses and not self.agreed(node):
            self.hold(pointer, _SHARED, node.anchor)
        elif isinstance(old, str) and "{{" in old:
            self.hold(pointer, _TEMPLATE)
        elif isinstance(new, dict) and new and node.entries:
            self._mapping(node, old, new, pointer)
        elif isinstance(new, list) and new and node.items:
            self._list(node, old, new, pointer)
        elif is_scalar(new) and node.kind == "scalar" and node.start < node.end:
            self.edit(node.start, node.end, self._token(node, old, new, parent))
        else:
            self._rewrite(node, new, pointer, parent, key)

    def _alias(self, node: Node, of: Node, new: Any, pointer: str) -> None:
        if self.agreed(of):
            return  # the anchored text is changed
        if is_scalar(new) and of.kind == "scalar":
            self.edit(node.start, node.end, emit.token(new, self.manner, flow=True))
        else:
            self.hold(pointer, _ALIAS, of.anchor)

    def _token(self, node: Node, old: Any, new: Any, parent: Node | None) -> str:
        """Return a scalar in place of another: what was written stays as far as it goes, and its style."""
        written = self.text[node.start : node.end]
        flow = self.manner.json or (parent is not None and parent.style == "flow")
        if not (isinstance(old, str) and isinstance(new, str)) or self.manner.json:
            return emit.token(new, self.manner, flow)
        found = [emit.token(new, self.manner, flow, node.style)]
        if node.style == "|":
            found.insert(0, _literal(written, new, self.manner.newline))
        more = new.removeprefix(old)
        if new.startswith(old) and not (node.style in ("|", ">") and "\n" in more):
            quoted = {"'": more.replace("'", "''"), '"': emit.escaped(more)}.get(node.style)
            found.insert(0, written + more if quoted is None else written[:-1] + quoted + node.style)
        ends = "\n" if BREAK.match(self.text, lines.end(self.text, node.end)) else ""
        # the last stands on one line, and needs no trial
        return next((one for one in found[:-1] if _reads(one, new, flow, ends)), found[-1])

    def _mapping(self, node: Node, old: dict[str, Any], new: dict[str, Any], pointer: str) -> None:
        gone: list[int] = []
        added: dict[str, Any] = {}
        for name in {**old, **new}:
            number, place = node.names.get(name), pointers.join(pointer, name)
            if old.get(name, _ABSENT) == new.get(name, _ABSENT):
                continue
            if number is not None and name in new:
                key, value = node.entries[number]
                self.change(value, old.get(name), new[name], place, node, key)
            elif number is not None:
                gone.append(number)
            elif self._merges(node, name, new.get(name, _ABSENT)):
                continue
            elif name in new and (name not in old or is_scalar(new[name])):
                added[name] = new[name]  # behind a `<<` that gives it another value, it counts more
            else:
                self.hold(place, _MERGED)
        parts = [(key.first, max(key.end, value.end)) for key, value in node.entries]
        last = self._remove(node, parts, gone, pointer)
        if not added or last is None:
            return
        if node.style == "flow":
            gaps = self._gaps(node)
            self._append(
                node,
                parts,
                last,
                lambda indent: [emit.entry(key, value, self.manner, gaps, indent) for key, value in added.items()],
            )
        else:
            column = lines.column(self.text, parts[0][0])
            self._below(node.entries[last][1], parts[last][1], emit.block(added, column, self._near(node)))

    def _merges(self, node: Node, name: str, value: Any) -> bool:
        """Say whether what `<<` merges is changed so that it gives the value."""
        named = node.names.values()
        merged = [value for number, (_, value) in enumerate(node.entries) if number not in named]
        sources = [one.of for value in merged for one in (value, *value.items) if one.of is not None]
        wants = [self.wants[id(source)][0] for source in sources if self.agreed(source) and id(source) in self.wants]
        return any(isinstance(want, dict) and want.get(name, _ABSENT) == value for want in wants)

    def _list(self, node: Node, old: list[Any], new: list[Any], pointer: str) -> None:
        gone = _gone(old, new)
        left = [number for number in range(len(old)) if number not in gone]
        for number, value in zip(left, new, strict=False):
            if old[number] != value:
                place = pointers.join(pointer, number)
                self.change(node.items[number], old[number], value, place, node, None)
        added = new[len(left) :]
        block = node.style == "block"
        parts = [
            (lines.dash(self.text, node, number) if block else item.first, item.end)
            for number, item in enumerate(node.items)
        ]
        last = self._remove(node, parts, gone, pointer)
        if not added or last is None:
            return
        if block:
            self._below(node.items[last], parts[last][1], self._items(node, parts[last][0], last, added))
        else:
            gaps = self._gaps(node)
            self._append(
                node, parts, last, lambda indent: [emit.flow(item, self.manner, gaps, indent) for item in added]
            )

    def _items(self, node: Node, at: int, last: int, added: list[Any]) -> list[str]:
        """Return the lines of more items of a block list, in the style of those that it has."""
        column = lines.column(self.text, at)
        lead = self.text[at : node.items[last].first]
        dash = lead if lead.strip(" ") == "-" and len(lead) > 1 else "- "
        inside = [item for item in node.items if item.entries or item.items]
        flow = bool(inside) and all(item.style == "flow" for item in inside)
        found = []
        for item in added:
            line = " " * column + dash + emit.flow(item, self.manner, Gaps())
            if flow and len(line) <= WIDTH:
                found.append(line)
            else:
                found += emit.block([item], column, self.manner, dash)
        return found

    def _remove(self, node: Node, parts: Sequence[tuple[int, int]], gone: Sequence[int], pointer: str) -> int | None:
        """Take parts away, with the comments on their own lines; return which part is the last that stays."""
        left = [number for number in range(len(parts)) if number not in gone]
        if not left:
            self.hold(pointer, _OTHER)
            return None
        text = self.text
        by_line = node.style == "block" and lines.margin(text, parts[0][0]) is not None
        if left[0] and not by_line:
            self.edit(parts[0][0], parts[left[0]][0], "")
        values = list(node.inner())
        self.gone.update(id(values[number]) for number in gone)
        for number in gone:
            start, end = parts[number]
            if node.style == "block" and (by_line or number > left[0]):
                before = [values[one] for one in left if one < number]
                self.edit(lines.before(text, start), self._blank(before, lines.end(text, end)), "")
            elif number > left[0]:
                self.edit(parts[number - 1][1], end, "")
        return left[-1]

    def _below(self, last: Node, end: int, added: Sequence[str]) -> None:
        """Put lines below the one in which `last`, the value in front of them, ends."""
        at = lines.end(self.text, end)
        at = max([at, *(edit.end for edit in self.edits if edit.start < at < edit.end)])
        found = BREAK.match(self.text, at)
        newline = found[0] if found else self.manner.newline
        leaf = self._leaf(last)
        if lines.end(self.text, leaf.end) == len(self.text):
            self._strip(leaf)
        self.edit(at, at, "".join(newline + line for line in added))

    def _leaf(self, node: Node) -> Node:
        """Return the value that stands last in a node, of those that stay."""
        inner = [value for value in node.inner() if id(value) not in self.gone] if node.style == "block" else []
        return self._leaf(inner[-1]) if inner else node

    def _strip(self, leaf: Node) -> None:
        """Have a block scalar say that its text ends without a break.

        It is one that ends with the file, without a break, and lines follow it now.
        """
        if leaf.style not in ("|", ">"):
            return
        for number, (start, end, text) in enumerate(self.edits):
            if start <= leaf.start < end:  # it is written anew, or its header is changed already
                self.edits[number] = Edit(start, end, _HEADER.sub(_stripped, text) if text[:1] in ("|", ">") else text)
                return
        header = _HEADER.match(self.text, leaf.start)
        if header and header[0] != _stripped(header):
            self.edit(header.start(), header.end(), _stripped(header))

    def _blank(self, before: Sequence[Node], end: int) -> int:
        """Return up to where what ends at `end` is taken away: with the blank lines behind it where they would count.

        They would be of the text of a block scalar in front, if it keeps them (`|+`) or they hold spaces.
        """
        leaf = self._leaf(before[-1]) if before else None
        found = _BLANK.match(self.text, end)
        if leaf is None or leaf.style not in ("|", ">") or found is None:
            return end
        header = _HEADER.match(self.text, leaf.start)
        counts = header is not None and "+" in header[0]
        return found.end() if counts or found[0].strip("".join(lines.BREAKS)) else end

    def close(self) -> None:
        """End the text with a break where what stood behind a block scalar is gone, up to the end of the text.

        Without a break the scalar's own text would lose its own.
        """
        end, leaf = len(self.text), self._leaf(self.root)
        behind = [edit for edit in self.edits if edit.start >= leaf.end]
        cut = any(edit.end == end for edit in behind) and not any(edit.text for edit in behind)
        if leaf.style in ("|", ">") and cut:
            found = BREAK.search(self.text, leaf.start)
            self.edit(end, end, found[0] if found else self.manner.newline)

    def _append(
        self,
        node: Node,
        parts: Sequence[tuple[int, int]],
        last: int,
        make: Callable[[str | None], list[str]],
    ) -> None:
        """Put parts behind the last of a flow collection: each on its own line where that one is."""
        text, (first, end) = self.text, parts[last]
        margin = lines.margin(text, first)
        own = margin is not None and lines.begin(text, first) > node.start
        comma = gap(text, end)
        trailing = last == len(parts) - 1 and text[comma] == ","
        added = make(margin if own and self.manner.json else None)
        before = self.manner.newline + (margin or "") if own else " "
        if trailing:
            at = lines.end(text, comma) if own else comma + 1
            at = at if at < node.end else comma + 1
            self.edit(at, at, "".join(f"{before}{one}," for one in added))
            return
        at = lines.end(text, end)
        if not own:
            gaps = self._gaps(node)
            self.edit(end, end, "".join(gaps.comma + one for one in added))
        elif at < node.end:  # behind a comment on that line
            self.edit(end, end, ",")
            self.edit(at, at, before + f",{before}".join(added))
        else:
            self.edit(end, end, "".join(f",{before}{one}" for one in added))

    def _gaps(self, node: Node) -> Gaps:
        """Return what stands between the parts of a flow collection, or in JSON of what is around it."""
        parts = [(key.first, value.end) for key, value in node.entries] or [(one.first, one.end) for one in node.items]
        usual = self._gaps(self.root) if self.manner.json and node is not self.root else Gaps()
        colons = [self.text[key.end : value.first] for key, value in node.entries]
        commas = [self.text[one[1] : other[0]] for one, other in pairwise(parts)]
        colon = next((one for one in colons if one.strip(" ") == ":"), usual.colon)
        tight = "," if self.manner.json and colon == ":" else usual.comma
        return Gaps(next((one for one in commas if one.strip(" ") == ","), tight), colon)

    def _near(self, node: Node) -> Manner:
        """Return the author's manner, with the dashes of lists where they are in this mapping."""
        return replace(self.manner, offset=next(lines.offsets_in(node, self.text), self.manner.offset))

    def _rewrite(self, node: Node, new: Any, pointer: str, parent: Node | None, key: Node | None) -> None:
        """Write a value of another form: where nothing is yet, or where nothing stays."""
        blocky = node.style == "block" and bool(node.entries or node.items)
        if parent is None or (blocky and not is_scalar(new)) or (blocky and node.first < node.start):
            self.hold(pointer, _OTHER)
        elif blocky:
            self._collapse(node, new, key)
        elif key is None or parent.style == "flow" or is_scalar(new) or self._fits(node, new):
            self._in_line(node, new, parent, key)
        else:
            cut = node.start if node.first < node.start else gap(self.text, key.end) + 1
            if cut < node.end:
                self.edit(cut, node.end, "")
            near = self._near(parent)
            column = lines.column(self.text, parent.entries[0][0].first)
            column += near.unit if isinstance(new, dict) else near.offset
            self._below(node, node.end, emit.block(new, column, near))

    def _collapse(self, node: Node, new: Any, key: Node | None) -> None:
        """Write one token where a block is."""
        token = emit.token(new, self.manner)
        if key is None:
            self.edit(node.first, node.end, token)
            return
        colon = gap(self.text, key.end) + 1
        self.edit(colon, colon, f" {token}")
        self.edit(lines.end(self.text, colon), lines.end(self.text, node.end), "")

    def _fits(self, node: Node, new: Any) -> bool:
        """Say whether what was an empty `{}` or `[]` can be filled on its line."""
        length = len(emit.flow(new, self.manner, Gaps()))
        return node.style == "flow" and lines.column(self.text, node.start) + length <= WIDTH

    def _in_line(self, node: Node, new: Any, parent: Node, key: Node | None) -> None:
        """Write a value in place of what is one token, or nothing."""
        text = self.text
        line = text[lines.begin(text, node.start) : node.start]
        indent = line[: len(line) - len(line.lstrip())] if self.manner.indent else None
        value = emit.flow(new, self.manner, self._gaps(parent) if self.manner.json else Gaps(), indent)
        empty = node.style == "flow" and not node.entries and not node.items
        if empty and value[0] == text[node.start]:
            self.edit(node.start + 1, node.start + 1, value[1:-1])
        elif node.start < node.end:
            self.edit(node.start, node.end, value)
        elif key is None or ":" in text[key.end : node.end]:
            space = "" if text[node.end - 1] in " \t" else " "
            self.edit(node.end, node.end, space + value)
        else:
            self.edit(key.end, key.end, f": {value}")  # `{key}`


def _gone(old: list[Any], new: list[Any]) -> list[int]:
    """Return the numbers of the elements that a shorter list lacks."""
    gone: list[int] = []
    for number, value in enumerate(old):
        at = number - len(gone)
        if len(gone) < len(old) - len(new) and (at >= len(new) or new[at] != value):
            gone.append(number)
    return gone


def _stripped(header: re.Match[str]) -> str:
    """Return the header of a block scalar, so that its text ends without a break."""
    return header[0] if "-" in header[0] else header[0].replace("+", "") + "-"


def _literal(written: str, new: str, newline: str) -> str:
    """Return text as a literal block, in the place and with the indentation of another; or "" where it cannot be."""
    head, *body = BREAK.split(written)
    first = next((line for line in body if line.strip(" ")), "")
    pad = first[: len(first) - len(first.lstrip(" "))]
    rows = new.removesuffix("\n").split("\n")
    printable = all(row.replace("\t", "").isprintable() for row in rows)
    if not pad or not printable or not rows[0] or rows[0].startswith(" ") or not rows[-1]:
        return ""
    chomp = "" if new.endswith("\n") else "-"
    head = _HEADER.sub(lambda found: found[0].rstrip("+-") + chomp, head, count=1)
    return newline.join([head, *(pad + row if row else "" for row in rows)])


def _reads(written: str, value: str, flow: bool, ends: str) -> bool:
    """Say whether a scalar that is written so, with `ends` behind it, is read as this string."""
    try:
        events = list(yaml.parse(f"[{written}]" if flow else f"- {written}{ends}", Loader=LOADER))
    except yaml.YAMLError:
        return False
    scalars = [event for event in events if isinstance(event, yaml.ScalarEvent)]
    if len(scalars) != 1 or len(events) != 7:
        return False
    (found,) = scalars
    return (resolve(found.value) if found.implicit[0] else found.value) == value
