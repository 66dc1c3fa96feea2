"""One text for values that mean the same, for comparing them; nobody is shown it."""

from __future__ import annotations

from typing import Any


def told(value: Any) -> str:
    """Return a value as one text, whatever the order of its keys, and of its lists where that says nothing."""
    if isinstance(value, dict):
        return "{" + ", ".join(sorted([f"{key!r}: {told(one)}" for key, one in value.items()])) + "}"
    return "[" + ", ".join(sorted([told(one) for one in value])) + "]" if isinstance(value, list) else repr(value)
