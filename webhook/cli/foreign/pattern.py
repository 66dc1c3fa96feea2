"""Kyverno's `validate.pattern` as CEL.

A pattern is a tree laid over an object; https://kyverno.io/docs/policy-types/cluster-policy/validate/ has the meaning,
and pkg/engine/validate and pkg/engine/pattern of kyverno/kyverno what the pages leave open. A part of a pattern is
kept, fails, or does not apply (*skips*): a conditional anchor that is not met takes its list element, or the whole
rule, out. What Kyverno leaves to the order of Go's maps, and what would need more than this, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from webhook.cli.foreign.outcome import Refusal
from webhook.cli.foreign.words import FALSE, TRUE, both, either, glob, has, literal, member, negated, quote
from webhook.model import pointer as pointers
from webhook.model import quantity
from webhook.model.glob import compile_globs

_ANCHOR = re.compile(r"([+<=X^]?)\((.+)\)\Z")
_OPERATORS = (">=", "<=", ">", "<", "!")
_RANGE = re.compile(r"[-+|]?\d+(?:\.\d+)?[A-Za-z]*!?-[-+|]?\d+(?:\.\d+)?[A-Za-z]*\Z")
_UNIT = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h)"
_DURATION = re.compile(rf"[-+]?(?:{_UNIT})+\Z")
_COMPARED = {"": "==", "!": "!=", ">": ">", "<": "<", ">=": ">=", "<=": "<="}
_INTEGER = frozenset("0123456789-*?")
_FLOAT = frozenset("0123456789+-.E*?")
OTHERS = {
    "+": "the anchor +() is for mutations",
    "<": "the global anchor <() takes the whole object out by one of its parts",
    "^": "the existence anchor ^() is not translated",
}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a pattern over a value: CEL for when it is kept, and for when it does not apply."""

    ok: str
    skip: str = FALSE

    @property
    def kept(self) -> str:
        """Return CEL for when nothing is wrong with it."""
        return either((self.ok, self.skip))


def translate(pattern: Any, root: str, given: Mapping[str, Any], pointer: str) -> str:
    """Return CEL that is true where an object keeps a pattern, or the pattern does not apply to it.

    `root` is the word for the object, `given` those of its members that are always maps. Raises Refusal with the
    reason, and the place below `pointer`.
    """
    if not isinstance(pattern, dict) or not pattern:
        raise Refusal("the pattern is no mapping with keys", pointer)
    return _map(pattern, root, pointer, 1, given).kept


def any_of(patterns: list[Any], root: str, given: Mapping[str, Any], pointer: str) -> str:
    """Return CEL for `anyPattern`: one of the patterns is kept, or none of them applies."""
    parts = []
    for number, pattern in enumerate(patterns):
        place = pointers.join(pointer, number)
        if not isinstance(pattern, dict) or not pattern:
            raise Refusal("the pattern is no mapping with keys", place)
        parts.append(_map(pattern, root, place, 1, given))
    return either((*(part.ok for part in parts), _bracketed(both(part.skip for part in parts))))


def _bracketed(text: str) -> str:
    return f"({text})" if "&&" in text else text


def _node(pattern: Any, value: str, pointer: str, depth: int) -> Part:
    """Return what a pattern asks of a value that is there."""
    if isinstance(pattern, dict):
        inner = _map(pattern, value, pointer, depth, {})
        is_map = f"type({value}) == map"
        return Part(both((is_map, inner.ok)), _bracketed(both((is_map, inner.skip))))
    if isinstance(pattern, list):
        return _list(pattern, value, pointer, depth)
    each = f"e{depth}"
    return Part(f"(type({value}) == list ? {value} : [{value}]).all({each}, {_scalar(pattern, each, pointer)})")


def _list(pattern: list[Any], value: str, pointer: str, depth: int) -> Part:
    if len(pattern) != 1 or isinstance(pattern[0], list):
        raise Refusal("a list in a pattern has to have one element, which is no list", pointer)
    element, place, each = pattern[0], pointers.join(pointer, 0), f"e{depth}"
    is_list = f"type({value}) == list"
    if not isinstance(element, dict):
        return Part(f"{is_list} && {value}.all({each}, {_scalar(element, each, place)})")
    part = _node(element, each, place, depth + 1)
    if part.skip == FALSE:
        return Part(f"{is_list} && {value}.all({each}, {part.ok})")
    applies = f"({value} == [] || {value}.exists({each}, {part.ok}))"
    nowhere = f"({is_list} && {value} != [] && {value}.all({each}, {part.skip}))"
    return Part(f"{is_list} && {value}.all({each}, {part.kept}) && {applies}", nowhere)


