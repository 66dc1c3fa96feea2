"""Fixes: where they are made, in which order, and what the patch is like."""

from __future__ import annotations

import pytest

from webhook.checks.check import Check
from webhook.model import answer
from webhook.model.decision import Violation
from webhook.model.patch import apply

NDOTS = """
rules:
  - name: ndots
    when: "!has(pod.spec.dnsConfig)"
    patch:
      - {op: add, path: /spec/dnsConfig, value: {options: [{name: ndots, value: "2"}]}}
    action: %s
"""


@pytest.fixture
def mend(judge):
    def make(packs, obj, old=None, **more):
        return judge(packs, obj, old=old, endpoint="mutate", **more)

    return make


def patched(decision, obj):
    return apply(obj, list(decision.patch))


@pytest.mark.parametrize("action", ["deny", "warn"])
def test_a_fix_is_made_where_the_effective_action_is_deny_or_warn(mend, deployment, action):
    decision = mend(NDOTS % action, deployment())
    assert [operation["path"] for operation in decision.patch] == ["/spec/template/spec/dnsConfig"]
    assert decision.allowed
    assert [fixed.would for fixed in decision.patched] == [False]


@pytest.mark.parametrize("head", ["mode: dry-run", ""])
def test_with_audit_or_dry_run_it_is_only_said_what_would_be_patched(mend, deployment, review, head):
    decision = mend(head + NDOTS % ("deny" if head else "audit"), deployment())
    assert decision.patch == ()
    assert [fixed.would for fixed in decision.patched] == [True]
    response = answer.document(review(deployment()), decision, "mutate")["response"]
    assert "patch" not in response and "warnings" not in response
    assert set(response["auditAnnotations"]) == {"would-patch", "enforced-pack"}


def test_a_second_review_of_what_was_fixed_gives_no_patch(mend, deployment):
    stored = patched(mend(NDOTS % "warn", deployment()), deployment())
    assert mend(NDOTS % "warn", stored).patch == ()


def test_no_fix_writes_what_knative_takes_with_a_flag_only_unless_the_manifest_has_it(mend, judge, deployment):
    knative = {"apiVersion": "serving.knative.dev/v1", "kind": "Service"}
    service = deployment(**knative)
    decision = mend(NDOTS % "warn", service)
    assert decision.patch == () and decision.patched == ()
    assert len(judge(NDOTS % "warn", service).findings) == 1, "the finding stays"
    value = (
        "rules: [{name: dns, when: 'true', action: warn, patch: [{op: add, path: /spec/dnsPolicy, value: Default}]}]"
    )
    service["spec"]["template"]["spec"]["dnsPolicy"] = "ClusterFirst"
    assert [operation["path"] for operation in mend(value, service).patch] == ["/spec/template/spec/dnsPolicy"]


def controlled(obj):
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "1", "controller": True}
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": [reference]}}


def test_objects_with_a_controller_owner_are_left_alone_but_pods_are_not(mend, deployment, pod):
    assert mend(NDOTS % "warn", controlled(deployment(kind="ReplicaSet"))).patch == ()
    assert mend(NDOTS % "warn", controlled(pod())).patch != ()


def test_an_update_is_fixed_only_where_it_changes_the_pod_template(mend, deployment):
    assert mend(NDOTS % "warn", deployment(spec={"replicas": 3}), old=deployment()).patch == ()
    assert mend(NDOTS % "warn", deployment(image="other"), old=deployment()).patch != ()


def test_pods_and_jobs_are_never_fixed_on_update(mend, deployment, pod):
    assert mend(NDOTS % "warn", pod(image="other"), old=pod()).patch == ()
    job = {"apiVersion": "batch/v1", "kind": "Job"}
    assert mend(NDOTS % "warn", deployment(image="other", **job), old=deployment(**job)).patch == ()
    assert mend(NDOTS % "warn", deployment(**job)).patch != ()


def test_mirror_pods_are_never_fixed_whoever_writes_them(mend, pod):
    mirror = {"annotations": {"kubernetes.io/config.mirror": "abc"}}
    assert mend(NDOTS % "warn", pod(metadata=mirror)).patch == ()


@pytest.mark.parametrize(
    ("api_version", "kind", "body", "fixed"),
    [
        (
            "work.open-cluster-management.io/v1",
            "ManifestWork",
            lambda o: {"spec": {"workload": {"manifests": [o]}}},
            True,
        ),
        ("work.karmada.io/v1alpha1", "Work", lambda o: {"spec": {"workload": {"manifests": [o]}}}, False),
        ("apps.clusternet.io/v1alpha1", "Manifest", lambda o: {"template": o}, False),
    ],
)
def test_what_another_control_plane_writes_is_never_fixed(mend, deployment, api_version, kind, body, fixed):
    wrapper = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "w"}, **body(deployment())}
    decision = mend(NDOTS % "warn", wrapper)
    assert bool(decision.patch) is fixed
    if fixed:
        assert decision.patch[0]["path"] == "/spec/workload/manifests/0/spec/template/spec/dnsConfig"


