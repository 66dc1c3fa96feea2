"""isSorted, sum, min, max, indexOf, lastIndexOf, includes on lists.

Source: k8s.io/apiserver/pkg/cel/library/lists.go. `indexOf` and `lastIndexOf` also exist on strings
in CEL's own strings library, and the binding takes no second overload of a name: `rewrite.py` turns
the calls of both into `k8s_indexOf([...])`, whose argument list keeps every parameter typed.
Durations and timestamps are not possible as results (the binding cannot take them back from Python);
distinct, flatten, reverse, slice, sort and sortBy are the binding's own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from webhook.checks.cellib import work
from webhook.checks.cellib.function import Function

NUMBERS = (int, float)
# A number of an object may be the argument of lists.range; the binding's own has no limit. A loop around it keeps all.
LONGEST = 1000


def _class(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, NUMBERS):
        return "number"
    return type(value).__name__


def _comparable(values: Sequence[Any]) -> Sequence[Any]:
    """Return the values; ValueError where they are not of one type that has an order."""
    classes = {_class(value) for value in values}
    if len(classes) > 1 or classes & {"dict", "list", "NoneType"}:
        raise ValueError(f"values of type {', '.join(sorted(classes))} cannot be compared with one another")
    return values


def _is_sorted(values: list[Any]) -> bool:
    return all(left <= right for left, right in itertools.pairwise(_comparable(values)))


def _result(value: Any) -> Any:
    if _class(value) not in ("bool", "number", "str", "bytes", "bytearray"):
        raise ValueError("min and max work on numbers, strings, booleans and bytes here")
    return value


def _min(values: list[Any]) -> Any:
    if not values:
        raise ValueError("min called on empty list")
    return _result(min(_comparable(values)))


def _max(values: list[Any]) -> Any:
    if not values:
        raise ValueError("max called on empty list")
    return _result(max(_comparable(values)))


def _sum(values: list[Any]) -> int | float:
    if any(_class(value) != "number" for value in values):
        raise ValueError("sum works on numbers here")
    total: int | float = sum(values)
    if isinstance(total, int) and not -(2**63) <= total < 2**63:
        raise ValueError("integer overflow in sum")
    return total


def same(left: Any, right: Any) -> bool:
    """Return whether CEL holds both values for equal: 1 == 1.0, but true is no 1."""
    if _class(left) != _class(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


def _includes(values: list[Any], wanted: list[Any]) -> bool:
    return any(same(value, wanted[0]) for value in values)


def _includes_text(value: str, wanted: list[Any]) -> bool:
    return same(value, wanted[0])


def _index(values: list[Any], wanted: list[Any]) -> int:
    _arguments("indexOf", wanted, 1)
    return next((i for i, value in enumerate(values) if same(value, wanted[0])), -1)


def _last_index(values: list[Any], wanted: list[Any]) -> int:
    _arguments("lastIndexOf", wanted, 1)
    return next((i for i in reversed(range(len(values))) if same(values[i], wanted[0])), -1)


def _text_index(text: str, wanted: list[Any]) -> int:
    needle, start = _needle("indexOf", wanted, 0)
    if not needle:
        return min(start, len(text))
    return text.find(needle, start) if start < len(text) else -1


def _text_last_index(text: str, wanted: list[Any]) -> int:
    needle, start = _needle("lastIndexOf", wanted, max(len(text) - 1, 0))
    if not needle:
        return min(start, len(text)) if len(wanted) > 1 else len(text)
    return text.rfind(needle, 0, start + len(needle)) if start < len(text) else -1


def _arguments(name: str, wanted: list[Any], most: int) -> None:
    if not 1 <= len(wanted) <= most:
        raise ValueError(f"no such overload: {name} with {len(wanted)} arguments on a list")


def _needle(name: str, wanted: list[Any], start: int) -> tuple[str, int]:
    needle = wanted[0] if wanted else None
    where = wanted[1] if len(wanted) > 1 else start
    if not isinstance(needle, str) or type(where) is not int or len(wanted) > 2:
        raise ValueError(f"no such overload: {name} on a string takes a string and a number")
    if where < 0:
        raise ValueError(f"index out of range: {where}")
    return needle, where


def _range(count: int) -> list[int]:
    if count > LONGEST:
        raise ValueError(f"lists.range makes at most {LONGEST} numbers here, not {count}")
    work.spend(max(count, 0) * work.CONVERTED, f"lists.range makes too many numbers in all, {count} at last")
    return list(range(count))


FUNCTIONS = (
    Function("isSorted", ("LIST",), True, "BOOL", work.spending("isSorted", _is_sorted)),
    Function("sum", ("LIST",), True, "DYN", work.spending("sum", _sum)),
    Function("min", ("LIST",), True, "DYN", work.spending("min", _min)),
    Function("max", ("LIST",), True, "DYN", work.spending("max", _max)),
    Function("k8s_range", ("INT",), False, "LIST", _range),
    Function("k8s_includes", ("LIST", "LIST"), True, "BOOL", work.spending("includes", _includes)),
    Function("k8s_includes", ("STRING", "LIST"), True, "BOOL", _includes_text),
    Function("k8s_indexOf", ("LIST", "LIST"), True, "INT", work.spending("indexOf", _index)),
    Function("k8s_indexOf", ("STRING", "LIST"), True, "INT", _text_index),
    Function("k8s_lastIndexOf", ("LIST", "LIST"), True, "INT", work.spending("lastIndexOf", _last_index)),
    Function("k8s_lastIndexOf", ("STRING", "LIST"), True, "INT", _text_last_index),
)
