"""CEL texts: what compiles, what is told where, what comes out."""

from __future__ import annotations

import gc
import resource
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from webhook.checks import cel
from webhook.errors import RuleError

OBJECT: dict[str, Any] = {
    "metadata": {"name": "web", "annotations": None},
    "spec": {"containers": [{"name": "a", "image": "nginx"}], "replicas": 3},
}


def run(text: str, **names: str) -> object:
    program = cel.compile(text, wants="any", names=names)
    return program(cel.activation({"object": OBJECT, "containers": OBJECT["spec"]["containers"]}))


def problems(text: str, **options: object) -> list[tuple[int, int, str]]:
    with pytest.raises(cel.CelError) as caught:
        cel.compile(text, **{"wants": "any", **options})  # type: ignore[arg-type]
    return [(line, column, sentence) for line, column, sentence in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("object.spec.containers.all(c, c.image != '')", True),
        ("object.spec.containers.exists(c, c.name == 'b')", False),
        ("object.spec.containers.exists_one(c, c.name == 'a')", True),
        ("object.spec.containers.map(c, c.name)", ["a"]),
        ("object.spec.containers.filter(c, c.name == 'b')", []),
        ("object.spec.containers.map(c, c.name == 'a', c.image)", ["nginx"]),
        ("object.metadata.all(key, value, key != 'x')", True),
        ("object.spec.containers.transformList(i, c, c.name)", ["a"]),
        ("has(object.metadata.labels)", False),
        ("has(object.metadata.annotations)", True),
        ("object.?spec.?paused.orValue(false)", False),
        ("object.spec.replicas > 2.5", True),
        ("'%s has %d'.format([object.metadata.name, object.spec.replicas])", "web has 3"),
        ("['a', 'b'].join(', ')", "a, b"),
        ("object.metadata.`name`", "web"),
        ("base64.encode(b'a')", "YQ=="),
        ("quantity('1').sign()", 1),
    ],
)
def test_texts_of_kubernetes_authors_work(text: str, value: object) -> None:
    assert run(text) == value


@pytest.mark.parametrize(
    ("text", "line", "column", "part"),
    [
        ("contaners.all(c, true)", 1, 1, "`contaners` is not known here; did you mean `containers`?"),
        ("object.x.startWith('a')", 1, 19, "there is no function `startWith`; did you mean `startsWith`?"),
        ("true &&\n  'ä' + 1", 2, 7, "`+` does not work on (string, int)"),
        ("'ää' + nope", 1, 8, "`nope` is not known here, only containers"),
        ("1 +", 1, 4, "syntax error: the text ends too early"),
        ("[1].indexOf(1) + 'a'", 1, 16, "`+` does not work on (int, string)"),
        ("[[1].indexOf(1), 'a'.indexOf('b')].map(x, x + nope)", 1, 47, "`nope`"),
        ("true ||\n authorizer.group('').resource('x').check('get').allowed()", 2, 2, "authorizer"),
        ("params.x == 1", 1, 1, "`params` is not available here: a pack keeps its parameters under `values`"),
        ("'a'.matches('(')", 1, 13, "illegal regular expression '('"),
        ("matches('a',\n '[')", 2, 2, "illegal regular expression '['"),
        ("'a'.findAll(r'\\1', 3)", 1, 13, "illegal regular expression"),
        ("object.x == 'a\\u0000'", 1, 13, "a string with a NUL character"),
        ("object.x == '''a\\x00'''", 1, 13, "a string with a NUL character"),
        ("{'a': 1}.transformMap(k, v, v)", 1, 10, "`transformMap` does not work here"),
        (".object.x", 1, 2, "write `object` without the dot in front"),
        ("_v_x", 1, 1, "names that begin with _v_ are taken"),
        ("+".join(["1"] * 40), 1, 1, "nested too deeply"),
        ("variables", 1, 1, "`variables` is no value by itself"),
        ("object.?x", 1, 1, "an optional value; end it with orValue(...)"),
        ("{'a': object.?x}", 1, 14, "an optional value cannot be used in a text that makes a map"),
    ],
)
def test_a_wrong_text_is_told_at_its_line_and_column(text: str, line: int, column: int, part: str) -> None:
    found = problems(text)
    assert any(problem[:2] == (line, column) and part in problem[2] for problem in found), found


