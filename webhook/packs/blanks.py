"""Blanks: what a scaffold leaves for a person to fill in. What still has some is no pack, and no test, yet.

A blank is a text that begins with `FILL IN: `, or a key `FILL IN` whose value says what is to stand there.
"""

from __future__ import annotations

from collections.abc import Iterator

from webhook.errors import Problem
from webhook.packs.parse import Document, Path

WORDS = "FILL IN"
BLANK = f"{WORDS}: "


def blanks(document: Document) -> Iterator[Problem]:
    """Yield every blank of a document that is still to be filled in."""
    yield from _within(document, (), document.value)


def _within(document: Document, path: Path, value: object) -> Iterator[Problem]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == WORDS:
                yield document.problem((*path, key), f"still to be filled in: {inner}", key=True)
            else:
                yield from _within(document, (*path, key), inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _within(document, (*path, number), inner)
    elif isinstance(value, str) and value.startswith(BLANK):
        yield document.problem(path, f"still to be filled in: {value.removeprefix(BLANK)}")
