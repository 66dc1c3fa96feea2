from __future__ import annotations

from typing import Any

import pytest

from webhook.errors import ConfigError
from webhook.packs.merge import CHAIN, resolve
from webhook.packs.parse import Document, documents
from webhook.packs.values import extend


def pack(name: str, spec: str = "", *, extends: str | None = None, source: str | None = None) -> Document:
    lines = [f"metadata: {{name: {name}}}", "spec:", '  version: "1"']
    lines += [f"  extends: {extends}"] if extends else []
    text = "\n".join(["kind: RulePack", *lines, spec])
    (document,) = documents(source or f"{name}.yaml", text)
    return document


def extended(*packs: Document) -> list[dict[str, Any]]:
    return [document.value["spec"] for document in extend(packs)]


def mistakes(*packs: Document) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        extend(packs)
    return [str(problem) for problem in caught.value.problems]


BASE = """\
  mode: dry-run
  contact: platform
  match: {excludeNamespaces: [kube-system]}
  values:
    registries: [a/]
    limits: {cpu: 1, memory: 2}
  rules:
    - {name: first, check: x, params: {p: 1, q: 2}, action: deny, fix: true}
    - {name: second, expression: "true", action: warn}
  exemptions:
    - {rules: [first], reason: base}
"""
TOP = """\
  contact: shop
  values:
    limits: {cpu: 5}
    new: 1
  rules:
    - {name: third, expression: "false", action: deny}
    - name: first
      action: warn
      params: {p: 3}
  exemptions:
    - {rules: [second], reason: top}
"""


def test_values_merge_by_name_and_a_value_given_replaces_the_whole() -> None:
    _, spec = extended(pack("base", BASE), pack("top", TOP, extends="base"))
    assert spec["values"] == {"registries": ["a/"], "limits": {"cpu": 5}, "new": 1}


def test_rules_merge_by_name_keys_given_replace_and_the_base_keeps_its_order() -> None:
    _, spec = extended(pack("base", BASE), pack("top", TOP, extends="base"))
    assert spec["rules"] == [
        {"name": "first", "check": "x", "params": {"p": 3}, "action": "warn", "fix": True},
        {"name": "second", "expression": "true", "action": "warn"},
        {"name": "third", "expression": "false", "action": "deny"},
    ]


def test_exemptions_append() -> None:
    _, spec = extended(pack("base", BASE), pack("top", TOP, extends="base"))
    assert [entry["reason"] for entry in spec["exemptions"]] == ["base", "top"]


def test_scope_mode_and_contact_are_taken_over_unless_given_but_never_the_version() -> None:
    _, spec = extended(pack("base", BASE), pack("top", TOP, extends="base"))
    assert (spec["mode"], spec["contact"], spec["match"]) == ("dry-run", "shop", {"excludeNamespaces": ["kube-system"]})
    bare = documents("top.yaml", "kind: RulePack\nmetadata: {name: top}\nspec: {extends: base}")[0]
    assert "version" not in extended(pack("base", BASE), bare)[1]


def test_a_pack_that_others_extend_remains_as_it_was() -> None:
    base = pack("base", BASE)
    found = extend([base, pack("top", TOP, extends="base"), pack("other", extends="base")])
    assert found[0] is base
    assert found[0].value == pack("base", BASE).value
    assert found[2].value["spec"]["rules"] == base.value["spec"]["rules"]


def test_the_order_of_packs_is_kept_and_does_not_matter() -> None:
    forth = extend([pack("base", BASE), pack("top", TOP, extends="base")])
    back = extend([pack("top", TOP, extends="base"), pack("base", BASE)])
    assert [document.value for document in back] == [document.value for document in reversed(forth)]


def test_a_resolved_pack_extends_nothing_any_more() -> None:
    assert "extends" not in extended(pack("base", BASE), pack("top", TOP, extends="base"))[1]


def test_bases_have_bases() -> None:
    middle = pack("middle", "  rules: [{name: second, action: deny}]", extends="base")
    spec = extended(pack("top", TOP, extends="middle"), middle, pack("base", BASE))[0]
    assert [(rule["name"], rule["action"]) for rule in spec["rules"]] == [
        ("first", "warn"),
        ("second", "deny"),
        ("third", "deny"),
    ]


def test_what_is_changed_in_a_copy_does_not_change_the_base() -> None:
    base, top = extend([pack("base", BASE), pack("top", extends="base")])
    top.value["spec"]["rules"][0]["params"]["p"] = 99
    assert base.value["spec"]["rules"][0]["params"]["p"] == 1


