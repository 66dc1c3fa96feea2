"""Tricks that would get a bad workload past a rule, and accidents that would stop a good one."""

from __future__ import annotations

import copy
import sys

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from webhook.checks import CHECKS
from webhook.checks.check import Check
from webhook.engine.evaluate import evaluate, needs
from webhook.engine.facts import Facts, Missing, Needs, Owner
from webhook.model import answer
from webhook.model.decision import Violation
from webhook.model.patch import apply
from webhook.model.review import clean, parse

NEVER = 'rules:\n  - {name: never, expression: "containers.size() == 0", action: deny%s}\n'
HOSTS = "rules:\n  - {name: hosts, check: no-host-path, action: deny}\n"
EXEMPT = """exemptions:
  - {rules: [%s], match: %s, reason: r, owner: o, expires: 2027-03-31}
"""
ETC = {"volumes": [{"name": "etc", "hostPath": {"path": "/etc"}}]}


def work(*manifests, **metadata):
    return {
        "apiVersion": "work.open-cluster-management.io/v1",
        "kind": "ManifestWork",
        "metadata": {"name": "w", **metadata},
        "spec": {"workload": {"manifests": list(manifests)}},
    }


def owner(api_version, kind, name="x"):
    return {
        "ownerReferences": [{"apiVersion": api_version, "kind": kind, "name": name, "uid": "1", "controller": True}]
    }


# -- owners that somebody made up --------------------------------------------------------------------------------


def test_a_made_up_owner_of_no_workload_kind_turns_no_denial_into_a_maybe(judge, deployment):
    text = HOSTS + EXEMPT % ("hosts", "{names: [node-exporter]}")
    forged = deployment(pod=ETC, metadata=owner("foo.example/v1", "Foo"))
    assert not judge(text, forged, facts=Facts(owners=Missing("how to read Foo isn't known"))).allowed


def test_a_made_up_owner_of_a_workload_of_ones_own_turns_no_denial_into_a_maybe(judge, pod):
    """Whoever writes a pod may write its ReplicaSet too, and who owns that."""
    text = HOSTS + EXEMPT % ("hosts", "{names: [node-exporter]}")
    forged = pod(spec=ETC, metadata=owner("apps/v1", "ReplicaSet"))
    for above, allowed in ((owner("foo.example/v1", "Foo"), False), (owner("apps/v1", "Deployment"), True)):
        mine = Owner("apps", "ReplicaSet", "x", {"metadata": above})
        assert judge(text, forged, facts=Facts(owners=Missing("not read", (mine,)))).allowed is allowed


def test_a_manifest_in_a_wrapper_has_no_owner_that_could_excuse_it(judge, deployment):
    text = HOSTS + EXEMPT % ("hosts", "{names: [node-exporter]}")
    forged = deployment(pod=ETC, metadata=owner("apps/v1", "Deployment", "node-exporter"))
    decision = judge(text, work(forged), facts=Facts(owners=Missing("timed out")))
    assert not decision.allowed
    assert decision.unknown == ()


@pytest.mark.parametrize("kind", [[], {"a": "b"}, 7, None])
def test_an_owner_whose_kind_is_no_text_is_no_workload(load, review, pod, now, kind):
    """Nobody looks into the manifests of a wrapper before us; gathering facts must not end in an error either."""
    text = "rules:\n  - {name: base, check: image-digest, fix: true, action: deny}\n"
    text += EXEMPT % ("base", "{names: [node-exporter]}")
    forged = pod(metadata=owner("apps/v1", kind))
    for obj in (forged, work(forged)):
        ruleset, asked = load(text), review(obj)
        wanted = needs(ruleset, asked, "mutate")
        decision = evaluate(ruleset, asked, Facts(owners=Missing("timed out")), now, "all", seen=wanted.subjects)
        assert not decision.allowed
        assert (decision.errors, decision.unknown) == ((), ())


# -- wrappers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 4, 5, 40])
def test_no_number_of_wrappers_hides_a_workload(judge, deployment, depth):
    obj = deployment()
    for _ in range(depth):
        obj = work(obj)
    assert not judge(NEVER % "", obj).allowed


def test_the_pointer_of_a_wrapped_finding_goes_through_all_wrappers(judge, deployment):
    [finding] = judge(NEVER % "", work({"kind": "x"}, work(deployment()))).findings
    assert finding.violation.pointer == "/spec/workload/manifests/1/spec/workload/manifests/0/spec/template"


@pytest.mark.parametrize("namespace", ["kube-system", "shop", ""])
def test_a_cluster_scoped_manifest_is_in_no_namespace_whatever_it_says(judge, namespace):
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "pv", "namespace": namespace},
        "spec": {"hostPath": {"path": "/"}},
    }
    text = "match: {excludeNamespaces: [kube-system, shop]}\n" + HOSTS
    assert not judge(text, work(volume)).allowed


