"""`plimsoll lint`: exit codes, and advice only where it is certain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PACK = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  contact: us
  rules:
    - {name: no-host-path, check: no-host-path, action: deny, remediation: use another volume}
  exemptions:
    - {rules: [no-host-path], match: MATCH, reason: r, owner: o, expires: 2027-11-23}
"""


@pytest.fixture
def lint(plimsoll: Callable[..., Any]) -> Callable[..., Any]:
    def run(*argv: str, match: str = "{names: [a]}", old: str = "", new: str = "") -> Any:
        Path("pack.yaml").write_text(PACK.replace("MATCH", match).replace(old, new))
        return plimsoll("lint", *argv, "pack.yaml")

    return run


def test_a_pack_without_anything_to_say_exits_with_zero_and_prints_nothing(lint: Callable[..., Any]) -> None:
    assert lint("--strict") == (0, "", "1 pack with 1 rule: no mistakes, 0 pieces of advice\n")


def test_advice_exits_with_one_only_when_strict(lint: Callable[..., Any]) -> None:
    change = {"old": "contact: us", "new": "description: x"}

    assert (lint(**change).status, lint("--strict", **change).status) == (0, 1)
    assert "pack.yaml:5: spec.contact: is missing" in lint(**change).out


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("action: deny, enforceFrom: 2026-06-01", False),
        ("action: deny, existing: deny, enforceFrom: 2026-06-01", True),
        ("action: warn, enforceFrom: 2026-06-01", True),
    ],
)
def test_a_day_that_has_come_stays_where_what_was_there_before_goes_by_it(
    lint: Callable[..., Any], rule: str, said: bool
) -> None:
    assert ("2026-06-01 has come" in lint(old="action: deny", new=rule).out) is said


def test_mistakes_exit_with_two(lint: Callable[..., Any]) -> None:
    ran = lint(old="action: deny", new="action: dny")

    assert (ran.status, ran.out) == (2, "")
    assert "did you mean deny?" in ran.err


def test_two_packs_of_one_name_do_not_hide_what_else_is_wrong_with_either(plimsoll: Callable[..., Any]) -> None:
    pack = PACK.replace("MATCH", "{names: [a]}")
    Path("a.yaml").write_text(pack.replace("contact: us", "description: x"))
    Path("b.yaml").write_text(pack.replace("remediation: use another volume", "description: y"))

    ran = plimsoll("lint", "a.yaml", "b.yaml")

    assert ran.status == 2
    assert [line.split(": ")[0:2] for line in ran.out.splitlines()] == [
        ["a.yaml:5", "spec.contact"],
        ["b.yaml:8", "spec.rules[0].remediation"],
    ]
    assert ran.err.startswith("b.yaml:4: metadata.name: the pack acme is loaded twice; the other stands at a.yaml:4")
    assert len(ran.err.splitlines()) == 1


def test_two_packs_of_one_name_in_one_file_get_advice_of_their_own_rules(plimsoll: Callable[..., Any]) -> None:
    pack = PACK.replace("MATCH", "{names: [a]}")
    cel = "{name: always, expression: 'true', message: m, action: warn}"
    other = pack.replace(
        "{name: no-host-path, check: no-host-path, action: deny, remediation: use another volume}", cel
    )
    Path("a.yaml").write_text(f"{pack}---\n{other.replace('[no-host-path]', '[always]')}")

    ran = plimsoll("lint", "a.yaml")

    assert "a.yaml:19: spec.rules[0].expression: it is always true" in ran.out
    assert len(ran.out.splitlines()) == 1
    assert "loaded twice" in ran.err


def test_a_pack_with_mistakes_does_not_hide_advice_on_another(plimsoll: Callable[..., Any]) -> None:
    pack = PACK.replace("MATCH", "{names: [a]}").replace("contact: us", "description: x")
    Path("a.yaml").write_text(pack)
    Path("b.yaml").write_text(pack.replace("name: acme", "name: other").replace("action: deny", "action: dny"))
    Path("c.yaml").write_text(
        pack.replace("name: acme", "name: cel").replace("check: no-host-path", "expression: object.")
    )

    ran = plimsoll("lint", "a.yaml", "b.yaml", "c.yaml")

    assert (ran.status, len(ran.out.splitlines())) == (2, 1)
    assert "a.yaml:5: spec.contact" in ran.out
    assert [line.split(":")[0] for line in ran.err.splitlines() if line[1:6] == ".yaml"] == ["b.yaml", "c.yaml"]


@pytest.mark.parametrize(
    ("match", "everything"),
    [
        ('{names: ["*"]}', True),
        ('{names: [a, "*"], namespaces: ["*"]}', True),
        ('{names: ["*"], namespaces: [a]}', False),
        ('{containers: ["*"]}', False),  # findings on a whole object have no container
        ("{kinds: [PersistentVolume]}", False),
    ],
)
def test_only_an_exemption_that_covers_everything_is_said_to(
    lint: Callable[..., Any], match: str, everything: bool
) -> None:
    assert ("covers all that rule no-host-path judges" in lint(match=match).out) is everything


