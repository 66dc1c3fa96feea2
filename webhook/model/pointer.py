"""JSON pointers (RFC 6901): `/spec/containers/0`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


def escape(token: str | int) -> str:
    """Return one reference token as it is written in a pointer (`~` is `~0`, `/` is `~1`)."""
    text = str(token)
    if "~" in text or "/" in text:
        return text.replace("~", "~0").replace("/", "~1")
    return text


def join(base: str, *tokens: str | int) -> str:
    """Return `base` with tokens appended, each escaped."""
    return base + "".join("/" + escape(token) for token in tokens)


def split(pointer: str) -> list[str]:
    """Return the tokens of a pointer, unescaped. Raises ValueError where it does not start with `/`."""
    if not pointer:
        return []
    if not pointer.startswith("/"):
        raise ValueError(f"a JSON pointer starts with /, found {pointer!r}")
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/")]


def get(document: Any, tokens: Iterable[str | int], default: Any = None) -> Any:
    """Return the value at `tokens`, or `default` where there is none."""
    value = document
    for token in tokens:
        if isinstance(value, dict):
            if token not in value:
                return default
            value = value[token]
        elif isinstance(value, list):
            index = str(token)
            if not (index.isascii() and index.isdigit()) or int(index) >= len(value):
                return default
            value = value[int(index)]
        else:
            return default
    return value


def upwards(pointer: str) -> Iterator[str]:
    """Yield a pointer, and every one above it but the root."""
    while pointer:
        yield pointer
        pointer = pointer.rpartition("/")[0]


def starts(pointer: str, prefix: str) -> bool:
    """Say whether `pointer` is `prefix` or lies below it."""
    return pointer == prefix or pointer.startswith(prefix + "/")
