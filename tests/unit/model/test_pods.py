"""The visitor of pods: every list, every role, wrong types passed over, wrappers opened, pointers that lead back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from webhook.model import pointer as pointers
from webhook.model.neighbours import Found
from webhook.model.pods import group_of, listing, mapping, subjects
from webhook.model.workloads import KINDS, TABLE, Row, table

SPEC = {
    "initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}],
    "containers": [{"name": "c", "restartPolicy": "Always", "image": "x"}, {"name": 3, "image": ["x"]}],
    "ephemeralContainers": [{"name": "e"}],
    "volumes": [{"name": "v", "image": {"reference": "y"}}, {"name": "w", "image": "z"}, {"name": None, "image": {}}],
}


def only_pod(spec):
    [subject] = subjects({"spec": spec}, "", "Pod", "shop", "web")
    [pod] = subject.pods
    return pod


def test_containers_come_with_their_roles_in_the_order_of_a_pods_life():
    assert [(c.name, c.role) for c in only_pod(SPEC).containers] == [
        ("i", "init"), ("s", "sidecar"), ("c", "container"), ("", "container"), ("e", "ephemeral"),
    ]  # fmt: skip


def test_an_image_that_is_no_text_is_an_empty_one():
    assert [c.image for c in only_pod(SPEC).containers] == ["", "", "x", "", ""]
    assert [(v.name, v.image) for v in only_pod(SPEC).image_volumes] == [("v", "y"), ("", "")]
    assert [v.image for v in only_pod(SPEC).volumes] == ["y", None, ""]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.group}/{row.kind}")
def test_every_pointer_leads_to_what_it_names(row):
    inner = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": SPEC}
    for token in reversed(row.paths[0]):
        inner = [inner] if token == "*" else {token: inner}
    found = [p for s in subjects(inner, row.group, row.kind, "shop", "web") for p in s.pods]
    assert len(found) == 1
    for part in (*found[0].containers, *found[0].volumes):
        assert pointers.get(inner, pointers.split(part.pointer)) is part.spec


@pytest.mark.parametrize("wrong", [None, 3, "x", True, [], {}, [None], [[]], {"a": 1}])
def test_wrong_types_are_passed_over(wrong):
    for key in SPEC:
        assert only_pod({**SPEC, key: wrong}).spec
    assert subjects({"spec": wrong}, "apps", "Deployment", "shop", "web")[0].pods == ()
    assert subjects({"spec": {"template": wrong}}, "apps", "Deployment", "shop", "web")[0].pods == ()
    assert subjects({"metadata": wrong}, "apps", "Deployment", "shop", "web")[0].labels in ({}, wrong)
    assert len(subjects({"template": wrong}, "apps.clusternet.io", "Manifest", "shop", "web")) == 1


def test_wrapped_manifests_follow_their_wrapper_in_order_each_with_its_own_place():
    manifests = [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "other"}},
        {"apiVersion": "work.karmada.io/v1", "kind": "Work", "spec": {"workload": {"manifests": [{"kind": "Pod"}]}}},
        {"kind": 3},
        "text",
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": 3, "namespace": ""}},
    ]
    found = subjects({"spec": {"workload": {"manifests": manifests}}}, "work.karmada.io", "Work", "shop", "w")
    at = "/spec/workload/manifests"
    assert [(s.group, s.kind, s.namespace, s.name, s.pointer) for s in found] == [
        ("work.karmada.io", "Work", "shop", "w", ""),
        ("apps", "Deployment", "other", "a", f"{at}/0"),
        ("work.karmada.io", "Work", "shop", "", f"{at}/1"),
        ("", "Pod", "shop", "", f"{at}/1{at}/0"),
        ("batch", "Job", "shop", "", f"{at}/4"),
    ]


def test_a_list_inside_a_wrapper_is_opened_each_item_with_its_own_place():
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    inner = {"apiVersion": "v1", "kind": "List", "items": [pod, "text"]}
    manifests = [{"apiVersion": "v1", "kind": "List", "items": [{"kind": "Job"}, inner]}, pod]
    found = subjects({"spec": {"workload": {"manifests": manifests}}}, "work.karmada.io", "Work", "shop", "w")
    at = "/spec/workload/manifests"
    assert [(s.kind, s.pointer) for s in found] == [
        ("Work", ""),
        ("Job", f"{at}/0/items/0"),
        ("Pod", f"{at}/0/items/1/items/0"),
        ("Pod", f"{at}/1"),
    ]
    for items in (None, 3, {}, []):
        [wrapper] = subjects({"template": {**inner, "items": items}}, "apps.clusternet.io", "Manifest", "shop", "w")
        assert wrapper.kind == "Manifest"


def test_kinds_of_one_name_and_other_groups_are_other_kinds():
    template = {"spec": {"template": {"spec": {"containers": []}}}}
    assert subjects(template, "serving.knative.dev", "Service", "", "")[0].pods != ()
    assert subjects(template, "", "Service", "", "")[0].pods == ()
    assert subjects(template, "apps.evil.io", "Deployment", "", "")[0].pods == ()


def test_a_row_that_a_company_adds_is_a_workload_kind():
    kinds = table([Row("acme.example", "App", "apps", (("spec", "pods", "*"),))])
    obj = {"spec": {"pods": [{"spec": {}}, {"spec": {}}]}}
    assert [pod.pointer for pod in subjects(obj, "acme.example", "App", "", "", kinds)[0].pods] == [
        "/spec/pods/0", "/spec/pods/1",
    ]  # fmt: skip


def test_a_pod_can_be_narrowed_to_some_containers_and_keeps_its_volumes():
    pod = only_pod(SPEC).keep(lambda c: c.name == "c", lambda v: v.name == "")
    assert [c.name for c in pod.containers] == ["c"]
    assert [v.name for v in pod.image_volumes] == [""]
    assert len(pod.volumes) == 3


def test_what_is_no_map_or_list_counts_as_an_empty_one():
    assert [dict(mapping(value)) for value in (None, [], "x", {"a": 1})] == [{}, {}, {}, {"a": 1}]
    assert [listing(value) for value in (None, {}, "x", [1])] == [[], [], [], [1]]
    assert [group_of(value) for value in ("apps/v1", "v1", None, 3)] == ["apps", "", "", ""]


def test_the_main_container_is_the_first_or_the_one_that_an_annotation_names() -> None:
    spec = {"containers": [{"name": "web"}, {"name": "proxy"}]}
    [plain] = subjects({"spec": spec}, "", "Pod", "shop", "web")
    assert plain.pods[0].main == "web"
    metadata = {"annotations": {"kubectl.kubernetes.io/default-container": "proxy"}}
    [annotated] = subjects({"metadata": metadata, "spec": spec}, "", "Pod", "shop", "web")
    assert annotated.pods[0].main == "proxy"


def test_a_pod_says_whether_it_is_for_windows() -> None:
    [one] = subjects({"spec": {"os": {"name": "windows"}}}, "", "Pod", "shop", "web")
    [other] = subjects({"spec": {"os": "windows"}}, "", "Pod", "shop", "web")
    assert (one.pods[0].windows, other.pods[0].windows) == (True, False)


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        (("spec", "containers", "0", "resources", "limits"), True),
        (("spec", "containers", "0"), True),
        (("spec", "volumes", "-"), True),
        (("metadata", "annotations", "affinity"), True),
        (("spec",), True),
        (("spec", "dnsConfig", "options"), False),
        (("spec", "initContainers", "0", "image"), False),
        (("spec", "containers", "0", "lifecycle"), False),
    ],
)
def test_of_a_service_of_knative_it_is_known_which_fields_it_takes_without_a_flag(path, taken):
    assert KINDS["serving.knative.dev", "Service"].takes(path) is taken
    assert KINDS["apps", "Deployment"].takes(path)


def test_pods_on_every_node_are_those_of_daemonsets_and_broadcast_jobs():
    job = {
        "jobTemplate": {"spec": {"template": {"spec": {}}}},
        "broadcastJobTemplate": {"spec": {"template": {"spec": {}}}},
    }
    both = subjects({"spec": {"template": job}}, "apps.kruise.io", "AdvancedCronJob", "", "")[0].pods
    assert [(pod.pointer.split("/")[3], pod.daemon) for pod in both] == [
        ("jobTemplate", False), ("broadcastJobTemplate", True),
    ]  # fmt: skip
    daemons = {(row.group, row.kind) for row in TABLE if set(row.daemons) == set(row.paths)}
    assert daemons == {
        ("apps", "DaemonSet"), ("apps.kruise.io", "DaemonSet"), ("apps.kruise.io", "BroadcastJob"),
    }  # fmt: skip


def test_what_stands_beside_an_object_changes_nothing_else_of_it_and_its_pods():
    def beside(ref):
        return Found(lacking="x")

    job = {
        "spec": {"tasks": [{"template": {"spec": {"containers": [{"name": "a"}]}}}], "volumes": [{"mountPath": "/d"}]}
    }
    daemon = {"spec": {"template": {"spec": {"containers": []}}}}
    for obj, group, kind in ((job, "batch.volcano.sh", "Job"), (daemon, "apps", "DaemonSet")):
        (alone,) = subjects(obj, group, kind, "shop", "x")
        changed = alone.beside(beside)
        assert replace(changed, neighbours=alone.neighbours, pods=alone.pods) == alone
        assert [replace(pod, neighbours=alone.neighbours) for pod in changed.pods] == list(alone.pods)
        assert all(one.neighbours is beside for one in (changed, *changed.pods))