def test_the_packs_that_come_with_plimsoll_have_no_mistakes(plimsoll: Callable[..., Any]) -> None:
    assert plimsoll("lint").status == 0


def test_an_inherited_rule_is_said_once_and_where_it_stands(lint: Callable[..., Any], plimsoll: Any) -> None:
    lint(old=", remediation: use another volume", new="")
    child = "apiVersion: plimsoll.dev/v1\nkind: RulePack\nmetadata: {name: child}\nspec: {extends: acme, contact: we}\n"
    Path("child.yaml").write_text(child)

    ran = plimsoll("lint", "pack.yaml", "child.yaml")

    assert [line.partition(": ")[0] for line in ran.out.splitlines()] == ["pack.yaml:8"]


@pytest.mark.parametrize(
    ("day", "said"),
    [
        ("2026-11-22", "is over"),
        ("2026-11-23", "ends in 0 days"),
        ("2026-12-23", "ends in 30 days"),
        ("2026-12-24", ""),
    ],
)
def test_an_exemption_is_said_to_end_from_thirty_days_before(lint: Callable[..., Any], day: str, said: str) -> None:
    ran = lint(old="2027-11-23", new=day)

    assert (said in ran.out) if said else (ran.out == "")


def test_a_value_that_no_rule_reads_is_named_with_the_one_that_was_meant(plimsoll: Callable[..., Any]) -> None:
    child = "apiVersion: plimsoll.dev/v1\nkind: RulePack\nmetadata: {name: acme}\nspec:\n  contact: us\n"
    Path("pack.yaml").write_text(child + "  extends: containerization\n  values: {registrys: [a.example/]}\n")
    assert (
        "pack.yaml:7: spec.values.registrys: no rule reads the value registrys; did you mean registries?"
        in plimsoll("lint", "pack.yaml").out
    )
    Path("pack.yaml").write_text(child + "  extends: containerization\n  values: {registries: [a.example/]}\n")
    assert "reads the value" not in plimsoll("lint", "pack.yaml").out


# -- what only compiled rules tell ----------------------------------------------------------------------------------

RULES = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  contact: us
  match: BASE
  rules:
    - RULE
