"""find and findAll, on RE2: a pattern can never take exponential time.

Source: k8s.io/apiserver/pkg/cel/library/regex.go on Go's regexp, which is RE2 as well. (`matches` is
the binding's own, on RE2 too.)
"""

from __future__ import annotations

import functools
from typing import Any

import re2

from webhook.checks.cellib.function import Function

# One search of a long text may look at all that is left of it; many matches of a bad pattern would
# then take quadratic time. So much text (bytes) may one call look at, about a tenth of a second.
WORK = 32 * 1024 * 1024
# Memory of one compiled pattern, bytes; RE2's default is four times that.
MEMORY = 2 * 1024 * 1024


@functools.lru_cache(maxsize=128)
def compiled(pattern: str) -> Any:
    """Return the pattern, compiled by RE2; ValueError with RE2's reason where it cannot be."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MEMORY
    try:
        return re2.compile(pattern.encode(), options)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0] if error.args else "bad pattern"
        raise ValueError(f"illegal regular expression {pattern!r}: {_text(reason)}") from error


def _text(reason: object) -> str:
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)


def _find(text: str, pattern: str) -> str:
    match = compiled(pattern).search(text.encode())
    return str(match.group().decode(errors="replace")) if match else ""


def _find_all(text: str, pattern: str) -> list[str]:
    return _find_some(text, pattern, -1)


def _find_some(text: str, pattern: str, limit: int) -> list[str]:
    """Return the matches as Go's FindAllString: no empty match right behind another match."""
    regex, data = compiled(pattern), text.encode()
    found: list[str] = []
    position, previous, work = 0, -1, 0
    while position <= len(data) and len(found) != limit:
        match = regex.search(data, position)
        if not match:
            break
        start, end = match.span()
        if end > start or start != previous:
            found.append(data[start:end].decode(errors="replace"))
        previous = end
        position = end if end > position else _next(data, position)
        work += len(data) - start
        if work > WORK:
            raise ValueError(f"findAll looked at more than {WORK} bytes; use a limit or a simpler pattern")
    return found


def _next(data: bytes, position: int) -> int:
    """Return where the character after the one at `position` begins."""
    position += 1
    while position < len(data) and data[position] & 0xC0 == 0x80:
        position += 1
    return position


FUNCTIONS = (
    Function("find", ("STRING", "STRING"), True, "STRING", _find),
    Function("findAll", ("STRING", "STRING"), True, "LIST", _find_all),
    Function("findAll", ("STRING", "STRING", "INT"), True, "LIST", _find_some),
)
