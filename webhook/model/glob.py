"""Globs on names: `*` stands for any run of characters, `?` for one; the whole name must match."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

import re2

from webhook.model.record import record

KEPT = 256  # characters of the longest text whose answer is kept; no name of Kubernetes is longer


@record(frozen=True, slots=True)
class Globs:
    """Compiled globs; calling it with a name says whether one of them matches. `texts` are as written."""

    texts: tuple[str, ...]
    literals: frozenset[str]
    pattern: Callable[[str], bool] | None
    everything: bool

    def __call__(self, name: str) -> bool:
        """Say whether one of the globs matches the whole of `name`."""
        if self.everything or name in self.literals:
            return True
        return self.pattern is not None and self.pattern(name)


def compile_globs(texts: Iterable[str]) -> Globs:
    """Return the globs compiled to one RE2 expression, so that no glob can take more than linear time."""
    texts = tuple(texts)
    wild = [text for text in texts if "*" in text or "?" in text]
    literals = frozenset(text for text in texts if text not in wild)
    pattern = remembered(re2.compile("|".join(f"(?:{regex(text)})" for text in wild)).fullmatch) if wild else None
    return Globs(texts, literals, pattern, "*" in wild)


def remembered(match: Callable[[str], object]) -> Callable[[str], bool]:
    """Return a test of a whole text by RE2, which knows its last answers: the same few names come again and again.

    Asking RE2 costs some 5 µs, most of them on the way there and back. Long texts are not kept.
    """

    known = lru_cache(maxsize=128)(lambda text: match(text) is not None)
    return lambda text: known(text) if len(text) <= KEPT else match(text) is not None


def regex(text: str) -> str:
    """Return one glob as an expression of RE2, which the whole of a name must match."""
    parts = {"*": "(?s:.*)", "?": "(?s:.)"}
    return "".join(parts.get(char) or re2.escape(char) for char in text)