def test_every_part_knows_the_file_and_the_path_where_it_was_written() -> None:
    top = extend([pack("base", BASE), pack("top", TOP, extends="base")])[1]
    said = {
        ("spec", "rules", 0, "action"): "top.yaml:13: spec.rules[1].action: x",
        ("spec", "rules", 0, "params", "p"): "top.yaml:14: spec.rules[1].params.p: x",
        ("spec", "rules", 0, "fix"): "base.yaml:12: spec.rules[0].fix: x",
        ("spec", "rules", 1, "severity"): "base.yaml:13: spec.rules[1].severity: x",
        ("spec", "rules", 2, "action"): "top.yaml:11: spec.rules[0].action: x",
        ("spec", "values", "registries", 0): "base.yaml:9: spec.values.registries[0]: x",
        ("spec", "values", "new"): "top.yaml:9: spec.values.new: x",
        ("spec", "exemptions", 0, "reason"): "base.yaml:15: spec.exemptions[0].reason: x",
        ("spec", "exemptions", 1, "reason"): "top.yaml:16: spec.exemptions[0].reason: x",
        ("spec", "mode"): "base.yaml:5: spec.mode: x",
        ("spec", "nothing"): "top.yaml:3: spec.nothing: x",
    }
    assert {path: str(top.problem(path, "x")) for path in said} == said


def test_a_name_loaded_twice_is_an_error_that_names_both_places() -> None:
    assert mistakes(pack("a", source="one.yaml"), pack("a", source="two.yaml")) == [
        "two.yaml:2: metadata.name: the pack a is loaded twice; the other stands at one.yaml:2; "
        "give one another name, or load one"
    ]


def test_an_unknown_base_is_an_error_with_a_suggestion() -> None:
    found = mistakes(pack("containerization"), pack("top", extends="containerisation"))
    assert found == [
        "top.yaml:5: spec.extends: no pack is named containerisation; did you mean containerization? "
        "there are: containerization; give the file of the base too"
    ]
    assert "there are: no other" in mistakes(pack("top", extends="base"))[0]


def test_a_cycle_is_one_error_that_shows_it() -> None:
    cycle = [pack("b", extends="a"), pack("a", extends="c"), pack("c", extends="b"), pack("outside", extends="b")]
    assert mistakes(*cycle) == ["a.yaml:5: spec.extends: packs cannot extend themselves: a -> c -> b -> a"]
    assert mistakes(pack("a", extends="a")) == ["a.yaml:5: spec.extends: packs cannot extend themselves: a -> a"]


def test_a_chain_has_an_end() -> None:
    chain = [pack("p0", BASE), *(pack(f"p{i}", extends=f"p{i - 1}") for i in range(1, CHAIN + 1))]
    assert len(extended(*chain[:CHAIN])[-1]["rules"]) == 2
    (mistake,) = mistakes(*chain)
    assert mistake.startswith("p8.yaml:5: spec.extends: more than 8 packs extend one another: p8 -> p7")


def test_a_pack_that_cannot_be_resolved_keeps_extends_and_so_do_those_above_it() -> None:
    found, problems = resolve([pack("top", extends="middle"), pack("middle", extends="gone")])
    assert [document.value["spec"]["extends"] for document in found] == ["middle", "gone"]
    assert len(problems) == 1
    assert resolve([pack("top", extends="gone")], complete=False)[1] == []


def test_a_rule_given_twice_stays_twice_for_the_validation_to_tell() -> None:
    twice = "  rules: [{name: first, action: warn}, {name: first, action: audit}]"
    spec = extended(pack("base", BASE), pack("top", twice, extends="base"))[1]
    assert [rule["name"] for rule in spec["rules"]] == ["first", "second", "first"]


@pytest.mark.parametrize("part", ["rules", "values", "exemptions"])
@pytest.mark.parametrize("shape", ["5", "text", "[1, null]", "{a: [b]}", "null"])
def test_parts_of_the_wrong_shape_are_left_to_the_validation(part: str, shape: str) -> None:
    odd = f"  {part}: {shape}"
    assert len(extended(pack("base", odd), pack("top", TOP, extends="base"))) == 2
    spec = extended(pack("base", BASE), pack("top", odd, extends="base"))[1]
    assert part in spec


def test_documents_without_name_or_spec_pass_through() -> None:
    odd = [documents("odd.yaml", text)[0] for text in ("a: 1", "metadata: {name: 5}", "metadata: []\nspec: []")]
    assert extend(odd) == odd