def test_fixes_run_by_pack_name_and_rule_order_and_each_sees_the_object_so_far(mend, load, deployment):
    second = """
    apiVersion: plimsoll.dev/v1
    kind: RulePack
    metadata: {name: a-second}
    spec:
      rules:
        - name: annotate
          when: "!has(pod.metadata.annotations)"
          patch: [{op: add, path: /metadata/annotations, value: {seen: "no"}}]
          action: warn
    """
    first = """
    apiVersion: plimsoll.dev/v1
    kind: RulePack
    metadata: {name: b-first}
    spec:
      rules:
        - name: sees
          when: "has(pod.metadata.annotations) && !has(pod.metadata.annotations.sees)"
          patch: [{op: add, path: /metadata/annotations/sees, valueExpression: "pod.metadata.annotations.seen"}]
          action: warn
    """
    decision = mend(load(first, second), deployment())
    template = patched(decision, deployment())["spec"]["template"]
    assert template["metadata"]["annotations"] == {"seen": "no", "sees": "no"}
    assert [fixed.rule for fixed in decision.patched] == ["annotate", "sees"]


def chain(length):
    rules = "".join(
        f"""
      - name: step{n}
        when: "has(pod.spec.s{n + 1}) && !has(pod.spec.s{n})"
        patch: [{{op: add, path: /spec/s{n}, value: x}}]
        action: warn"""
        for n in range(length)
    )
    return f"rules:{rules}"


def test_fixes_are_repeated_to_a_fixpoint_at_most_three_times(mend, deployment):
    # each rule needs what the next one writes, so that one pass makes one step
    obj = deployment(pod={"s5": "x"})
    decision = mend(chain(5), obj)
    spec = patched(decision, obj)["spec"]["template"]["spec"]
    assert {key for key in spec if key.startswith("s")} == {"s5", "s4", "s3", "s2"}


def test_a_second_write_to_one_pointer_is_not_made_and_is_reported(mend, load, deployment, review):
    text = """
    rules:
      - name: one
        when: "!has(pod.spec.priorityClassName) || pod.spec.priorityClassName != 'low'"
        patch: [{op: add, path: /spec/priorityClassName, value: low}]
        action: warn
      - name: two
        when: "!has(pod.spec.priorityClassName) || pod.spec.priorityClassName != 'high'"
        patch: [{op: add, path: /spec/priorityClassName, value: high}]
        action: warn
    """
    decision = mend(text, deployment())
    assert [operation["value"] for operation in decision.patch] == ["low"]
    assert [(c.rule, c.pointer, c.first) for c in decision.conflicts] == [
        ("pack/two", "/spec/template/spec/priorityClassName", "pack/one")
    ]
    response = answer.document(review(deployment()), decision, "mutate")["response"]
    assert any(
        "pack/two: left /spec/template/spec/priorityClassName as pack/one wrote it" in w for w in response["warnings"]
    )
    assert "pack/one wrote it" in response["auditAnnotations"]["error"]


def test_a_star_stands_for_every_list_element_and_missing_parents_are_made(mend, deployment):
    text = """
    rules:
      - name: seccomp
        when: "containers.exists(c, !has(c.securityContext))"
        patch:
          - {op: add, path: "/spec/containers/*/securityContext/seccompProfile/type", value: RuntimeDefault}
          - {op: add, path: "/spec/containers/*/env/-", valueExpression: "{'name': 'NAME', 'value': item.name}"}
          - {op: add, path: /metadata/annotations/first, valueExpression: "containers[0].name"}
        action: warn
    """
    containers = [{"name": "a", "image": "x"}, {"name": "b", "image": "y", "env": [{"name": "Z", "value": "1"}]}]
    obj = deployment(pod={"containers": containers})
    template = patched(mend(text, obj), obj)["spec"]["template"]
    assert template["spec"]["containers"] == [
        {
            "name": "a",
            "image": "x",
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "env": [{"name": "NAME", "value": "a"}],
        },
        {
            "name": "b",
            "image": "y",
            "env": [{"name": "Z", "value": "1"}, {"name": "NAME", "value": "b"}],
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        },
    ]
    assert template["metadata"]["annotations"] == {"first": "a"}


def test_containers_out_of_scope_are_not_patched(mend, deployment):
    text = """
    match: {containers: [web]}
    rules:
      - name: policy
        when: "containers.exists(c, !has(c.terminationMessagePolicy))"
        patch: [{op: add, path: "/spec/containers/*/terminationMessagePolicy", value: File}]
        action: warn
    """
    containers = [{"name": "istio-proxy", "image": "x"}, {"name": "web", "image": "y"}]
    decision = mend(text, deployment(pod={"containers": containers}))
    assert [o["path"] for o in decision.patch] == ["/spec/template/spec/containers/1/terminationMessagePolicy"]


