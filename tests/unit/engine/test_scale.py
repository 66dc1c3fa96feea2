"""`*/scale` is reviewed by the rules on replicas, as the workload that is scaled."""

from __future__ import annotations

import pytest

RULE = 'rules:\n  - {name: few, expression: "%s", action: deny, existing: %s, match: {kinds: [Deployment]}}\n'


@pytest.fixture
def scale(judge):
    def make(text, replicas, resource="deployments", before=1, endpoint="validate"):
        obj = {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"replicas": replicas},
        }
        old = {**obj, "spec": {"replicas": before}}
        where = {"group": "apps", "version": "v1", "resource": resource}
        return judge(text, obj, old=old, resource=where, subResource="scale", endpoint=endpoint)

    return make


@pytest.mark.parametrize(("replicas", "allowed"), [(5, True), (6, False)])
@pytest.mark.parametrize(
    "expression",
    [
        "object.spec.replicas <= 5",
        "!has(object.spec.replicas) || object.spec.replicas <= 5 || object.metadata.name == 'big'",
        "object.spec.?replicas.orValue(1) <= 5",
    ],
)
def test_a_rule_on_replicas_judges_a_scale_where_the_workload_is_judged(scale, expression, replicas, allowed):
    decision = scale(RULE % (expression, "deny"), replicas)
    assert decision.allowed is allowed
    assert decision.errors == ()
    assert scale(RULE % (expression, "deny"), replicas, endpoint="advise").findings == ()


@pytest.mark.parametrize(
    "expression",
    [
        "has(object.spec.strategy)",
        "object.spec.replicas < 0 && has(object.spec.template)",
        "size(object) == 0",
        "containers.size() > 9",
        "pod.spec.containers.size() > 9",
    ],
)
def test_a_rule_that_looks_at_more_of_the_workload_does_not(scale, expression):
    assert scale(RULE % (expression, "deny"), 9).allowed


def test_no_replicas_on_the_wire_are_none(scale, judge):
    text = RULE % ("object.spec.replicas >= 2", "deny")
    decision = scale(text, None, before=3)
    assert [finding.rule for finding in decision.findings] == ["few"]
    assert decision.errors == ()


def test_other_kinds_are_judged_by_their_own_rules(scale):
    assert scale(RULE % ("object.spec.replicas <= 5", "deny"), 9, resource="statefulsets").allowed


def test_more_replicas_than_before_are_a_new_finding(scale):
    assert not scale(RULE % ("object.spec.replicas <= 5", "allow"), 9, before=7).allowed