def test_a_manifest_with_an_empty_namespace_is_in_its_wrappers(judge, deployment):
    obj = deployment()
    obj["metadata"]["namespace"] = ""
    assert judge(NEVER % ", match: {namespaces: [other]}", work(obj)).findings == ()
    assert not judge(NEVER % ", match: {namespaces: [shop]}", work(obj)).allowed


def test_a_manifest_takes_the_scope_of_the_namespace_that_it_will_live_in(judge, deployment):
    obj = deployment()
    obj["metadata"]["namespace"] = "kube-system"
    assert judge("match: {excludeNamespaces: [kube-system]}\n" + NEVER % "", work(obj)).allowed


def test_many_manifests_take_time_in_proportion(judge, load, deployment):
    text = """
    rules:
      - name: policy
        when: "containers.exists(c, !has(c.tty))"
        patch: [{op: add, path: "/spec/containers/*/tty", value: true}]
        action: deny
      - name: digest
        expression: "containers.all(c, c.image.contains('@'))"
        messageExpression: "containers[0].image"
        action: deny
    """
    packs = load(text)

    def calls(count, endpoint):
        old = work(*(deployment(name=f"d{n}") for n in range(count)))
        new = copy.deepcopy(old)
        for manifest in new["spec"]["workload"]["manifests"]:
            manifest["spec"]["template"]["spec"]["dnsPolicy"] = "Default"
        made = 0

        def count_calls(frame, event, _):
            nonlocal made
            made += event == "call"

        before = sys.getprofile()
        sys.setprofile(count_calls)
        try:
            judge(packs, new, old=old, endpoint=endpoint)
        finally:
            sys.setprofile(before)
        return made

    for endpoint in ("validate", "mutate"):
        assert calls(80, endpoint) < 5 * calls(20, endpoint)


# -- names -------------------------------------------------------------------------------------------------------


def test_a_volume_with_the_name_of_a_container_excuses_no_image_of_that_container(judge, deployment):
    text = "rules:\n  - {name: images, check: approved-image, params: {repositories: [good.example/]}, action: deny}\n"
    old = deployment(
        image="good.example/a:1", pod={"volumes": [{"name": "web", "image": {"reference": "evil.example/a:1"}}]}
    )
    assert not judge(text, deployment(image="evil.example/a:1"), old=old).allowed


def test_an_image_volume_lends_its_exempt_image_to_nothing_else_of_its_name(judge, deployment):
    text = HOSTS + EXEMPT % ("hosts", "{images: ['good.example/']}")
    volumes = [*ETC["volumes"], {"name": "etc", "image": {"reference": "good.example/a:1"}}]
    assert not judge(text, deployment(pod={"volumes": volumes})).allowed


def test_an_empty_container_name_matches_no_named_exemption(judge, deployment):
    text = """
    rules:
      - {name: images, check: approved-image, params: {repositories: [good.example/]}, action: deny}
    exemptions:
      - {rules: [images], match: {containers: ['proxy*', '?*']}, reason: r, owner: o, expires: 2027-03-31}
    """
    for name in ("", None, 3):
        assert not judge(text, deployment(pod={"containers": [{"name": name, "image": "evil.example/x:1"}]})).allowed


@pytest.mark.parametrize("digits", ["²", "٣", "9" * 5000])
def test_a_finding_at_any_key_can_be_sorted(deployment, review, load, now, digits):
    class Odd:
        ID, PARAMS, DEFAULTS, KINDS, READS = "odd", {"type": "object"}, {}, (), ("pod",)

        @staticmethod
        def build(params):
            return Check(pod=lambda pod: [Violation(f"/x/{d}", "odd", "", "") for d in (digits, "10", "9")])

    packs = load("rules:\n  - {name: odd, check: odd, action: deny}\n", checks={**CHECKS, "odd": Odd})
    decision = evaluate(packs, review(deployment()), Facts(), now, "all")
    pointers = [finding.violation.pointer for finding in decision.findings]
    assert pointers.index("/x/9") < pointers.index("/x/10")


# -- a namespace that cannot be read -----------------------------------------------------------------------------

ENVIRONMENT = """
rules:
  - {name: env, expression: "namespaceObject.metadata.labels.env != 'prod'", action: deny%s}
"""


@pytest.mark.parametrize("facts", [Facts(), Facts(namespace=Missing("timed out"))])
def test_a_rule_that_reads_a_namespace_that_is_not_there_is_unknown_and_no_error(judge, deployment, facts):
    decision = judge(ENVIRONMENT % "", deployment(), facts=facts)
    assert decision.allowed
    assert decision.errors == ()
    assert [(f.rule, f.fact, f.effective) for f in decision.unknown] == [("env", "namespace", "warn")]
    assert not judge(ENVIRONMENT % ", onUnknown: deny", deployment(), facts=facts).allowed


