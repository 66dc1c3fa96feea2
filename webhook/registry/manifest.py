"""Documents of the OCI image specification and Docker's schema 2, from bytes to values; nothing here asks anybody.

Whoever may push to a registry writes these documents, so they are read as a container runtime reads them, and what
two readers could read differently is refused: keys twice, keys that differ by case alone (Go's JSON takes `Config` for
`config`), documents that are an image and an index at once (CVE-2021-41190).

Source of the rules: github.com/opencontainers/image-spec (manifest, image-index, config, descriptor), containerd's
core/images/image.go and github.com/containerd/platforms.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import parse_qs, unquote

import orjson

from webhook.model import image
from webhook.model.oci import Build, Layer, Platform

DEPTH = 64
"""Levels of nesting; a manifest has 5, a config 6."""
NODES = 50_000
"""Commas in a document, and so about its keys and elements: each takes some 100 bytes here for two there."""
LAYERS = 4096
"""More than any runtime unpacks (overlayfs takes 500)."""
SOURCES = 64
"""References that are taken from one attestation."""

UNKNOWN = "unknown"
"""The architecture of what has none: attestations name it so, and here an image whose config leaves it out."""

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
ACCEPT = ", ".join(INDEX_TYPES + MANIFEST_TYPES)
"""What is asked for; a registry that isn't asked for an index answers a tag of one with whatever platform it likes."""

_DIGEST = re.compile(r"(sha256|sha384|sha512):([a-f0-9]+)")
_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
# The fields of each object as Go's structs have them.
_DESCRIPTOR = frozenset({"mediaType", "digest", "size", "urls", "annotations", "data", "platform", "artifactType"})
_DOCUMENT = frozenset(
    {"schemaVersion", "mediaType", "artifactType", "config", "layers", "subject", "annotations", "manifests"}
    | {"fsLayers"}
)
_PLATFORM = frozenset({"architecture", "os", "os.version", "os.features", "variant"})
_CONFIG = _PLATFORM | {"created", "author", "config", "rootfs", "history"}
_ROOTFS = frozenset({"type", "diff_ids"})
_EXECUTION = frozenset(
    {"User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal"}
    | {"ArgsEscaped", "Healthcheck", "Shell"}
)
_REFERENCE_TYPE, _REFERENCE_DIGEST = "vnd.docker.reference.type", "vnd.docker.reference.digest"
_STATEMENT = "application/vnd.in-toto+json"
_PREDICATE = "in-toto.io/predicate-type"
_PROVENANCE = "https://slsa.dev/provenance/"
_PURL = "pkg:docker/"
_WORD = re.compile(r"[a-z0-9._-]{0,64}")
_SYSTEMS = {"": "linux", "macos": "darwin"}
_MACHINES = {"i386": ("386", ""), "armhf": ("arm", "v7"), "armel": ("arm", "v6")}
_ALIASES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
_VARIANTS = {
    **{("amd64", "v1"): "", ("arm64", "8"): "", ("arm64", "v8"): ""},
    **{("arm", ""): "v7", ("arm", "7"): "v7", ("arm", "5"): "v5", ("arm", "6"): "v6", ("arm", "8"): "v8"},
}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a document says of another: its type, digest and bytes, in an index its platform too, if it is said."""

    media: str
    digest: str
    size: int
    platform: Platform | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def proves(self) -> str:
        """The digest of the build that this attests something of, as BuildKit annotates it; '' where it does not."""
        annotated = self.annotations.get(_REFERENCE_TYPE) == "attestation-manifest"
        return self.annotations.get(_REFERENCE_DIGEST, "") if annotated else ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str]

    @property
    def provenance(self) -> Descriptor | None:
        """The SLSA provenance among the layers of an attestation."""
        for layer in self.layers:
            if layer.media == _STATEMENT and layer.annotations.get(_PREDICATE, "").startswith(_PROVENANCE):
                return layer
        return None


@dataclass(frozen=True, slots=True)
class Index:
    """Images for several platforms."""

    entries: tuple[Descriptor, ...]
    annotations: Mapping[str, str]


def is_digest(text: str) -> bool:
    """Say whether a text is a digest that can be verified here."""
    found = _DIGEST.fullmatch(text)
    return found is not None and len(found[2]) == _LENGTHS[found[1]]


def digest(data: bytes, algorithm: str = "sha256") -> str:
    """Return the digest of some bytes."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def verified(data: bytes, wanted: str) -> bool:
    """Say whether some bytes have a digest."""
    return is_digest(wanted) and hmac.compare_digest(digest(data, wanted.partition(":")[0]), wanted)


