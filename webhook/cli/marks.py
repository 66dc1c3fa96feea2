"""The lines on which the parts of a document stand, as a tree beside its value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from webhook.model.record import record

Mark: TypeAlias = "tuple[int, Below, int]"
"""The line (from 1) of a value, the marks of what is in it, and how many values that are, itself included.

A member of a mapping has the line of its key. What stands behind an alias has the lines of the anchored text, which
is where it is to be mended. A plain tuple: a file has thousands, and they go from one process to another.
"""
Below: TypeAlias = "dict[str, Mark] | list[Mark] | None"


@record(frozen=True, slots=True)
class Tree:
    """One document: its value and its marks."""

    value: Any
    mark: Mark


def find(mark: Mark, tokens: Iterable[str]) -> Mark:
    """Return the mark at `tokens` (of a JSON pointer), or that of the nearest ancestor that is there."""
    for token in tokens:
        below = mark[1]
        if isinstance(below, dict) and token in below:
            mark = below[token]
        elif isinstance(below, list) and token.isascii() and token.isdigit() and int(token) < len(below):
            mark = below[int(token)]
        else:
            break
    return mark
