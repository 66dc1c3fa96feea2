"""The Markdown that our pages are written in, for a terminal: headings, lists, tables, code, emphasis, links."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

NARROWEST = 40
_HEADING, _CODE, _BOLD, _QUIET = "1;4", "36", "1", "2"
_LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
_ITEM = re.compile(r"(\s*)(?:[-*]|\d+\.) +")
_CELLS = re.compile(r"(?<!\\)\|")
_SPAN = re.compile(r"(`[^`]+`)")


@dataclass(frozen=True, slots=True)
class Markdown:
    """Renders for a terminal of some width, with colours or without."""

    width: int
    colour: bool

    def lines(self, text: str) -> Iterator[str]:
        """Yield the lines of a page. What is no Markdown that we know is shown as it is written."""
        blocks = list(_blocks(text))
        for number, (kind, block) in enumerate(blocks):
            if number and not kind == blocks[number - 1][0] == "item":
                yield ""
            yield from self._shown(kind, block)

    def _shown(self, kind: str, block: list[str]) -> Iterator[str]:
        shows: dict[str, Callable[[list[str]], Iterator[str]]] = {
            "heading": self._heading,
            "code": self._code,
            "table": self._table,
            "item": self._item,
            "text": lambda lines: self.filled(" ".join(line.strip() for line in lines)),
        }
        yield from shows[kind](block)

    def _heading(self, block: list[str]) -> Iterator[str]:
        text = block[0].lstrip("#").strip()
        yield self.paint(_HEADING, text)
        if not self.colour:
            yield ("=" if block[0].startswith("# ") else "-") * len(text)

    def _code(self, block: list[str]) -> Iterator[str]:
        for line in block:
            yield self.paint(_QUIET, f"    {line}").rstrip() if line.strip() else ""

    def _item(self, block: list[str]) -> Iterator[str]:
        found = _ITEM.match(block[0])
        lead = found[0] if found else ""
        text = " ".join([block[0][len(lead) :].strip(), *(line.strip() for line in block[1:])])
        yield from self.filled(text, lead, " " * len(lead))

    def _table(self, block: list[str]) -> Iterator[str]:
        rows = [[cell.strip().replace("\\|", "|") for cell in _CELLS.split(line.strip().strip("|"))] for line in block]
        rows = [rows[0], *rows[2:]]  # the second line only draws
        columns = [max(len(_plain(row[at])) for row in rows if at < len(row)) for at in range(len(rows[0]) - 1)]
        left = sum(columns) + 2 * len(columns)
        for number, row in enumerate(rows):
            if self.width - left < NARROWEST:
                yield from self.filled(": ".join(filter(None, row)), "- ", "  ")
                continue
            lead = "".join(f"{_plain(cell):{size}}  " for cell, size in zip(row, columns, strict=False))
            last = list(self.filled(row[-1], lead, " " * left))
            yield from (self.paint(_BOLD, line) for line in last) if not number else last

    def filled(self, text: str, lead: str = "", indent: str | None = None) -> Iterator[str]:
        """Yield a text wrapped to the width, with its inline Markdown; `lead` and `indent` stand before the lines."""
        bare = "".join(part if part.startswith("`") else self._bare(part) for part in _SPAN.split(text))
        wrapped = list(self.wrapped(bare, lead, indent))
        painted = self._painted("\n".join(wrapped)[len(lead) :])
        yield from f"{lead}{painted}".split("\n")

    def wrapped(self, text: str, lead: str = "", indent: str | None = None) -> Iterator[str]:
        """Yield a text wrapped to the width as it is, whatever stands in it."""
        yield from textwrap.wrap(
            text,
            max(self.width, len(lead) + NARROWEST // 2),
            initial_indent=lead,
            subsequent_indent=lead if indent is None else indent,
            break_long_words=False,
            break_on_hyphens=False,
        )

    def _bare(self, text: str) -> str:
        text = _LINK.sub(_linked, text)
        return text if self.colour else text.replace("**", "")

    def _painted(self, text: str) -> str:
        if not self.colour:
            return text
        parts = (
            _each_line(part[1:-1], lambda line: self.paint(_CODE, line))
            if part.startswith("`")
            else re.sub(r"\*\*(.+?)\*\*", lambda m: self.paint(_BOLD, m[1]), part, flags=re.DOTALL)
            for part in _SPAN.split(text)
        )
        return "".join(parts)

    def paint(self, code: str, text: str) -> str:
        """Return a text in a colour, where colours are wanted."""
        return f"\033[{code}m{text}\033[0m" if self.colour and text.strip() else text


def _each_line(text: str, paint: Callable[[str], str]) -> str:
    return "\n".join(paint(line) for line in text.split("\n"))


def _linked(match: re.Match[str]) -> str:
    """Return what a link is called, and where it leads where that is a place that a reader here can go to."""
    return f"{match[1]} ({match[2]})" if match[2].startswith(("http:", "https:")) else match[1]


def _plain(text: str) -> str:
    return "".join(part if part.startswith("`") else _LINK.sub(_linked, part) for part in _SPAN.split(text))


def _blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the blocks of a page, each with its kind: heading, code, table, item, text."""
    block: list[str] = []
    kind = ""
    lines = iter(text.split("\n"))
    for line in lines:
        if line.lstrip().startswith("```"):
            if block:
                yield kind, block
            yield "code", list(_until_fence(lines))
            kind, block = "", []
            continue
        now = _kind(line, kind)
        if now != kind or now in ("heading", "item") and _begins(line):
            if block:
                yield kind, block
            kind, block = now, []
        if line.strip():
            block.append(line)
    if block:
        yield kind, block


def _until_fence(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line.lstrip().startswith("```"):
            return
        yield line


def _kind(line: str, before: str) -> str:
    if not line.strip():
        return ""
    if line.startswith("#"):
        return "heading"
    if line.startswith("|"):
        return "table"
    if _ITEM.match(line):
        return "item"
    return "item" if before == "item" and line.startswith(" ") else "text"


def _begins(line: str) -> bool:
    return line.startswith("#") or _ITEM.match(line) is not None