"""


@pytest.fixture
def advised(plimsoll: Callable[..., Any]) -> Callable[..., list[str]]:
    def run(rule: str, base: str = "{}") -> list[str]:
        Path("pack.yaml").write_text(RULES.replace("BASE", base).replace("RULE", rule))
        ran = plimsoll("lint", "pack.yaml")
        assert ran.status == 0, ran.err
        return [line.removeprefix("pack.yaml:") for line in ran.out.splitlines()]

    return run


CEL = '{name: a, action: warn, message: m, match: MATCH, expression: "has(object.metadata.labels)"}'


@pytest.mark.parametrize(
    ("base", "own", "where"),
    [
        ("{}", "{}", ""),
        ("{operations: [CREATE]}", "{operations: [UPDATE]}", "9: spec.rules[0].match.operations"),
        ("{excludeNamespaces: ['kube-*']}", "{namespaces: [kube-system]}", "9: spec.rules[0].match.namespaces"),
        ("{excludeNamespaces: ['kube-*']}", "{namespaces: ['kube-s*']}", "9: spec.rules[0].match.namespaces"),
        ("{excludeNamespaces: ['kube-s*']}", "{namespaces: ['kube-*']}", ""),
        ("{excludeNamespaces: ['kube-*']}", "{namespaces: [kube-system, shop]}", ""),
        ("{excludeNamespaces: ['*']}", "{}", "7: spec.match.excludeNamespaces"),
        ("{namespaces: [shop, cart]}", "{namespaces: [web]}", "9: spec.rules[0].match.namespaces"),
        ("{namespaces: ['shop-*']}", "{namespaces: [web]}", "9: spec.rules[0].match.namespaces"),
        ("{namespaces: ['shop-*']}", "{namespaces: ['*-a']}", ""),
        ("{namespaces: [shop, cart]}", "{namespaces: [cart]}", ""),
        ("{excludeNamespaces: ['*']}", "{kinds: [PersistentVolume]}", ""),
        ("{excludeNamespaces: ['*']}", "{kinds: [PersistentVolumeClaim]}", "7: spec.match.excludeNamespaces"),
        (
            "{namespaceSelector: {matchLabels: {a: b}}}",
            "{namespaceSelector: {matchLabels: {a: c}}}",
            "9: spec.rules[0].match.namespaceSelector",
        ),
        (
            "{}",
            "{objectSelector: {matchExpressions: [{key: a, operator: DoesNotExist}, {key: a, operator: Exists}]}}",
            "9: spec.rules[0].match.objectSelector",
        ),
        (
            "{objectSelector: {matchExpressions: [{key: a, operator: NotIn, values: [b]}]}}",
            "{objectSelector: {matchLabels: {a: b}}}",
            "9: spec.rules[0].match.objectSelector",
        ),
        (
            "{objectSelector: {matchExpressions: [{key: a, operator: NotIn, values: [c]}]}}",
            "{objectSelector: {matchLabels: {a: b}}}",
            "",
        ),
        (
            "{objectSelector: {matchExpressions: [{key: a, operator: DoesNotExist}]}}",
            "{objectSelector: {matchExpressions: [{key: a, operator: NotIn, values: [c]}]}}",
            "",
        ),
    ],
)
def test_a_scope_that_nothing_can_be_in_is_named_where_it_stands(
    advised: Callable[..., list[str]], base: str, own: str, where: str
) -> None:
    found = advised(CEL.replace("MATCH", own), base)
    assert [line.rpartition(": ")[0] for line in found] == ([where] if where else [])
    assert all("so the rule can never match (rule a)" in line for line in found)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ('expression: "true"', "9: spec.rules[0].expression: it is always true, whatever the object is"),
        ('expression: "1 > 2"', "it is always false, whatever the object is"),
        ('expression: "1 / 0 == 1"', "it looks at nothing of the object, and always fails: "),
        ('expression: "false"', ""),
        ('expression: "size(values) > 0"', ""),
        (
            'when: "1 > 2", patch: [{op: add, path: /spec/dnsConfig, value: {}}]',
            "spec.rules[0].when: it is always false",
        ),
        ('when: "true", patch: [{op: add, path: /spec/dnsConfig, value: {}}]', ""),
        (
            'expression: "has(pod.spec)", match: {matchConditions: [{name: a, expression: "true"}]}',
            "spec.rules[0].match.matchConditions[0].expression: it is always true",
        ),
        ('variables: [{name: x, expression: "1"}], expression: "variables.x == 1"', "it is always true"),
        ('variables: [{name: x, expression: "pod"}], expression: "has(variables.x.spec)"', ""),
    ],
)
def test_cel_that_always_gives_the_same_is_named_unless_that_may_be_meant(
    advised: Callable[..., list[str]], rule: str, said: str
) -> None:
    found = advised(f"{{name: a, action: warn, message: m, {rule}}}")
    assert len(found) == bool(said)
    assert said in "".join(found)


def test_a_condition_of_the_pack_that_always_gives_the_same_is_named_once(advised: Callable[..., list[str]]) -> None:
    one = CEL.replace("MATCH", "{}")
    base = '{matchConditions: [{name: a, expression: "1 == 1"}]}'
    [line] = advised(f"{one}\n    - {one.replace('name: a', 'name: b')}", base)
    assert line.startswith("7: spec.match.matchConditions[0].expression: it is always true")


@pytest.mark.parametrize(
    ("rule", "where"),
    [
        ('match: {kinds: [Deployment]}, expression: "object.spec.replcas > 1"', "9: spec.rules[0].expression"),
        ('expression: "object.spec.replcas > 1"', ""),  # what custom resources have nobody knows here
        ('expression: "pod.spec.hostNetwrok"', "9: spec.rules[0].expression"),
        ('expression: "has(pod.spec)", messageExpression: "pod.spec.nam"', "9: spec.rules[0].messageExpression"),
        (
            'variables: [{name: x, expression: "pod.spec"}], expression: "has(variables.x.hostNetwrok)"',
            "9: spec.rules[0].expression",
        ),
        (
            'variables: [{name: x, expression: "pod.spek.x"}], expression: "variables.x == 1"',
            "9: spec.rules[0].variables[0].expression",
        ),
        ('when: "has(pod.spec.dnsConfg)", patch: [{op: remove, path: /spec/dnsConfig}]', "9: spec.rules[0].when"),
        (
            'when: "has(pod.spec.dnsConfig)", patch: [{op: remove, path: /spec/dnsConfg}]',
            "9: spec.rules[0].patch[0].path",
        ),
        (
            'when: "has(pod.spec)", patch: [{op: add, path: /spec/dnsPolicy, valueExpression: "pod.spec.dnsPolcy"}]',
            "9: spec.rules[0].patch[0].valueExpression",
        ),
        (
            'match: {kinds: [Service], matchConditions: [{name: a, expression: "has(object.spec.tipe)"}]}, '
            'expression: "has(object.spec.type)"',
            "9: spec.rules[0].match.matchConditions[0].expression",
        ),
    ],
)
def test_a_field_that_no_object_of_the_kind_has_is_named(
    advised: Callable[..., list[str]], rule: str, where: str
) -> None:
    found = advised(f"{{name: a, action: warn, message: m, {rule}}}")
    assert [line.partition(": ")[0] + ": " + line.split(": ")[1] for line in found] == ([where] if where else [])
    assert all("Kubernetes 1.37 has no field" in line for line in found)


def test_a_rule_that_is_disabled_gets_no_advice_on_its_cel(advised: Callable[..., list[str]]) -> None:
    assert advised('{name: a, action: disabled, message: m, expression: "pod.spec.hostNetwrok"}') == []


def test_the_packs_that_come_with_plimsoll_need_no_advice(plimsoll: Callable[..., Any]) -> None:
    assert plimsoll("lint", "--strict").status == 0
