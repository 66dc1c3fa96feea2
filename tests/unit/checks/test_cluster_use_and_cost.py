"""The checks of the packs cluster-use and cost: parameters that cannot be meant, and what no single object shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from webhook.checks import CHECKS
from webhook.checks.check import ParamError
from webhook.model.decision import Decision
from webhook.model.workloads import row, table
from webhook.packs.rule import Ruleset


@pytest.mark.parametrize(
    ("check", "params", "path"),
    [
        ("job-cleanup", {"maxTtlSeconds": 60}, ("defaultTtlSeconds",)),
        ("api-list-scope", {"resources": ["pods", "*"]}, ("resources", 1)),
        ("api-list-scope", {"resources": ["Pod"]}, ("resources", 0)),
        ("api-list-scope", {"namespaced": ["pods/log"]}, ("namespaced", 0)),
        ("resource-shape", {"container": {"cpu": {"min": "lots"}}}, ("container", "cpu", "min")),
        ("resource-shape", {"container": {"memory": {"step": 0}}}, ("container", "memory", "step")),
        ("resource-shape", {"pod": {"memory": {"min": "2Gi", "max": "1Gi"}}}, ("pod", "memory", "min")),
        ("resource-shape", {"pod": {"gibPerCore": {"min": 8, "max": 1}}}, ("pod", "gibPerCore", "min")),
        ("resource-shape", {"pod": {"shapes": [{"cpu": "1", "memory": "1GB"}]}}, ("pod", "shapes", 0, "memory")),
        ("resource-shape", {"pod": {"from": {"cpu": "-1", "memory": "1Gi"}}}, ("pod", "from", "cpu")),
    ],
)
def test_a_parameter_that_cannot_be_meant_is_named(
    check: str, params: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    module = CHECKS[check]
    with pytest.raises(ParamError) as caught:
        module.build({**module.DEFAULTS, **params})
    assert [where for where, _ in caught.value.problems] == [path]


def test_a_kind_that_a_company_adds_has_no_more_replicas_than_others_also_when_it_is_scaled(
    judge: Callable[..., Decision], load: Callable[..., Ruleset]
) -> None:
    kinds = table([row("acme.example/Service:services:spec.template")])
    rules = load("rules: [{name: shape, check: resource-shape, action: deny}]", kinds=kinds)
    spec: dict[str, Any] = {"replicas": 1000, "template": {"spec": {"containers": []}}}
    service = {"apiVersion": "acme.example/v1", "kind": "Service", "metadata": {"name": "x"}, "spec": spec}
    assert [finding.violation.pointer for finding in judge(rules, service).findings] == ["/spec/replicas"]
    scale = {**service, "apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 1000}}
    of_service = {"group": "acme.example", "version": "v1", "resource": "services"}
    said = judge(rules, scale, old={**scale, "spec": {"replicas": 1}}, resource=of_service, subResource="scale")
    assert [finding.violation.pointer for finding in said.findings] == ["/spec/replicas"]
