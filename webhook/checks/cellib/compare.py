"""isLessThan, isGreaterThan and compareTo, which quantities and semantic versions share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webhook.checks.cellib import quantity, semver
from webhook.checks.cellib.function import Function
from webhook.checks.cellib.opaque import kind


def _compare(left: Mapping[Any, Any], right: Mapping[Any, Any]) -> int:
    if kind(left) == semver.KIND:
        return _order(semver.order(left), semver.order(right))
    return _order(quantity.value(left), quantity.value(right))


def _order(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


def _is_less_than(left: Mapping[Any, Any], right: Mapping[Any, Any]) -> bool:
    return _compare(left, right) < 0


def _is_greater_than(left: Mapping[Any, Any], right: Mapping[Any, Any]) -> bool:
    return _compare(left, right) > 0


FUNCTIONS = (
    Function("isLessThan", ("MAP", "MAP"), True, "BOOL", _is_less_than),
    Function("isGreaterThan", ("MAP", "MAP"), True, "BOOL", _is_greater_than),
    Function("compareTo", ("MAP", "MAP"), True, "INT", _compare),
)