def decode(data: bytes) -> dict[str, Any]:
    """Return the JSON object in some bytes. Raises ValueError with a sentence.

    What is returned can be written as JSON again: no keys twice, no NaN, no lone surrogates, no deep nesting.
    """
    if data.count(b",") > NODES:
        raise ValueError(f"it holds more than {NODES} keys and elements")
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
        if not isinstance(document, dict):
            raise _Refused("it is no JSON object")
        if _deep(document):
            raise RecursionError
        orjson.dumps(document)  # lone surrogates, and numbers that no 64 bits hold
    except RecursionError:
        raise ValueError(f"it is nested deeper than {DEPTH} levels") from None
    except _Refused:
        raise
    except (ValueError, TypeError) as error:
        raise ValueError("it is no JSON") from error
    return document


def read(data: bytes) -> Manifest | Index:
    """Return the manifest or index in some bytes. Raises ValueError with a sentence."""
    document = decode(data)
    _plain(document, _DOCUMENT, "it")
    media = document.get("mediaType", "")
    if "fsLayers" in document or document.get("schemaVersion") == 1:
        raise ValueError("it is of Docker's schema 1, which runtimes no longer pull; push the image again")
    index, single = "manifests" in document, "layers" in document or "config" in document
    if index and single:
        raise ValueError("it is an index and an image at once, which no runtime takes")
    if (index and media in MANIFEST_TYPES) or (single and media in INDEX_TYPES):
        raise ValueError(f"its mediaType is {media}, and it is {'an index' if index else 'an image'}")
    annotations = _annotations(document)
    if index:
        return Index(tuple(_descriptors(document, "manifests")), annotations)
    if not single:
        raise ValueError("it is neither a manifest nor an index")
    return Manifest(_descriptor(document.get("config"), "config"), tuple(_descriptors(document, "layers")), annotations)


def config(data: bytes) -> dict[str, Any]:
    """Return the image configuration in some bytes, the parts of it that count checked. ValueError with a sentence."""
    document = decode(data)
    _plain(document, _CONFIG, "the config")
    execution, rootfs = document.get("config"), document.get("rootfs")
    if execution is not None:
        _plain(_object(execution, "config.config"), _EXECUTION, "config.config")
    if rootfs is not None:
        _plain(_object(rootfs, "config.rootfs"), _ROOTFS, "config.rootfs")
    return document


def build(name: str, manifest: Manifest, settings: Mapping[str, Any], named: Platform | None) -> Build:
    """Return the build of a manifest with the digest `name` and its config. Raises ValueError with a sentence.

    `named` is the platform that an index gives it. It counts, whatever the config says: by it a runtime picks
    (containerd, core/images/image.go `Manifest`: the config is looked at only where the descriptor has no platform),
    so a config that says something else must not hide a build from the nodes that run it.
    """
    ids = settings["rootfs"].get("diff_ids") if isinstance(settings.get("rootfs"), dict) else None
    if not isinstance(ids, list) or not all(isinstance(one, str) and is_digest(one) for one in ids):
        raise ValueError("it is no container image: its config has no rootfs.diff_ids")
    if len(ids) != len(manifest.layers):
        raise ValueError(f"its config has {len(ids)} diff_ids for {len(manifest.layers)} layers; no runtime unpacks it")
    layers = tuple(Layer(layer.digest, layer.size) for layer in manifest.layers)
    return Build(name, named or configured(settings), settings, layers, manifest.annotations)


def configured(settings: Mapping[str, Any]) -> Platform:
    """Return the platform that an image configuration says, with `unknown` for an architecture that it leaves out."""
    found = _platform(settings)
    return found if found.architecture else Platform(found.os, UNKNOWN)


def normal(wanted: Platform) -> Platform:
    """Return a platform that a person wrote, as those of images are written here; without a variant it stays so.

    Raises ValueError with a sentence where it has what is no word.
    """
    found = _platform({"os": wanted.os, "architecture": wanted.architecture, "variant": wanted.variant})
    return found if wanted.variant else Platform(found.os, found.architecture)


