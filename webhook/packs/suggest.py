"""The word that was meant, and lists of words as people write them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


def near(word: str, words: Iterable[str]) -> str | None:
    """Return the one of `words` that `word` is nearly, whatever the case and the - or _ in it; else None."""
    plain = {_plain(candidate): candidate for candidate in sorted(words, reverse=True)}
    if _plain(word) in plain:
        return plain[_plain(word)]
    # Longer texts are no misspelt names, and comparing them takes time.
    found = difflib.get_close_matches(_plain(word), list(plain), n=1, cutoff=0.7) if len(word) <= 100 else []
    return plain[found[0]] if found else None


def hint(word: str, words: Iterable[str]) -> str:
    """Return `did you mean X? ` where `word` is nearly X, else nothing."""
    meant = near(word, words)
    return f"did you mean {meant}? " if meant is not None and meant != word else ""


def listed(words: Sequence[str], last: str = "or") -> str:
    """Return `a, b or c`; `nothing` for no words."""
    if not words:
        return "nothing"
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")
