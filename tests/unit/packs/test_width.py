"""CEL is given what the texts of all packs read of an object, and that is what they would see in all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from webhook.packs import compile as compiler
from webhook.packs.width import cut


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
