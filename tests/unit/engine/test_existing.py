"""`existing: allow`: an update is not denied, but warned, for a finding that the old object had."""

from __future__ import annotations

from webhook.engine.facts import Facts, Missing, Owner

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


def test_a_creation_has_no_old_object(judge, deployment):
    assert not judge(ALLOW, deployment()).allowed


def test_names_count_and_not_places(judge, deployment):
    old = deployment(pod=volumes(a="/etc", b="/var"))
    moved = deployment(pod=volumes(b="/var", a="/etc"))
    assert judge(HOSTS, moved, old=old).allowed
    assert not judge(HOSTS, deployment(pod=volumes(a="/etc", c="/var")), old=old).allowed
    assert not judge(HOSTS, deployment(pod=volumes(a="/etc", b="/root")), old=old).allowed


def test_swapped_names_are_new(judge, deployment):
    old = deployment(pod=volumes(a="/etc", b="/var"))
    assert not judge(HOSTS, deployment(pod=volumes(a="/var", b="/etc")), old=old).allowed


def owned(deployment, uid="1"):
    replica_set = deployment(name="web-1", kind="ReplicaSet")
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": uid, "controller": True}
    replica_set["metadata"]["ownerReferences"] = [reference]
    return replica_set


def facts(obj):
    return Facts(owners=(Owner("apps", obj["kind"], obj["metadata"]["name"], obj),))


def test_a_replica_set_of_a_stored_deployment_with_the_same_finding_only_warns(judge, deployment):
    decision = judge(ALLOW, owned(deployment), facts=facts(deployment()))
    assert decision.allowed
    assert [f.effective for f in decision.findings] == ["warn"]


def test_a_replica_set_with_a_finding_that_its_owner_has_not_is_denied(judge, deployment):
    assert not judge(ALLOW, owned(deployment), facts=facts(deployment(image="a@sha256:1"))).allowed


def test_an_owner_that_the_rule_does_not_judge_excuses_nothing(judge, load, deployment):
    only = load(ALLOW + "    match: {kinds: [ReplicaSet]}\n")
    assert not judge(only, owned(deployment), facts=facts(deployment())).allowed


def test_an_owner_that_cannot_be_read_excuses_nothing_and_is_asked_for(judge, deployment):
    decision = judge(ALLOW, owned(deployment))
    assert not decision.allowed
    assert decision.wants == {"owners"}
    asked = judge(ALLOW, owned(deployment), facts=Facts(owners=Missing("timed out")))
    assert not asked.allowed
    assert asked.wants == set()


def test_an_owner_with_another_name_than_the_reference_excuses_nothing(judge, deployment):
    assert not judge(ALLOW, owned(deployment), facts=facts(deployment(name="other"))).allowed


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


def test_a_pod_of_a_stored_workload_runs_whatever_was_injected_into_it(judge, deployment):
    stored = deployment(**both(box("a", True)))
    made = owned(deployment)
    made["spec"]["template"]["spec"]["containers"] = [box("a", True), {"name": "injected", "image": "x"}]
    assert judge(SILENT, made, facts=facts(stored)).allowed
