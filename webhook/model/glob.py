"""Globs on names: `*` stands for any run of characters, `?` for one; the whole name must match."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import re2


@dataclass(frozen=True, slots=True)
class Globs:
    """Compiled globs; calling it with a name says whether one of them matches. `texts` are as written."""

    texts: tuple[str, ...]
    literals: frozenset[str]
    pattern: Callable[[str], object] | None
    everything: bool

    def __call__(self, name: str) -> bool:
        """Say whether one of the globs matches the whole of `name`."""
        if self.everything or name in self.literals:
            return True
        return self.pattern is not None and self.pattern(name) is not None


def compile_globs(texts: Iterable[str]) -> Globs:
    """Return the globs compiled to one RE2 expression, so that no glob can take more than linear time."""
    texts = tuple(texts)
    wild = [text for text in texts if "*" in text or "?" in text]
    literals = frozenset(text for text in texts if text not in wild)
    pattern = re2.compile("|".join(f"(?:{_regex(text)})" for text in wild)).fullmatch if wild else None
    return Globs(texts, literals, pattern, "*" in wild)


def _regex(text: str) -> str:
    parts = {"*": "(?s:.*)", "?": "(?s:.)"}
    return "".join(parts.get(char) or re2.escape(char) for char in text)
