"""`existing: allow`: an update is not denied, but warned, for a finding that the old object had."""

from __future__ import annotations

import pytest

from webhook.checks.disruption_budget import BUDGETS
from webhook.engine.facts import Facts
from webhook.model.neighbours import Found
from webhook.model.scaling import AUTOSCALERS

RULE = """
rules:
  - name: by-digest
    expression: "containers.all(c, c.image.contains('@'))"
    messageExpression: "containers.filter(c, !c.image.contains('@')).map(c, c.image).join(' ')"
    action: deny
    existing: %s
"""
HOSTS = """
rules:
  - {name: no-host-path, check: no-host-path, action: deny}
"""
ALLOW, DENY = RULE % "allow", RULE % "deny"


def volumes(**paths):
    return {"volumes": [{"name": name, "hostPath": {"path": path}} for name, path in paths.items()]}


def test_a_finding_that_the_old_object_had_only_warns(judge, deployment):
    decision = judge(ALLOW, deployment(pod={"dnsPolicy": "Default"}), old=deployment())
    assert decision.allowed
    assert [(f.action, f.effective, f.existing) for f in decision.findings] == [("deny", "warn", True)]


def test_existing_deny_makes_no_difference_between_old_and_new(judge, deployment):
    assert not judge(DENY, deployment(pod={"dnsPolicy": "Default"}), old=deployment()).allowed


def test_another_value_found_is_a_new_finding(judge, deployment):
    assert not judge(ALLOW, deployment(image="other"), old=deployment()).allowed


def test_another_reason_is_a_new_finding_though_the_same_words_are_found(judge, deployment):
    """A rule that asks several things must not take one that is `not set` for another."""
    rule = "rules: [{name: hardened, check: pod-security, params: {level: restricted}, action: deny}]"

    def having(**context):
        kept = {"capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True, **context}
        return deployment(pod={"containers": [{"name": "web", "image": "web:1", "securityContext": kept}]})

    old = having(seccompProfile={"type": "RuntimeDefault"})
    assert {f.violation.found for f in judge(rule, old).findings} == {"not set"}
    decision = judge(rule, having(), old=old)
    assert [(f.violation.reason, f.existing) for f in decision.findings] == [
        ("no seccomp profile", False),
        ("privilege escalation is not forbidden", True),
    ]
    assert not decision.allowed


def test_what_one_template_had_is_new_in_another(judge):
    """The containers of two may have one name."""
    rule = "rules: [{name: ports, check: pod-security, params: {controls: [host-ports]}, action: deny}]"
    cel = "rules: [{name: ports, expression: 'containers.all(c, !has(c.ports))', message: no ports, action: deny}]"
    web = {"name": "web", "image": "web:1"}
    taking = {**web, "ports": [{"containerPort": 80, "hostPort": 80}]}

    def jobs(*containers):
        made = [
            {"name": f"job-{number}", "template": {"spec": {"template": {"spec": {"containers": [container]}}}}}
            for number, container in enumerate(containers)
        ]
        meta = {"name": "jobs", "namespace": "shop"}
        return {
            "apiVersion": "jobset.x-k8s.io/v1",
            "kind": "JobSet",
            "metadata": meta,
            "spec": {"replicatedJobs": made},
        }

    for pack in (rule, cel):
        assert judge(pack, jobs(taking, {**web, "tty": True}), old=jobs(taking, web)).allowed
        assert not judge(pack, jobs(taking, taking), old=jobs(taking, web)).allowed
        assert not judge(pack, jobs(web, taking), old=jobs(taking, web)).allowed


def test_a_creation_has_no_old_object(judge, deployment):
    assert not judge(ALLOW, deployment()).allowed


def test_names_count_and_not_places(judge, deployment):
    old = deployment(pod=volumes(a="/etc", b="/var"))
    moved = deployment(pod=volumes(b="/var", a="/etc"))
    assert judge(HOSTS, moved, old=old).allowed
    assert not judge(HOSTS, deployment(pod=volumes(a="/etc", c="/var")), old=old).allowed
    assert not judge(HOSTS, deployment(pod=volumes(a="/etc", b="/root")), old=old).allowed


def test_a_creation_has_no_old_object_whatever_owner_it_names(judge, deployment):
    made = deployment(name="web-1", kind="ReplicaSet")
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "1", "controller": True}
    made["metadata"]["ownerReferences"] = [reference]
    decision = judge(ALLOW, made)
    assert not decision.allowed
    assert decision.wants == set()