def sources(data: bytes) -> tuple[str, ...]:
    """Return the normalized references of the images that went into a build, as its SLSA provenance says.

    `materials` in v0.2 (slsa.dev/spec/v0.2/provenance), `resolvedDependencies` in v1; package URLs of images are
    written as BuildKit writes them. Raises ValueError with a sentence where it is none.
    """
    predicate = _object(decode(data).get("predicate"), "predicate")
    definition = predicate.get("buildDefinition")
    listed = definition.get("resolvedDependencies") if isinstance(definition, dict) else predicate.get("materials")
    found: dict[str, None] = {}
    for one in listed if isinstance(listed, list) else []:
        uri = one.get("uri") if isinstance(one, dict) else None
        if isinstance(uri, str) and uri.startswith(_PURL) and (reference := _from_purl(uri)):
            found[reference] = None
    return tuple(found)[:SOURCES]


class _Refused(ValueError):
    """What has a sentence of its own."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Refused("it has a key twice, and readers differ in which one counts")
    return made


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _deep(document: dict[str, Any]) -> bool:
    level: list[Any] = [document]
    for _ in range(DEPTH):
        level = [
            item
            for node in level
            for item in (node.values() if isinstance(node, dict) else node)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True


def _plain(value: Mapping[str, Any], fields: frozenset[str], where: str) -> None:
    """Refuse keys that are a field's name in another case, which Go's reader takes for the field."""
    folded = {name.casefold() for name in fields}
    for key in value:
        if key not in fields and key.casefold() in folded:
            raise ValueError(f"{where} has the key {key[:40]!r}, which runtimes take for another")


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is no object")
    return value


def _descriptors(document: Mapping[str, Any], key: str) -> Iterator[Descriptor]:
    found = document.get(key)
    if not isinstance(found, list):
        raise ValueError(f"{key} is no list")
    if len(found) > LAYERS:
        raise ValueError(f"{key} has {len(found)} elements; at most {LAYERS} are read")
    for number, value in enumerate(found):
        yield _descriptor(value, f"{key}[{number}]")


def _descriptor(value: Any, where: str) -> Descriptor:
    found = _object(value, where)
    _plain(found, _DESCRIPTOR, where)
    media, name, size = found.get("mediaType", ""), found.get("digest"), found.get("size")
    if not isinstance(media, str) or not isinstance(name, str) or not is_digest(name):
        raise ValueError(f"{where} has no valid digest")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"{where} has no valid size")
    platform = found.get("platform")
    if platform is not None:
        _plain(_object(platform, f"{where}.platform"), _PLATFORM, f"{where}.platform")
    return Descriptor(media, name, size, None if platform is None else _platform(platform), _annotations(found))


def _annotations(value: Mapping[str, Any]) -> dict[str, str]:
    found = value.get("annotations")
    if found is None:
        return {}
    return {key: text for key, text in _object(found, "annotations").items() if isinstance(text, str)}


def _platform(value: Mapping[str, Any]) -> Platform:
    """Return a platform as containerd normalizes it (platforms/database.go): so does a node find its own."""
    system, machine, variant = (_word(value, key) for key in ("os", "architecture", "variant"))
    machine, variant = _MACHINES.get(machine, (_ALIASES.get(machine, machine), variant))
    return Platform(_SYSTEMS.get(system, system), machine, _VARIANTS.get((machine, variant), variant))


def _word(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key, "")
    if not isinstance(found, str) or not _WORD.fullmatch(found.lower()):
        raise ValueError(f"{key} of a platform is no word")
    return found.lower()


def _from_purl(uri: str) -> str:
    """Return the reference that `pkg:docker/library/nginx@1.27?digest=sha256%3A...` stands for, '' for none."""
    body, _, query = uri.removeprefix(_PURL).partition("#")[0].partition("?")
    name, _, version = body.partition("@")
    named = parse_qs(query).get("digest", [""])[0] if query else ""
    version = unquote(version)
    if is_digest(version):
        version, named = "", named or version
    written = unquote(name) + (f":{version}" if version else "") + (f"@{named}" if named else "")
    try:
        return str(image.parse(written))
    except ValueError:
        return ""
