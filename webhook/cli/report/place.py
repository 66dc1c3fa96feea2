"""Where a finding stands in the text that a person wrote: the line, and what in it is meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from webhook.cli import objects
from webhook.cli.objects import Manifest
from webhook.errors import ConfigError

WIDEST = 160
"""Characters of a line that are shown."""
_MARGIN = 24


def excerpt(manifest: Manifest, pointer: str, lines: Sequence[str]) -> Iterator[str]:
    """Yield the line that a pointer leads to, with its number, and one with carets under what is meant.

    `lines` are those of the manifest's file; nothing where it has no such line any more.
    """
    number, key = manifest.place(pointer)
    if not 0 < number <= len(lines):
        return
    line = lines[number - 1]
    start, end = span(line, key)
    shift = 0
    if len(line) > WIDEST:
        shift = max(0, start - _MARGIN)
        line = line[shift : shift + WIDEST]
    shown = "".join(char if char.isprintable() else " " for char in line)
    width = max(1, min(end, shift + len(line)) - start)
    yield f"{number:>6} | {shown}".rstrip()
    yield f"{'':>6} | {' ' * (start - shift)}{'^' * width}"


def span(line: str, key: str) -> tuple[int, int]:
    """Return from where to where a line has `key`, or, where it has not, all that is no indentation in it."""
    found = re.search(rf"""(?:^|[\s{{,])(["']?{re.escape(key)}["']?)\s*:""", line) if key else None
    if found is not None:
        return found.span(1)
    whole = re.match(r"[\s\-]*", line)
    start = whole.end() if whole else 0
    return min(start, len(line.rstrip())), len(line.rstrip())


def lines(file: str) -> list[str]:
    """Return the lines of a file; none where it cannot be read any more."""
    try:
        return cut(objects.again(file))
    except ConfigError:
        return []


def cut(text: str) -> list[str]:
    """Return the lines of a text, as a reader of YAML counts them (yaml.org/spec/1.1, b-break), and no others."""
    return re.split(r"\r\n|[\r\n\x85\u2028\u2029]", text)