def test_a_condition_on_a_namespace_that_is_not_there_is_unknown_and_never_no_match(judge, deployment):
    text = NEVER % ', match: {matchConditions: [{name: c, expression: "namespaceObject == null"}]}'
    decision = judge(text, deployment(), facts=Facts(namespace=Missing("timed out")))
    assert [fault.fact for fault in decision.unknown] == ["namespace"]
    assert decision.findings == ()


def test_what_lives_in_no_namespace_has_a_null_namespace_object(judge):
    text = 'rules:\n  - {name: none, expression: "namespaceObject != null", action: deny, match: {kinds: [%s]}}\n'
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pv"}, "spec": {}}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    for obj, namespace in ((volume, ""), (space, "shop")):
        decision = judge(text % obj["kind"], obj, namespace=namespace)
        assert [f.rule for f in decision.findings] == ["none"]
        assert decision.unknown == ()


def test_a_namespace_is_not_looked_up_to_judge_itself(load, review):
    text = NEVER % ", match: {kinds: [Namespace], namespaceSelector: {matchLabels: {a: b}}}"
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"a": "b"}}}
    assert needs(load(text), review(space, namespace="shop"), "all") == Needs()


# -- subresources and updates ------------------------------------------------------------------------------------


def test_an_update_whose_old_object_lacks_fields_is_judged(judge, deployment):
    for old in (
        {"apiVersion": "apps/v1", "kind": "Deployment"},
        {"apiVersion": "apps/v1", "kind": "Deployment", "spec": None},
    ):
        assert not judge(NEVER % "", deployment(), old=old).allowed


def test_a_rule_that_fails_on_the_old_object_still_finds_in_the_new_one(judge, deployment):
    text = "rules:\n  - {name: team, expression: \"object.metadata.labels.team == 'a'\", action: deny, onError: warn}\n"
    decision = judge(text, deployment(metadata={"labels": {"team": "b"}}), old=deployment())
    assert [(f.rule, f.effective) for f in decision.findings] == [("team", "deny")]
    assert decision.errors == ()


# -- fixes -------------------------------------------------------------------------------------------------------


def test_a_check_that_raises_on_the_old_object_still_finds_in_the_new_one(judge, load, deployment):
    """Whatever it raises: with `onError: allow` a failure would let through what it finds."""

    class Careless:
        ID, KINDS, READS, PARAMS, DEFAULTS = "careless", (), ("pod",), {"type": "object", "properties": {}}, {}
        CEL = "it is a check of the tests"

        @staticmethod
        def build(params):
            return Check(pod=lambda pod: [Violation("/spec", "bad", pod.labels["careful"].lower(), "good")])

    pack = "rules: [{name: careless, check: careless, action: deny, onError: allow}]"
    rules = load(pack, checks={**CHECKS, "careless": Careless})
    old, new = (deployment(template={"labels": {"careful": value}}) for value in (7, "no"))
    decision = judge(rules, new, old=old)
    assert (decision.allowed, decision.errors) == (False, ())


def test_old_pods_that_cannot_be_read_excuse_nothing(judge, deployment):
    kind = {"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet"}
    old = deployment(pod={"containers": "none"}, **kind)
    decision = judge(NEVER % ", onError: allow", deployment(**kind), old=old)
    assert (decision.allowed, decision.errors) == (False, ())


