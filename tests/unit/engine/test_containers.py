"""Every check sees every container, in every list, of every workload kind: a generated matrix."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from webhook.model.workloads import TABLE, Row

PACK = """
rules:
  - {name: approved-image, check: approved-image, params: {repositories: [registry.example/]}, action: deny}
  - name: requests-equal-limits
    check: requests-equal-limits
    action: deny
  - {name: digest, expression: "containers.all(c, c.image.startsWith('registry.example/'))", action: deny}
"""
EVIL = "evil.example/miner:1"
GOOD = {"image": "registry.example/a:1", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}
UNEQUAL = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Mi"}}
LISTS = {
    "init": ("initContainers", {}),
    "sidecar": ("initContainers", {"restartPolicy": "Always"}),
    "normal": ("containers", {}),
    "ephemeral": ("ephemeralContainers", {"targetContainerName": "web"}),
}


def within(row: Row, spec: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return an object of the row's kind around a pod spec, and the pointer of its pod."""
    version = f"{row.group}/v1" if row.group else "v1"
    path = row.paths[0]
    inner: Any = {"metadata": {}, "spec": spec}
    if row.wraps:
        inner, below = within(next(r for r in TABLE if r.kind == "Deployment"), spec)
        inner["metadata"] = {"name": "web", "namespace": "shop"}
    else:
        below = ""
    for token in reversed(path):
        inner = [inner] if token == "*" else {token: inner}
    obj = {**inner, "apiVersion": version, "kind": row.kind}
    obj["metadata"] = {**obj.get("metadata", {}), "name": "web", "namespace": "shop"}
    return obj, "".join("/0" if token == "*" else f"/{token}" for token in path) + below


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.group}/{row.kind}")
@pytest.mark.parametrize("role", LISTS)
def test_a_bad_image_is_found_in_every_list_of_every_kind(judge, row, role):
    where, more = LISTS[role]
    spec: dict[str, Any] = {"containers": [{"name": "web", **copy.deepcopy(GOOD)}]}
    spec.setdefault(where, []).append({"name": "bad", **copy.deepcopy(GOOD), "image": EVIL, **more})
    obj, at = within(row, spec)
    decision = judge(PACK, obj)
    number = len(spec[where]) - 1
    assert not decision.allowed
    assert not decision.errors
    assert {(f.rule, f.violation.pointer) for f in decision.findings} == {
        ("approved-image", f"{at}/spec/{where}/{number}/image"),
        ("digest", at),
    }


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.group}/{row.kind}")
@pytest.mark.parametrize("role", LISTS)
def test_resources_are_judged_in_every_list_but_ephemeral_containers_that_can_have_none(judge, row, role):
    where, more = LISTS[role]
    spec: dict[str, Any] = {"containers": [{"name": "web", **copy.deepcopy(GOOD)}]}
    spec.setdefault(where, []).append({"name": "bad", **copy.deepcopy(GOOD), "resources": UNEQUAL, **more})
    obj, at = within(row, spec)
    found = {f.violation.container for f in judge(PACK, obj).findings if f.rule == "requests-equal-limits"}
    assert found == (set() if role == "ephemeral" else {"bad"})


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.group}/{row.kind}")
def test_an_image_volume_is_an_image(judge, row):
    spec = {
        "containers": [{"name": "web", **copy.deepcopy(GOOD)}],
        "volumes": [{"name": "data", "image": {"reference": EVIL}}],
    }
    obj, at = within(row, spec)
    decision = judge(PACK, obj)
    assert [(f.violation.pointer, f.violation.container) for f in decision.findings] == [
        (f"{at}/spec/volumes/0/image/reference", "data")
    ]


def test_every_pod_of_an_object_with_many_is_judged(judge):
    job = {"template": {"spec": {"template": {"spec": {"containers": [{"name": "a", **GOOD}]}}}}}
    bad = copy.deepcopy(job)
    bad["template"]["spec"]["template"]["spec"]["containers"][0]["image"] = EVIL
    obj = {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": "j", "namespace": "shop"},
        "spec": {"replicatedJobs": [job, bad, job]},
    }
    pointers = {f.violation.pointer for f in judge(PACK, obj).findings}
    assert pointers == {
        "/spec/replicatedJobs/1/template/spec/template/spec/containers/0/image",
        "/spec/replicatedJobs/1/template/spec/template",
    }


def test_a_rollout_that_refers_to_a_deployment_has_no_template_of_its_own(judge, deployment):
    rollout = deployment(image=EVIL, apiVersion="argoproj.io/v1alpha1", kind="Rollout")
    assert not judge(PACK, rollout).allowed
    rollout["spec"]["workloadRef"] = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    assert judge(PACK, rollout).allowed


def test_kinds_of_custom_workloads_come_as_rows(judge, load, deployment):
    from webhook.model.workloads import Row, table

    custom = deployment(image=EVIL, apiVersion="acme.example/v1", kind="Service")
    kinds = table([Row("acme.example", "Service", "services", (("spec", "template"),))])
    assert judge(load(PACK), custom).allowed
    assert not judge(load(PACK, kinds=kinds), custom).allowed


@pytest.mark.parametrize(
    "spec",
    [
        {"containers": None},
        {"containers": "x"},
        {"containers": [None, 3, "x", {"name": 3, "image": ["x"]}]},
        {"containers": [{"name": "a", "image": "x", "resources": "x", "env": {"a": "b"}, "volumeMounts": [3]}]},
        {"containers": [{"name": "a", "image": "x", "resources": {"limits": [1], "requests": 3}}], "volumes": {"a": 1}},
        {
            "containers": [],
            "volumes": [{"name": None, "hostPath": 3}, {"image": 3}, {"name": "b", "image": {"reference": 3}}],
        },
        {"initContainers": [[]], "ephemeralContainers": {}, "resources": 3},
    ],
)
def test_what_no_api_server_would_send_takes_no_check_down(judge, spec):
    checks = PACK.replace("  - {name: digest", "  - {name: log-path, check: log-path, action: warn}\n  - {name: digest")
    text = checks + "  - {name: no-host-path, check: no-host-path, action: deny}\n"
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "shop"}, "spec": spec}
    decision = judge(text, obj)
    rules = {"approved-image", "requests-equal-limits", "log-path", "digest", "no-host-path"}
    if {fault.rule for fault in decision.errors} == rules:
        assert all("no list of objects" in fault.message for fault in decision.errors)
        assert not decision.allowed
    else:
        assert {fault.rule for fault in decision.errors} <= {"digest"}