def test_several_problems_are_told_at_once_and_sorted() -> None:
    assert [problem[:2] for problem in problems("nope1 == 1 &&\nnope2 == 'x'.matches('(')")] == [
        (1, 1), (2, 1), (2, 22),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wants", "text", "part"),
    [
        ("bool", "'x'", "the expression gives a string, true or false is wanted"),
        ("bool", "[1]", "the expression gives a list"),
        ("string", "1", "the expression gives a number, a string is wanted"),
        ("string", "quantity('1')", "the expression gives a map"),
    ],
)
def test_a_wrong_static_type_is_an_error_at_load(wants: str, text: str, part: str) -> None:
    assert [problem[2][: len(part)] for problem in problems(text, wants=wants)] == [part]


def test_a_type_known_only_at_evaluation_is_checked_then() -> None:
    shared = cel.activation({"object": OBJECT})
    with pytest.raises(RuleError, match="gives a string, true or false is wanted"):
        cel.compile("object.metadata.name", wants="bool")(shared)
    with pytest.raises(RuleError, match="gives a number, a string is wanted"):
        cel.compile("object.spec.replicas", wants="string")(shared)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("has(object.metadata.labels.team)", "no such key: labels"),
        ("object.spec.containers[3]", "index=3 size=1"),
        ("object.metadata.annotations.team", "a field was asked of a value that is no map"),
        ("object.metadata.name + object.spec.replicas", "no such overload"),
        ("object.metadata.isLessThan(quantity('1'))", "a value of type quantity is wanted here, not a map"),
        ("ip('::1').isLessThan(quantity('1'))", "a value of type quantity is wanted here, not ip"),
        ("quantity(object.metadata.name)", "'web'"),
        ("quantity('1')", "a value of type quantity has no place in an object"),
        ("timestamp('2026-01-01T00:00:00Z')", "a value of type timestamp has no place"),
        ("{'a': 0.0 / 0.0}", "infinite or NaN"),
        ("dyn([object.?x])", "no place outside CEL"),
        ("request.name", "`request` has no value in this review"),
        ("lists.range(object.spec.replicas * 1000000)", "at most 1000"),
    ],
)
def test_an_error_of_an_evaluation_is_a_rule_error_in_words(text: str, part: str) -> None:
    with pytest.raises(RuleError) as caught:
        run(text)
    assert part in str(caught.value)


def test_words_resolve_to_the_keys_that_the_caller_gave() -> None:
    one = cel.compile("values.a + object.x", wants="any", names={"values": "p1.values"})
    two = cel.compile("values.a + object.x", wants="any", names={"values": "p2.values"})
    shared = cel.activation({"object": {"x": 1}, "p1.values": {"a": 10}, "p2.values": {"a": 20}})
    assert (one(shared), two(shared)) == (11, 21)


def test_words_that_do_not_exist_in_a_place_are_told() -> None:
    found = problems("object.a == values.b", words=frozenset({"object", "oldObject", "request"}))
    assert found == [(1, 13, "`values` is not available here, only object, oldObject, request")]


def test_a_macro_may_use_a_word_that_does_not_exist() -> None:
    program = cel.compile("[1].map(pod, pod + 1)", wants="any", words=frozenset({"object"}))
    assert program(cel.activation({})) == [2]
    assert program.reads == frozenset()