def test_an_append_whose_when_asks_too_little_is_made_once(judge, deployment):
    text = """
    rules:
      - name: env
        when: "true"
        patch: [{op: add, path: "/spec/containers/*/env/-", value: {name: A, value: b}}]
        action: warn
    """
    decision = judge(text, deployment(), endpoint="mutate")
    stored = apply(deployment(), list(decision.patch))
    assert stored["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "A", "value": "b"}]
    assert judge(text, stored, endpoint="mutate").patch == ()


def test_removing_every_element_removes_every_element(judge, deployment):
    text = """
    rules:
      - name: none
        when: "has(pod.spec.tolerations) && pod.spec.tolerations.size() == 3"
        patch: [{op: remove, path: "/spec/tolerations/*"}]
        action: warn
    """
    obj = deployment(pod={"tolerations": [{"key": "a"}, {"key": "b"}, {"key": "c"}]})
    decision = judge(text, obj, endpoint="mutate")
    assert apply(obj, list(decision.patch))["spec"]["template"]["spec"]["tolerations"] == []


def test_a_fix_on_one_manifest_of_a_wrapper_fails_alone(judge, deployment):
    text = """
    rules:
      - name: label
        when: "!has(pod.metadata.labels) || !('team' in pod.metadata.labels)"
        patch: [{op: add, path: /metadata/labels/team, value: a}]
        action: warn
        onError: warn
    """
    broken = deployment(name="broken", template={"labels": "text"})
    obj = work(deployment(name="a"), broken, deployment(name="c"))
    decision = judge(text, obj, endpoint="mutate")
    assert [operation["path"].split("/")[4] for operation in decision.patch] == ["0", "2"]
    assert [fault.rule for fault in decision.errors] == ["label"]


# -- anything at all ---------------------------------------------------------------------------------------------

FULL = """
version: "1"
values: {registries: [registry.example/]}
rules:
  - name: images
    check: approved-image
    params: {repositories: "${values.registries}", mirrors: [{from: docker.io/, to: registry.example/hub/}]}
    action: deny
    fix: true
  - {name: equal, check: requests-equal-limits, params: {default: {cpu: "1", memory: 1Gi}}, action: deny, fix: true}
  - {name: logs, check: log-path, action: warn, fix: true}
  - {name: hosts, check: no-host-path, action: deny}
  - name: digests
    expression: "containers.all(c, c.image.contains('@'))"
    messageExpression: "containers[0].image"
    action: audit
  - {name: labels, expression: "has(object.metadata.labels)", action: deny, onError: warn}
  - name: ndots
    when: "!has(pod.spec.dnsConfig)"
    patch: [{op: add, path: /spec/dnsConfig/options/-, value: {name: ndots, value: "2"}}]
    action: warn
  - name: tty
    when: "containers.exists(c, !has(c.tty))"
    patch: [{op: add, path: "/spec/containers/*/tty", value: false}]
    action: warn
exemptions:
  - {rules: [images, hosts], match: {containers: ["side*"], images: ["**"]}, reason: r, owner: o, expires: 2027-03-31}
"""
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.sampled_from(
    ["", "web", "1", "500m", "1Gi", "nginx", "registry.example/a:1", "Always", "/var/log/app", "/", "..", "\u202e", "²"]
)  # fmt: skip
WORDS = st.sampled_from(
    [
        *("name", "image", "spec", "template", "metadata", "labels", "annotations", "containers", "initContainers"),
        *("ephemeralContainers", "volumes", "hostPath", "path", "resources", "requests", "limits", "cpu", "memory"),
        *("env", "volumeMounts", "mountPath", "emptyDir", "reference", "namespace", "a/b", "~", "0"),
    ]
)
JUNK = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5), max_leaves=12
)
MORE = {"resources": JUNK, "volumeMounts": JUNK, "env": JUNK, "restartPolicy": SCALARS}
CONTAINER = JUNK | st.fixed_dictionaries({"name": SCALARS, "image": SCALARS}, optional=MORE)
BESIDE = {
    "initContainers": st.lists(CONTAINER, max_size=2),
    "volumes": JUNK | st.lists(JUNK, max_size=2),
    "dnsConfig": JUNK,
}
SPEC = JUNK | st.fixed_dictionaries({"containers": JUNK | st.lists(CONTAINER, max_size=3)}, optional=BESIDE)
POD = JUNK | st.fixed_dictionaries({"spec": SPEC}, optional={"metadata": JUNK})
OBJECT = JUNK.filter(lambda value: isinstance(value, dict)) | st.fixed_dictionaries(
    {"metadata": JUNK, "spec": st.fixed_dictionaries({"template": POD})}
)


def of(obj, old, operation):
    request = {
        "uid": "u",
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "namespace": "shop",
        "operation": operation,
        "object": obj,
        "oldObject": old,
    }
    return parse(clean({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}))


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(obj=OBJECT, old=st.none() | OBJECT, operation=st.sampled_from(["CREATE", "UPDATE"]))
def test_any_object_is_decided_answered_and_fixed_once(load, now, obj, old, operation):
    packs = load(FULL)
    review = of(obj, old, operation)
    before = orjson.dumps(review.object)
    for endpoint in ("validate", "advise", "mutate"):
        decision = evaluate(packs, review, Facts(), now, endpoint)
        answer.encode(review, decision, endpoint)
        denies = any(f.effective == "deny" and f.exempt is None for f in decision.findings)
        denies = denies or any(fault.effective == "deny" for fault in (*decision.errors, *decision.unknown))
        assert decision.allowed is (endpoint == "mutate" or not denies)
        if endpoint == "mutate":
            fixed = apply(review.object, list(decision.patch))
            again = evaluate(packs, of(fixed, old, operation), Facts(), now, endpoint)
            assert again.patch == ()
        else:
            assert decision.patch == ()
    assert orjson.dumps(review.object) == before
