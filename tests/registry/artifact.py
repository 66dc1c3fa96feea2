"""Images made from nothing, byte for byte the same every time: layers, configs, manifests, indexes, attestations.

The shapes are those of the OCI image specification and of Docker's "Image Manifest Version 2, Schema 2"; attestations
stand in an index as BuildKit writes them (its docs/attestations/attestation-storage.md).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote_plus

OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker"
MANIFEST, INDEX = f"{OCI}.manifest.v1+json", f"{OCI}.index.v1+json"
DOCKER_MANIFEST = f"{DOCKER}.distribution.manifest.v2+json"
DOCKER_LIST = f"{DOCKER}.distribution.manifest.list.v2+json"
CONFIG, DOCKER_CONFIG = f"{OCI}.config.v1+json", f"{DOCKER}.container.image.v1+json"
LAYER, DOCKER_LAYER = f"{OCI}.layer.v1.tar+gzip", f"{DOCKER}.image.rootfs.diff.tar.gzip"
IN_TOTO = "application/vnd.in-toto+json"
BASE_NAME, BASE_DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
CREATED = "2026-06-01T12:00:00Z"
Provenance = Literal["v0.2", "v1"]


def digest(content: bytes) -> str:
    """Return the digest of bytes, as registries write it."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def encode(value: Mapping[str, Any]) -> bytes:
    """Return a value as JSON, the same bytes every time."""
    return json.dumps(value, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Layer:
    """Files of an image: the blob that is stored, and the digest of its tar file, the `diff_id`."""

    content: bytes = field(repr=False)
    diff_id: str


def layer(files: Mapping[str, str]) -> Layer:
    """Return a layer of these files, text by path."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return Layer(gzip.compress(tar.getvalue(), mtime=0), digest(tar.getvalue()))


@dataclass(frozen=True, slots=True)
class Artifact:
    """A manifest or an index, with all that it needs in the registry before itself.

    `platform` and `marks` are what an index says of it: its platform, and annotations of its descriptor.
    """

    media_type: str
    content: bytes = field(repr=False)
    blobs: tuple[bytes, ...] = field(default=(), repr=False)
    children: tuple[Artifact, ...] = ()
    platform: str = ""
    marks: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The digest of the manifest."""
        return digest(self.content)

    @property
    def document(self) -> dict[str, Any]:
        """The manifest."""
        found: dict[str, Any] = json.loads(self.content)
        return found

    @property
    def config(self) -> dict[str, Any]:
        """The image configuration."""
        found: dict[str, Any] = json.loads(self.blobs[0])
        return found

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The digests of the unpacked layers, the lowest first."""
        return tuple(self.config["rootfs"]["diff_ids"])

    @property
    def descriptor(self) -> dict[str, Any]:
        """How an index names it."""
        found = _descriptor(self.media_type, self.content)
        if self.marks:
            found["annotations"] = dict(self.marks)
        system, _, machine = self.platform.partition("/")
        machine, _, variant = machine.partition("/")
        found["platform"] = {"architecture": machine, "os": system} | ({"variant": variant} if variant else {})
        return found


def image(
    layers: Sequence[Layer],
    execution: Mapping[str, Any] | None = None,
    platform: str = "linux/amd64",
    docker: bool = False,
    annotations: Mapping[str, str] | None = None,
    **config: Any,
) -> Artifact:
    """Return an image for one platform, in Docker's types where `docker` says so.

    `execution` is the `config` of the image configuration (`User`, `Env`, `Labels`), `config` its other keys, which
    count more than what stands there by default. Docker's type has no annotations.
    """
    system, machine, *variant = platform.split("/")
    document: dict[str, Any] = {
        "architecture": machine,
        **({"variant": variant[0]} if variant else {}),
        "os": system,
        "created": CREATED,
        "config": dict(execution or {}),
        "rootfs": {"type": "layers", "diff_ids": [each.diff_id for each in layers]},
        "history": [{"created": CREATED, "created_by": "COPY . / # tests"} for _ in layers],
        **config,
    }
    types = (DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER) if docker else (MANIFEST, CONFIG, LAYER)
    return _manifest(types, encode(document), [each.content for each in layers], platform, annotations)


def index(*artifacts: Artifact, docker: bool = False, annotations: Mapping[str, str] | None = None) -> Artifact:
    """Return an index of images for several platforms and their attestations; Docker's list where `docker` says so."""
    media_type = DOCKER_LIST if docker else INDEX
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [each.descriptor for each in artifacts],
    }
    if annotations:
        document["annotations"] = dict(annotations)
    return Artifact(media_type, encode(document), children=artifacts)


