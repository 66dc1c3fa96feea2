"""Exemptions: only in packs, only in their own, each clause counts, and through their last day."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from webhook.engine.facts import Facts, Missing, Owner

PACK = """
rules:
  - {name: hosts, check: no-host-path, action: deny}
  - {name: digests, expression: "containers.all(c, c.image.contains('@'))", action: deny}
exemptions:
  - rules: [hosts]
    match: %s
    reason: reads the node
    owner: observability
    expires: 2027-03-31
"""
VOLUMES = {"volumes": [{"name": "etc", "hostPath": {"path": "/etc"}}, {"name": "var", "hostPath": {"path": "/var"}}]}
GOOD = "registry.example/a@sha256:" + "a" * 64


@pytest.fixture
def node_exporter(deployment):
    return deployment(name="node-exporter", image=GOOD, pod=VOLUMES, kind="DaemonSet")


def exempt(decision):
    return [(f.rule, f.violation.container, f.exempt is not None) for f in decision.findings]


@pytest.mark.parametrize(
    ("match", "covered"),
    [
        ("{namespaces: [shop]}", {"etc", "var"}),
        ("{namespaces: ['sh*'], names: [node-exporter]}", {"etc", "var"}),
        ("{namespaces: [other]}", set()),
        ("{names: ['node-*']}", {"etc", "var"}),
        ("{names: [node]}", set()),
        ("{kinds: [DaemonSet]}", {"etc", "var"}),
        ("{kinds: [Deployment]}", set()),
        ("{containers: [etc]}", {"etc"}),
        ("{images: ['registry.example/']}", set()),
        ("{names: [node-exporter], containers: ['v*']}", {"var"}),
        ("{names: [other], containers: ['v*']}", set()),
    ],
)
def test_every_clause_of_an_exemption_must_match(judge, node_exporter, match, covered):
    decision = judge(PACK % match, node_exporter)
    assert {f.violation.container for f in decision.findings if f.exempt} == covered
    assert {f.violation.container for f in decision.findings} == {"etc", "var"}
    assert decision.allowed is (covered == {"etc", "var"})


def test_an_exemption_says_why_who_and_until_when(judge, node_exporter):
    finding = judge(PACK % "{names: [node-exporter]}", node_exporter).findings[0]
    assert finding.exempt == "reads the node (observability, until 2027-03-31)"


def test_an_exemption_holds_for_the_rules_it_names_alone(judge, deployment):
    decision = judge(PACK % "{names: [web]}", deployment(pod=VOLUMES))
    assert not decision.allowed
    assert [(f.rule, f.exempt is None) for f in decision.findings if f.rule == "digests"] == [("digests", True)]


@pytest.mark.parametrize(
    ("hour", "allowed"),
    [(datetime(2027, 3, 31, 23, 59, tzinfo=UTC), True), (datetime(2027, 4, 1, 0, 0, tzinfo=UTC), False)],
)
def test_an_exemption_holds_through_its_last_utc_day(judge, node_exporter, hour, allowed):
    assert judge(PACK % "{names: [node-exporter]}", node_exporter, now=hour).allowed is allowed


def test_an_exemption_acts_in_its_own_pack_alone(judge, load, node_exporter):
    other = "rules:\n  - {name: hosts, check: no-host-path, action: deny}\n"
    decision = judge(load(PACK % "{names: [node-exporter]}", other), node_exporter)
    assert not decision.allowed
    assert {(f.pack, f.exempt is not None) for f in decision.findings} == {("pack", True), ("pack1", False)}


def test_nothing_on_the_object_exempts_it(judge, deployment):
    labels = {"plimsoll.dev/exempt": "true", "plimsoll.dev/mode": "disabled"}
    metadata = {"labels": labels, "annotations": labels}
    assert not judge(PACK % "{names: [other]}", deployment(pod=VOLUMES, metadata=metadata)).allowed


def of_the_daemon_set(pod, **spec):
    reference = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "node-exporter", "uid": "1", "controller": True}
    return pod(name="node-exporter-x2", image=GOOD, metadata={"ownerReferences": [reference]}, spec=spec)


def test_an_exemption_by_name_covers_the_pods_of_that_workload(judge, pod):
    obj = of_the_daemon_set(pod, containers=[{"name": "a", "image": GOOD}], **VOLUMES)
    owners = Facts(owners=(Owner("apps", "DaemonSet", "node-exporter", {}),))
    assert judge(PACK % "{names: [node-exporter]}", obj, facts=owners).allowed
    assert not judge(PACK % "{names: [other]}", obj, facts=owners).allowed


def test_an_owner_that_cannot_be_read_leaves_the_exemption_unknown(judge, pod):
    obj = of_the_daemon_set(pod, containers=[{"name": "a", "image": GOOD}], **VOLUMES)
    decision = judge(PACK % "{names: [node-exporter]}", obj, facts=Facts(owners=Missing("timed out")))
    assert {(f.rule, f.fact) for f in decision.unknown} == {("hosts", "owners")}
    assert judge(PACK % "{names: [node-exporter]}", obj).wants == {"owners"}


def test_an_image_that_cannot_be_read_is_exempt_from_nothing(judge, deployment):
    text = """
    rules:
      - {name: images, check: approved-image, params: {repositories: [registry.example/]}, action: deny}
    exemptions:
      - {rules: [images], match: {images: ['**']}, reason: r, owner: o, expires: 2027-03-31}
    """
    assert judge(text, deployment(image="other.example/x:1")).allowed
    assert not judge(text, deployment(image="UPPER CASE")).allowed


def test_a_rule_that_fails_on_an_exempt_object_denies_nothing(judge, deployment):
    text = """
    rules:
      - {name: broken, expression: "object.spec.nope == 1", action: deny}
    exemptions:
      - {rules: [broken], match: {names: [%s]}, reason: r, owner: o, expires: 2027-03-31}
    """
    assert judge(text % "web", deployment()).allowed
    assert not judge(text % "other", deployment()).allowed
