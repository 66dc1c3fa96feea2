"""Image facts as values: what a build says of itself, which builds a pod can run, what goes to disk and comes back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from webhook.model import oci
from webhook.model.oci import Build, Content, Lookup, Platform

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def document(*platforms: str) -> dict[str, Any]:
    builds = [
        {
            "digest": f"sha256:{number:064}",
            "platform": name,
            "config": {
                "os": name.split("/")[0],
                "architecture": name.split("/")[1],
                "config": {"Env": ["PATH=/bin", "JAVA_VERSION=17.0.9", "PATH=/usr/bin"], "Labels": {"a": "b", "n": 1}},
                "rootfs": {"type": "layers", "diff_ids": ["sha256:1", "sha256:2"]},
            },
            "layers": [{"digest": "sha256:a", "size": 10}, {"digest": "sha256:b", "size": 5}],
        }
        for number, name in enumerate(platforms)
    ]
    return {"digest": "sha256:f", "builds": builds}


def content(*platforms: str) -> Content:
    return oci.load({**document(*platforms), "index": True})


def test_a_content_comes_back_as_it_was_written() -> None:
    whole = {**document("linux/arm64/v8"), "index": True, "annotations": {"k": "v"}}
    whole["builds"][0].update(annotations={"x": "y"}, sources=["registry.example/base:1"])
    assert oci.dump(oci.load(whole)) == whole


def test_annotations_that_are_no_texts_are_left_out() -> None:
    whole = document("linux/amd64")
    whole["annotations"] = whole["builds"][0]["annotations"] = {"a": "text", "b": [1], "c": {"d": "e"}, "f": None}
    content = oci.load(whole)
    assert content.annotations == content.builds[0].annotations == {"a": "text"}


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"digest": "sha256:f"},
        {"digest": "d", "builds": [{}]},
        {"digest": "d", "builds": 7},
        {"digest": "d", "builds": [{"config": "x", "platform": "linux/amd64"}]},
    ],
)
def test_what_describes_no_image_is_refused_with_a_sentence(broken: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="describes no image"):
        oci.load(broken)


def test_a_build_tells_what_its_config_says() -> None:
    (build,) = content("linux/amd64").builds
    assert build.diff_ids == ("sha256:1", "sha256:2")
    assert build.environment == {"PATH": "/usr/bin", "JAVA_VERSION": "17.0.9"}
    assert build.labels == {"a": "b"}
    assert build.size == 15


@pytest.mark.parametrize(
    "config", [{}, {"config": None, "rootfs": None}, {"config": {"Env": 3, "Labels": []}, "rootfs": []}]
)
def test_a_config_that_says_nothing_or_nonsense_is_empty(config: dict[str, Any]) -> None:
    (build,) = oci.load({"digest": "sha256:f", "builds": [{"config": config}]}).builds
    assert (build.diff_ids, dict(build.labels), dict(build.environment)) == ((), {}, {})
    assert build.platform == Platform("linux", "amd64")


@pytest.mark.parametrize(
    ("spec", "platforms"),
    [
        ({}, ["linux/amd64", "linux/arm64/v8", "windows/amd64"]),
        ({"nodeSelector": {"kubernetes.io/arch": "arm64"}}, ["linux/arm64/v8"]),
        ({"nodeSelector": {"kubernetes.io/os": "linux"}}, ["linux/amd64", "linux/arm64/v8"]),
        ({"os": {"name": "windows"}}, ["windows/amd64"]),
        ({"os": {"name": "windows"}, "nodeSelector": {"kubernetes.io/os": "linux"}}, []),
        ({"nodeSelector": {"kubernetes.io/arch": "s390x"}}, []),
        ({"nodeSelector": {"kubernetes.io/arch": ["arm64"]}}, ["linux/amd64", "linux/arm64/v8", "windows/amd64"]),
        ({"nodeSelector": {"kubernetes.io/arch": 7}}, ["linux/amd64", "linux/arm64/v8", "windows/amd64"]),
        ({"nodeSelector": "amd64"}, ["linux/amd64", "linux/arm64/v8", "windows/amd64"]),
    ],
)
def test_a_pod_runs_the_builds_that_its_node_selector_leaves(spec: dict[str, Any], platforms: list[str]) -> None:
    found = content("linux/amd64", "linux/arm64/v8", "windows/amd64").on(spec)
    assert [str(build.platform) for build in found] == platforms


def test_an_image_without_an_index_runs_whatever_it_says_that_it_is_for() -> None:
    alone = oci.load(document("linux/arm64"))
    wanted = {"nodeSelector": {"kubernetes.io/arch": "amd64"}}
    assert (alone.on(wanted), alone.fitting(wanted)) == (alone.builds, ())


@pytest.mark.parametrize(
    ("machine", "platforms", "runs"),
    [("amd64", ["linux/386"], ["linux/386"]), ("amd64", ["linux/386", "linux/amd64"], ["linux/amd64"]),
     ("arm64", ["linux/arm/v7"], ["linux/arm/v7"]), ("386", ["linux/amd64"], []),
     ("amd64", ["windows/amd64", "linux/386"], ["windows/amd64", "linux/386"]),
     ("amd64", ["linux/amd64/v9", "linux/386"], ["linux/amd64/v9", "linux/386"])],
)  # fmt: skip
def test_a_64_bit_node_runs_a_32_bit_build_where_it_is_sure_of_no_other(
    machine: str, platforms: list[str], runs: list[str]
) -> None:
    found = content(*platforms).on({"nodeSelector": {"kubernetes.io/arch": machine}})
    assert [str(build.platform) for build in found] == runs


def test_a_look_up_is_of_the_normalized_reference_with_the_pods_pull_secrets() -> None:
    assert oci.lookup("nginx", {}) == Lookup("docker.io/library/nginx:latest")
    secrets = {"imagePullSecrets": [{"name": "pull"}, {}, "x", {"name": 3}]}
    assert oci.lookup("registry.example/a@sha256:" + "0" * 64, secrets) == Lookup(
        "registry.example/a@sha256:" + "0" * 64, ("pull",)
    )
    assert oci.lookup("No Reference", {}) is None
    assert oci.lookup("a:1", {"imagePullSecrets": 5}) == Lookup("docker.io/library/a:1")


def test_of_very_many_pull_secrets_the_first_count() -> None:
    named = [{"name": f"pull-{number}"} for number in range(1000)]
    found = oci.lookup("a:1", {"imagePullSecrets": named})
    assert found is not None and found.secrets == tuple(f"pull-{number}" for number in range(oci.SECRETS))


def test_what_a_test_says_of_an_image_is_content_or_a_reason_why_not() -> None:
    old = {**document("linux/amd64"), "age": 60}
    known = oci.inspected({**document("linux/amd64"), "former": [old]}, NOW)
    assert known.content is not None and known.lacking == "" and known.asked == NOW
    assert [(one.content.digest, one.age) for one in known.former] == [("sha256:f", 60.0)]
    assert oci.inspected({"lacking": "down"}, NOW).lacking == "down"
    absent = oci.inspected({"absent": True}, NOW)
    assert absent.absent and absent.content is None and "no such image" in absent.lacking


@pytest.mark.parametrize("age", ["inf", "nan", "1e400", "old"])
def test_an_age_that_is_no_number_of_seconds_is_refused(age: str) -> None:
    old = {**document("linux/amd64"), "age": age}
    with pytest.raises(ValueError, match="age|float"):
        oci.inspected({**document("linux/amd64"), "former": [old]}, NOW)


@pytest.mark.parametrize("text", ["linux", "linux/", "a/b/c/d", ""])
def test_a_platform_names_system_and_architecture(text: str) -> None:
    with pytest.raises(ValueError, match="linux/amd64"):
        oci.platform(text)


def test_the_words_that_an_image_starts_are_its_entrypoint_and_what_it_hands_to_it() -> None:
    config = {"config": {"Entrypoint": ["/bin/web", 7], "Cmd": ["serve"]}}
    build = Build("", Platform("linux", "amd64"), config)
    assert (build.entrypoint, build.arguments, build.command) == (("/bin/web",), ("serve",), ("/bin/web", "serve"))
    assert Build("", Platform("linux", "amd64"), {"config": {"Cmd": "serve"}}).command == ()
