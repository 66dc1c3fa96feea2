"""An object of the API is the document that somebody applied, and its mistakes have no lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from webhook.checks import CHECKS
from webhook.errors import ConfigError
from webhook.packs.compile import ruleset
from webhook.packs.crd import definition
from webhook.packs.parse import documents
from webhook.packs.served import configmap, dump, restore, rulepack

SHIPPED = sorted(path for path in Path("policies").glob("*.yaml") if not path.name.endswith(".test.yaml"))
ADDED: dict[str, Any] = {
    "uid": "u",
    "resourceVersion": "7",
    "generation": 3,
    "creationTimestamp": "2026-11-27T00:00:00Z",
    "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
    "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
}


def stored(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document as an API server gives it."""
    return {**document, "metadata": {**document["metadata"], **ADDED}, "status": {"rules": 1}}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_was_applied_comes_back_word_for_word(path: Path) -> None:
    for document in documents(path.name, path.read_text()):
        name, text = rulepack(stored(document.value))
        assert name == f"RulePack/{document.value['metadata']['name']}"
        [again] = documents(name, text)
        assert again.value == document.value


def test_only_a_change_of_what_somebody_wrote_is_one() -> None:
    document = {"apiVersion": "plimsoll.dev/v1", "kind": "RulePack", "metadata": {"name": "a"}, "spec": {"mode": "x"}}
    assert rulepack(document) == rulepack(stored(document))
    assert rulepack(document) != rulepack({**document, "spec": {"mode": "y"}})


def test_a_mistake_in_an_object_is_told_by_its_path_alone() -> None:
    rule = {"name": "r", "expression": "true", "action": "block", "odd": 1}
    document = {"kind": "RulePack", "metadata": {"name": "acme"}, "spec": {"rules": [rule, rule]}}
    with pytest.raises(ConfigError) as error:
        ruleset([rulepack(document)])
    lines = [str(problem) for problem in error.value.problems]
    assert all(line.startswith("RulePack/acme: spec.rules[") for line in lines)
    assert [line for line in lines if "is there already (RulePack/acme);" in line]


@pytest.mark.parametrize("obj", [{}, {"metadata": None}, {"metadata": {"name": "a"}, "spec": None}, {"spec": "x"}])
def test_an_object_that_is_no_pack_is_a_mistake_and_no_bug(obj: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ruleset([rulepack(obj)])


@pytest.mark.parametrize("levels", [70, 900])
def test_an_object_that_is_too_deep_is_a_mistake_and_no_bug(levels: int) -> None:
    deep: Any = []
    for _ in range(levels):
        deep = [deep]
    with pytest.raises(ConfigError, match="nested deeper than 64 levels"):
        ruleset([rulepack({"metadata": {"name": "a"}, "spec": {"values": {"x": deep}}})])


def test_strange_texts_survive() -> None:
    odd = 'tab\t "quoted" \\ back\nline \U0001f6a2 ünï ${values.x} \u2028 \u2029 end: - ['
    spec = {"values": {"x": odd, "long": "x" * 3000, "number": 1e300, "no": "no", "list": [[], {}, True, 0, "0777"]}}
    name, text = rulepack({"metadata": {"name": "a"}, "spec": spec})
    [document] = documents(name, text)
    assert document.value["spec"] == spec


def test_a_configmap_has_a_source_for_each_key_that_is_yaml_where_its_label_says_so() -> None:
    data = {"b.yaml": "B", "a.yml": "A", "a.test.yaml": "T", "readme.md": "R"}
    meta = {"name": "packs", "labels": {"plimsoll.dev/rule-packs": "true"}}
    assert configmap({"metadata": meta, "data": data}) == [
        ("ConfigMap/packs/a.yml", "A"),
        ("ConfigMap/packs/b.yaml", "B"),
    ]
    for labels in (None, {}, {"plimsoll.dev/rule-packs": "false"}):
        assert configmap({"metadata": {**meta, "labels": labels}, "data": data}) == []
    assert configmap({"metadata": meta}) == configmap({"metadata": meta, "data": None}) == []


def test_sources_are_handed_on_as_one_value() -> None:
    sources = [("a", "ä\n"), ("b", "")]
    assert restore(dump(sources)) == sources
    assert restore(None) == []


def nodes(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a schema with all that is in it."""
    inner = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    return [schema, *(node for each in inner for node in nodes(each))]


def test_the_definition_is_structural_and_keeps_what_it_does_not_know() -> None:
    schema = definition(CHECKS)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for node in nodes(schema):
        assert node.get("type") or node.get("x-kubernetes-preserve-unknown-fields"), node
        assert not {"$ref", "oneOf", "anyOf", "allOf", "not", "additionalProperties"} & node.keys()
    for node in nodes(schema["properties"]["spec"]):
        assert node.get("type") == "array" or node["x-kubernetes-preserve-unknown-fields"] is True
        assert not {"enum", "pattern", "minLength", "required", "minItems"} & node.keys(), "our own words are better"


def test_the_definition_describes_every_key_of_a_pack() -> None:
    spec = definition(CHECKS)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    rule = spec["properties"]["rules"]["items"]["properties"]
    assert "(deny, warn, audit, disabled)" in rule["action"]["description"]
    assert {"check", "params", "expression", "patch", "match", "onUnknown"} <= rule.keys()
    assert [node for node in nodes(spec) if not node.get("description")] == []
    assert yaml.safe_load(orjson.dumps(spec)) == spec
