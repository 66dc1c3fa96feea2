"""What an image is, as its registry tells it: the manifest and the config of every platform; plain values.

The words are those of the OCI image specification (github.com/opencontainers/image-spec: manifest.md, config.md,
image-index.md). A check that needs them names the images by `Check.inspects`, so that they are gathered;
`Pod.images` gives what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from datetime import datetime
from math import isfinite
from typing import Any

from webhook.model import image
from webhook.model.record import record

ELDER = {"amd64": "386", "arm64": "arm"}
"""The 32-bit machines whose builds a 64-bit one runs where there is none of its own."""
SECRETS = 16
"""Of a pod's pull secrets that count: whoever writes a pod names as many as fit into it, and each image is asked for
with all of them."""
WINDOWS = "windows"
OS_LABEL, ARCH_LABEL = "kubernetes.io/os", "kubernetes.io/arch"


@record(frozen=True, slots=True)
class Platform:
    """What an image runs on, in Go's words: `linux`, `arm64`, `v8`."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        """Return it as `docker --platform` takes it: `linux/arm64/v8`."""
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@record(frozen=True, slots=True)
class Layer:
    """One layer as it is stored: the digest of the compressed blob, and its bytes."""

    digest: str
    size: int


@record(frozen=True, slots=True)
class Build:
    """An image for one platform.

    `digest` is that of its manifest, `config` the image configuration whole (`architecture`, `config`, `rootfs`, ...),
    `layers` and `annotations` are the manifest's. `sources` are references of images that a build attestation says
    went into it; nobody has proved them.
    """

    digest: str
    platform: Platform
    config: Mapping[str, Any]
    layers: tuple[Layer, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The digests of the unpacked layers, the lowest first: what the image's files are made from."""
        found = _mapping(self.config.get("rootfs")).get("diff_ids")
        return tuple(map(str, found)) if isinstance(found, list) else ()

    @property
    def execution(self) -> Mapping[str, Any]:
        """The `config` of the image configuration: `User`, `Env`, `Entrypoint`, `Cmd`, `Labels`."""
        return _mapping(self.config.get("config"))

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the image."""
        return {key: value for key, value in _mapping(self.execution.get("Labels")).items() if isinstance(value, str)}

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that the image sets; of two with one name the last counts."""
        pairs = (text.partition("=") for text in _texts(self.execution.get("Env")))
        return {name: value for name, _, value in pairs}

    @property
    def entrypoint(self) -> tuple[str, ...]:
        """The program that the image starts, where nobody names another."""
        return _texts(self.execution.get("Entrypoint"))

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the image hands to its entrypoint, or starts where it has none."""
        return _texts(self.execution.get("Cmd"))

    @property
    def command(self) -> tuple[str, ...]:
        """The words that the image starts by itself."""
        return (*self.entrypoint, *self.arguments)

    @property
    def size(self) -> int:
        """The bytes of all layers as they are stored and sent."""
        return sum(layer.size for layer in self.layers)


@record(frozen=True, slots=True)
class Content:
    """What a reference stands for: one image, or an index of images for several platforms.

    `digest` is that of the manifest or index that the reference names: what a tag is pinned to. `annotations` are
    those of the index, empty where there is none.
    """

    digest: str
    builds: tuple[Build, ...]
    index: bool = False
    annotations: Mapping[str, str] = field(default_factory=dict)

    def on(self, spec: Mapping[str, Any]) -> tuple[Build, ...]:
        """Return the builds that a pod of this spec may run: all of them, where its node selector does not say.

        A runtime takes an image without an index as it is, whatever its config says that it is for
        (core/images/image.go of containerd compares platforms below an index alone).
        """
        return self.fitting(spec) if self.index else self.builds

    def fitting(self, spec: Mapping[str, Any]) -> tuple[Build, ...]:
        """Return the builds for the nodes that a pod of this spec asks for, by what they say that they are for.

        Where there is none for a 64-bit machine, runtimes take one for its 32-bit elder (containerd's
        platforms/compare.go). One for another system, or of a variant, is none for every such machine.
        """
        systems, machine = _systems(spec), _mapping(spec.get("nodeSelector")).get(ARCH_LABEL)
        there = [build for build in self.builds if systems <= {build.platform.os}]
        if not isinstance(machine, str):
            return tuple(there)  # not said, or by what Kubernetes refuses
        sure = {
            one.os for one in (build.platform for build in there) if (one.architecture, one.variant) == (machine, "")
        }
        elder = ELDER.get(machine)
        return tuple(
            build
            for build in there
            if build.platform.architecture == machine
            or (build.platform.architecture == elder and build.platform.os not in sure)
        )

    def for_windows(self, build: Build, spec: Mapping[str, Any]) -> bool:
        """Say whether a pod of this spec runs a build on Windows, if anywhere.

        What the config of an image without an index says of that, no runtime reads (see `on`): there the pod says it.
        """
        return (self.index and build.platform.os == WINDOWS) or WINDOWS in _systems(spec)


@record(frozen=True, slots=True)
class Lookup:
    """An image that a registry is asked for: its normalized reference, and the pod's own pull secrets."""

    reference: str
    secrets: tuple[str, ...] = ()


@record(frozen=True, slots=True)
class Former:
    """What a tag stood for before: `age` is how many seconds ago it was last seen to do so."""

    content: Content
    age: float


@record(frozen=True, slots=True)
class Inspected:
    """What is known of an image: its content, or why that is lacking.

    `absent`: its registry says that there is no such image. `former` is what the tag stood for before, the latest
    first. `asked` is the time of the review, for the age of what is inspected.
    """

    content: Content | None = None
    lacking: str = ""
    absent: bool = False
    former: tuple[Former, ...] = ()
    asked: datetime | None = None


Images = Callable[[Lookup], Inspected]


def uninspected(lookup: Lookup) -> Inspected:
    """Return that nothing is known of an image."""
    return Inspected(lacking="no registry was asked")


def lookup(reference: str, spec: Mapping[str, Any]) -> Lookup | None:
    """Return what to ask about a reference in a pod of this spec; None where the reference is none.

    Of its pull secrets the first SECRETS count.
    """
    try:
        name = str(image.parse(reference))
    except ValueError:
        return None
    secrets = spec.get("imagePullSecrets")
    named = (_mapping(secret).get("name") for secret in secrets[:SECRETS]) if isinstance(secrets, list) else ()
    return Lookup(name, tuple(secret for secret in named if isinstance(secret, str)))


def dump(content: Content) -> dict[str, Any]:
    """Return a content as JSON values, which `load` reads back."""
    return {
        "digest": content.digest,
        "index": content.index,
        "annotations": dict(content.annotations),
        "builds": [
            {
                "digest": build.digest,
                "platform": str(build.platform),
                "annotations": dict(build.annotations),
                "sources": list(build.sources),
                "layers": [{"digest": layer.digest, "size": layer.size} for layer in build.layers],
                "config": build.config,
            }
            for build in content.builds
        ],
    }


def load(document: Mapping[str, Any]) -> Content:
    """Return the content that JSON values describe; what is left out is empty. Raises ValueError with a sentence."""
    try:
        return Content(
            str(document["digest"]),
            tuple(_builds(document["builds"])),
            bool(document.get("index", False)),
            _annotations(document),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this describes no image: {error!r}; wanted digest and builds, each with config") from error


def inspected(document: Mapping[str, Any], asked: datetime) -> Inspected:
    """Return what a test says is known of an image: its content as `dump` writes it, or `lacking`, or `absent`.

    `former` is a list of contents, each with its `age` in seconds. Raises ValueError with a sentence.
    """
    former = tuple(Former(load(one), _age(one)) for one in document.get("former") or ())
    content = load(document) if "builds" in document else None
    absent = bool(document.get("absent", False))
    lacking = str(document.get("lacking") or ("" if content else "the registry says that there is no such image"))
    return Inspected(content, lacking, absent, former, asked)


def _age(document: Mapping[str, Any]) -> float:
    age = float(document.get("age", 0))
    if not isfinite(age):
        raise ValueError(f"an age is a number of seconds, found {age}")
    return age


def platform(text: str) -> Platform:
    """Return the platform that `linux/amd64` names. Raises ValueError with a sentence."""
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise ValueError(f"{text!r} is no platform; wanted os/architecture, such as linux/amd64")
    return Platform(*parts)


def _builds(documents: Any) -> Iterator[Build]:
    for document in documents:
        config = document["config"]
        if not isinstance(config, dict):
            raise ValueError(f"this describes no image: a config is an object, found {config!r}")
        named = document.get("platform") or f"{config.get('os', 'linux')}/{config.get('architecture', 'amd64')}"
        yield Build(
            str(document.get("digest", "")),
            platform(named),
            config,
            tuple(Layer(str(layer["digest"]), int(layer["size"])) for layer in document.get("layers") or ()),
            _annotations(document),
            tuple(map(str, document.get("sources") or ())),
        )


def _annotations(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the annotations that are texts, as of what a registry sends: nobody can read others."""
    found = document.get("annotations") or {}
    return {key: text for key, text in found.items() if isinstance(text, str)}


def _systems(spec: Mapping[str, Any]) -> set[str]:
    """Return the systems that a pod of this spec asks for: by its node selector, by `os.name`."""
    asked = _mapping(spec.get("nodeSelector")).get(OS_LABEL), _mapping(spec.get("os")).get("name")
    return {one for one in asked if isinstance(one, str)}


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
