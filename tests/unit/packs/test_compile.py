"""Compiling: everything that is wrong with a pack is said at once, structure and meaning together."""

from __future__ import annotations

import pytest

from webhook.errors import ConfigError
from webhook.packs.compile import ruleset

TEXT = """\
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: ten}
spec:
  mode: enforced
  match: {kinds: [Deploymnt]}
  rules:
    - name: a
      expression: "objct.x == 1"
      action: deny
    - name: b
      expression: "1 + 1"
      action: warn
    - name: c
      expression: "true"
      sevrity: high
      action: warn
    - name: d
      check: approved-image
      params: {repositories: ["gcr.io*"]}
      action: deny
    - name: e
      variables: [{name: v, expression: "pod.spec."}]
      expression: "variables.v"
      action: deny
    - name: f
      when: "true"
      patch: [{op: add, path: /status/x, value: 1}]
      action: warn
    - name: g
      expression: "true"
      action: warn
      match: {images: ["reg*istry.*"], matchConditions: [{name: c, expression: "pod.spec.x"}]}
  exemptions:
    - {rules: [a], match: {images: ["UPPER CASE"]}, reason: r, owner: o, expires: 2027-01-01}
"""
PLACES = {
    (5, "spec.mode"),
    (6, "spec.match.kinds[0]"),
    (9, "spec.rules[0].expression"),
    (12, "spec.rules[1].expression"),
    (16, "spec.rules[2].sevrity"),
    (20, "spec.rules[3].params.repositories[0]"),
    (23, "spec.rules[4].variables[0].expression"),
    (28, "spec.rules[5].patch[0].path"),
    (33, "spec.rules[6].match.images[0]"),
    (33, "spec.rules[6].match.matchConditions[0].expression"),
    (35, "spec.exemptions[0].match.images[0]"),
}


def test_mistakes_of_structure_and_of_meaning_are_said_together_each_at_its_place() -> None:
    with pytest.raises(ConfigError) as caught:
        ruleset([("p.yaml", TEXT)])
    assert {(problem.line, problem.path) for problem in caught.value.problems} == PLACES
    assert {problem.source for problem in caught.value.problems} == {"p.yaml"}


def problems(*rules: str) -> list[tuple[int, str]]:
    head = "apiVersion: plimsoll.dev/v1\nkind: RulePack\nmetadata: {name: a}\nspec:\n  rules:\n"
    with pytest.raises(ConfigError) as caught:
        ruleset([("p.yaml", head + "".join(f"    - {{{rule}}}\n" for rule in rules))])
    return [(problem.line, problem.path) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("rule", "paths"),
    [
        ('name: a, action: deny, remediatoin: x, expression: "a =="', ["remediatoin", "expression"]),
        ('name: a, action: denny, expression: "a =="', ["action", "expression"]),
        ('name: a, action: deny, severity: [hgih], expression: "a =="', ["severity", "expression"]),
        ('name: a, action: deny, expresion: "a =="', ["expresion", "expresion"]),
        ('name: a, action: deny, wen: "a ==", patch: [{op: remove, path: /spec/x}]', ["wen", "wen"]),
        ('name: a, action: deny, messageExpresion: "a ==", expression: "true"', ["messageExpresion"] * 2),
        ('name: a, actoin: deny, expression: "a =="', ["actoin", "expression"]),
    ],
)
def test_a_wrong_key_keeps_no_cel_of_its_rule_from_being_checked(rule: str, paths: list[str]) -> None:
    assert sorted(problems(rule)) == sorted((6, f"spec.rules[0].{path}") for path in paths)


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ('name: a, action: deny, variabels: [{name: v, expression: "1"}], expression: "variables.v > 0"', "variabels"),
        ('name: a, action: deny, let: [{name: v, expression: "1"}], expression: "variables.v > 0"', "let"),
        ("name: a, action: deny, expresion: [a]", "expresion"),
    ],
)
def test_cel_that_may_depend_on_a_wrong_key_is_not_blamed(rule: str, path: str) -> None:
    assert problems(rule) == [(6, f"spec.rules[0].{path}")]


def test_a_rule_whose_kinds_leave_nothing_is_told_once() -> None:
    head = "apiVersion: plimsoll.dev/v1\nkind: RulePack\nmetadata: {name: a}\nspec:\n  match: {kinds: [Deployment]}\n"
    rule = "  rules: [{name: a, check: no-host-path, action: deny, match: {kinds: [Job]}}]\n"
    with pytest.raises(ConfigError, match="can never match") as caught:
        ruleset([("p.yaml", head + rule)])
    assert len(caught.value.problems) == 1


def test_values_that_cel_cannot_see_are_told() -> None:
    head = 'apiVersion: plimsoll.dev/v1\nkind: RulePack\nmetadata: {name: a}\nspec:\n  values: {a: "x\\0y"}\n'
    with pytest.raises(ConfigError, match=r"p.yaml:5: spec.values.a"):
        ruleset([("p.yaml", head + "  rules: [{name: a, expression: 'true', action: deny}]\n")])


@pytest.mark.parametrize(
    "match",
    [
        "match: {namespaces: '${values.x}'}",
        "rules: [{name: a, check: no-ip-address, params: {allowRanges: '${values.y}'}, action: warn}]",
    ],
)
def test_a_value_of_a_wrong_type_is_a_mistake_and_no_failure(match: str) -> None:
    """In a cluster a failure here would keep all other packs from being loaded, and a server from starting."""
    rules = "" if match.startswith("rules") else "rules: [{name: a, expression: 'true', message: m, action: warn}]"
    text = f"""
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {{name: acme}}
spec:
  version: "1"
  values: {{x: [[]], y: 1.5}}
  {match}
  {rules}
"""
    with pytest.raises(ConfigError) as raised:
        ruleset([("acme.yaml", text)])
    assert any("wanted" in str(problem) for problem in raised.value.problems)
