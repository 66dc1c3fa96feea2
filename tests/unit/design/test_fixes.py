"""The design's sentences on fixes, with checks and patches together on whole workloads."""

from __future__ import annotations

import copy

import pytest

from webhook.checks.check import Check
from webhook.errors import RuleError
from webhook.model import answer
from webhook.model.decision import Violation
from webhook.model.patch import apply

PACK = """
rules:
  - name: resources
    check: requests-equal-limits
    params: {resources: [cpu, memory]}
    action: warn%s
  - name: mirror
    when: "pod.spec.containers.exists(c, c.image.startsWith('docker.io/'))"
    patch:
      - op: replace
        path: "/spec/containers/*/image"
        valueExpression: "item.image.replace('docker.io/', 'mirror.example/')"
    action: warn
  - name: variable
    when: "pod.spec.containers.exists(c, !c.?env.orValue([]).exists(e, e.name == 'TEAM'))"
    patch: [{op: add, path: "/spec/containers/*/env/-", value: {name: TEAM, value: shop}}]
    action: warn
  - name: arguments
    when: "pod.spec.containers.exists(c, c.?args.orValue([]).exists(a, a == 'a'))"
    patch: [{op: replace, path: "/spec/containers/*/args/1", value: b}]
    action: warn
  - name: mounts
    when: "pod.spec.containers.exists(c, c.?volumeMounts.orValue([]).exists(m, m.name == 'gone'))"
    patch: [{op: remove, path: "/spec/containers/*/volumeMounts/1"}]
    action: warn
"""
FIXING = PACK % "\n    fix: true"


@pytest.fixture
def mend(judge):
    def make(packs, obj, old=None, **more):
        return judge(packs, obj, old=old, endpoint="mutate", **more)

    return make


def stored(decision, obj):
    return apply(obj, list(decision.patch))


@pytest.fixture
def workload(deployment):
    """Make a Deployment whose lists are in no order that any sorting would give."""

    def container(name):
        return {
            "name": name,
            "image": f"docker.io/{name}:1",
            "args": ["z", "a", "m"],
            "env": [{"name": "Z", "value": "1"}, {"name": "A", "value": "$(Z)"}, {"name": "M", "value": "$(A)"}],
            "volumeMounts": [{"name": v, "mountPath": f"/{v}"} for v in ("z", "gone", "a")],
            "resources": {"limits": {"memory": "1Gi", "cpu": "1"}, "requests": {"memory": "1Mi", "cpu": "1"}},
        }

    def make():
        volumes = [{"name": name, "emptyDir": {}} for name in ("z", "a", "gone", "m")]
        init = [container("y"), container("b")]
        pod = {"containers": [container(n) for n in ("web", "a", "proxy")], "initContainers": init, "volumes": volumes}
        return deployment(pod=pod)

    return make


def spec(obj):
    return obj["spec"]["template"]["spec"]


def test_a_patch_keeps_the_order_of_every_list(mend, workload):
    before, after = spec(workload()), spec(stored(mend(FIXING, workload()), workload()))
    for key in ("containers", "initContainers", "volumes"):
        assert [each["name"] for each in after[key]] == [each["name"] for each in before[key]]
    for was, now in zip(before["containers"], after["containers"], strict=True):
        assert now["image"] == f"mirror.example/{was['name']}:1"
        assert now["args"] == ["z", "b", "m"]
        assert now["env"] == [*was["env"], {"name": "TEAM", "value": "shop"}]
        assert now["volumeMounts"] == [was["volumeMounts"][0], was["volumeMounts"][2]]
        assert list(now) == list(was)


def test_a_patch_writes_nothing_but_what_differs_and_a_second_review_gives_none(mend, workload):
    decision = mend(FIXING, workload())
    at = "/spec/template/spec"
    assert sorted(operation["path"] for operation in decision.patch) == sorted(
        [f"{at}/{key}/{n}/resources/requests/memory" for key, size in (("containers", 3), ("initContainers", 2))
         for n in range(size)]
        + [f"{at}/containers/{n}/{field}" for n in range(3) for field in ("image", "env/3", "args/1", "volumeMounts/1")]
    )  # fmt: skip
    once = stored(decision, workload())
    assert mend(FIXING, once).patch == ()
    assert mend(FIXING, once).patched == ()
    assert once != workload()


def test_a_check_is_fixed_only_where_its_rule_says_so(mend, judge, workload):
    for fix in ("", "\n    fix: false"):
        decision = mend(PACK % fix, workload())
        assert "resources" not in {fixed.rule for fixed in decision.patched}
        assert not any("/resources/" in operation["path"] for operation in decision.patch)
        assert any(finding.rule == "resources" for finding in judge(PACK % fix, workload()).findings)


