"""Which pods a rule of anti-affinity or spreading counts, as the scheduler does it."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.model.affinity import Rule, matches, rules, selects
from webhook.model.pods import subjects

LABELS = {"app": "cart", "track": "stable"}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "cart"}}, True),
        ({"matchLabels": {"app": "cart", "tier": "web"}}, False),
        ({"matchLabels": None, "matchExpressions": None}, True),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["cart", "shop"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["cart"]}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Like", "values": ["c*"]}]}, False),
        ({"matchExpressions": ["app"]}, False),
        ("app=cart", False),
    ],
)
def test_a_selector_selects_what_the_api_server_would_select(selector: Any, selected: bool) -> None:
    assert matches(selector, LABELS) is selected


@pytest.mark.parametrize(
    ("term", "counted"),
    [
        ({}, True),
        ({"namespaces": ["shop"]}, True),
        ({"namespaces": ["other"]}, False),
        ({"namespaces": ["other"], "namespaceSelector": {}}, True),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}, False),
        ({"namespaceSelector": {"matchLabels": {"team": "a"}}}, True),
        ({"matchLabelKeys": ["track", "pod-template-hash", "unknown"]}, True),
        ({"matchLabelKeys": ["apps.kubernetes.io/pod-index"]}, False),
        ({"mismatchLabelKeys": ["track"]}, False),
        ({"mismatchLabelKeys": ["unknown", "apps.kubernetes.io/pod-index"]}, True),
        ({"matchLabelKeys": [["track"], None]}, True),
    ],
)
def test_a_term_counts_the_pods_of_its_own_workload_where_keys_and_namespaces_let_it(
    term: dict[str, Any], counted: bool
) -> None:
    rule = Rule({"labelSelector": {"matchLabels": {"app": "cart"}}, **term}, "", hard=True, anti=True)
    assert selects(rule, LABELS, "shop") is counted


def test_a_topology_spread_constraint_counts_pods_of_its_own_namespace_whatever_it_names() -> None:
    rule = Rule({"labelSelector": {}, "namespaces": ["other"]}, "", hard=False, anti=False)
    assert selects(rule, LABELS, "shop")


def test_all_rules_of_a_pod_are_found_with_their_places() -> None:
    term = {"topologyKey": "zone"}
    spec = {
        "topologySpreadConstraints": [{"topologyKey": "node", "whenUnsatisfiable": "ScheduleAnyway"}, {}],
        "affinity": {
            "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]},
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [term],
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": term}],
            },
        },
    }
    [subject] = subjects({"spec": spec}, "", "Pod", "shop", "cart")
    anti = "/spec/affinity/podAntiAffinity"
    assert [(rule.pointer, rule.topology, rule.hard, rule.anti) for rule in rules(subject.pods[0])] == [
        ("/spec/topologySpreadConstraints/0", "node", False, False),
        ("/spec/topologySpreadConstraints/1", "", True, False),
        (f"{anti}/requiredDuringSchedulingIgnoredDuringExecution/0", "zone", True, True),
        (f"{anti}/preferredDuringSchedulingIgnoredDuringExecution/0/podAffinityTerm", "zone", False, True),
    ]