def test_null_parents_are_written_over(mend, deployment, judge):
    obj = deployment(template={"annotations": None})
    text = """
    rules:
      - name: annotate
        when: "!has(pod.metadata.annotations)"
        patch: [{op: add, path: /metadata/annotations/a, value: b}]
        action: warn
    """
    decision = mend(text, obj)
    assert patched(decision, obj)["spec"]["template"]["metadata"]["annotations"] == {"a": "b"}


def test_a_fix_that_fails_is_one_fault_and_leaves_the_other_fixes(mend, deployment):
    text = """
    rules:
      - name: broken
        when: "true"
        patch:
          - {op: add, path: /spec/half, value: done}
          - {op: add, path: /spec/containers/x/y, value: 1}
        action: warn
      - name: good
        when: "!has(pod.spec.good)"
        patch: [{op: add, path: /spec/good, value: yes}]
        action: warn
    """
    decision = mend(text, deployment())
    assert [o["path"] for o in decision.patch] == ["/spec/template/spec/good"]
    assert [fault.rule for fault in decision.errors] == ["broken"]


def test_an_exempt_object_is_not_fixed(mend, deployment):
    exempt = """exemptions:
  - {rules: [ndots], match: {names: [web]}, reason: r, owner: o, expires: 2027-03-31}
"""
    assert mend(NDOTS % "warn" + exempt, deployment()).patch == ()
    assert mend(NDOTS % "warn" + exempt, deployment(name="other")).patch != ()


def test_each_fix_is_said_in_one_warning_unless_the_rule_is_quiet(mend, deployment, review):
    loud = answer.document(review(deployment()), mend(NDOTS % "warn", deployment()), "mutate")["response"]
    assert len(loud["warnings"]) == 1 and "ndots" in loud["warnings"][0]
    quiet = answer.document(
        review(deployment()), mend(NDOTS % "warn, quiet: true".replace(",", "\n   "), deployment()), "mutate"
    )
    assert "warnings" not in quiet["response"]
    assert "patch" in quiet["response"]


def test_a_dry_run_request_is_answered_the_same(mend, judge, deployment):
    assert mend(NDOTS % "warn", deployment(), dryRun=True) == mend(NDOTS % "warn", deployment())
    text = 'rules:\n  - {name: never, expression: "false", action: deny}\n'
    assert judge(text, deployment(), dryRun=True) == judge(text, deployment())


def test_only_mutate_answers_with_a_patch_and_only_it_can_allow_what_is_wrong(judge, mend, deployment, review):
    never = 'rules:\n  - {name: never, expression: "false", action: deny}\n'
    assert mend(never, deployment()).allowed
    for endpoint in ("validate", "advise"):
        decision = judge(NDOTS % "deny", deployment(), endpoint=endpoint)
        response = answer.document(review(deployment()), decision, endpoint)["response"]
        assert "patch" not in response and "patchType" not in response


def strategy(subject):
    at = f"{subject.pointer}/spec/minReadySeconds"
    if "minReadySeconds" not in subject.object.get("spec", {}):
        yield Violation(at, "no minReadySeconds", "none", "5")


class Ready:
    """A check with a fix of the object around the pods."""

    ID, KINDS, READS, DEFAULTS = "ready", (), ("object",), {}
    PARAMS = {"type": "object", "additionalProperties": False, "properties": {}}

    @staticmethod
    def build(params):
        return Check(
            subject=strategy, fix_subject=lambda subject, draft: draft.put(f"{subject.pointer}/spec/minReadySeconds", 5)
        )


READY = "rules:\n  - {name: ready, check: ready, fix: true, action: warn}\n"


@pytest.fixture
def ready(load):
    return load(READY, checks={"ready": Ready})


def test_the_object_around_the_pods_is_fixed_when_it_is_created(mend, ready, deployment):
    decision = mend(ready, deployment())
    assert decision.patch == ({"op": "add", "path": "/spec/minReadySeconds", "value": 5},)
    assert mend(ready, patched(decision, deployment())).patch == ()


def test_on_update_only_where_the_request_changes_the_very_field(mend, ready, deployment):
    had = deployment(spec={"minReadySeconds": 9})
    assert mend(ready, deployment(spec={"replicas": 3}), old=deployment()).patch == ()
    assert mend(ready, deployment(image="other"), old=deployment()).patch == ()
    assert mend(ready, deployment(), old=had).patch == ({"op": "add", "path": "/spec/minReadySeconds", "value": 5},)


def test_what_a_controller_made_is_left_alone_around_its_pods_too(mend, ready, deployment):
    assert mend(ready, controlled(deployment(kind="ReplicaSet"))).patch == ()
