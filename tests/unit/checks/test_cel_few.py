"""A list that a macro builds takes memory by the square of its length, so none is built of a long one."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.checks import cel
from webhook.checks.cellib import few, guard
from webhook.errors import RuleError

BUILDING = (
    "object.x.map(e, e.n)",
    "object.x.filter(e, e.n > -1)",
    "object.x.map(e, e.n > 1, e.n)",
    "object.x.sortBy(e, e.n)",
    "object.x.transformList(i, e, e.n)",
    "object['x'].map(e, e.n)",
    "object.?x.orValue([]).map(e, e.n)",
    "[object.x][0].map(e, e.n)",
    "object.y.map(k, k)",
    "object.text.split(',').map(t, t)",
    "([] + object.x).map(e, e.n)",
    "(true ? object.x : []).map(e, e.n)",
    "cel.bind(a, object.x, a.map(e, e.n))",
    "[1].map(one, object.x.map(e, e.n).size())",
    "object.x.distinct().map(e, e.n)",
    "[object.few, object.x].flatten().map(e, e.n)",
    "object.few.map(e, object.x).flatten().map(e, e.n)",
)


def values(count: int) -> object:
    x = [{"n": number} for number in range(count)]
    y = {f"a{number}": "" for number in range(count)}
    return cel.activation({"object": {"x": x, "y": y, "few": [{"n": 0}], "text": ",".join(y)}})


@pytest.mark.parametrize("text", BUILDING)
def test_a_list_is_built_of_up_to_a_thousand_elements(text: str) -> None:
    """With its few, one text goes through one element more."""
    program = cel.compile(text, wants="any")
    assert len(program(values(few.MOST - 1))) in (1, few.MOST - 1, few.MOST - 3, few.MOST)
    with pytest.raises(RuleError, match=r"300[01] elements are too many for .*map"):
        program(values(few.MOST * 3))


def test_the_error_says_what_goes_through_longer_ones() -> None:
    program = cel.compile("object.x.map(e, e.n).size() > 0", wants="bool")
    with pytest.raises(RuleError, match="at most 1000 here; all, exists and exists_one go through any number"):
        program(values(few.MOST + 1))


def test_a_variable_builds_no_list_of_a_long_one() -> None:
    program = cel.compile("variables.a.size() > 0", variables=[("a", "object.x.map(e, e.n)")], wants="bool")
    assert program(values(few.MOST)) is True
    with pytest.raises(RuleError, match="1001 elements are too many"):
        program(values(few.MOST + 1))


def test_programs_that_are_asked_together_build_none_either() -> None:
    programs = [cel.compile(f"object.x.filter(e, e.n == {n}).size() < 2", wants="bool") for n in range(3)]
    (together,) = cel.together(programs)
    assert together(values(few.MOST)) == [True, True, True]
    with pytest.raises(RuleError, match="1001 elements are too many"):
        together(values(few.MOST + 1))


def test_what_only_looks_at_a_list_goes_through_longer_ones() -> None:
    assert (
        cel.compile("object.x.all(e, e.n >= 0) && object.x.exists_one(e, e.n == 4)", wants="bool")(values(4000)) is True
    )


def test_a_list_that_is_short_already_is_not_asked_again() -> None:
    text = guard.guarded("a.filter(x, x.b).map(x, x.c).sort().map(x, x)")
    assert text.count("k8s_long") == 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("size(object.few.map(e, e.n)) in [1].map(x, x)", True),
        ("!object.few.filter(e, e.n == 1).exists(e, true)", True),
        ("2 - object.few.map(e, e.n)[0] == 2", True),
        ("object.few.map(e, [e.n].map(x, x + 1))[0][0] == 1", True),
        ("{'a': object.few.map(e, e.n)}['a'].map(x, x)[0] == 0", True),
        ("object.few.map(e, e.n) == [0] ? object.few.map(e, 'a')[0] == 'a' : false", True),
        ("has(object.none) ? object.none.map(x, x).size() == 0 : true", True),
        ("object.few.filter(filter, filter.n == 0).map(map, map.n)[0] == 0", True),
        ("'.map(x, x)'.size() == 10", True),
        ("object . few // a list\n . map ( e , e.n ) . size ( ) == 1", True),
        ("object.none.map(x, x).size() == 0", "no such key: none"),
        ("object.few[0].n.map(x, x) == []", "no such overload"),
    ],
)
def test_all_else_is_as_it_is_written(text: str, wanted: Any) -> None:
    if wanted is True:
        assert cel.compile(text, wants="bool")(values(5)) is True
    else:
        with pytest.raises(RuleError, match=wanted):
            cel.compile(text, wants="bool")(values(5))


def test_types_are_still_known_at_load() -> None:
    for text in ("[1].map(x, x + 1)[0]", "object.x.map(x, 'a')[0]"):
        with pytest.raises(cel.CelError, match="true or false is wanted"):
            cel.compile(text, wants="bool")
    assert cel.compile("object.x.map(x, 'a')[0]", wants="any").typed
    with pytest.raises(cel.CelError, match="does not work on"):
        cel.compile("['a'].map(x, x + 1).size() > 0", wants="bool")


@pytest.mark.parametrize(
    "text", ["a.map(", "a.map(x, x", ".map(x, x)", ").map(x, x)", "a].filter(x, (x)", "a.map(x))).map(x,x)"]
)
def test_what_is_no_cel_is_refused_in_its_own_words(text: str) -> None:
    with pytest.raises(cel.CelError):
        cel.compile(text, wants="any")
