"""An evaluation cannot be stopped, so that none begins what takes seconds, whatever object somebody sends."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from typing import Any

import pytest

from webhook.checks import cel
from webhook.checks.cellib import guard, rewrite, wording
from webhook.checks.cellib.text import apply, scan
from webhook.errors import RuleError

MAPS = [{"name": f"NAME_{number}", "value": "v"} for number in range(9000)]
LARGE = {
    "maps": MAPS,
    "texts": [one["name"] for one in MAPS],
    "numbers": list(range(9000)),
    "halves": [number + 0.5 for number in range(9000)],
    "lists": [[number] for number in range(9000)],
    "wide": [[0] * 1500 + [number] for number in range(1000)],
    "table": {f"k{number}": number for number in range(100_000)},
    "other": {f"k{number}": number for number in range(100_000)},
    "text": "a" * 3_000_000,
    "prices": {f"k{number}": number for number in range(9000)},
    "ten": list(range(10)),
    "thousand": list(range(1000)),
}
TAKES = (
    ("object.maps.distinct().size() > 0", "9000 elements are too many for distinct of maps"),
    ("object.halves.distinct().size() > 0", "9000 elements are too many for distinct"),
    ("object.lists.distinct().size() > 0", "9000 elements are too many for distinct"),
    ("object.halves.sort().reverse().distinct().size() > 0", "9000 elements are too many for distinct"),
    ("object.wide.distinct().size() > 0", "1000 elements are too many for distinct"),
    ("object.thousand.map(n, object.lists).flatten() == []", "1000 elements are too many for a loop"),
    ("sets.contains(object.maps, object.maps)", "9000 and 9000 elements are too many for sets"),
    ("sets.intersects(object.maps, object.texts)", "9000 and 9000 elements are too many for sets"),
    ("!sets.equivalent(object.texts, object.texts)", "9000 and 9000 elements are too many for sets"),
    ("object.maps.all(e, e in object.maps)", "9000 elements are too many for a loop"),
    ("object.maps.exists(e, !(e in object['maps']))", "9000 elements are too many for a loop"),
    ("object.maps.exists_one(e, object.maps[0] in object.maps && false)", "9000 elements are too many for a loop"),
    ("object.maps.all(i, e, e in object.maps)", "9000 elements are too many for a loop"),
    ("object.thousand.all(e, object.table == object.other)", "1000 elements are too many for a loop"),
    ("object.ten.all(a, object.ten.all(b, object.table == object.other))", "10 elements are too many for a loop"),
    ("object.ten.all(a, [1, 2, 3].all(b, [1, 2, 3].all(c, object.table == object.other)))", "10 elements are too many"),
    ("cel.bind(m, object.maps, object.maps.all(e, e in m))", "9000 elements are too many for a loop"),
    ("[object.maps].all(m, m.all(e, e in m))", "9000 elements are too many for a loop"),
    ("object.numbers.all(e, object.text.size() > e)", "9000 elements are too many for a loop"),
    ("object.numbers.all(e, size(object.text) > e)", "9000 elements are too many for a loop"),
    ("object.numbers.all(e, !object.text.matches('b$'))", "9000 elements are too many for a loop"),
    ("object.numbers.all(e, (object.text + 'a') != '')", "9000 elements are too many for a loop"),
    ("object.thousand.map(e, object.text + 'a').size() > 0", "1000 elements are too many for a loop"),
    ("object.thousand.all(e, object.numbers.sum() > 0)", "1000 elements are too many for a loop"),
    ("object.thousand.all(e, object.texts.indexOf('x') < 0)", "1000 elements are too many for a loop"),
    ("[1, 2, 3].all(a, object.thousand.all(b, lists.range(1000).sum() > 0))", "lists.range makes too many numbers"),
    ("object.text.split('').size() > 0", "3000000 characters is too long for split and replace"),
    ("object.text.replace('a', 'bbbbbbbbbb') != ''", "3000000 characters is too long for split and replace"),
    ("object.text.trim().replace('a', 'bbbbbbbbbb').split('') != []", "3000000 characters is too long"),
    (
        "lists.range(1000).map(a, lists.range(1000).map(b, lists.range(1000))).size() > 0",
        "lists.range makes too many numbers",
    ),
)
GOES_ON = (
    "object.texts.distinct().size() == 9000",
    "object.numbers.distinct().size() == 9000",
    "object.maps.all(e, e.name.startsWith('NAME') && e == e && e.name in [e.name])",
    "object.prices.all(k, object.prices[k] >= 0)",
    "object.texts.all(e, e in object.table || true)",
    "object.numbers.all(e, e < object.maps.size() && e < size(object.maps))",
    "object.numbers.all(e, object.maps[e].name != '')",
    "object.texts.all(e, e != object.maps[0].value)",
    "object.texts.all(e, !has(object.maps.x) || true)",
    "object.ten.all(a, object.ten.all(b, object.maps[a] != object.maps[b] || a == b))",
    "object.thousand.all(n, !(string(n) in ['a', 'b']))",
    "lists.range(1000).map(n, n).sum() > 0",
    "sets.contains(object.thousand, object.ten)",
)


def test_the_words_that_may_be_large_are_those_of_the_rules() -> None:
    assert guard.ROOTS == cel.VARIABLES


@pytest.mark.parametrize(("text", "said"), TAKES)
def test_what_takes_seconds_is_an_error_of_the_rule(text: str, said: str) -> None:
    program = cel.compile(text, wants="bool")
    activation = cel.activation({"object": LARGE})
    cel.compile("object.ten", wants="any")(activation)
    began = time.process_time()
    with pytest.raises(RuleError, match=said):
        program(activation)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("text", GOES_ON)
def test_what_takes_little_goes_through_long_lists(text: str) -> None:
    assert cel.compile(text, wants="bool")(cel.activation({"object": LARGE})) is True


def test_a_variable_is_weighed_too() -> None:
    program = cel.compile("variables.m.all(e, e in variables.m)", variables=[("m", "object.maps")], wants="bool")
    with pytest.raises(RuleError, match="9000 elements are too many for a loop"):
        program(cel.activation({"object": LARGE}))


def test_an_optional_value_in_a_variable_is_not_weighed() -> None:
    """Python that is handed one ends the process."""
    program = cel.compile(
        "object.ten.all(x, variables.o[0].value() != variables.p.size() && variables.p != variables.o)",
        variables=[("o", "dyn([object.?ten])"), ("p", "object.ten.all(x, x in variables.o) ? [] : variables.o")],
        wants="bool",
    )
    assert program(cel.activation({"object": LARGE})) is False


def test_programs_that_are_asked_together_share_the_work_of_one_and_the_next_begins_anew() -> None:
    text = "object.thousand.all(e, !('x' in object.thousand))"
    program = cel.compile(text, wants="bool")
    activation = cel.activation({"object": LARGE})
    assert [program(activation) for _ in range(20)] == [True] * 20
    (several,) = cel.together([cel.compile(f"{text} && {number} > 0", wants="bool") for number in range(1, 20)])
    with pytest.raises(RuleError, match="1000 elements are too many for a loop"):
        several(activation)
    assert program(activation) is True


def test_the_work_of_small_loops_inside_others_is_added_up() -> None:
    many = [{"few": list(range(20))} for _ in range(400)]
    program = cel.compile("object.many.all(e, e.few.all(n, !(n in object.texts)))", wants="bool")
    with pytest.raises(RuleError, match="too many for a loop|too much in all"):
        program(cel.activation({"object": {"many": many, "texts": LARGE["texts"]}}))


def test_loops_inside_loops_are_looked_through_in_no_time() -> None:
    inside = "true"
    for depth in range(25):
        inside = f"object.ten.all(a{depth}, {inside} && object.ten == object.ten)"
    began = time.process_time()
    with pytest.raises(cel.CelError, match="nested too deeply"):
        cel.compile(inside, wants="bool")
    made = "object.ten"
    for depth in range(12):
        made = f"[{made}].filter(a{depth}, object.ten != [])"
    with pytest.raises(cel.CelError, match="made of lists inside one another too often"):
        cel.compile(f"{made} == []", wants="bool")
    assert time.process_time() - began < 2


SHAPES = (
    "object.a.all(x, x != object['b'][0] || x in object.b[1]['a'])",
    "object.a.exists(x, x == object.b[?0].orValue(1) || x == object[?'c'].orValue(1))",
    "object.a.exists(x, x == object.?b[?0].?a.orValue(1) || x in object.b.?a.?b.orValue([]))",
    "object.a.all(x, x in object.b)",
    "object.a.exists(x, x == object.c.d)",
    "object.a.filter(x, x in object.b.e).size() > 0",
    "object.a.all(x, object.b.exists(y, x == y))",
    "object.b.all(k, object.a.exists(x, object.b[k] == x))",
    "has(object.b) && object.a.all(x, x in object.b)",
    "object.a.all(x, !has(object.c.d) || x in object.c.d)",
    "object.a.exists(x, x in object.?c.?d.orValue([]))",
    "object.a.distinct().size() == object.a.size()",
    "sets.intersects(object.a, object.b)",
    "object.a.map(x, object.c).distinct() == [object.c]",
    "object.c.d.split(',').all(x, x in object.a)",
    "object.a.all(x, x.d.replace('a', 'b') != object.c.d)",
    "object.a.all(i, x, i < 3 || x != object.b[0])",
    "object.a.sortBy(x, x)[0] in object.b",
    "cel.bind(o, object.?c, object.a.all(x, o.hasValue() && x != o.value()))",
    "object.a.all(x, type(x) == type(object.b) || type(x) == string)",
    "object.a.all(x, object.b.all(y, object.c.all(z, y in object.c || x == object.b)))",
    "object.a.map(x, object.?b).distinct().size() == 1",
    "sets.contains(object.a.map(x, optional.of(x)), [optional.of(1)])",
    "[object.?a, object.?b].all(o, object.a.all(x, o.hasValue() && o.value() != x))",
    "cel.bind(o, [object.?c], object.a.all(x, o[0].hasValue() && o.map(x, x).distinct() == o))",
    "object.a.transformList(i, x, x == object.b).size() == object.a.indexOf(object.c)",
)


def _value(chance: random.Random, depth: int) -> Any:
    kind = chance.randrange(7 if depth else 5)
    if kind == 5:
        return [_value(chance, depth - 1) for _ in range(chance.choice((0, 1, 3, 9, 12, 40)))]
    if kind == 6:
        return {key: _value(chance, depth - 1) for key in chance.sample("abcdefghijkl", chance.choice((0, 1, 3, 10)))}
    return (None, True, chance.randrange(3), chance.choice("ab,"), 1.5)[kind]


@pytest.mark.parametrize("text", SHAPES)
def test_the_questions_change_no_verdict_of_what_is_small(text: str) -> None:
    chance = random.Random(text)
    asked = cel.compile(text, wants="bool")
    plain = cel._environment((), ()).compile(apply(text, rewrite.library_edits(scan(text))))
    assert asked.expression is not plain
    for _ in range(300):
        made: Mapping[str, Any] = {key: _value(chance, 2) for key in chance.sample("abc", chance.choice((2, 3, 3, 3)))}
        activation = cel.activation({"object": made})
        try:
            wanted: Any = plain.eval(activation).plain_value()
        except RuntimeError as error:
            wanted = wording.at_run(str(error))
        try:
            found = asked(activation)
        except RuleError as error:
            found = str(error)
        if not isinstance(wanted, bool):
            assert not isinstance(found, bool), json.dumps(made)
        else:
            assert found is wanted, json.dumps(made)