@pytest.mark.parametrize(
    "clause", ["containers: [proxy]", 'images: ["docker.io/library/proxy", "mirror.example/proxy"]']
)
def test_what_is_exempt_is_left_as_it_is_and_everything_else_is_fixed(mend, workload, clause):
    text = (
        FIXING
        + f"""exemptions:
  - {{rules: [resources], match: {{{clause}}}, reason: r, owner: o, expires: 2027-03-31}}
"""
    )
    after = spec(stored(mend(text, workload()), workload()))
    asked = {c["name"]: c["resources"]["requests"]["memory"] for c in (*after["containers"], *after["initContainers"])}
    assert asked == {"web": "1Gi", "a": "1Gi", "proxy": "1Mi", "y": "1Gi", "b": "1Gi"}


@pytest.mark.parametrize("op", ["add", "replace"])
def test_only_add_makes_what_is_not_there(mend, deployment, op):
    text = f"""
    rules:
      - name: r
        when: "true"
        patch: [{{op: {op}, path: /spec/securityContext/runAsNonRoot, value: true}}]
        action: warn
    """
    wanted = [{"op": "add", "path": "/spec/template/spec/securityContext", "value": {"runAsNonRoot": True}}]
    assert list(mend(text, deployment()).patch) == (wanted if op == "add" else [])
    has = deployment(pod={"securityContext": {"runAsNonRoot": False}})
    assert [operation["value"] for operation in mend(text, has).patch] == [True]


def test_a_finding_that_will_deny_from_a_day_on_is_fixed_until_then_too(mend, workload):
    assert mend("enforceFrom: 2027-01-01" + FIXING.replace("warn", "deny"), workload()).patch != ()


def test_what_is_tolerated_as_existing_is_fixed_where_the_template_changes(judge, mend, workload):
    text = FIXING.replace("action: warn", "action: deny")
    new = copy.deepcopy(workload())
    spec(new)["dnsPolicy"] = "Default"
    said = {finding.rule: finding.effective for finding in judge(text, new, old=workload()).findings}
    assert said["resources"] == "warn"
    assert "resources" in {fixed.rule for fixed in mend(text, new, old=workload()).patched}


@pytest.mark.parametrize("changed", [0, 1])
def test_on_update_a_wrapper_is_fixed_only_in_the_manifest_that_this_request_changes(mend, deployment, changed):
    text = """
    rules:
      - name: ndots
        when: "!has(pod.spec.dnsConfig)"
        patch: [{op: add, path: /spec/dnsConfig, value: {searches: [x]}}]
        action: warn
    """
    manifests = [deployment(name="a"), deployment(name="b")]
    old = {
        "apiVersion": "work.open-cluster-management.io/v1",
        "kind": "ManifestWork",
        "metadata": {"name": "w", "namespace": "cluster-1"},
        "spec": {"workload": {"manifests": manifests}},
    }
    new = copy.deepcopy(old)
    spec(new["spec"]["workload"]["manifests"][changed])["containers"][0]["image"] = "other"
    paths = [operation["path"] for operation in mend(text, new, old=old).patch]
    assert paths == [f"/spec/workload/manifests/{changed}/spec/template/spec/dnsConfig"]


# this rule always runs, so that nothing but the fix itself can tell that the template is the same
ASKS = """
rules:
  - name: r
    when: "request.operation == 'UPDATE' && !has(pod.spec.dnsConfig)"
    patch: [{op: add, path: /spec/dnsConfig, value: {searches: [x]}}]
    action: warn
"""


def test_no_fix_causes_a_rollout_that_nobody_asked_for(mend, deployment):
    assert mend(ASKS, deployment(), old=deployment()).patch == ()
    assert mend(ASKS, deployment(spec={"replicas": 3}), old=deployment()).patch == ()
    assert mend(ASKS, deployment(image="other"), old=deployment()).patch != ()
    assert mend(ASKS, deployment(template={"labels": {"app": "web", "a": "b"}}), old=deployment()).patch != ()


def test_what_a_controller_owns_is_not_fixed_on_update_either(mend, deployment):
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "1", "controller": True}
    owned = {"kind": "ReplicaSet", "metadata": {"ownerReferences": [reference]}}
    assert mend(ASKS, deployment(image="other", **owned), old=deployment(**owned)).patch == ()
    assert mend(ASKS, deployment(image="other", kind="ReplicaSet"), old=deployment(kind="ReplicaSet")).patch != ()


def pack_that_writes(name, *values):
    rules = [
        f"""
    - name: r{number}
      when: "!has(pod.spec.priorityClassName) || pod.spec.priorityClassName != '{value}'"
      patch: [{{op: add, path: /spec/priorityClassName, value: {value}}}]
      action: warn"""
        for number, value in enumerate(values)
    ]
    return f"apiVersion: plimsoll.dev/v1\nkind: RulePack\nmetadata: {{name: {name}}}\nspec:\n  rules:" + "".join(rules)