@pytest.mark.parametrize(
    ("text", "reads", "roots"),
    [
        ("true", set(), set()),
        ("object.metadata.name == 'object.spec'", {"object"}, {"metadata"}),
        ("has(object.spec) && object['status'].x", {"object"}, {"spec", "status"}),
        ("object.?spec.?x.hasValue() || object[?'data'].hasValue()", {"object"}, {"spec", "data"}),
        ("object == oldObject", {"object", "oldObject"}, None),
        ("object.all(k, k != 'x')", {"object"}, None),
        ("object[request.name] == 1", {"object", "request"}, None),
        ("'metadata' in object", {"object"}, None),
        ("values.object.x", {"values"}, set()),
        ("containers.all(object, object.name != '')", {"containers"}, set()),
        ("[1].all(c, object.kind == 'x') // pod", {"object"}, {"kind"}),
        ("object", {"object"}, None),
    ],
)
def test_a_program_tells_what_it_reads(text: str, reads: set[str], roots: set[str] | None) -> None:
    program = cel.compile(text, wants="any")
    assert program.reads == reads
    assert program.object_roots == (None if roots is None else frozenset(roots))


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("true", set()),
        ("object == oldObject", {("object",), ("oldObject",)}),
        (
            "pod.spec.hostNetwork || pod.spec.?os.?name.orValue('') == ''",
            {("pod", "spec", "hostNetwork"), ("pod", "spec", "os")},
        ),
        ("has(object.spec.a.b) && object['spec'][?'c'].hasValue()", {("object", "spec", "a"), ("object", "spec", "c")}),
        ("object.?metadata.labels['x'].orValue('') == ''", {("object", "metadata", "labels")}),
        (
            "pod.metadata.labels.all(k, k != '') && pod.spec.all(k, k != '')",
            {("pod", "metadata", "labels"), ("pod", "spec")},
        ),
        ("pod.all(k, k != '')", {("pod",)}),
        ("size(pod.spec) == 0 || 'x' in pod.metadata", {("pod", "spec"), ("pod", "metadata")}),
        ("object.spec[request.name] == 1", {("object", "spec"), ("request", "name")}),
        (
            "object.spec['a' + 'b'] == 1 || object[object.kind] == 1",
            {("object", "spec"), ("object",), ("object", "kind")},
        ),
        ("cel.bind(o, object, o.spec.x == 1)", {("object",)}),
        ("cel.bind(object, pod.spec, object.x == 1)", {("pod", "spec")}),
        ("dyn(pod).spec.x == 1 || [pod.spec][0].x == 1", {("pod",), ("pod", "spec")}),
        ("object[\"it's\"]['a\"'] == 1", {("object", "it's", 'a"')}),
        ("object[r'a'] == 1 || object['a\\\\b'] == 1", {("object",)}),
        ("values.object.x == 1 && containers.all(pod, pod.name != '')", {("containers", "name")}),
    ],
)
def test_a_program_tells_which_parts_of_objects_it_reads(text: str, paths: set[tuple[str, ...]]) -> None:
    assert cel.compile(text, wants="any").paths == paths


def test_what_variables_read_of_an_object_is_read_by_their_program() -> None:
    program = cel.compile("variables.b == 1", variables=[("a", "object.spec"), ("b", "variables.a.x")], wants="bool")
    assert program.paths == {("object", "spec")}


def test_no_object_can_forge_a_quantity() -> None:
    forged = {"0": "quantity", "1": "1/1", "__quantity": "1"}
    program = cel.compile("object.x.isLessThan(quantity('2'))", wants="bool")
    with pytest.raises(RuleError, match="a value of type quantity is wanted"):
        program(cel.activation({"object": {"x": forged}}))


@pytest.mark.parametrize(
    ("value", "pointer", "part"),
    [
        ({"a": ["x\0"]}, "/a/0", "NUL"),
        ({"a/b\0": 1}, "", "NUL"),
        ({"a": "\ud800"}, "/a", "surrogate"),
        ({"a": {"n": 2**63}}, "/a/n", "64 bits"),
        ({1: "a"}, "", "a string is wanted"),
    ],
)
def test_values_that_cel_cannot_see_are_told(value: object, pointer: str, part: str) -> None:
    (found,) = cel.unfit(value)
    assert found[0] == pointer
    assert part in found[1]


def test_ordinary_values_are_fit() -> None:
    assert list(cel.unfit({"a": [1, 1.5, True, None, "ä😀", {"b": -(2**63)}]})) == []


