"""Values that CEL has no type for here (a quantity, an address, a URL ...), as maps.

The binding does not implement abstract types. Such a value is therefore a map with integer keys,
which no object of the API can hold (JSON keys are strings), so that no object can forge one. The
content is canonical: equal values are equal maps, and `==` and `in` work in CEL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KIND = 0
CONTENT = 1


def wrap(kind: str, content: str) -> dict[int, str]:
    """Return the map that stands for the value `content` (canonical text) of type `kind`."""
    return {KIND: kind, CONTENT: content}


def kind(value: object) -> str | None:
    """Return the type of a wrapped value, None for every other value."""
    if isinstance(value, Mapping) and len(value) == 2 and KIND in value and CONTENT in value:
        found = value[KIND]
        return found if isinstance(found, str) else None
    return None


def unwrap(wanted: str, value: Mapping[Any, Any]) -> str:
    """Return the content of a wrapped value; ValueError where it is none of type `wanted`."""
    found = kind(value)
    if found != wanted:
        raise ValueError(f"a value of type {wanted} is wanted here, not {found or 'a map'}")
    return str(value[CONTENT])
