"""A bar that shows how far a long command is: on a terminal, after a second, and gone at its end."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
AFTER = 1.0
"""Seconds after which somebody begins to wonder."""


def bar(pieces: Iterable[T], total: int, what: str, wanted: bool) -> Iterator[T]:
    """Yield the pieces, each worth one step of `total`, and show how far they are, where it is `wanted`."""
    if not wanted:
        yield from pieces
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=what, delay=AFTER, leave=False, file=sys.stderr, mininterval=0.2) as shown:
        for piece in pieces:
            yield piece
            shown.update()