def test_swapped_names_are_new(judge, deployment):
    old = deployment(pod=volumes(a="/etc", b="/var"))
    assert not judge(HOSTS, deployment(pod=volumes(a="/var", b="/etc")), old=old).allowed


# -- findings that name no value ---------------------------------------------------------------------------------

SILENT = """
rules:
  - name: silent
    variables: [{name: mine, expression: "containers"}]
    expression: "variables.mine.all(c, !has(c.securityContext) || !c.securityContext.privileged)"
    action: deny
"""
HOST = 'rules:\n  - {name: host, expression: "!has(pod.spec.hostNetwork) || !pod.spec.hostNetwork", action: deny}\n'
TEAM = 'rules:\n  - {name: team, expression: "has(object.metadata.labels.team)", action: deny}\n'
SWITCH = """
rules:
  - name: switch
    when: "containers.exists(c, c.securityContext.privileged)"
    patch: [{op: add, path: /spec/x, value: y}]
    action: deny
"""


def box(name, privileged, image="a"):
    return {"name": name, "image": image, "securityContext": {"privileged": privileged}}


def both(*containers, **more):
    return {"pod": {"containers": list(containers), **more}}


def test_a_finding_without_a_value_excuses_what_it_does_not_look_at(judge, deployment):
    old = deployment(**both(box("a", True), box("b", False)))
    assert judge(SILENT, deployment(**both(box("a", True, "new"), box("b", False))), old=old).allowed
    assert judge(SILENT, deployment(**both(box("a", True, "new"))), old=old).allowed
    host = deployment(pod={"hostNetwork": True})
    assert judge(HOST, deployment(image="new", pod={"hostNetwork": True}), old=host).allowed
    assert judge(
        TEAM, deployment(image="new", metadata={"labels": {"a": "b"}}), old=deployment(metadata={"labels": {"c": "d"}})
    ).allowed


def test_a_finding_without_a_value_hides_no_new_one(judge, deployment):
    old = deployment(**both(box("a", True), box("b", False)))
    for packs in (SILENT, SWITCH):
        assert not judge(packs, deployment(**both(box("a", True), box("b", True))), old=old).allowed
        assert not judge(packs, deployment(**both(box("a", True), box("b", False), box("c", True))), old=old).allowed


MUTE = """
rules:
  - name: mute
    expression: "containers.all(c, !has(c.securityContext) || !c.securityContext.privileged)"
    messageExpression: "%s"
    action: deny
"""


@pytest.mark.parametrize("says", ["containers.filter(c, c.securityContext.privileged && c.tty)[0].name", "''"])
def test_a_message_that_fails_or_is_empty_names_no_value_either(judge, deployment, says):
    """Its author could not know that it does, and whoever writes the object can see to it."""
    old = deployment(**both(box("a", True), box("b", False)))
    assert judge(MUTE % says, deployment(**both(box("a", True, "new"), box("b", False))), old=old).allowed
    assert not judge(MUTE % says, deployment(**both(box("a", True), box("b", True))), old=old).allowed


# -- what a finding says, and what makes it another ----------------------------------------------------------------

CHECK = "rules: [{name: r, check: %s, action: deny}]"
DISK = {"volumes": [{"name": "data", "gcePersistentDisk": {"pdName": "web"}}]}
OF_OTHERS = {
    "topologySpreadConstraints": [
        {
            "topologyKey": "kubernetes.io/hostname",
            "maxSkew": 1,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "other"}},
        }
    ]
}
SCALER = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web"},
    "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 9},
}


