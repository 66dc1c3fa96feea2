"""The CEL made of a Kyverno pattern says of every object what Kyverno says.

`Kyverno` below is a small evaluator of patterns, written after https://kyverno.io/docs/policy-types/cluster-policy/validate/
and pkg/engine/validate, pkg/engine/anchor and pkg/engine/pattern of kyverno/kyverno, which walks pattern and object
together, as they do; the translation never sees an object.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from webhook.checks import cel
from webhook.cli.foreign.outcome import Refusal
from webhook.cli.foreign.pattern import any_of, translate
from webhook.model import quantity

ABSENT = object()
DURATION = re.compile(r"([-+]?)((?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|ms|s|m|h))+\Z")


class Failed(Exception):
    """A part of the pattern is not kept."""


class Skipped(Exception):
    """A condition is not met, so that the rule, or the element, is left out."""


def walk(pattern: Any, value: Any) -> None:
    if isinstance(pattern, dict):
        if not isinstance(value, dict):
            raise Failed
        _mapping(pattern, value)
    elif isinstance(pattern, list):
        if not isinstance(value, list):
            raise Failed
        _sequence(pattern[0], value)
    else:
        for item in value if isinstance(value, list) else [value]:
            if not scalar(pattern, item):
                raise Failed


def _sequence(pattern: Any, values: list[Any]) -> None:
    if not isinstance(pattern, dict):
        walk(pattern, values)
        return
    applied = skipped = 0
    for value in values:
        try:
            walk(pattern, value)
            applied += 1
        except Skipped:
            skipped += 1
    if skipped and not applied:
        raise Skipped


def _mapping(pattern: dict[str, Any], value: dict[str, Any]) -> None:
    anchored = [key for key in pattern if key.endswith(")")]
    for key in anchored:
        kind, name = key[: key.index("(")], key[key.index("(") + 1 : -1]
        if kind == "X":
            if name in value:
                raise Failed
        elif kind == "=":
            if name in value:
                walk(pattern[key], value[name])
        else:
            if name not in value:
                raise Skipped
            try:
                walk(pattern[key], value[name])
            except Failed:
                raise Skipped from None
    order: list[str] = []
    for key in sorted(pattern.keys() - set(anchored)):
        order.insert(0 if _nested(pattern[key]) else len(order), key)
    for key in order:
        if pattern[key] == "*":
            if key not in value:
                raise Failed
        else:
            walk(pattern[key], value.get(key, ABSENT))


def _nested(pattern: Any) -> bool:
    if isinstance(pattern, dict):
        return any(key.endswith(")") or _nested(item) for key, item in pattern.items())
    return isinstance(pattern, list) and any(_nested(item) for item in pattern)


def scalar(pattern: Any, value: Any) -> bool:
    if isinstance(value, dict | list):
        return False
    if isinstance(pattern, bool):
        return isinstance(value, bool) and value == pattern
    if isinstance(pattern, int):
        if isinstance(value, str):
            return re.fullmatch(r"[-+]?[0-9]+", value) is not None and int(value) == pattern
        return isinstance(value, int | float) and not isinstance(value, bool) and value == pattern
    if value == pattern:
        return True
    return any(all(single(c.strip(" "), value) for c in way.split("&")) for way in pattern.split("|"))


def single(condition: str, value: Any) -> bool:
    operator = next((o for o in (">=", "<=", ">", "<", "!") if condition.startswith(o)), "")
    if len(condition) < 2:
        operator = ""
    operand = condition[len(operator) :].strip()
    return (
        sized(operator, _duration(operand), _duration(value))
        or sized(operator, _quantity(operand), _quantity(value))
        or (operator in ("", "!") and texts(operator, operand, value))
    )


def sized(operator: str, wanted: Any, found: Any) -> bool:
    if wanted is None or found is None:
        return False
    return {
        "": found == wanted,
        "!": found != wanted,
        ">": found > wanted,
        "<": found < wanted,
        ">=": found >= wanted,
        "<=": found <= wanted,
    }[operator]


def texts(operator: str, operand: str, value: Any) -> bool:
    if value is ABSENT:
        return False
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, float):
        digits = Decimal(repr(value)).normalize()
        text = f"{digits:E}"
    else:
        text = str(value)
    expression = "".join({"*": ".*", "?": "."}.get(char) or re.escape(char) for char in operand)
    return (re.fullmatch(expression, text, re.DOTALL) is not None) == (operator == "")


def _as_text(value: Any) -> str | None:
    if value is ABSENT:
        return "0"
    if isinstance(value, bool):
        return None
    return f"{value:f}" if isinstance(value, float) else str(value)


def _quantity(value: Any) -> Fraction | None:
    text = _as_text(value)
    try:
        return None if text is None else quantity.parse(text)
    except ValueError:
        return None


def _duration(value: Any) -> Fraction | None:
    text = _as_text(value)
    if text is not None and re.fullmatch("[-+]?0", text):
        return Fraction(0)
    if text is None or not DURATION.match(text):
        return None
    sizes = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
    parts = re.findall(r"([0-9.]+)(ns|us|ms|s|m|h)", text)
    total = sum(Fraction(number) * sizes[unit] for number, unit in parts)
    return -total if text.startswith("-") else Fraction(total)


def kyverno(pattern: Any, value: Any) -> bool:
    """Say whether an object is let through: the pattern is kept, or does not apply."""
    try:
        walk(pattern, value)
    except Failed:
        return False
    except Skipped:
        return True
    return True


def ours(pattern: Any, value: Any) -> bool:
    text = translate(pattern, "object", {}, "")
    return bool(cel.compile(text, wants="bool")(cel.activation({"object": value})))


IMAGES = {"containers": [{"image": "!*:latest"}]}
TABLE = [
    (IMAGES, {"containers": [{"image": "a:1"}, {"image": "b"}]}, True),
    (IMAGES, {"containers": [{"image": "a:1"}, {"image": "b:latest"}]}, False),
    (IMAGES, {"containers": [{"name": "a"}]}, False),
    (IMAGES, {"containers": []}, True),
    (IMAGES, {}, False),
    ({"=(a)": {"b": False}}, {}, True),
    ({"=(a)": {"b": False}}, {"a": {}}, False),
    ({"=(a)": {"=(b)": False}}, {"a": {"b": True}}, False),
    ({"volumes": [{"X(hostPath)": "null"}]}, {"volumes": [{"emptyDir": {}}]}, True),
    ({"volumes": [{"X(hostPath)": "null"}]}, {"volumes": [{"emptyDir": {}}, {"hostPath": {}}]}, False),
    # the element whose condition is not met is left out; the others are judged
    ({"c": [{"(name)": "a*", "image": "?*"}]}, {"c": [{"name": "b"}, {"name": "a1"}]}, False),
    ({"c": [{"(name)": "a*", "image": "?*"}]}, {"c": [{"name": "b"}, {"name": "a1", "image": "x"}]}, True),
    ({"c": [{"(name)": "a*", "image": "?*"}]}, {"c": [{"name": "b"}]}, True),
    # a rule that does not apply takes what comes behind it out too, and not what came before
    ({"(kind)": "a", "b": 1}, {"kind": "b", "b": 2}, True),
    ({"a": {"(k)": "v"}, "b": 1}, {"a": {}, "b": 2}, True),
    ({"b": 1, "=(z)": 1}, {"z": 2, "b": 1}, False),
    ({"m": "?*"}, {"m": ""}, False),
    ({"m": "?*"}, {"m": 0}, True),
    ({"m": "*"}, {}, False),
    ({"m": "*"}, {"m": {}}, True),
    ({"m": "a* | b"}, {"m": "b"}, True),
    ({"m": "!a & !b"}, {"m": "b"}, False),
    ({"m": "<=1Gi"}, {"m": "1024Mi"}, True),
    ({"m": "<=1Gi"}, {"m": "1025Mi"}, False),
    ({"m": "<=1Gi"}, {}, True),  # nothing counts as 0
    ({"m": ">0"}, {}, False),
    ({"m": ">0"}, {"m": 1}, True),
    ({"m": ">0"}, {"m": "5m"}, True),
    ({"m": ">0"}, {"m": "1h"}, True),
    ({"m": 1}, {"m": "01"}, True),
    ({"m": "1"}, {"m": 1.0}, True),
    ({"m": "true"}, {"m": True}, True),
    ({"m": True}, {"m": "true"}, False),
    ({"m": "a"}, {"m": ["a", "b"]}, False),
    ({"m": ["a|b"]}, {"m": ["a", "b"]}, True),
    ({"m": ["a"]}, {"m": "a"}, False),
    ({"labels": {"app.kubernetes.io/name": "?*"}}, {"labels": {"app.kubernetes.io/name": "x"}}, True),
    ({"labels": {"app.kubernetes.io/name": "?*"}}, {"labels": {}}, False),
    ({"in": {"for": "x"}}, {"in": {"for": "x"}}, True),
    ({"m": "it's \\ a\nlong"}, {"m": "it's \\ a\nlong"}, True),
    ({"m": "a.c"}, {"m": "abc"}, False),
    ({"m": "a.*c?"}, {"m": "a.bbc1"}, True),
]


@pytest.mark.parametrize(("pattern", "value", "kept"), TABLE)
def test_the_documented_meaning_of_patterns(pattern: Any, value: Any, kept: bool) -> None:
    assert (ours(pattern, value), kyverno(pattern, value)) == (kept, kept)


KEYS = ("a", "b", "c")
SCALARS = st.sampled_from(
    [
        *("?*", "*", "x", "x*", "*x", "*x*", "!x", "!x*", "x|y", "!x & !y*", ">1", "<=2Mi", ">=1k | x", "!1", "1"),
        *(True, False, 0, 1, -2, "true", "!true", "0", ">0", "<0", "!0", "<=0", "x?y", "", ">x", "!?*", "x | >3"),
    ]
)
VALUES = st.sampled_from(
    [
        *("", "x", "xy", "yx", "y", "xzy", "1", "2Mi", "1k", "3", "01", "true", "false", "!x", "x|y", "-1", "0"),
        *(True, False, 0, 1, 2, -2, 1.0, 2.5, 4, 2097153, "1h", "-5s", "0s", "5m", "1.0", "x | >3"),
    ]
)


def patterns() -> st.SearchStrategy[Any]:
    def inside(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        keys = st.sampled_from([*KEYS, *(f"{anchor}({key})" for anchor in ("", "=", "X") for key in KEYS)])
        maps = st.dictionaries(keys, inner, min_size=1, max_size=3)
        return st.one_of(maps, maps.map(lambda one: [one]), SCALARS.map(lambda one: [one]))

    tree = st.recursive(SCALARS, inside, max_leaves=6)
    return st.dictionaries(
        st.sampled_from([*KEYS, *(f"{anchor}({key})" for anchor in ("", "=", "X") for key in KEYS)]),
        tree,
        min_size=1,
        max_size=3,
    )


def objects() -> st.SearchStrategy[Any]:
    def inside(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        maps = st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
        return st.one_of(maps, st.lists(maps, max_size=3), st.lists(VALUES, max_size=2))

    return st.dictionaries(st.sampled_from(KEYS), st.recursive(VALUES, inside, max_leaves=8), max_size=3)


@settings(max_examples=200)
@given(patterns(), st.lists(objects(), min_size=1, max_size=6))
@example({"a": [{"(b)": "x", "c": [{"(a)": "x", "b": "y"}]}]}, [{"a": [{"b": "x", "c": [{"a": "y"}]}]}])
def test_any_pattern_that_is_taken_says_what_kyverno_says(pattern: Any, values: list[Any]) -> None:
    try:
        program = cel.compile(translate(pattern, "object", {}, ""), wants="bool")
    except Refusal:
        return
    for value in values:
        assert program(cel.activation({"object": value})) is kyverno(pattern, value), value


def shaped(pattern: Any) -> st.SearchStrategy[Any]:
    """Make objects of the shape of a pattern, so that most of it is looked at."""
    if isinstance(pattern, dict):
        names = {re.sub(r"^.*\((.+)\)$", r"\1", key): item for key, item in pattern.items()}
        return st.fixed_dictionaries({}, optional={name: shaped(item) for name, item in names.items()})
    if isinstance(pattern, list):
        return st.lists(shaped(pattern[0]), max_size=3)
    return VALUES


@settings(max_examples=200)
@given(st.data())
def test_any_pattern_says_what_kyverno_says_of_objects_of_its_shape(data: st.DataObject) -> None:
    pattern = data.draw(patterns())
    try:
        program = cel.compile(translate(pattern, "object", {}, ""), wants="bool")
    except Refusal:
        return
    for _ in range(4):
        value = data.draw(shaped(pattern))
        assert program(cel.activation({"object": value})) is kyverno(pattern, value), value


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ({"^(a)": [{"b": "x"}]}, "existence anchor"),
        ({"<(a)": "x"}, "global anchor"),
        ({"+(a)": "x"}, "mutations"),
        ({"a": "{{ request.object.metadata.name }}"}, "variable"),
        ({"a": "$(./../b)"}, "variable"),
        ({"a*": "x"}, "wildcard"),
        ({"a": "1-5"}, "range"),
        ({"a": "1!-5"}, "range"),
        ({"a": "<=5m"}, "duration"),
        ({"a": 1.5}, "fraction"),
        ({"a": None}, "null"),
        ({"a": "1*"}, "Go writes"),
        ({"a": ["x", "y"]}, "one element"),
        ({"a": []}, "one element"),
        ({"(a)": "x", "=(b)": "y"}, "chance"),
        ({"=(a)": {"(c)": "x"}, "X(b)": "null"}, "chance"),
        ({}, "no mapping"),
        ("x", "no mapping"),
    ],
)
def test_what_cannot_be_said_exactly_is_refused_with_the_reason(pattern: Any, reason: str) -> None:
    with pytest.raises(Refusal, match=reason):
        translate(pattern, "object", {}, "/spec")


def test_of_several_patterns_one_is_enough() -> None:
    text = any_of([{"a": "x"}, {"b": "y"}], "object", {}, "")
    program = cel.compile(text, wants="bool")
    said = [program(cel.activation({"object": value})) for value in ({"a": "x"}, {"b": "y"}, {"a": "y"})]
    assert said == [True, True, False]


def test_several_patterns_let_an_object_through_where_none_of_them_applies() -> None:
    text = any_of([{"(a)": "x", "b": 1}, {"(a)": "y", "b": 2}], "object", {}, "")
    program = cel.compile(text, wants="bool")
    values = ({"a": "z"}, {"a": "x", "b": 1}, {"a": "x", "b": 2})
    assert [program(cel.activation({"object": value})) for value in values] == [True, True, False]
