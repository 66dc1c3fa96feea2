"""What is made from nothing is what a registry takes: pulled back it is the same to the byte, under the same digest."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile

import pytest

from registry import artifact
from registry.artifact import Artifact
from registry.pusher import Pusher

LAYERS = [artifact.layer({"etc/os": "1"}), artifact.layer({"app/app.jar": "shop"})]
IMAGE = artifact.image(LAYERS, {"User": "10001"}, annotations={"a": "b"})
ARM = artifact.image(LAYERS, platform="linux/arm64/v8")
DOCKER = artifact.image(LAYERS, docker=True)
ATTESTED = artifact.index(
    IMAGE, ARM, artifact.attestation(IMAGE, {"pkg:docker/base@1": IMAGE.digest}), annotations={"c": "d"}
)

SHAPES = {
    artifact.MANIFEST: IMAGE,
    artifact.DOCKER_MANIFEST: DOCKER,
    artifact.INDEX: ATTESTED,
    artifact.DOCKER_LIST: artifact.index(
        DOCKER, artifact.image(LAYERS, platform="linux/arm64", docker=True), docker=True
    ),
}


@pytest.mark.parametrize("media_type", SHAPES)
def test_a_registry_gives_back_what_was_pushed(pusher: Pusher, media_type: str) -> None:
    made = SHAPES[media_type]
    digest = pusher.push(made, "made/app", "1", "latest")
    assert digest == "sha256:" + hashlib.sha256(made.content).hexdigest()
    for reference in ("1", "latest", digest):
        assert pusher.manifest("made/app", reference) == (media_type, made.content)
    for child in made.children:
        assert pusher.manifest("made/app", child.digest) == (child.media_type, child.content)
    for each in (made, *made.children):
        for blob in each.blobs:
            assert pusher.blob("made/app", artifact.digest(blob)) == blob


def test_layers_are_the_files_and_their_digests() -> None:
    unpacked = gzip.decompress(LAYERS[1].content)
    assert LAYERS[1].diff_id == artifact.digest(unpacked)
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as archive:
        assert archive.getnames() == ["app/app.jar"]
        file = archive.extractfile("app/app.jar")
        assert file
        assert file.read() == b"shop"


def test_the_same_image_is_made_of_the_same_bytes() -> None:
    again = artifact.image([artifact.layer({"etc/os": "1"}), LAYERS[1]], {"User": "10001"}, annotations={"a": "b"})
    assert (again.content, again.blobs) == (IMAGE.content, IMAGE.blobs)


def test_a_config_has_any_key_that_a_test_wants() -> None:
    made = artifact.image(LAYERS, {"Labels": {"owner": "shop"}}, created="2020-01-01T00:00:00Z", author="crew")
    config = made.config
    assert (config["created"], config["author"]) == ("2020-01-01T00:00:00Z", "crew")
    assert config["config"] == {"Labels": {"owner": "shop"}}
    assert config["rootfs"]["diff_ids"] == [layer.diff_id for layer in LAYERS]


def test_an_index_says_the_platform_of_each_child() -> None:
    platforms = [each["platform"] for each in ATTESTED.document["manifests"]]
    assert platforms == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux", "variant": "v8"},
        {"architecture": "unknown", "os": "unknown"},
    ]


@pytest.mark.parametrize("provenance", ["v0.2", "v1"])
def test_an_attestation_stands_in_the_index_as_buildkit_writes_it(provenance: artifact.Provenance) -> None:
    url = artifact.package_url("registry.example/base/java:17")
    made = artifact.attestation(IMAGE, {url: ARM.digest}, provenance)
    assert made.descriptor["annotations"] == {
        "vnd.docker.reference.digest": IMAGE.digest,
        "vnd.docker.reference.type": "attestation-manifest",
    }
    (described,) = made.document["layers"]
    assert described["mediaType"] == "application/vnd.in-toto+json"
    assert described["annotations"] == {"in-toto.io/predicate-type": f"https://slsa.dev/provenance/{provenance}"}
    statement = json.loads(made.blobs[1])
    assert statement["subject"][0]["digest"] == {"sha256": IMAGE.digest.removeprefix("sha256:")}
    assert _materials(statement["predicate"]) == [
        {"uri": url, "digest": {"sha256": ARM.digest.removeprefix("sha256:")}}
    ]


@pytest.mark.parametrize(
    ("reference", "wanted"),
    [
        ("registry.example/base/java:17", "pkg:docker/registry.example/base/java@17?platform=linux%2Famd64"),
        ("127.0.0.1:5000/base/java", "pkg:docker/127.0.0.1:5000/base/java@latest?platform=linux%2Famd64"),
        ("alpine:3.20", "pkg:docker/alpine@3.20?platform=linux%2Famd64"),
    ],
)
def test_package_urls_are_buildkits(reference: str, wanted: str) -> None:
    assert artifact.package_url(reference) == wanted


def test_a_registry_refuses_an_index_whose_child_is_not_there(pusher: Pusher) -> None:
    orphan = Artifact(ATTESTED.media_type, ATTESTED.content)
    with pytest.raises(AssertionError, match="MANIFEST_BLOB_UNKNOWN"):
        pusher.push(orphan, "orphan/app", "1")


def _materials(predicate: dict[str, object]) -> object:
    definition = predicate.get("buildDefinition")
    return definition["resolvedDependencies"] if isinstance(definition, dict) else predicate["materials"]
