"""Which volume holds a path of a container."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.model import env
from webhook.model.mount import Mount, bounded, free_name, holding, mounts, over, resolve
from webhook.model.path import Pattern, segments
from webhook.model.pods import Pod, subjects


def pod(*volume_mounts: dict[str, Any], volumes: tuple[dict[str, Any], ...] = (), **container: Any) -> Pod:
    spec = {"containers": [{"name": "web", **container, "volumeMounts": list(volume_mounts)}], "volumes": list(volumes)}
    [subject] = subjects({"spec": spec}, "", "Pod", "shop", "web")
    [found] = subject.pods
    return found


def found(*paths: str, **spec: Any) -> tuple[Mount, ...]:
    one = pod(*({"name": f"v{number}", "mountPath": path, **spec} for number, path in enumerate(paths)))
    return mounts({volume.name: volume for volume in one.volumes}, one.containers[0])


def paths(some: Any) -> list[str]:
    return ["/" + "/".join(mount.path) for mount in some]


def test_a_path_is_held_by_the_deepest_mount_at_it_or_above_it() -> None:
    some = found("/var", "/var/log", "/var/log-old")
    deepest = over(some, segments("/var/log/app"))
    assert deepest is not None and deepest.name == "v1"
    assert over(some, segments("/tmp")) is None


def test_of_two_mounts_at_one_path_the_later_counts() -> None:
    assert [mount.name for mount in found("/logs", "/logs/")] == ["v1"]


def test_a_pattern_is_held_by_what_lies_in_it_and_by_the_deepest_above_it() -> None:
    some = found("/var", "/var/log", "/var/log/a", "/srv")
    assert paths(holding(some, Pattern.of("/var/log/*"))) == ["/var/log", "/var/log/a"]
    assert paths(holding(some, Pattern.of("/var/log"))) == ["/var/log"]


@pytest.mark.parametrize(
    ("volume", "kind", "pointer"),
    [
        ({"name": "v0", "emptyDir": {"sizeLimit": "1Gi"}}, "emptyDir", "/spec/volumes/0/emptyDir"),
        ({"name": "v0"}, "emptyDir", "/spec/volumes/0"),
        ({"name": "v0", "nfs": {}, "csi": {}}, "csi and nfs", "/spec/volumes/0/csi"),
        ({"name": "other"}, "persistentVolumeClaim", "/spec/containers/0/volumeMounts/0"),
    ],
)
def test_a_volume_has_a_type_and_one_of_a_claim_template_is_a_claim(
    volume: dict[str, Any], kind: str, pointer: str
) -> None:
    one = pod({"name": "v0", "mountPath": "/logs"}, volumes=(volume,))
    [mount] = mounts({volume.name: volume for volume in one.volumes}, one.containers[0])
    assert (mount.source[0], mount.source[2]) == (kind, pointer)


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({}, None),
        ({"readOnly": False}, None),
        ({"recursiveReadOnly": "Disabled"}, None),
        ({"readOnly": True}, ("readOnly", "true")),
        ({"recursiveReadOnly": "IfPossible"}, ("recursiveReadOnly", "IfPossible")),
    ],
)
def test_a_mount_is_read_only_by_two_fields(spec: dict[str, Any], wanted: tuple[str, str] | None) -> None:
    [mount] = found("/logs", **spec)
    assert mount.read_only == wanted


@pytest.mark.parametrize(
    ("expression", "apart"),
    [("$(UID)", True), ("shop/$(UID)/log", True), ("$(UID)/..", False), ("logs", False), ("$(GONE)", False)],
)
def test_a_directory_is_a_pods_own_by_a_value_that_only_it_has(expression: str, apart: bool) -> None:
    environment = env.read({"env": [{"name": "UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}]})
    [mount] = found("/logs", subPathExpr=expression)
    assert mount.apart(environment) is apart


def test_a_relative_path_is_read_from_the_working_directory_where_that_is_known() -> None:
    known, unknown = pod(workingDir="/srv").containers[0], pod().containers[0]
    assert resolve(known, "logs") == ("srv", "logs")
    assert resolve(known, "/logs") == ("logs",)
    assert resolve(unknown, "/logs") == ("logs",)
    assert resolve(unknown, "logs") is None


@pytest.mark.parametrize(
    ("size", "wanted"), [("1Gi", True), (1024, True), ("0", False), (None, False), ("1 GB", False), ([], False)]
)
def test_only_a_limit_above_nothing_bounds_an_empty_dir(size: Any, wanted: bool) -> None:
    assert bounded({"sizeLimit": size}) is wanted


def test_a_free_name_is_no_volumes_and_no_mounts() -> None:
    assert free_name(pod(), "logs") == "logs"
    assert free_name(pod({"name": "logs", "mountPath": "/a"}), "logs") == "logs-2"
    assert free_name(pod({"name": "logs", "mountPath": "/a"}, volumes=({"name": "logs-2"},)), "logs") == "logs-3"