def _map(pattern: dict[str, Any], value: str, pointer: str, depth: int, given: Mapping[str, Any]) -> Part:
    """Return what a mapping asks: its anchors first, then its keys, and the first that is not kept decides."""
    parts = []
    for key in _ordered(pattern, pointer):
        parts.append(_entry(key, pattern[key], value, pointer, depth, given))
    skip = FALSE
    for part in reversed(parts):
        skip = either((part.skip, _bracketed(both((part.ok, skip)))))
    return Part(both(part.ok for part in parts), skip)


def _ordered(pattern: dict[str, Any], pointer: str) -> Iterator[str]:
    """Yield the keys in the order in which Kyverno asks them, which says whether a rule fails or does not apply."""
    anchors = [key for key in sorted(pattern) if _ANCHOR.match(key)]
    for key in pattern:
        match = _ANCHOR.match(key)
        if match and match[1] in OTHERS:
            raise Refusal(OTHERS[match[1]], pointers.join(pointer, key))
        if "*" in key or "?" in key or "{{" in key or "$(" in key:
            raise Refusal(f"the key {key} is a wildcard or has a variable in it", pointers.join(pointer, key))
    if len(anchors) > 1 and any(_conditions(key, pattern[key]) for key in anchors):
        raise Refusal("anchors beside a conditional one have no order in Kyverno, so what counts is chance", pointer)
    yield from anchors
    plain = [key for key in sorted(pattern) if key not in anchors]
    nested = [key for key in plain if any(_ANCHOR.match(inner) for inner in _keys(pattern[key]))]
    yield from reversed(nested)
    yield from (key for key in plain if key not in nested)


def _conditions(key: str, pattern: Any) -> bool:
    return any(inner.startswith("(") and _ANCHOR.match(inner) for inner in (key, *_keys(pattern)))


def _keys(pattern: Any) -> Iterator[str]:
    """Yield the keys at all depths of a pattern."""
    if isinstance(pattern, dict):
        yield from pattern
    inside = pattern.values() if isinstance(pattern, dict) else pattern if isinstance(pattern, list) else ()
    for item in inside:
        yield from _keys(item)


def _entry(key: str, pattern: Any, value: str, pointer: str, depth: int, given: Mapping[str, Any]) -> Part:
    anchor = _ANCHOR.match(key)
    kind, name = (anchor[1] or "()", anchor[2]) if anchor else ("", key)
    there, inside, place = has(value, name), member(value, name), pointers.join(pointer, key)
    if kind == "X":
        return Part(negated(there) if " " in there else f"!{there}")
    if not kind and pattern == "*":
        return Part(TRUE if name in given else there)
    if name in given:
        if not isinstance(pattern, dict):
            raise Refusal(f"{name} is a mapping, and the pattern is none", place)
        part, there = _map(pattern, inside, place, depth, {}), TRUE
    else:
        part = _node(pattern, inside, place, depth)
    ok = both((there, part.ok))
    if kind == "()":
        return Part(ok, negated(ok))
    otherwise = FALSE if there == TRUE else negated(there) if " " in there else f"!{there}"
    if kind == "=":
        return Part(either((otherwise, _bracketed(part.ok))), _bracketed(both((there, part.skip))))
    missing = either((otherwise, _bracketed(part.ok))) if _takes_nothing(pattern) else ok
    return Part(missing, _bracketed(both((there, part.skip))))