@pytest.mark.parametrize("order", [1, -1])
def test_of_writes_to_one_pointer_the_first_by_pack_name_and_rule_order_is_made(mend, load, deployment, order):
    packs = [pack_that_writes("a", "low", "high"), pack_that_writes("b", "other")]
    decision = mend(load(*packs[::order]), deployment())
    assert [operation["value"] for operation in decision.patch] == ["low"]
    assert [(c.rule, c.first) for c in decision.conflicts] == [("a/r1", "a/r0"), ("b/r0", "a/r0")]


def test_only_packs_with_fixes_are_heard_at_mutate(load):
    packs = load(
        "rules:\n  - {name: a, check: no-host-path, action: deny}\n",
        "match: {kinds: [Deployment, StatefulSet]}" + FIXING,
    )
    concerned = packs.concerned()["mutate"]
    assert {("apps", "Deployment"), ("apps", "StatefulSet")} <= concerned
    assert not concerned & {("", "Pod"), ("", "PersistentVolume")}


class Many:
    """A check on replicas whose fix is of the object around the pods."""

    ID, KINDS, READS, DEFAULTS = "many", (), ("object", "replicas"), {}
    PARAMS = {"type": "object", "additionalProperties": False, "properties": {}}

    @staticmethod
    def build(params):
        def judge(subject):
            if subject.object["spec"]["replicas"] < 2:
                yield Violation(f"{subject.pointer}/spec/replicas", "too few", "1", "2")

        return Check(subject=judge, fix_subject=lambda s, draft: draft.put(f"{s.pointer}/spec/replicas", 2))


def test_a_scale_is_judged_and_never_fixed(mend, judge, load):
    packs = load("rules:\n  - {name: r, check: many, fix: true, action: deny}\n", checks={"many": Many})
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web", "namespace": "shop"}}
    new, old = {**scale, "spec": {"replicas": 1}}, {**scale, "spec": {"replicas": 3}}
    where = {"resource": {"group": "apps", "version": "v1", "resource": "deployments"}, "subResource": "scale"}
    assert not judge(packs, new, old=old, **where).allowed
    assert mend(packs, new, old=old, **where).patch == ()


def test_one_warning_tells_of_one_fix_however_many_places_and_passes_it_took(mend, review, workload):
    wrapper = {
        "apiVersion": "work.open-cluster-management.io/v1",
        "kind": "ManifestWork",
        "metadata": {"name": "w", "namespace": "cluster-1"},
        "spec": {"workload": {"manifests": [workload(), workload()]}},
    }
    decision = mend(FIXING, wrapper)
    said = answer.document(review(wrapper), decision, "mutate")["response"]
    assert [line.partition(":")[0] for line in said["warnings"]] == [
        "pack/resources",
        "pack/mirror",
        "pack/variable",
        "pack/arguments",
        "pack/mounts",
    ]
    at = "/spec/workload/manifests/0/spec/template/spec"
    assert said["warnings"][0] == f"pack/resources: corrected {at}/initContainers/0/resources/requests/memory +9"
    assert sum(fixed.operations for fixed in decision.patched) == len(decision.patch)


def test_item_is_the_element_of_the_last_star(mend, deployment):
    text = """
    rules:
      - name: r
        when: "containers.exists(c, c.ports.exists(p, !has(p.protocol)))"
        patch: [{op: add, path: "/spec/containers/*/ports/*/protocol", valueExpression: "item.name"}]
        action: warn
    """
    ports = [{"name": "a", "containerPort": 1}, {"name": "b", "containerPort": 2}]
    obj = deployment(pod={"containers": [{"name": "web", "image": "x", "ports": ports}]})
    [container] = spec(stored(mend(text, obj), obj))["containers"]
    assert [port["protocol"] for port in container["ports"]] == ["a", "b"]


def test_an_expression_that_gives_null_writes_nothing(mend, deployment):
    text = """
    rules:
      - name: r
        when: "true"
        patch:
          - {op: add, path: /spec/x, valueExpression: "null"}
          - {op: add, path: /spec/y, valueExpression: "pod.metadata.labels.?team.orValue(null)"}
        action: warn
    """
    assert mend(text, deployment()).patch == ()


class Careless:
    """A check whose fix writes behind the draft's back."""

    ID, KINDS, READS, DEFAULTS = "careless", (), ("pod",), {}
    PARAMS = {"type": "object", "additionalProperties": False, "properties": {}}

    @staticmethod
    def build(params):
        def judge(pod):
            if "dnsPolicy" not in pod.spec:
                yield Violation(f"{pod.pointer}/spec", "no dnsPolicy", "none", "one")

        def fix(pod, draft):
            draft.put(f"{pod.pointer}/spec/dnsPolicy", "Default")
            draft.document["metadata"]["name"] = "another"

        return Check(pod=judge, fix=fix)


def test_a_patch_is_checked_by_applying_it(mend, load, deployment):
    packs = load("rules:\n  - {name: r, check: careless, fix: true, action: warn}\n", checks={"careless": Careless})
    with pytest.raises(RuleError, match="nothing is patched"):
        mend(packs, deployment())
