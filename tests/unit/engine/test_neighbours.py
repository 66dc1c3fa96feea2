"""A check may look at what stands beside an object; where that is not known, the rule is unknown and never broken."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from webhook.checks import CHECKS
from webhook.checks.check import Check
from webhook.engine.evaluate import evaluate, needs
from webhook.engine.facts import Facts, Missing, Needs
from webhook.model.decision import Unsure, Violation
from webhook.model.neighbours import NAMESPACE, Found, Ref
from webhook.ports import Unknown
from webhook.service import NO_CLUSTER, Service

CONFIG = Ref("v1", "ConfigMap")
RULE = "rules:\n  - {name: r, check: has-config, action: deny%s}\n"


def _seeks(subject):
    return (CONFIG, NAMESPACE) if subject.kind == "Deployment" else ()


def _judge(subject):
    for ref in _seeks(subject):
        found = subject.neighbours(ref)
        if not found.objects and found.lacking:
            yield Unsure(f"{ref}: {found.lacking}")
        elif not found.objects:
            yield Violation(subject.pointer + "/metadata", "none", f"no {ref.kind}", "one")


def _fix(pod, draft):
    labels = pod.neighbours(NAMESPACE).objects[0]["metadata"]["labels"]
    draft.put(f"{pod.pointer}/metadata/labels/team", labels["team"])


HAS_CONFIG = SimpleNamespace(
    ID="has-config",
    PARAMS={"type": "object", "properties": {}, "additionalProperties": False},
    DEFAULTS={},
    KINDS=(),
    READS=("object",),
    build=lambda params: Check(subject=_judge, fix=_fix, seeks=_seeks),
)
SPACE = {"metadata": {"name": "shop", "labels": {"team": "a"}}}
MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web"}}


@pytest.fixture
def rules(load):
    return lambda more="": load(RULE % more, checks={**CHECKS, "has-config": HAS_CONFIG})


def facts(*objects, lacking=""):
    return Facts(namespace=SPACE, neighbours={CONFIG: Found(objects, lacking)})


def test_only_what_a_check_seeks_beside_this_object_is_needed(rules, review, deployment, pod):
    packs = rules()
    assert needs(packs, review(deployment()), "all") == Needs(frozenset({"namespace"}), frozenset({CONFIG}))
    assert needs(packs, review(pod()), "all") == Needs()
    assert needs(packs, review(deployment(), operation="DELETE"), "all") == Needs()


def test_a_check_sees_what_was_found(rules, judge, deployment):
    assert judge(rules(), deployment(), facts=facts(MAP)).findings == ()
    found = judge(rules(), deployment(), facts=facts())
    assert [f.violation.found for f in found.findings] == ["no ConfigMap"]
    assert not found.allowed


@pytest.mark.parametrize(("by", "allowed", "said"), [("", True, "warn"), (", onUnknown: deny", False, "deny")])
def test_where_a_check_is_unsure_on_unknown_decides(rules, judge, deployment, by, allowed, said):
    decision = judge(rules(by), deployment(), facts=facts(lacking="timed out"))
    assert (decision.allowed, decision.findings) == (allowed, ())
    assert [(f.fact, f.message, f.effective) for f in decision.unknown] == [
        ("neighbours", "ConfigMap: timed out", said)
    ]


def test_a_rule_that_looks_beside_an_object_runs_on_every_update(rules, judge, deployment):
    old = deployment()
    new = deployment(metadata={"name": "web", "namespace": "shop", "annotations": {"a": "b"}})
    assert [f.effective for f in judge(rules(), new, old=old, facts=facts()).findings] == ["warn"]


def test_neighbours_in_a_wrapper_are_those_in_the_same_wrapper(rules, judge, deployment):
    cluster = facts(MAP)  # what the hub has proves nothing about the member cluster

    def work(*manifests):
        kind = {"apiVersion": "work.open-cluster-management.io/v1", "kind": "ManifestWork"}
        spec = {"workload": {"manifests": list(manifests)}}
        return {**kind, "metadata": {"name": "w", "namespace": "member"}, "spec": spec}

    inside = [
        {**MAP, "metadata": {"name": "web", "namespace": "shop"}},
        {**SPACE, "apiVersion": "v1", "kind": "Namespace"},
    ]
    decision = judge(rules(), work(deployment(), *inside), facts=cluster, namespace="member")
    assert (decision.findings, decision.unknown) == ((), ())
    elsewhere = [{**MAP, "metadata": {"name": "web", "namespace": "other"}}]
    decision = judge(rules(), work(deployment(), *elsewhere), facts=cluster, namespace="member")
    assert {f.message.partition(":")[0] for f in decision.unknown} == {"ConfigMap", "Namespace"}


def test_a_fix_sees_them_too(rules, review, deployment, now):
    packs = rules(", fix: true")
    mended = evaluate(packs, review(deployment()), facts(), now, "mutate")
    assert [operation["value"] for operation in mended.patch] == ["a"]
    # what is not known is not mended
    lacking = Facts(namespace=Missing("timed out"), neighbours={CONFIG: Found()})
    assert [f.kind for f in evaluate(packs, review(deployment()), lacking, now, "mutate").errors] == ["error"]


class Reader:
    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def find(self, space, ref, timeout):
        self.asked.append((space, ref))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_the_service_asks_for_what_is_sought_and_says_why_it_was_not_had(rules, review, deployment, now):
    packs = rules()
    reader = Reader(Found((MAP,)))
    namespaces = SimpleNamespace(get=lambda name, timeout: SPACE)
    service = Service(lambda: packs, namespaces=namespaces, neighbours=reader, clock=lambda: now)
    assert service.decide("validate", review(deployment())).allowed
    assert reader.asked == [("shop", CONFIG)]
    failing = Service(lambda: packs, namespaces=namespaces, neighbours=Reader(Unknown("503")), clock=lambda: now)
    assert [f.message for f in failing.decide("validate", review(deployment())).unknown] == ["ConfigMap: 503"]
    alone = Service(lambda: packs, clock=lambda: now)
    assert {f.message for f in alone.decide("validate", review(deployment())).unknown} == {
        f"ConfigMap: {NO_CLUSTER}",
        f"Namespace: {NO_CLUSTER}",
    }


def test_an_update_that_changes_nothing_is_let_through_where_nothing_is_sought(load, judge, deployment):
    text = "rules:\n  - {name: r, check: no-local-state, action: deny, existing: deny}\n"
    unsized = deployment(pod={"volumes": [{"name": "tmp", "emptyDir": {}}]})
    assert not judge(text, unsized).allowed
    assert judge(text, unsized, old=unsized).allowed
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    sharing = deployment(pod={"volumes": [{"name": "tmp", "emptyDir": {}}, claim]})
    sharing["spec"]["replicas"] = 2
    assert not judge(text, sharing, old=sharing).allowed  # its claim may be another one today


def test_what_only_a_fix_looks_at_is_sought_where_fixes_are_made_and_nowhere_else(load, judge, review, deployment):
    text = """
    rules:
      - name: labels
        check: required-labels
        params: {labels: [{name: team, fromNamespace: team}]}
        fix: true
        action: deny
        existing: deny
    """
    packs, unlabelled = load(text), deployment()
    assert needs(packs, review(unlabelled), "validate") == Needs()
    assert needs(packs, review(unlabelled), "mutate") == Needs(frozenset({"namespace"}))
    assert not judge(packs, unlabelled).allowed
    # the verdict hangs on nothing beside the object, so that an update which changes nothing is let through
    assert judge(packs, unlabelled, old=unlabelled).allowed