def _scalar(pattern: Any, value: str, pointer: str) -> str:
    """Return what a scalar asks of a value that is no list."""
    if isinstance(pattern, bool):
        return f"{value} == {literal(pattern)}"
    if isinstance(pattern, int):
        written = rf"^-0*{-pattern}$" if pattern < 0 else rf"^[+]?0*{pattern}$" if pattern else "^[-+]?0+$"
        number = f"type({value}) in [int, double] && {value} == {pattern}"
        return f"({number} || type({value}) == string && {value}.matches({quote(written)}))"
    if not isinstance(pattern, str):
        raise Refusal(f"a pattern of {'null' if pattern is None else 'a fraction'} is not translated", pointer)
    if "{{" in pattern or "$(" in pattern:
        raise Refusal(f"{pattern!r} has a variable in it, which is computed from the request", pointer)
    ways = []
    for way in pattern.split("|"):
        ways.append(_bracketed(both(_condition(c.strip(" "), value, pointer) for c in way.split("&"))))
    if any(mark in pattern for mark in "|&!<> ?") and pattern != "?*":
        ways.append(f"{value} == {quote(pattern)}")  # Kyverno looks first whether the value is the pattern's text
    return either(ways)


def _operator(condition: str) -> tuple[str, str]:
    operator = next((op for op in _OPERATORS if condition.startswith(op)), "") if len(condition) > 1 else ""
    return operator, condition[len(operator) :].strip()


def _number(operand: str) -> Fraction | None:
    try:
        return quantity.parse(operand)
    except ValueError:
        return None


def _condition(condition: str, value: str, pointer: str) -> str:
    operator, operand = _operator(condition)
    number = _number(operand)
    if _RANGE.match(condition):
        raise Refusal(f"the range {condition!r} is not translated; write it with >= and <=", pointer)
    if _DURATION.match(operand):
        raise Refusal(f"{operand!r} is read as a duration and as a quantity, whichever fits", pointer)
    if operator in ("", "!"):
        text = _text(operator, operand, value, pointer)
        return text if number is None else either((*_quantities(operator, operand, value), text))
    if number is None:
        return FALSE  # texts are not compared by size
    return either(_quantities(operator, operand, value))


def _quantities(operator: str, operand: str, value: str) -> Iterator[str]:
    compared = f"quantity(string({value})).compareTo(quantity({quote(operand)})) {_COMPARED[operator]} 0"
    yield f"type({value}) in [string, int, double] && isQuantity(string({value})) && {compared}"
    if operand.lstrip("+-") == "0":  # the one text that is a quantity and a duration of Go's
        yield from (f"type({value}) == string && {sign}" for sign in _signs(operator, value))


def _signs(operator: str, value: str) -> Iterator[str]:
    def written(sign: str, nothing: bool) -> str:
        some = f"{value}.matches('[1-9]')"
        return f"{value}.matches({quote(f'^{sign}(?:{_UNIT})+$')}) && {'!' if nothing else ''}{some}"

    if operator in ("", ">=", "<="):
        yield written("[-+]?", True)
    if operator in (">", ">=", "!"):
        yield written("[+]?", False)
    if operator in ("<", "<=", "!"):
        yield written("-", False)


def _text(operator: str, operand: str, value: str, pointer: str) -> str:
    """Return the comparison of a scalar as text; a number in Go's way of writing it, a truth value as true or false."""
    match = compile_globs((operand,))
    whole, wild = operand in ("*", "?*"), "*" in operand or "?" in operand
    if not whole and set(operand) <= _FLOAT and (wild or "E" in operand):
        raise Refusal(f"{operand!r} may match numbers by the way in which Go writes them", pointer)
    fits = [f"type({value}) == string && {glob(value, operand)}"]
    fits += [f"{value} == {literal(truth)}" for truth in (True, False) if match(literal(truth))]
    if operand and set(operand) <= _INTEGER and not whole:
        fits.append(f"type({value}) == int && string({value}) == {quote(operand)}")
    if whole:
        fits = [f"!(type({value}) in [map, list])" + (f" && {value} != ''" if operand == "?*" else "")]
    if operator == "":
        return either(fits)
    scalar = f"!(type({value}) in [map, list])"
    return f"{scalar} && !({' || '.join(fits)})"


def _takes_nothing(pattern: Any) -> bool:
    """Say whether a key that is not there keeps its pattern: as a quantity, nothing counts as 0."""
    if not isinstance(pattern, str):
        return False
    return any(all(_zero(c.strip(" ")) for c in way.split("&")) for way in pattern.split("|"))


def _zero(condition: str) -> bool:
    operator, operand = _operator(condition)
    number = _number(operand)
    if number is None:
        return False
    signs = {"": number == 0, "!": number != 0, ">": number < 0, "<": number > 0}
    signs |= {">=": number <= 0, "<=": number >= 0}
    return signs[operator]
