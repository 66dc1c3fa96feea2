"""The family in a real registry is what its names say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from registry import images, server
from registry.artifact import BASE_DIGEST, BASE_NAME
from registry.images import Family
from registry.pusher import Pusher, pushing

CHILDREN = {
    "runtime": "base",
    "app": "runtime",
    "app-docker": "base",
    "bare": "base",
    "attested": "base",
    "attested-v1": "base",
    "app-multi": "base-multi",
    "app-list": "base-multi",
}
"""True children, and what they are built on."""
OTHERS = ("forged", "attested-forged", "squashed", "reordered", "stranger", "app-on-rebuilt")
"""Those that are not built on `base`."""


@pytest.fixture(scope="module")
def family(plain: server.Registry) -> Family:
    with pushing(plain) as pusher:
        return images.publish(pusher)


def pulled(pusher: Pusher, name: str, family: Family) -> dict[str, tuple[str, ...]]:
    """Return the diff_ids by platform, from what the registry holds."""
    found = family[name]
    document = json.loads(pusher.manifest(found.repository, found.digest)[1])
    manifests = [document]
    if "manifests" in document:
        manifests = [
            json.loads(pusher.manifest(found.repository, each["digest"])[1])
            for each in document["manifests"]
            if each["platform"]["os"] != "unknown"
        ]
    configs = [json.loads(pusher.blob(found.repository, each["config"]["digest"])) for each in manifests]
    return {each["architecture"]: tuple(each["rootfs"]["diff_ids"]) for each in configs}


def child(pusher: Pusher, name: str, base: str, family: Family) -> set[str]:
    """Return the platforms on which the layers of an image begin with those of a base."""
    parents = pulled(pusher, base, family)
    return {
        machine
        for machine, diff_ids in pulled(pusher, name, family).items()
        if machine in parents and diff_ids[: len(parents[machine])] == parents[machine]
    }


@pytest.mark.parametrize("name", CHILDREN)
def test_true_children_begin_with_the_layers_of_their_base(pusher: Pusher, family: Family, name: str) -> None:
    platforms = {"amd64", "arm64"} if CHILDREN[name] == "base-multi" else {"amd64"}
    assert child(pusher, name, CHILDREN[name], family) == platforms


@pytest.mark.parametrize("name", OTHERS)
def test_the_others_do_not(pusher: Pusher, family: Family, name: str) -> None:
    assert child(pusher, name, "base", family) == set()


def test_half_a_child_is_one_on_amd64_alone(pusher: Pusher, family: Family) -> None:
    assert child(pusher, "app-half", "base-multi", family) == {"amd64"}
    assert set(pulled(pusher, "app-half", family)) == {"amd64", "arm64"}


def test_a_stranger_has_the_first_layer_of_the_base_and_no_more(pusher: Pusher, family: Family) -> None:
    mine, base = pulled(pusher, "stranger", family)["amd64"], pulled(pusher, "base", family)["amd64"]
    assert [one == other for one, other in zip(mine, base, strict=False)] == [True, False]


def test_a_squashed_image_has_the_files_in_one_layer(pusher: Pusher, family: Family) -> None:
    assert len(pulled(pusher, "squashed", family)["amd64"]) == 1


def test_a_forged_image_says_the_same_of_itself_as_a_true_one(family: Family) -> None:
    base = family["base"]
    said = {BASE_NAME: base.reference, BASE_DIGEST: base.digest}
    assert family["forged"].artifact.document["annotations"] == said
    assert family["runtime"].artifact.document["annotations"] == said
    assert "annotations" not in family["bare"].artifact.document


@pytest.mark.parametrize("name", ["attested", "attested-v1", "attested-forged"])
def test_attestations_name_the_base(pusher: Pusher, family: Family, name: str) -> None:
    found = family[name]
    attested = found.artifact.children[1].document["layers"][0]["digest"]
    assert family["base"].digest.removeprefix("sha256:").encode() in pusher.blob(found.repository, attested)


def test_a_rebuilt_base_takes_the_tag_and_leaves_the_old_one_by_its_digest(pusher: Pusher, family: Family) -> None:
    base, rebuilt = family["base"], family["rebuilt"]
    assert base.reference == rebuilt.reference
    assert base.digest != rebuilt.digest
    pusher.push(base.artifact, base.repository, base.tag)  # tests come in any order
    assert pusher.manifest(base.repository, base.tag)[1] == base.artifact.content
    images.rebuild(pusher, family)
    assert pusher.manifest(base.repository, base.tag)[1] == rebuilt.artifact.content
    assert pusher.manifest(base.repository, base.digest)[1] == base.artifact.content
    assert child(pusher, "app-on-rebuilt", "rebuilt", family) == {"amd64"}


def test_every_image_of_the_family_is_in_the_registry(pusher: Pusher, family: Family) -> None:
    for name, found in family.items():
        if name not in ("base", "rebuilt"):
            assert pusher.manifest(found.repository, found.tag)[1] == found.artifact.content, name
        assert found.reference.startswith(f"{pusher.address}/")
        assert found.pinned.endswith(found.digest)


def test_configs_say_what_their_names_say(family: Family) -> None:
    def execution(name: str) -> dict[str, Any]:
        found: dict[str, Any] = family[name].artifact.config["config"]
        return found

    assert "JAVA_VERSION=jdk-17.0.9+9" in execution("jdk-temurin-17.0.9")["Env"]
    assert "JAVA_VERSION=11.0.15" in execution("jdk-openjdk-11.0.15")["Env"]
    assert "1.8.0_352" in family["jdk-corretto-8u352"].artifact.config["history"][0]["created_by"]
    assert [execution(f"user-{name}")["User"] for name in images.USERS] == list(images.USERS.values())
    assert execution("app")["Labels"] == images.LABELS
    assert "Labels" not in execution("unlabelled")
    assert family["old"].artifact.config["created"] < "2021" < family["app"].artifact.config["created"]


def test_a_crowd_has_nothing_in_common(pusher: Pusher) -> None:
    made = images.crowd(pusher, 3)
    assert len({each.reference for each in made}) == 3
    assert len({diff_id for each in made for diff_id in each.artifact.diff_ids}) == 3
    for each in made:
        assert pusher.manifest(each.repository, each.tag)[1] == each.artifact.content
