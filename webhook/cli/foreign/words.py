"""Values and conditions as texts of CEL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

TRUE, FALSE = "true", "false"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax: RESERVED, and what `in` and the literals take
_RESERVED = frozenset(
    (
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop"),
        *("namespace", "null", "package", "return", "true", "var", "void", "while"),
    )
)
_SPECIAL = re.compile(r"[.^$|()\[\]{}*+?\\]")


def quote(text: str) -> str:
    """Return a text as a literal."""
    if text.isprintable() and "'" not in text and "\\" not in text:
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False)


def literal(value: Any) -> str:
    """Return a JSON value as a literal."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list):
        return f"[{', '.join(literal(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quote(key)}: {literal(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


def member(value: str, key: str) -> str:
    """Return the expression for a key of a map."""
    return f"{value}.{key}" if _plain(key) else f"{value}[{quote(key)}]"


def has(value: str, key: str) -> str:
    """Return the condition that a map has a key."""
    return f"has({value}.{key})" if _plain(key) else f"{quote(key)} in {value}"


def _plain(key: str) -> bool:
    return bool(_NAME.match(key)) and key not in _RESERVED


def both(parts: Iterable[str]) -> str:
    """Return the condition that all conditions hold, in their order."""
    kept = [part for part in parts if part != TRUE]
    if FALSE in kept:
        kept = kept[: kept.index(FALSE) + 1]
    return " && ".join(kept) if kept[-1:] != [FALSE] else FALSE if kept else TRUE


def either(parts: Iterable[str]) -> str:
    """Return the condition that one of some conditions holds, in brackets where it needs them."""
    kept = list(dict.fromkeys(part for part in parts if part != FALSE))
    if TRUE in kept:
        return TRUE
    if len(kept) > 1:
        return f"({' || '.join(kept)})"
    return kept[0] if kept else FALSE


def negated(part: str) -> str:
    """Return the opposite of a condition."""
    return {TRUE: FALSE, FALSE: TRUE}.get(part, f"!({part})")


def glob(value: str, pattern: str) -> str:
    """Return the condition that a text matches a glob: `*` is any run of characters, `?` is one."""
    inner = pattern.strip("*")
    left, right = pattern.startswith("*"), pattern.endswith("*")
    if pattern == "?*":
        return f"{value} != ''"
    if "*" in inner or "?" in inner:
        parts = {"*": "(?s:.*)", "?": "(?s:.)"}
        whole = "".join(parts.get(char) or _SPECIAL.sub(r"\\\g<0>", char) for char in pattern)
        return f"{value}.matches({quote(f'^{whole}$')})"
    if not inner:
        return TRUE if pattern else f"{value} == ''"
    if left or right:
        how = "contains" if left and right else "endsWith" if left else "startsWith"
        return f"{value}.{how}({quote(inner)})"
    return f"{value} == {quote(inner)}"
