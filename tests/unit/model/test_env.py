"""The environment of a container, expanded as the kubelet does it."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.model import env
from webhook.model.env import UNKNOWN, Value

# third_party/forked/golang/expansion/expand_test.go of k8s.io/kubernetes v1.37.2
SET = {"VAR_A": "A", "VAR_B": "B", "VAR_C": "C", "VAR_REF": "$(VAR_A)", "VAR_EMPTY": ""}
KUBERNETES = [
    ("$(VAR_A)", "A"),
    ("$(VAR_A)-$(VAR_A)", "A-A"),
    ("___$(VAR_B)___", "___B___"),
    ("$(VAR_A)_$(VAR_B)_$(VAR_C)", "A_B_C"),
    ("$$(VAR_B)_$(VAR_A)", "$(VAR_B)_A"),
    ("f000-$$VAR_A", "f000-$VAR_A"),
    ("foo\\\\$(VAR_C)bar", "foo\\\\Cbar"),
    ("$(VAR_A$(VAR_B))", "$(VAR_A$(VAR_B))"),
    ("$(VAR_A$(VAR_B)", "$(VAR_A$(VAR_B)"),
    ("$(VAR_REF)", "$(VAR_A)"),
    ("%%$(VAR_REF)--$(VAR_REF)%%", "%%$(VAR_A)--$(VAR_A)%%"),
    ("foo$(VAR_EMPTY)bar", "foobar"),
    ("foo$(VAR_Awhoops!", "foo$(VAR_Awhoops!"),
    ("f00__(VAR_A)__", "f00__(VAR_A)__"),
    ("$?_boo_$!", "$?_boo_$!"),
    ("$VAR_A", "$VAR_A"),
    ("$(VAR_DNE)", "$(VAR_DNE)"),
    ("$$$$$$(BIG_MONEY)", "$$$(BIG_MONEY)"),
    ("$$$$$$(VAR_A)", "$$$(VAR_A)"),
    ("$$$$$$$(GOOD_ODDS)", "$$$$(GOOD_ODDS)"),
    ("$$$$$$$(VAR_A)", "$$$A"),
    ("${VAR_A}", "${VAR_A}"),
    ("$(VAR_B)_______$(A", "B_______$(A"),
    ("$(VAR_C)_______$(", "C_______$("),
    ("$(VAR_A)foobarzab$", "Afoobarzab$"),
    ("foo-\\$(VAR_A", "foo-\\$(VAR_A"),
    ("--$($($($($--", "--$($($($($--"),
    ("$(foo$$var)", "$(foo$$var)"),
    ("\n", "\n"),
    ("prefix-$€-suffix", "prefix-$€-suffix"),
    ("", ""),
]


@pytest.mark.parametrize(("template", "text"), KUBERNETES)
def test_references_are_expanded_as_kubernetes_does(template: str, text: str) -> None:
    assert env.expand(template, lambda name: Value(SET[name]) if name in SET else None) == Value(text)


def read(*entries: dict[str, Any], **container: Any) -> env.Environment:
    return env.read({"env": list(entries), **container})


def field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def test_only_variables_defined_before_are_seen() -> None:
    found = read({"name": "A", "value": "$(B)"}, {"name": "B", "value": "b"}, {"name": "C", "value": "$(B)"})
    assert found.values == {"A": Value("$(B)"), "B": Value("b"), "C": Value("b")}


def test_the_last_definition_counts() -> None:
    found = read({"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"})
    assert found.find("A") == Value("12")


@pytest.mark.parametrize("path", ["metadata.name", "metadata.uid"])
def test_a_name_and_a_uid_are_unique_and_so_is_what_holds_them(path: str) -> None:
    found = read(field("POD", path), {"name": "PATH", "value": "/x/$(POD)"})
    assert found.find("PATH") == Value(f"/x/{{{path}}}", unique=True)


@pytest.mark.parametrize("path", ["metadata.namespace", "spec.nodeName", "status.podIP", "metadata.labels['app']"])
def test_other_fields_are_not_unique(path: str) -> None:
    assert read(field("FIELD", path)).find("FIELD") == Value(f"{{{path}}}")


@pytest.mark.parametrize(
    "source",
    [
        {"configMapKeyRef": {"name": "web", "key": "path"}},
        {"secretKeyRef": {"name": "web", "key": "path"}},
        {"fileKeyRef": {"volumeName": "env", "path": "a", "key": "b"}},
        {"fieldRef": {"fieldPath": "metadata.annotations['path']"}},
        {"fieldRef": {}},
    ],
)
def test_what_the_manifest_does_not_hold_is_unknown_and_makes_unknown(source: dict[str, Any]) -> None:
    found = read({"name": "A", "valueFrom": source}, {"name": "B", "value": "/x/$(A)"})
    assert found.find("A") == UNKNOWN
    assert found.find("B") == UNKNOWN


def test_with_env_from_a_name_that_is_not_set_is_unknown() -> None:
    found = read({"name": "A", "value": "$(B)"}, envFrom=[{"configMapRef": {"name": "web"}}])
    assert found.open
    assert found.find("A") == UNKNOWN
    assert found.find("C") == UNKNOWN


@pytest.mark.parametrize("name", ["KUBERNETES_SERVICE_HOST", "WEB_PORT", "WEB_PORT_80_TCP_ADDR"])
def test_the_variables_of_services_are_unknown(name: str) -> None:
    assert read().find(name) == UNKNOWN


def test_a_name_that_nothing_sets_is_not_there() -> None:
    assert read().find("LOG_PATH") is None


def test_a_variable_without_a_value_is_empty() -> None:
    assert read({"name": "A"}).find("A") == Value("")


def test_what_is_not_known_may_stay_as_it_is_written() -> None:
    entries = [
        {"name": "HEAP", "valueFrom": {"configMapKeyRef": {"name": "web", "key": "heap"}}},
        {"name": "OPTIONS", "value": "-Xmx$(HEAP) $(GONE) $$(HEAP)"},
    ]
    assert env.read({"env": entries}).values["OPTIONS"].text is None
    assert env.read({"env": entries}, keep=True).values["OPTIONS"].text == "-Xmx$(HEAP) $(GONE) $(HEAP)"
    assert env.read({"env": entries}, keep=True).values["HEAP"].text is None


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ({"resource": "limits.memory"}, "2147483648"),
        ({"resource": "limits.memory", "divisor": "1Mi"}, "2048"),
        ({"resource": "limits.memory", "divisor": "1500Mi"}, "2"),
        ({"resource": "limits.memory", "divisor": "0"}, "2147483648"),
        ({"resource": "limits.cpu"}, "2"),
        ({"resource": "limits.cpu", "divisor": "1m"}, "1500"),
        ({"resource": "limits.cpu", "containerName": "web"}, "2"),
        ({"resource": "limits.cpu", "containerName": "api"}, "{resource}"),
        ({"resource": "requests.cpu"}, "{resource}"),
        ({"resource": "limits.ephemeral-storage"}, "{resource}"),
        ({"resource": "limits.memory", "divisor": "1MB"}, "{resource}"),
        ({"resource": "limits"}, "{resource}"),
        ({}, "{resource}"),
    ],
)
def test_a_resource_of_the_container_is_its_quotient_rounded_up(field: dict[str, str], text: str) -> None:
    limits = {"cpu": "1500m", "memory": "2Gi"}
    entry = {"name": "A", "valueFrom": {"resourceFieldRef": field}}
    found = env.read({"name": "web", "resources": {"limits": limits}, "env": [entry]})
    assert found.values["A"].text == text


@pytest.mark.parametrize("names", [("B",), ("A", "C"), ("D", "none"), ("E", "F", "G")])
def test_some_variables_have_the_values_that_they_have_among_all(names):
    entries = [
        {"name": "A", "value": "a"},
        {"name": "B", "value": "$(A)/$$(A)/$(none)"},
        {"name": "A", "value": "later"},
        {"name": "C", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "D", "value": "/$(C)"},
        {"name": "E", "value": 3},
        {"name": ["F"], "value": "$"},
        "G",
    ]
    container = {"name": "web", "env": entries}
    whole = env.read(container).values
    assert env.some(container, names) == {name: whole[name] for name in names if name in whole}


def chain(length: int) -> list[dict[str, str]]:
    """Variables that each name the one before twice."""
    return [{"name": "A0", "value": "x" * 100}] + [
        {"name": f"A{n}", "value": f"$(A{n - 1})$(A{n - 1})"} for n in range(1, length)
    ]


@pytest.mark.parametrize("keep", [False, True])
def test_no_chain_of_variables_grows_without_end(keep):
    found = env.read({"name": "web", "env": chain(60)}, keep)
    assert found.values["A5"].text == "x" * 3200
    assert max(len(value.text or "") for value in found.values.values()) <= env.LONGEST
    assert found.values["A11"].text == ("$(A10)$(A10)" if keep else None)
    assert found.values["A59"].text is not None if keep else found.values["A59"] == env.UNKNOWN


def test_all_variables_and_all_words_together_are_no_longer_than_what_a_program_can_be_started_with():
    wide = [{"name": f"B{n}", "value": "$(A9)$(A9)"} for n in range(1000)]
    found = env.read({"name": "web", "env": [*chain(10), *wide]})
    assert sum(len(value.text or "") for value in found.values.values()) < env.MOST + env.LONGEST
    words = list(env.words(["x$(A9)"] * 1000, found.find))
    assert words[0].text == "x" * 51201
    assert sum(len(value.text or "") for value in words) < env.MOST + env.LONGEST
    assert words[-1] == env.UNKNOWN
