"""quantity, isQuantity and their methods: exact arithmetic on resource quantities.

Source: k8s.io/apiserver/pkg/cel/library/quantity.go. Differences: a quantity is judged by its value,
so `quantity('1000m').isInteger()` is true here (Kubernetes looks at how it was written and says
false), and `sign` works as a method too, as it is documented there, not only as a function.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from webhook.checks.cellib.function import Function
from webhook.checks.cellib.opaque import unwrap, wrap
from webhook.model import quantity as model

KIND = "quantity"
INT64 = range(-(2**63), 2**63)
# Only texts of so many characters are remembered, so that the memory for it is bounded.
SHORT = 32


def value(wrapped: Mapping[Any, Any]) -> Fraction:
    """Return the exact value of a wrapped quantity; ValueError where it is none."""
    return _fraction(unwrap(KIND, wrapped))


@functools.lru_cache(maxsize=4096)
def _fraction(content: str) -> Fraction:
    return Fraction(content)


def _wrap(number: Fraction) -> dict[int, str]:
    return wrap(KIND, f"{number.numerator}/{number.denominator}")


def _parse(text: str) -> dict[int, str]:
    return wrap(KIND, _short(text) if len(text) <= SHORT else _content(text))


@functools.lru_cache(maxsize=4096)
def _short(text: str) -> str:
    return _content(text)


def _content(text: str) -> str:
    number = Fraction(model.parse(text))
    return f"{number.numerator}/{number.denominator}"


def _is_quantity(text: str) -> bool:
    try:
        model.parse(text)
    except ValueError:
        return False
    return True


def _is_integer(wrapped: Mapping[Any, Any]) -> bool:
    number = value(wrapped)
    return number.denominator == 1 and number.numerator in INT64


def _as_integer(wrapped: Mapping[Any, Any]) -> int:
    if not _is_integer(wrapped):
        raise ValueError("cannot convert value to integer")
    return value(wrapped).numerator


def _as_float(wrapped: Mapping[Any, Any]) -> float:
    number = value(wrapped)
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def _sign(wrapped: Mapping[Any, Any]) -> int:
    number = value(wrapped)
    return (number > 0) - (number < 0)


def _add(left: Mapping[Any, Any], right: Mapping[Any, Any]) -> dict[int, str]:
    return _wrap(value(left) + value(right))


def _add_int(left: Mapping[Any, Any], right: int) -> dict[int, str]:
    return _wrap(value(left) + right)


def _sub(left: Mapping[Any, Any], right: Mapping[Any, Any]) -> dict[int, str]:
    return _wrap(value(left) - value(right))


def _sub_int(left: Mapping[Any, Any], right: int) -> dict[int, str]:
    return _wrap(value(left) - right)


FUNCTIONS = (
    Function("quantity", ("STRING",), False, "MAP", _parse),
    Function("isQuantity", ("STRING",), False, "BOOL", _is_quantity),
    Function("sign", ("MAP",), False, "INT", _sign),
    Function("sign", ("MAP",), True, "INT", _sign),
    Function("isInteger", ("MAP",), True, "BOOL", _is_integer),
    Function("asInteger", ("MAP",), True, "INT", _as_integer),
    Function("asApproximateFloat", ("MAP",), True, "DOUBLE", _as_float),
    Function("add", ("MAP", "MAP"), True, "MAP", _add),
    Function("add", ("MAP", "INT"), True, "MAP", _add_int),
    Function("sub", ("MAP", "MAP"), True, "MAP", _sub),
    Function("sub", ("MAP", "INT"), True, "MAP", _sub_int),
)
