"""CEL is given what the texts of all packs read of an object, and that is what they would see in all of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook.packs import compile as compiler
from webhook.packs.width import cut

POLICIES = Path(__file__).parents[3] / "policies"


def widths(*rules: Mapping[str, Any]) -> dict[str, Any]:
    named = [{"name": f"rule-{number}", "action": "deny", **rule} for number, rule in enumerate(rules)]
    pack = {"apiVersion": "plimsoll.dev/v1", "kind": "RulePack", "metadata": {"name": "acme"}, "spec": {"rules": named}}
    found = compiler.ruleset([("acme.yaml", yaml.safe_dump(pack))]).widths
    return {word: {name: below and set(below) for name, below in width.items()} for word, width in found.items()}


def test_the_texts_of_all_rules_count() -> None:
    assert widths(
        {"expression": "!has(object.spec.a) && object.kind != 'x'"},
        {
            "expression": "variables.b == 1",
            "variables": [{"name": "b", "expression": "object.spec.b"}],
            "messageExpression": "object.metadata.name",
        },
        {
            "expression": "true",
            "match": {"matchConditions": [{"name": "who", "expression": "request.userInfo.username != 'x'"}]},
        },
        {
            "when": "!has(pod.spec.dnsConfig)",
            "patch": [{"op": "add", "path": "/spec/nodeName", "valueExpression": "pod.metadata.labels.node"}],
        },
    ) == {
        "object": {"spec": {"a", "b"}, "kind": None, "metadata": {"name"}},
        "request": {"userInfo": {"username"}},
        "pod": {"spec": {"dnsConfig"}, "metadata": {"labels"}},
    }


def test_what_one_rule_uses_whole_is_whole_for_all() -> None:
    assert widths(
        {"expression": "object.spec.a == 1 && pod.spec.a == 1"},
        {"expression": "object.spec.size() == 1"},
        {"expression": "'spec' in pod"},
    ) == {"object": {"spec": None}}


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("containers.all(c, c.?securityContext.?privileged.orValue(false) == false)", {"securityContext"}),
        ("containers.filter(c, has(c.ports)).map(d, d['name']).size() == 0", {"ports", "name"}),
        ("containers.filter(c, has(c.ports)).filter(c, c.name != '').size() == 0", {"ports", "name"}),
        ("containers.exists(c, c.image == 'x') && containers.exists_one(d, d[?'env'].hasValue())", {"image", "env"}),
        ("containers.map(c, c.name).exists(name, name.contains('x'))", {"name"}),
        ("containers.all(c, c.env.all(e, e.value != c.name) && c.image != '')", {"env", "name", "image"}),
        ("[1].all(containers, containers > 0) && containers.all(c, c.image != '')", {"image"}),
        ("containers.size() > 0 && containers.all(c, c.image != '')", {"image"}),
        ("containers.size() > 0", None),
        ("containers.all(c, c.image != '') && containers[0].name != ''", None),
        ("containers.all(c, c.image != '') && size(containers) > 0", None),
        ("containers.all(c, 'image' in c)", None),
        ("containers.all(c, c == containers[0])", None),
        ("containers.all(c, [c].all(d, d.name != ''))", None),
        ("containers.all(c, c[object.kind] != '')", None),
        ("containers.all(c, c.size() > 0)", None),
        ("containers.all(c, c.env.all(c, c.value != ''))", None),
        ("containers.filter(c, has(c.ports)) == []", None),
        ("containers.filter(c, has(c.ports))[0].name == ''", None),
        ("containers.map(c, has(c.ports), c.name) == []", None),
        ("containers.all(i, c, c.name != string(i))", None),
        ("cel.bind(all, containers, all.all(c, c.image != ''))", None),
        ("(containers + []).all(c, c.image != '')", None),
        ("containers.map(c, {'c': c}).size() == 0", None),
    ],
)
def test_of_containers_the_fields_that_all_texts_read_of_each(text: str, fields: set[str] | None) -> None:
    found = widths({"expression": text}).get("containers")
    assert found == (None if fields is None else dict.fromkeys(fields))


def test_containers_that_one_variable_hands_on_are_whole_for_all() -> None:
    handed = [{"name": "bad", "expression": "containers.filter(c, has(c.ports))"}]
    found = widths(
        {"expression": "containers.all(c, c.image != '')"},
        {"expression": "variables.bad.all(c, c.name != '')", "variables": handed},
    )
    assert "containers" not in found


@pytest.mark.parametrize(
    ("width", "seen"),
    [
        (None, {"a": {"b": 1, "c": {"d": 2}}, "e": [1], "f": "x"}),
        ({"a": None}, {"a": {"b": 1, "c": {"d": 2}}}),
        ({"a": frozenset({"c", "x"}), "z": None}, {"a": {"c": {"d": 2}}}),
        ({"e": frozenset({"c"}), "f": frozenset({"c"})}, {"e": [1], "f": "x"}),
        ({}, {}),
    ],
)
def test_a_width_leaves_in_its_fields_and_what_is_no_map(width: Any, seen: Any) -> None:
    assert cut({"a": {"b": 1, "c": {"d": 2}}, "e": [1], "f": "x"}, width) == seen


def test_what_is_no_object_stays() -> None:
    assert cut(None, {"a": None}) is None
