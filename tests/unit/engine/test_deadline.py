"""Work ends when the caller has given up, and no object is too large to be judged."""

from __future__ import annotations

from webhook.engine.evaluate import evaluate
from webhook.engine.facts import Facts

RULES = """
rules:
  - {name: first, expression: "true", action: deny}
  - {name: second, expression: "true", action: deny}
  - {name: third, expression: "true", action: warn}
"""


def after(count):
    asked = []

    def expired():
        asked.append(None)
        return len(asked) > count

    return expired


def test_rules_that_are_left_when_time_is_over_count_as_failed(load, review, deployment, now):
    decision = evaluate(load(RULES), review(deployment()), Facts(), now, "all", after(1))
    assert [(fault.rule, fault.effective) for fault in decision.errors] == [("second", "deny"), ("third", "allow")]
    assert not decision.allowed
    assert "within the time" in decision.errors[0].message


def test_fixes_that_are_left_when_time_is_over_are_not_made(load, review, deployment, now):
    rule = "  - {name: %s, when: '!has(pod.spec.%s)', patch: [{op: add, path: /spec/%s, value: 1}], action: warn}\n"
    text = "rules:\n" + "".join(rule % (name, name, name) for name in ("a", "b"))
    decision = evaluate(load(text), review(deployment()), Facts(), now, "mutate", after(1))
    assert [operation["path"] for operation in decision.patch] == ["/spec/template/spec/a"]
    assert decision.allowed


def test_a_pod_whose_lists_are_no_lists_is_refused_by_rules_that_deny_and_passes_none(judge, deployment):
    text = 'rules:\n  - {name: a, check: no-host-path, action: deny}\n  - {name: b, expression: "true", action: deny}\n'
    for pod in ({"containers": {"name": "a"}}, {"containers": "x"}, {"containers": [{}], "volumes": [3]}):
        decision = judge(text, deployment(pod=pod))
        assert not decision.allowed
        assert [fault.rule for fault in decision.errors] == ["a"]
        assert "no list of objects" in decision.errors[0].message


def test_a_value_that_the_pack_does_not_have_is_an_error_at_load(load):
    import pytest

    from webhook.errors import ConfigError

    text = 'values: {registries: [a]}\nrules:\n  - {name: a, expression: "%s", action: deny}\n'
    with pytest.raises(ConfigError, match="values has no registry; did you mean registries"):
        load(text % "values.registry.exists(r, r == 'a')")
    load(text % "!has(values.registry) && values.?registry.orValue([]).size() == 0 && values.registries.size() == 1")


def test_a_change_of_what_an_expression_does_not_look_at_is_no_change(judge, deployment):
    text = 'rules:\n  - {name: two, expression: "object.spec.replicas >= 2", action: deny, existing: deny}\n'
    old = deployment(spec={"replicas": 1})
    assert judge(text, deployment(spec={"replicas": 1}, metadata={"labels": {"a": "b"}}), old=old).allowed
    assert not judge(text, deployment(spec={"replicas": 0}), old=old).allowed


def test_a_pod_of_another_type_than_kubernetes_takes_is_refused_and_passes_none(judge, deployment):
    text = "rules:\n" + "".join(
        f"  - {{name: {name}, {rule}, action: deny}}\n"
        for name, rule in (
            ("pod", "check: no-host-path"),
            ("whole", "check: workload-class"),
            ("cel", 'expression: "pod.spec == pod.spec"'),
            ("other", 'expression: "true"'),
        )
    )
    whole = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}
    tasks = {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "metadata": whole["metadata"]}
    for obj, place in (
        ({**whole, "spec": []}, "/spec"),
        ({**whole, "spec": "x"}, "/spec"),
        ({**whole, "spec": {"template": [3]}}, "/spec/template"),
        ({**whole, "spec": {"template": {"spec": [deployment()]}}}, "/spec/template/spec"),
        ({**whole, "apiVersion": "v1", "kind": "Pod", "spec": ["containers"]}, "/spec"),
        ({**tasks, "spec": {"tasks": {"template": {}}}}, "/spec/tasks"),
        ({**tasks, "spec": {"tasks": [{"template": deployment()["spec"]["template"]}, 3]}}, "/spec/tasks/1"),
    ):
        decision = judge(text, obj)
        assert [fault.rule for fault in decision.errors] == ["pod", "whole", "cel"], obj
        assert all(fault.message.startswith(f"{place}: of another type") for fault in decision.errors)
        assert not decision.allowed


def test_a_workload_without_a_pod_is_no_fault(judge):
    text = "rules:\n  - {name: a, check: no-host-path, action: deny}\n"
    for spec in (None, {}, {"template": None}, {"template": {}}, {"template": {"spec": None}}):
        obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}
        assert judge(text, {**obj, "spec": spec}).allowed


def test_an_exemption_of_a_wrapper_spares_nothing_in_it_when_time_is_over(load, review, deployment, now):
    text = """
    rules: [{name: hosts, check: no-host-path, action: deny}]
    exemptions:
      - {rules: [hosts], match: {names: [%s]}, reason: reads the node, owner: observability, expires: 2027-03-31}
    """
    hosts = deployment(name="web", pod={"volumes": [{"name": "etc", "hostPath": {"path": "/etc"}}]})
    work = {
        "apiVersion": "work.open-cluster-management.io/v1",
        "kind": "ManifestWork",
        "metadata": {"name": "node-exporter", "namespace": "cluster1"},
        "spec": {"workload": {"manifests": [hosts, hosts]}},
    }
    for names, allowed in (("node-exporter", False), ("web", False), ("node-exporter, web", True)):
        decision = evaluate(load(text % names), review(work), Facts(), now, "all", after(0))
        assert decision.allowed is allowed
        assert len(decision.errors) == (not allowed)