@pytest.mark.parametrize(
    ("check", "pod"),
    [
        ("spread-replicas", {}),
        ("spread-replicas", OF_OTHERS),
        ("no-local-state", DISK),
        ("disruption-budget", {}),
        ("autoscaling", {}),
    ],
)
def test_a_workload_that_is_scaled_or_labelled_has_what_it_had(judge, deployment, check, pod):
    """`kubectl scale` and autoscalers change the number unseen, and each release its label of the version."""
    facts = Facts(neighbours={AUTOSCALERS: Found((SCALER,) if check == "autoscaling" else ()), BUDGETS: Found()})

    def having(replicas, version):
        labels = {"labels": {"app": "web", "app.kubernetes.io/version": version}}
        return deployment(spec={"replicas": replicas}, pod=pod, template=labels, metadata={"labels": {"v": version}})

    old = having(4, "1.0")
    assert not judge(CHECK % check, old, facts=facts).allowed
    for new in (having(4, "1.1"), having(3, "1.1"), having(5, "1.1")):
        decision = judge(CHECK % check, new, old=old, facts=facts)
        assert {finding.existing for finding in decision.findings} == {True}


def test_an_address_that_a_finding_has_no_room_to_name_is_as_new_as_any(judge, deployment):
    def brokers(*hosts):
        env = [{"name": "BROKERS", "value": ",".join(hosts)}]
        return deployment(pod={"containers": [{"name": "web", "image": "web:1", "env": env}]})

    rule, hosts = CHECK % "no-ip-address", [f"10.0.0.{number}" for number in range(1, 6)]
    assert judge(rule, brokers(*hosts, "a.example"), old=brokers(*hosts)).allowed
    assert judge(rule, brokers(*hosts[2:]), old=brokers(*hosts)).allowed
    assert not judge(rule, brokers(*hosts[:-1], "10.0.0.99"), old=brokers(*hosts)).allowed


def test_a_resource_of_another_api_group_is_new_though_it_has_the_same_name(judge):
    rule = "rules: [{name: r, check: api-list-scope, params: {resources: [pods, deployments.apps]}, action: deny}]"

    def role(*groups, resource="*", labels="a"):
        meta = {"name": "reader", "labels": {"x": labels}}
        rules = [{"apiGroups": [*groups], "resources": [resource], "verbs": ["list"]}]
        api = "rbac.authorization.k8s.io/v1"
        return {"apiVersion": api, "kind": "ClusterRole", "metadata": meta, "rules": rules}

    assert judge(rule, role("", labels="b"), old=role("")).allowed
    assert judge(rule, role("", "batch"), old=role("")).allowed
    assert not judge(rule, role("*"), old=role("")).allowed
    assert not judge(rule, role("", "apps"), old=role("")).allowed
    assert judge(rule, role(""), old=role("*")).allowed
    assert judge(rule, role("", resource="pods"), old=role("")).allowed


# -- what the rule was not about before ------------------------------------------------------------------------------

SELECTED = "rules: [{name: r, check: pod-security, action: deny, match: {objectSelector: {matchLabels: {tier: prod}}}}]"
CONDITION = """
rules:
  - {name: r, check: pod-security, action: deny, match: {matchConditions: [{name: c, expression: "%s"}]}}
"""


@pytest.mark.parametrize(
    "rule",
    [
        SELECTED,
        CONDITION % "object.metadata.?labels.?tier.orValue('') == 'prod'",
        CONDITION % "object.metadata.labels.tier == 'prod'",
    ],
)
def test_what_an_update_brings_into_the_scope_of_a_rule_is_new_to_it(judge, deployment, rule):
    """Nobody was told of it before: else two steps led where one does not."""

    def having(**more):
        return deployment(pod={"hostPID": True}, **more)

    prod = {"labels": {"tier": "prod"}}
    outside, inside = having(), having(metadata=prod)
    assert not judge(rule, inside).allowed
    assert not judge(rule, inside, old=outside).allowed
    assert judge(rule, having(metadata=prod, image="b"), old=inside).allowed


@pytest.mark.parametrize("condition", ["object.spec != oldObject.spec", "request.operation == 'UPDATE'"])
def test_a_condition_on_the_change_itself_is_not_asked_of_what_was_there(judge, deployment, condition):
    old = deployment(pod={"hostPID": True})
    decision = judge(CONDITION % condition, deployment(pod={"hostPID": True}, image="b"), old=old)
    assert [finding.existing for finding in decision.findings] == [True]
