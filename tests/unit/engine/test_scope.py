"""Every part of `match` narrows the scope of a rule, and only that."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from webhook.engine.evaluate import evaluate, needs
from webhook.engine.facts import Facts, Missing, Owner
from webhook.errors import ConfigError

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def rule(match: str, pack: str = "", **more: str) -> str:
    extra = "".join(f", {key}: {value}" for key, value in more.items())
    head = f"match: {pack}\n" if pack else ""
    return (
        head
        + f'rules:\n  - {{name: never, expression: "containers.size() == 0", action: deny, match: {match}{extra}}}\n'
    )


def facts(**labels: str) -> Facts:
    return Facts(namespace={"metadata": {"name": "shop", "labels": labels}})


def denied(decision) -> bool:
    return any(finding.rule == "never" and finding.effective == "deny" for finding in decision.findings)


@pytest.mark.parametrize(
    ("match", "hit"),
    [
        ("{operations: [CREATE]}", True),
        ("{operations: [UPDATE]}", False),
        ("{kinds: [Deployment]}", True),
        ("{kinds: [StatefulSet, apps.kruise.io/CloneSet]}", False),
        ("{namespaces: ['sh*']}", True),
        ("{namespaces: ['*']}", True),
        ("{namespaces: [sho, 'shop-*']}", False),
        ("{excludeNamespaces: [shop]}", False),
        ("{excludeNamespaces: ['*-system']}", True),
        ("{names: ['we?', x]}", True),
        ("{names: ['w']}", False),
        ("{objectSelector: {matchLabels: {tier: front}}}", True),
        ("{objectSelector: {matchLabels: {tier: back}}}", False),
        ("{objectSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [back]}]}}", True),
        ("{objectSelector: {matchExpressions: [{key: absent, operator: NotIn, values: [back]}]}}", True),
        ("{objectSelector: {matchExpressions: [{key: tier, operator: DoesNotExist}]}}", False),
        ("{objectSelector: {matchExpressions: [{key: tier, operator: Exists}]}}", True),
        ("{namespaceSelector: {matchLabels: {env: prod}}}", True),
        ("{namespaceSelector: {matchLabels: {env: test}}}", False),
        ("{excludeUsers: [jane]}", False),
        ("{excludeUsers: ['system:*']}", True),
        ("{excludeGroups: [dev]}", False),
        ("{excludeGroups: [ops]}", True),
        ("{containers: ['w*']}", True),
        ("{containers: [sidecar]}", False),
        ("{images: ['registry.example/shop/*']}", True),
        ("{images: ['registry.example/sho']}", False),
        ("{containers: [web], images: ['registry.example/']}", True),
        ("{containers: [web], images: ['other.example/']}", False),
        ("{matchConditions: [{name: c, expression: \"object.metadata.name == 'web'\"}]}", True),
        ("{matchConditions: [{name: c, expression: \"request.userInfo.username != 'jane'\"}]}", False),
        ("{namespaces: [shop], names: [other]}", False),
    ],
)
def test_a_clause_decides(judge, deployment, match, hit):
    # containers left out of the scope are not seen, so the rule's own expression must hold on what is seen
    text = rule(match).replace("containers.size() == 0", "!containers.exists(c, true)")
    decision = judge(text, deployment(metadata={"labels": {"tier": "front"}}), facts=facts(env="prod"))
    assert denied(decision) is hit
    assert not decision.errors


def test_a_rules_match_narrows_its_packs(judge, deployment):
    assert not denied(judge(rule("{namespaces: [shop]}", pack="{namespaces: [other]}"), deployment()))
    assert not denied(judge(rule("{names: [web]}", pack="{excludeNamespaces: [shop]}"), deployment()))
    assert denied(judge(rule("{names: [web]}", pack="{namespaces: [shop]}"), deployment()))


def test_kinds_without_any_common_one_are_an_error_at_load(load):
    with pytest.raises(ConfigError, match="can never match"):
        load(rule("{kinds: [Deployment]}", pack="{kinds: [StatefulSet]}"))


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("Deploymnt", "did you mean Deployment"),
        ("CloneSet", "apps.kruise.io/CloneSet"),
        ("deployment", "Deployment"),
    ],
)
def test_a_kind_that_is_not_known_is_an_error_with_a_suggestion(load, kind, sentence):
    with pytest.raises(ConfigError, match=sentence):
        load(rule(f"{{kinds: [{kind}]}}"))


def test_a_check_does_not_take_kinds_that_it_cannot_judge(load):
    with pytest.raises(ConfigError, match="does not judge ConfigMap"):
        load("rules:\n  - {name: a, check: no-host-path, action: deny, match: {kinds: [ConfigMap]}}\n")


@pytest.mark.parametrize(
    "clause", ["namespaces: [shop]", "excludeNamespaces: ['*']", "namespaceSelector: {matchLabels: {a: b}}"]
)
def test_namespace_clauses_never_leave_out_cluster_scoped_objects(judge, clause):
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"}, "spec": {}}
    match = f"{{kinds: [PersistentVolume], {clause}}}"
    text = f'rules:\n  - {{name: never, expression: "false", action: deny, match: {match}}}\n'
    assert denied(judge(text, volume, namespace=""))


def test_a_namespace_matches_by_its_own_name_and_labels(judge):
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"env": "prod"}}}
    text = 'rules:\n  - {name: never, expression: "false", action: deny, match: {kinds: [Namespace], %s}}\n'
    assert denied(judge(text % "namespaces: [shop]", space, namespace="shop"))
    assert not denied(judge(text % "excludeNamespaces: [shop]", space, namespace="shop"))
    assert denied(judge(text % "namespaceSelector: {matchLabels: {env: prod}}", space, namespace="shop"))
    assert not denied(judge(text % "namespaceSelector: {matchLabels: {env: test}}", space, namespace="shop"))


def test_no_label_takes_an_object_out_of_scope_in_passing(judge, deployment):
    text = rule("{objectSelector: {matchLabels: {tier: front}}}", existing="deny")
    old = deployment(metadata={"labels": {"tier": "front"}})
    assert denied(judge(text, deployment(image="evil"), old=old))
    assert denied(judge(text, deployment(metadata={"labels": {"tier": "front"}}), old=deployment()))


SELECTORS = [
    "objectSelector: {matchLabels: {tier: front}}",
    "objectSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [front]}]}",
    "namespaceSelector: {matchLabels: {tier: front}}",
]


@pytest.mark.parametrize("clause", SELECTORS)
@pytest.mark.parametrize("value", [["front"], {"a": "b"}, 7, True])
def test_a_label_that_is_no_text_leads_past_no_selector(judge, deployment, clause, value):
    """The API server takes no such object, but nobody looks into one that a wrapper carries."""
    text = rule(f"{{{clause}}}")
    decision = judge(text, deployment(metadata={"labels": {"tier": value}}), facts=facts(tier=value))
    (fault,) = decision.errors
    assert not decision.allowed
    assert fault.message == "the label tier is no text, so it cannot be selected by; Kubernetes refuses it"


def test_a_label_that_is_no_text_fails_the_rule_and_not_the_review_that_has_to_gather_facts(load, review, deployment):
    text = f"rules:\n  - {{name: scaled, check: autoscaling, action: deny, match: {{{SELECTORS[0]}}}}}\n"
    ruleset, asked = load(text), review(deployment(metadata={"labels": {"tier": ["front"]}}))
    wanted = needs(ruleset, asked, "all")
    (fault,) = evaluate(ruleset, asked, Facts(), NOW, "all", seen=wanted.subjects).errors
    assert "tier is no text" in fault.message


def pod_of(pod):
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-7d9", "uid": "1", "controller": True}
    return pod(name="web-7d9-abc", metadata={"ownerReferences": [reference]})


def test_a_pod_matches_by_the_name_of_its_deployment(judge, pod):
    owners = Facts(owners=(Owner("apps", "ReplicaSet", "web-7d9", {}), Owner("apps", "Deployment", "web", {})))
    assert denied(judge(rule("{names: [web]}"), pod_of(pod), facts=owners))
    assert not denied(judge(rule("{names: [shop]}"), pod_of(pod), facts=owners))


def test_owners_that_cannot_be_read_are_unknown_and_never_no_match(judge, pod):
    decision = judge(rule("{names: [web]}"), pod_of(pod), facts=Facts(owners=Missing("timed out")))
    assert decision.findings == ()
    assert [(f.rule, f.fact, f.effective) for f in decision.unknown] == [("never", "owners", "warn")]
    assert "timed out" in decision.unknown[0].message


@pytest.mark.parametrize(("on_unknown", "allowed"), [("warn", True), ("deny", False), ("allow", True)])
def test_on_unknown_decides_what_an_unknown_fact_comes_to(judge, deployment, on_unknown, allowed):
    text = rule("{namespaceSelector: {matchLabels: {env: prod}}}", onUnknown=on_unknown)
    decision = judge(text, deployment(), facts=Facts(namespace=Missing("timed out")))
    assert decision.allowed is allowed
    assert [fault.effective for fault in decision.unknown] == [on_unknown]


def test_a_fact_that_was_not_gathered_is_wanted(judge, deployment):
    text = rule("{namespaceSelector: {matchLabels: {env: prod}}}")
    assert judge(text, deployment()).wants == {"namespace"}


def test_a_match_condition_that_fails_is_an_error_of_the_rule_and_never_no_match(judge, deployment):
    decision = judge(rule('{matchConditions: [{name: c, expression: "object.spec.nope == 1"}]}'), deployment())
    assert not decision.allowed
    assert [fault.kind for fault in decision.errors] == ["error"]


def test_containers_out_of_scope_are_not_judged(judge, deployment):
    containers = [{"name": "web", "image": "a"}, {"name": "istio-proxy", "image": "b"}]
    text = """
    match: {containers: [web]}
    rules:
      - {name: never, expression: "containers.all(c, c.name == 'web')", action: deny}
    """
    assert judge(text, deployment(pod={"containers": containers})).allowed


def test_a_container_whose_image_cannot_be_read_stays_in_scope(judge, deployment):
    text = rule("{images: ['registry.example/']}").replace("containers.size() == 0", "false")
    assert denied(judge(text, deployment(image="UPPER CASE")))


def test_rules_on_the_workload_skip_what_a_workloads_controller_made_and_rules_on_the_pod_never_do(judge, deployment):
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "1", "controller": True}
    replica_set = deployment(kind="ReplicaSet", metadata={"ownerReferences": [reference]})
    on_workload = 'rules:\n  - {name: never, expression: "has(object.metadata.labels)", action: deny}\n'
    on_pod = 'rules:\n  - {name: never, expression: "has(pod.metadata.nope)", action: deny}\n'
    assert judge(on_workload, replica_set).findings == ()
    assert denied(judge(on_workload, deployment()))
    assert denied(judge(on_pod, replica_set))


def test_a_made_up_owner_takes_no_workload_out_of_sight(judge, deployment, pod):
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "1", "controller": True}
    on_workload = 'rules:\n  - {name: never, expression: "has(object.metadata.labels)", action: deny}\n'
    assert denied(judge(on_workload, deployment(metadata={"ownerReferences": [reference]})))
    assert denied(judge(on_workload, pod(metadata={"ownerReferences": [reference]})))


def test_pods_that_a_workload_made_are_left_to_the_workload_unless_the_rule_names_pods(judge, pod):
    reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "1", "controller": True}
    made = pod(metadata={"ownerReferences": [reference]})
    text = 'rules:\n  - {name: never, expression: "has(object.metadata.labels)", action: deny%s}\n'
    assert judge(text % "", made).findings == ()
    assert denied(judge(text % "", pod()))
    assert denied(judge(text % ", match: {kinds: [Pod]}", made))