def test_nesting_beyond_what_the_engine_bears_is_told() -> None:
    deep: object = 1
    for _ in range(2000):
        deep = [deep]
    assert [text for _, text in cel.unfit(deep)] == ["nested more than 500 levels deep"]


def test_a_nested_loop_ends_in_an_error_within_bounded_time() -> None:
    program = cel.compile("object.l.all(a, object.l.all(b, object.l.all(c, a + b + c >= 0)))", wants="bool")
    shared = cel.activation({"object": {"l": list(range(300))}})
    began = time.monotonic()
    with pytest.raises(RuleError, match="budget of iterations"):
        program(shared)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("(" * 5000 + "1" + ")" * 5000, "nested too deeply"),
        ("object.f(" * 3000, "nested too deeply"),
        ("[" * 3000, "nested too deeply"),
        ("1 +" + " " * 40_000 + "1", "40004 characters, more than 32768"),
    ],
)
def test_a_text_that_no_author_writes_is_refused_quickly(text: str, part: str) -> None:
    began = time.monotonic()
    assert part in problems(text)[0][2]
    assert time.monotonic() - began < 2


def test_a_pattern_that_backtracks_elsewhere_takes_linear_time() -> None:
    program = cel.compile("object.x.find('(a+)+$') + string(object.x.matches('(a+)+b'))", wants="string")
    began = time.monotonic()
    assert program(cel.activation({"object": {"x": "a" * 5000 + "!"}})) == "false"
    assert time.monotonic() - began < 2


def test_find_all_gives_up_where_matching_takes_quadratic_time() -> None:
    program = cel.compile("object.x.findAll('a').size() > 0", wants="bool")
    with pytest.raises(RuleError, match="findAll looked at more than"):
        program(cel.activation({"object": {"x": "a" * 200_000}}))


