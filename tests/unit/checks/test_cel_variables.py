"""Variables of a rule: lazy, in order, invisible in strings and under macros that take their name."""

from __future__ import annotations

import pytest

from webhook.checks import cel
from webhook.errors import RuleError

VARIABLES = (
    ("a", "object.x // the // first"),
    ("b", "variables.a + 1"),
    ("fails", "object.nope.deeper"),
)


def run(text: str, **shared: object) -> object:
    program = cel.compile(text, wants="any", variables=VARIABLES)
    return program(cel.activation({"object": {"x": 2}, **shared}))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("variables.b", 3),
        ("variables . b", 3),
        ("variables.b * variables.a // variables.nope", 6),
        ("'variables.b'", "variables.b"),
        ('"""variables.b\n"\' """', "variables.b\n\"' "),
        ("r'\\variables.b'", "\\variables.b"),
        ("'\\'variables.b'", "'variables.b"),
        ("{'variables': {'b': 7}}.variables.b", 7),
        ("[{'b': 7}].map(variables, variables.b)[0]", 7),
        ("[{'b': 7}].map(variables, variables.b)[0] + variables.b", 10),
        ("cel.bind(variables, {'b': variables.b}, variables.b + 1)", 4),
        ("[1].map(x, [2].map(y, x + y + variables.b))[0][0]", 6),
        ("// variables.nope\nvariables.a", 2),
    ],
)
def test_variables_are_inlined_where_they_are_meant(text: str, value: object) -> None:
    assert run(text) == value


def test_a_failing_variable_that_is_not_needed_is_harmless() -> None:
    assert run("true") is True
    assert run("true || variables.fails") is True
    with pytest.raises(RuleError, match="no such key: nope"):
        run("variables.fails")


def test_a_variable_is_evaluated_once_however_often_it_is_used() -> None:
    text = "variables.l.all(x, x in variables.l && variables.l.exists(y, y == x))"
    program = cel.compile(text, wants="bool", variables=(("l", "object.l.map(x, x)"),))
    # Evaluated at each use it would take the budget of iterations many times over.
    assert program(cel.activation({"object": {"l": list(range(60))}})) is True


def test_a_forward_reference_is_an_error_of_the_variable() -> None:
    with pytest.raises(cel.CelError) as caught:
        cel.compile("variables.a", wants="any", variables=(("a", "1 +\n  variables.b"), ("b", "1")))
    assert caught.value.problems == []
    assert caught.value.variables["a"][0][0] == 2
    assert "`b` is declared later" in caught.value.variables["a"][0][2]


def test_all_wrong_variables_and_the_wrong_text_are_told_at_once() -> None:
    with pytest.raises(cel.CelError) as caught:
        cel.compile("1 + 'a'", wants="any", variables=(("a", "1 +"), ("b", "nope")))
    assert sorted(caught.value.variables) == ["a", "b"]
    assert [(line, column) for line, column, _ in caught.value.problems] == [(1, 3)]


def test_a_variable_that_is_nearly_right_is_suggested() -> None:
    with pytest.raises(cel.CelError, match=r"there is no variable `imges`; did you mean `images`\?"):
        cel.compile("variables.imges", wants="any", variables=(("images", "[1]"),))


def test_types_of_variables_are_known_where_they_are_used() -> None:
    with pytest.raises(cel.CelError, match=r"1:13: `\+` does not work on \(int, string\)"):
        cel.compile("variables.n + 'x'", wants="any", variables=(("n", "1"),))


def test_what_a_text_reads_counts_its_variables_but_not_unused_ones() -> None:
    variables = (("a", "object.metadata"), ("b", "variables.a"), ("c", "request"))
    program = cel.compile("variables.b", wants="any", variables=variables)
    assert program.reads == {"object"}
    assert program.object_roots == frozenset({"metadata"})


def test_twenty_variables_in_a_chain_are_possible() -> None:
    chain = [("v0", "object.x"), *((f"v{i}", f"variables.v{i - 1} + 1") for i in range(1, 20))]
    program = cel.compile("variables.v19 == 21", wants="bool", variables=chain)
    assert program(cel.activation({"object": {"x": 2}})) is True


def test_too_many_variables_for_the_engine_are_an_error_at_load() -> None:
    chain = [("v0", "object.x"), *((f"v{i}", f"variables.v{i - 1} + 1") for i in range(1, 40))]
    with pytest.raises(cel.CelError, match="with the 40 variables that it uses this is nested too deeply"):
        cel.compile("variables.v39 == 41", wants="bool", variables=chain)
