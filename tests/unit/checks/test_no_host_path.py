"""no-host-path beyond its cases: parameters, wrapped manifests, scope, hostile objects."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.checks import no_host_path
from webhook.checks.check import ParamError
from webhook.model.decision import Violation
from webhook.model.pods import group_of, subjects


def found(obj: dict[str, Any], *allow: dict[str, Any], containers: tuple[str, ...] = ()) -> list[Violation]:
    check = no_host_path.build({"allow": list(allow)})
    assert check.subject is not None
    result: list[Violation] = []
    for subject in subjects(obj, group_of(obj["apiVersion"]), obj["kind"], "shop", "x"):
        result += check.subject(subject)
        for pod in subject.pods:
            scoped = pod.keep(lambda c: c.name in containers, lambda v: True) if containers else pod
            result += check.violations(scoped)
    return result


def pod(path: Any, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    volumes = [{"name": "node", "hostPath": {"path": path}}]
    containers = containers or ({"name": "web"},)
    return {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": list(containers), "volumes": volumes, **spec}}


def mounting(name: str, **mount: Any) -> dict[str, Any]:
    return {"name": name, "volumeMounts": [{"name": "node", "mountPath": "/host", **mount}]}


@pytest.mark.parametrize("prefix", ["var/log", "", "/var/log/../..", ".."])
def test_a_prefix_that_is_relative_or_climbs_is_refused_with_its_place(prefix: str) -> None:
    with pytest.raises(ParamError) as error:
        no_host_path.build({"allow": [{"prefix": "/srv"}, {"prefix": prefix}]})
    ((path, sentence),) = error.value.problems
    assert path == ("allow", 1, "prefix")
    assert repr(prefix) in sentence
    assert "/var/log/app" in sentence


@pytest.mark.parametrize(
    ("path", "passes"),
    [
        ("/var/log/app", True),
        ("/var/log/app/", True),
        ("//var///log/app", True),
        ("/var/log/./app/x", True),
        ("/var/log/other/../app/x", True),
        ("/../var/log/app", True),
        ("/var/log/app-evil", False),
        ("/var/log/ap", False),
        ("/var/log/App", False),
        ("/var/log", False),
        ("/", False),
        ("/var/log/app/..", False),
        ("/var/log/app/../../etc", False),
        ("/var/log/app/x/../../app-evil", False),
        ("var/log/app", False),
        ("./var/log/app", False),
        (" /var/log/app", False),
        ("/var/log/app\u200b", False),
        ("", False),
        (None, False),
        (7, False),
        ([], False),
    ],
)
@pytest.mark.parametrize("prefix", ["/var/log/app", "/var//log/app/"])
def test_a_prefix_covers_whole_segments_only(path: Any, passes: bool, prefix: str) -> None:
    assert (found(pod(path), {"prefix": prefix}) == []) is passes


def test_containers_out_of_scope_count_for_read_only_too() -> None:
    obj = pod("/var/log/pods", mounting("web", readOnly=True), mounting("sidecar"))
    (violation,) = found(obj, {"prefix": "/var/log/pods", "readOnly": True}, containers=("web",))
    assert violation.pointer == "/spec/containers/1/volumeMounts/0"
    assert violation.container == "node"
    assert "in sidecar" in violation.found


def test_a_debug_container_that_mounts_a_read_only_directory_writable_is_found() -> None:
    obj = pod("/var/log/pods", ephemeralContainers=[mounting("debugger")])
    (violation,) = found(obj, {"prefix": "/var/log/pods", "readOnly": True})
    assert violation.pointer == "/spec/ephemeralContainers/0/volumeMounts/0"


@pytest.mark.parametrize("value", [False, "true", 1, None])
def test_only_true_makes_a_mount_read_only(value: Any) -> None:
    obj = pod("/var/log/pods", mounting("web", readOnly=value))
    assert len(found(obj, {"prefix": "/var/log/pods", "readOnly": True})) == 1


def test_a_wrapped_persistent_volume_and_a_wrapped_pod_are_found_where_they_stand() -> None:
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "spec": {"local": {"path": "/mnt"}}}
    obj = {
        "apiVersion": "work.open-cluster-management.io/v1",
        "kind": "ManifestWork",
        "spec": {"workload": {"manifests": [volume, pod("/etc")]}},
    }
    assert [violation.pointer for violation in found(obj)] == [
        "/spec/workload/manifests/0/spec/local/path",
        "/spec/workload/manifests/1/spec/volumes/0/hostPath/path",
    ]


def test_a_kind_of_another_group_is_no_persistent_volume() -> None:
    obj = {"apiVersion": "storage.example/v1", "kind": "PersistentVolume", "spec": {"hostPath": {"path": "/"}}}
    assert found(obj) == []


@pytest.mark.parametrize("source", [None, "x", [], 7, {"path": {"x": 1}}, {"path": ["/etc"]}])
def test_a_source_of_a_wrong_type_is_a_finding_and_no_crash(source: Any) -> None:
    obj = pod("/")
    obj["spec"]["volumes"][0]["hostPath"] = source
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "spec": {"hostPath": source}}
    assert len(found(obj, {"prefix": "/"})) == 1
    assert len(found(volume, {"prefix": "/"})) == 1


@pytest.mark.parametrize("mounts", [None, "x", 7, [None], ["x"], [{}], {"name": "node"}])
def test_mounts_of_a_wrong_type_are_no_crash(mounts: Any) -> None:
    obj = pod("/var/log/pods", {"name": "web", "volumeMounts": mounts})
    assert found(obj, {"prefix": "/var/log/pods", "readOnly": True}) == []
