from __future__ import annotations

from typing import Any

import pytest

from webhook.packs import values as room
from webhook.packs.parse import PROBLEMS, Document, documents
from webhook.packs.values import extend, substitute

HEAD = """\
kind: RulePack
metadata: {name: acme}
spec:
  values:
    registries: [a/, b/]
    limits: {cpu: 4, deep: {list: [1, {x: null}]}}
    fix: true
    name: shop
  rules:
"""


def pack(rule: str) -> Document:
    (document,) = documents("p.yaml", HEAD + f"    - {{name: r, {rule}}}\n")
    return document


def put(rule: str) -> dict[str, Any]:
    done, problems = substitute(pack(rule))
    assert problems == []
    found: dict[str, Any] = done.value["spec"]["rules"][0]
    return found


def mistakes(rule: str) -> list[str]:
    return [str(problem) for problem in substitute(pack(rule))[1]]


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("${values.registries}", ["a/", "b/"]),
        ("${values.limits}", {"cpu": 4, "deep": {"list": [1, {"x": None}]}}),
        ("${values.limits.deep.list}", [1, {"x": None}]),
        ("${values.limits.cpu}", 4),
        ("${values.fix}", True),
        ("${values.name}", "shop"),
    ],
)
def test_a_whole_scalar_becomes_the_value_of_any_type(reference: str, value: object) -> None:
    assert put(f"params: {{a: [{{b: '{reference}'}}]}}")["params"] == {"a": [{"b": value}]}


def test_values_go_anywhere_in_rules_match_and_exemptions() -> None:
    text = HEAD.replace(
        "  rules:\n",
        "  match: {names: ['${values.name}']}\n  rules:\n    - fix: ${values.fix}\n      match: {names: "
        "'${values.registries}'}\n",
    )
    text += "  exemptions: [{match: {names: '${values.registries}'}}]\n"
    done, problems = substitute(documents("p.yaml", text)[0])
    spec = done.value["spec"]
    assert (problems, spec["match"], spec["rules"][0]["fix"]) == ([], {"names": ["shop"]}, True)
    assert spec["rules"][0]["match"] == spec["exemptions"][0]["match"] == {"names": ["a/", "b/"]}


def test_other_parts_of_the_pack_are_left_as_they_are() -> None:
    (document,) = documents("p.yaml", "spec: {contact: '${values.a}', values: {a: 1}, rules: []}")
    assert substitute(document) == (document, [])


@pytest.mark.parametrize(
    "text", ["$(values.name)", "${LOG_PATH}", "$${}", "values.name", "${", "${evalues.a}", "${valuesOf.a}"]
)
def test_other_texts_with_braces_are_left_alone(text: str) -> None:
    assert put(f"message: '{text}'")["message"] == text


def test_a_reference_inside_a_longer_text_is_an_error_that_says_so() -> None:
    assert mistakes("message: 'only ${values.name}'") == [
        "p.yaml:10: spec.rules[0].message: ${values.name} stands inside a longer text ('only ${values.name}'); "
        "a value is only put in as the whole text, in CEL write values.name"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "${values}",
        "${values.}",
        "${values.a b}",
        "${ values.name }",
        "${value.name}",
        "${Values.name}",
        "${values[0]}",
        "${values.name",
    ],
)
def test_what_is_nearly_a_reference_is_an_error(text: str) -> None:
    (mistake,) = mistakes(f"message: '{text}'")
    assert mistake.startswith("p.yaml:10: spec.rules[0].message: ")
    assert "wanted ${values.name}" in mistake


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("registrys", "values has no registrys; did you mean registries? it has: registries, limits, fix, name"),
        ("limits.cpus", "values.limits has no cpus; did you mean cpu? it has: cpu, deep"),
        ("name.first", "values.name is no mapping, and has no first"),
        ("registries.a", "values.registries is no mapping, and has no a"),
    ],
)
def test_an_unknown_name_is_an_error_with_a_suggestion(reference: str, said: str) -> None:
    assert mistakes(f"message: '${{values.{reference}}}'") == [f"p.yaml:10: spec.rules[0].message: {said}"]


@pytest.mark.parametrize("values", ["", "  values:\n", "  values: 5\n", "  values: {}\n"])
def test_a_pack_without_values_has_none_to_put_in(values: str) -> None:
    (document,) = documents("p.yaml", f"spec:\n{values}  rules: [{{a: '${{values.x}}'}}]\n")
    assert [problem.text for problem in substitute(document)[1]] == ["values has no x; it has: nothing"]


def test_all_mistakes_are_told() -> None:
    assert len(mistakes("a: '${values.x}', b: 'x ${values.name}', c: ['${values.y}']")) == 3


def test_values_cannot_refer_to_one_another() -> None:
    (document,) = documents(
        "p.yaml", "spec:\n  values:\n    a: [{b: '${values.c}'}]\n    c: 1\n  rules: [{a: '${values.c}'}]\n"
    )
    (problem,) = substitute(document)[1]
    assert str(problem).startswith("p.yaml:3: spec.values.a[0].b: '${values.c}': values cannot refer to one another")


def test_a_wrong_value_is_mended_where_it_is_written_and_the_user_is_named() -> None:
    done, _ = substitute(pack("params: {a: ['${values.limits}']}"))
    path = ("spec", "rules", 0, "params", "a", 0)
    assert str(done.problem((*path, "deep", "list", 0), "x")) == (
        "p.yaml:6: spec.values.limits.deep.list[0]: x (used by rule r, params.a[0])"
    )
    assert str(done.problem(path, "x")) == "p.yaml:6: spec.values.limits: x (used by rule r, params.a[0])"
    assert str(done.problem(path, "x", key=True)) == "p.yaml:10: spec.rules[0].params.a[0]: x"
    assert (
        str(done.problem((*path, "gone"), "x")) == "p.yaml:6: spec.values.limits.gone: x (used by rule r, params.a[0])"
    )
    assert done.value_place((*path, "cpu")).text == "4"


def test_values_of_an_extended_pack_go_into_inherited_rules_with_their_own_place() -> None:
    base = pack("message: '${values.name}'")
    (top,) = documents("top.yaml", "metadata: {name: top}\nspec:\n  extends: acme\n  values:\n    name: 5\n")
    done, problems = substitute(extend([base, top])[1])
    assert (problems, done.value["spec"]["rules"][0]["message"]) == ([], 5)
    assert (
        str(done.problem(("spec", "rules", 0, "message"), "x"))
        == "top.yaml:5: spec.values.name: x (used by rule r, message)"
    )


def test_the_document_given_is_not_changed() -> None:
    document = pack("params: '${values.limits}'")
    done, _ = substitute(document)
    done.value["spec"]["rules"][0]["params"]["cpu"] = 99
    assert document.value == pack("params: '${values.limits}'").value
    assert done.value["spec"]["values"]["limits"]["cpu"] == 4


def test_values_cannot_blow_a_pack_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "NODES", 60)
    rules = ", ".join("'${values.limits}'" for _ in range(30))
    done, problems = substitute(pack(f"params: [{rules}]"))
    assert [problem.text for problem in problems] == [
        "the pack has more than 60 keys and values with this one put in; make it smaller"
    ]
    assert len(done.places) <= 60


def test_the_number_of_mistakes_is_limited() -> None:
    names = ", ".join(f"v{number}: 1" for number in range(2000))
    wrong = ", ".join("'${values.w}'" for _ in range(PROBLEMS * 5))
    (document,) = documents("p.yaml", f"spec:\n  values: {{{names}}}\n  rules: [{wrong}]\n")
    assert len(substitute(document)[1]) == PROBLEMS