def attestation(
    subject: Artifact, materials: Mapping[str, str], provenance: Provenance = "v0.2", name: str = "team/app"
) -> Artifact:
    """Return the attestation manifest that says which images went into a build, to stand beside it in an index.

    `materials` are digests by package URL (`package_url`). `provenance` is the version of SLSA's predicate: BuildKit
    wrote v0.2 by default for long, and can write v1.
    """
    predicate_type = f"https://slsa.dev/provenance/{provenance}"
    statement = {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": predicate_type,
        "subject": [{"name": package_url(name, subject.platform), "digest": _digests(subject.digest)}],
        "predicate": _predicate(provenance, [{"uri": k, "digest": _digests(v)} for k, v in materials.items()]),
    }
    blob = encode(statement)
    config = {"architecture": "unknown", "os": "unknown", "config": {}}
    config["rootfs"] = {"type": "layers", "diff_ids": [digest(blob)]}
    made = _manifest((MANIFEST, CONFIG, IN_TOTO), encode(config), [blob], "unknown/unknown", None, predicate_type)
    marks = {"vnd.docker.reference.digest": subject.digest, "vnd.docker.reference.type": "attestation-manifest"}
    return Artifact(made.media_type, made.content, made.blobs, platform=made.platform, marks=marks)


def package_url(reference: str, platform: str = "linux/amd64") -> str:
    """Return the package URL that BuildKit's `purl.RefToPURL` has for an image: `host/team/app:1` with a platform."""
    name, colon, tag = reference.rpartition(":")
    if not colon or "/" in tag:
        name, tag = reference, "latest"
    return f"pkg:docker/{name}@{tag}?platform={quote_plus(platform)}"


def _manifest(
    types: tuple[str, str, str],
    config: bytes,
    layers: Sequence[bytes],
    platform: str,
    annotations: Mapping[str, str] | None,
    predicate_type: str = "",
) -> Artifact:
    media_type, config_type, layer_type = types
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": _descriptor(config_type, config),
        "layers": [_descriptor(layer_type, each) for each in layers],
    }
    if predicate_type:
        document["layers"][0]["annotations"] = {"in-toto.io/predicate-type": predicate_type}
    if annotations:
        document["annotations"] = dict(annotations)
    return Artifact(media_type, encode(document), (config, *layers), platform=platform)


def _predicate(provenance: Provenance, materials: list[dict[str, Any]]) -> dict[str, Any]:
    if provenance == "v1":
        return {
            "buildDefinition": {
                "buildType": "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md",
                "externalParameters": {"request": {"frontend": "dockerfile.v0"}},
                "resolvedDependencies": materials,
            },
            "runDetails": {"builder": {"id": ""}, "metadata": {"startedOn": CREATED}},
        }
    return {
        "builder": {"id": ""},
        "buildType": "https://mobyproject.org/buildkit@v1",
        "materials": materials,
        "invocation": {"parameters": {"frontend": "dockerfile.v0"}, "environment": {"platform": "linux/amd64"}},
        "metadata": {"buildStartedOn": CREATED, "reproducible": False},
    }


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def _digests(of: str) -> dict[str, str]:
    algorithm, _, hexadecimal = of.partition(":")
    return {algorithm: hexadecimal}
