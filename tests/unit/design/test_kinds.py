"""The design's list of the objects that are looked at, written out: no row of the table can go unseen."""

from __future__ import annotations

import pytest

RULE = """
rules:
  - {name: images, check: approved-image, params: {repositories: [registry.example/]}, action: deny}
"""
TEMPLATE = "spec.template"
KINDS = [
    ("v1 Pod", ""),
    ("v1 PodTemplate", "template"),
    ("v1 ReplicationController", TEMPLATE),
    ("apps/v1 ReplicaSet", TEMPLATE),
    ("apps/v1 Deployment", TEMPLATE),
    ("apps/v1 StatefulSet", TEMPLATE),
    ("apps/v1 DaemonSet", TEMPLATE),
    ("batch/v1 Job", TEMPLATE),
    ("batch/v1 CronJob", "spec.jobTemplate.spec.template"),
    ("argoproj.io/v1alpha1 Rollout", TEMPLATE),
    ("apps.kruise.io/v1alpha1 CloneSet", TEMPLATE),
    ("apps.kruise.io/v1beta1 StatefulSet", TEMPLATE),
    ("apps.kruise.io/v1alpha1 DaemonSet", TEMPLATE),
    ("apps.kruise.io/v1alpha1 BroadcastJob", TEMPLATE),
    ("apps.kruise.io/v1alpha1 AdvancedCronJob", "spec.template.jobTemplate.spec.template"),
    ("apps.kruise.io/v1alpha1 AdvancedCronJob", "spec.template.broadcastJobTemplate.spec.template"),
    ("serving.knative.dev/v1 Service", TEMPLATE),
    ("jobset.x-k8s.io/v1alpha2 JobSet", "spec.replicatedJobs.0.template.spec.template"),
    ("batch.volcano.sh/v1alpha1 Job", "spec.tasks.0.template"),
]


def within(api_version, kind, path, pod):
    obj = pod
    for token in reversed(path.split(".") if path else []):
        obj = [obj] if token == "0" else {token: obj}
    return {**obj, "apiVersion": api_version, "kind": kind, "metadata": {"name": "x", "namespace": "shop"}}


@pytest.mark.parametrize(("kind", "path"), KINDS, ids=[f"{kind} {path}" for kind, path in KINDS])
def test_the_pods_of_every_workload_kind_are_judged_by_every_rule(judge, load, kind, path):
    pod = {"metadata": {"labels": {}}, "spec": {"containers": [{"name": "a", "image": "evil.example/x:1"}]}}
    obj = within(*kind.split(), path, pod)
    decision = judge(RULE, obj, endpoint="validate")
    at = "".join(f"/{token}" for token in path.split(".") if token)
    assert [finding.violation.pointer for finding in decision.findings] == [f"{at}/spec/containers/0/image"]
    # a rule in CEL is for all of them too, without saying so
    cel = 'rules:\n  - {name: r, expression: "containers[0].name == pod.metadata.name", action: deny}\n'
    said = judge(cel.replace("pod.metadata.name", "'b'"), obj, endpoint="validate")
    assert [finding.violation.pointer for finding in said.findings] == [at]


REFERENCES = [
    ("apps/v1 ReplicaSet", "apps/v1 Deployment"),
    ("apps/v1 ReplicaSet", "argoproj.io/v1alpha1 Rollout"),
    ("batch/v1 Job", "batch/v1 CronJob"),
    ("batch/v1 Job", "jobset.x-k8s.io/v1alpha2 JobSet"),
    ("batch/v1 Job", "apps.kruise.io/v1alpha1 AdvancedCronJob"),
    ("apps.kruise.io/v1alpha1 BroadcastJob", "apps.kruise.io/v1alpha1 AdvancedCronJob"),
    ("v1 Pod", "apps/v1 ReplicaSet"),
    ("v1 Pod", "apps/v1 StatefulSet"),
    ("v1 Pod", "batch/v1 Job"),
    ("v1 Pod", "apps.kruise.io/v1alpha1 CloneSet"),
]


@pytest.mark.parametrize(("kind", "maker"), REFERENCES)
def test_rules_on_the_workload_skip_what_a_controller_made_and_rules_on_the_pod_never_do(judge, kind, maker):
    path = "" if kind == "v1 Pod" else TEMPLATE
    obj = within(*kind.split(), path, {"spec": {"containers": [{"name": "a", "image": "evil.example/x:1"}]}})
    on_workload = "rules:\n  - {name: r, expression: \"'team' in object.metadata.?labels.orValue({})\", action: deny}\n"
    assert not judge(on_workload, obj).allowed
    assert not judge(RULE, obj).allowed
    api_version, name = maker.split()
    reference = {"apiVersion": api_version, "kind": name, "name": "m", "uid": "1", "controller": True}
    obj["metadata"]["ownerReferences"] = [{**reference, "controller": False}]
    assert not judge(on_workload, obj).allowed  # an owner that is no controller
    obj["metadata"]["ownerReferences"] = [reference]
    assert judge(on_workload, obj).allowed
    assert not judge(RULE, obj).allowed