def test_two_threads_share_a_program_with_activations_of_their_own() -> None:
    text = "containers.all(c, quantity(c.q).isLessThan(quantity('1Gi'))) ? values.a : 0"
    program = cel.compile(text, wants="any")
    wrong: list[object] = []

    def work(number: int) -> None:
        for turn in range(500):
            shared = cel.activation({"containers": [{"q": "1Mi"}] * 3, "values": {"a": number + turn}})
            if program(shared) != number + turn:
                wrong.append((number, turn))

    threads = [threading.Thread(target=work, args=(number * 1000,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize(
    "text",
    [
        "containers.all(c, c.image.find('^[a-z]+') != '' && c.tags.indexOf('x') == 1)",
        "containers.all(c, quantity(c.q).add(1).isLessThan(quantity('2Gi')))",
        "containers.all(c, format.dns1123Label().validate(c.image).hasValue())",
        "containers.map(c, c.none)",
        "quantity(containers[0].image)",
        "object.nope == 1",
    ],
)
def test_memory_does_not_grow_over_twenty_thousand_evaluations(text: str) -> None:
    program = cel.compile(text, wants="any")
    container = {"image": "nginx-" * 50, "tags": ["a", "x"], "q": "1Mi", "none": None}

    def turn() -> None:
        try:
            program(cel.activation({"object": OBJECT, "containers": [container] * 3}))
        except RuleError:
            assert "nope" in text or text.startswith("quantity")

    for _ in range(2_000):
        turn()
    gc.collect()
    before = resident()
    for _ in range(20_000):
        turn()
    gc.collect()
    assert resident() - before < 1024 * 1024


@pytest.mark.parametrize("text", ["object.x", "[object.x, null]", "{'a': object.x}", "[object.x].indexOf(null) == 0"])
def test_null_values_do_not_use_up_the_references_of_none(text: str) -> None:
    program = cel.compile(text, wants="any")
    shared = cel.activation({"object": {"x": None}})
    for _ in range(20_000):
        program(shared)
    assert sys.getrefcount(None) > 100_000


MORE: dict[str, cel.Static] = {"image": "DYN", "image.created": "TIMESTAMP", "image.age": "DURATION"}
IMAGE = {
    "image": {"size": 5, "labels": {"owner": "shop"}},
    "image.created": datetime(2026, 10, 1, tzinfo=UTC),
    "image.age": timedelta(days=31),
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("image.created < timestamp('2026-11-01T00:00:00Z') && image.created.getFullYear() == 2026", True),
        ("image.age > duration('744h')", False),
        ("image.size == 5 && 'owner' in image.labels", True),
        ("[{'created': 1}].all(image, image.created == 1)", True),
    ],
)
def test_a_caller_may_have_words_of_its_own_and_types_for_their_fields(text: str, wanted: bool) -> None:
    program = cel.compile(text, wants="bool", words=frozenset({"image"}), more=MORE)
    assert program(cel.activation(IMAGE, MORE)) is wanted


def test_words_of_one_caller_exist_for_no_other() -> None:
    assert problems("image.size == 5")[0][2].startswith("`image` is not known here")
    assert problems("image.age > 5", words=frozenset({"image"}), more=MORE)[0][2].startswith("`>` does not work on")


def test_a_field_of_a_type_that_has_no_value_is_an_error() -> None:
    program = cel.compile("image.age > duration('1h')", wants="bool", words=frozenset({"image"}), more=MORE)
    with pytest.raises(RuleError):
        program(cel.activation({"image": {}}, MORE))


EARLY = (
    ("early", "[1, 2, 3].exists(x, x > 1)", True),
    ("deep", "[[1], [2], [3]].all(x, [1, 2].exists(y, y in x))", False),
    ("many", "[7, 7, 7]", [7, 7, 7]),
    ("some", "[1, 2, 3].map(x, x + 1)", [2, 3, 4]),
    ("bound", "cel.bind(some, [7, 7], some.size())", 2),
    ("maybe", "optional.of([1, 2]).optMap(x, x.size()).orValue(0)", 2),
    ("sorted", "[3, 1, 2].sortBy(x, x)", [1, 2, 3]),
)


@pytest.mark.parametrize("three", list(permutations(EARLY, 3)), ids=lambda three: " ".join(name for name, *_ in three))
def test_a_variable_is_what_it_is_whatever_loops_ended_early_before(three: Sequence[tuple[str, str, Any]]) -> None:
    variables = [(name, text) for name, text, _ in three]
    uses = ", ".join(f"variables.{name}" for name, _, _ in (*three[::-1], *three))
    wanted = [value for _, _, value in (*three[::-1], *three)]
    assert cel.compile(f"[{uses}]", variables=variables, wants="any")(cel.activation({})) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "[1].exists(x, x > 0) && cel.bind(y, [7], y.size() == 1)",
        "cel.bind(y, [7], y.size() == 1) && [1].all(x, x > 0)",
        "[1, 2].map(z, [1].exists(x, x > z) && optional.of(z).optMap(y, y > 0).orValue(true)).size() > 0",
        "optional.of([1].exists(x, x > 0)).optMap(y, y).orValue(true)",
        "[1].all(x, x > 0) && [2, 1].sortBy(y, y) == [1, 2]",
    ],
)
def test_a_loop_that_may_end_early_beside_a_binding_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(cel.CelError, match="give wrong values here; put one of them into a variable of its own"):
        cel.compile(text, wants="bool")
    first, second = [1, 2], "variables.early && [2, 1].sortBy(y, y) == [1, 2]"
    program = cel.compile(second, variables=[("early", "[1, 2, 3].exists(x, x > 1)")], wants="bool")
    assert program(cel.activation({"object": first}))


@pytest.mark.parametrize(
    "text",
    [
        "[[1, 2], [3]].all(x, cel.bind(y, x, y.size() > 0))",
        "cel.bind(y, [1, 2, 3], y.exists(x, x > 1) && y.size() == 3)",
        "optional.of([1, 2, 3]).optMap(y, y.all(x, x > 0)).orValue(false)",
        "[1, 2].map(x, cel.bind(y, x, y + 1)) == [2, 3]",
    ],
)
def test_a_loop_in_a_binding_and_a_binding_in_a_loop_are_fine(text: str) -> None:
    assert cel.compile(text, wants="bool")(cel.activation({})) is True
