"""The family of images that tests ask about: a base, what is built on it, and what only says so.

```
base -> runtime -> app              each begins with the layers of the one before
     -> bare, app-docker, attested  true children, told in other ways or not at all
rebuilt -> app-on-rebuilt           the base built anew under its tag
base-multi -> app-multi, app-list   for linux/amd64 and linux/arm64; of `app-half` only amd64 is a child
forged, attested-forged             name the base, and have other layers
squashed, reordered, stranger       the base's files in one layer; its layers in another order; its first layer only
```
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from registry.artifact import (
    BASE_DIGEST,
    BASE_NAME,
    Artifact,
    Layer,
    attestation,
    image,
    index,
    layer,
    package_url,
)
from registry.pusher import Pusher

AMD64, ARM64 = "linux/amd64", "linux/arm64"
LABELS = {"org.opencontainers.image.revision": "0a1b2c3d", "owner": "team-shop"}

JDKS: Mapping[str, Mapping[str, Any]] = {
    "temurin-17.0.9": {"Env": ["JAVA_HOME=/opt/java/openjdk", "JAVA_VERSION=jdk-17.0.9+9"]},
    "temurin-8u372": {"Env": ["JAVA_HOME=/opt/java/openjdk", "JAVA_VERSION=jdk8u372-b07"]},
    "openjdk-11.0.15": {"Env": ["JAVA_HOME=/usr/local/openjdk-11", "JAVA_VERSION=11.0.15"]},
    "openjdk-11.0.16": {"Env": ["JAVA_HOME=/usr/local/openjdk-11", "JAVA_VERSION=11.0.16"]},
    "openjdk-8u181": {"Env": ["JAVA_HOME=/docker-java-home", "JAVA_VERSION=8u181"]},
    "semeru-17.0.9": {"Env": ["JAVA_HOME=/opt/java/openjdk", "JAVA_VERSION=jdk-17.0.9+9_openj9-0.41.0"]},
    # Corretto's images set no JAVA_VERSION: the home names the feature release, the history the rest
    "corretto-8u352": {"Env": ["LANG=C.UTF-8", "JAVA_HOME=/usr/lib/jvm/java-1.8.0-amazon-corretto"]},
    "none": {"Env": ["PATH=/usr/bin:/bin"]},
}
"""The `config` of images by the JDK in them, as the vendors' Dockerfiles leave it."""
CORRETTO_HISTORY = [
    {"created_by": "RUN |1 version=1.8.0_352.b08-1 /bin/sh -c yum install -y java-1.8.0-amazon-corretto"}
]

USERS = {"unset": "", "root": "root", "zero": "0:0", "numeric": "10001:10001", "named": "app"}
"""The `User` of images whose repository is `user/<key>`."""


@dataclass(frozen=True, slots=True)
class Published:
    """An image, and where it is."""

    host: str
    repository: str
    tag: str
    artifact: Artifact = field(repr=False)

    @property
    def reference(self) -> str:
        """What a pod writes: host, repository and tag."""
        return f"{self.host}/{self.repository}:{self.tag}"

    @property
    def digest(self) -> str:
        """The digest of its manifest or index."""
        return self.artifact.digest

    @property
    def pinned(self) -> str:
        """Host, repository and digest."""
        return f"{self.host}/{self.repository}@{self.digest}"

    @property
    def marks(self) -> dict[str, str]:
        """The annotations of an image that says that it is built on this one."""
        return {BASE_NAME: self.reference, BASE_DIGEST: self.digest}

    @property
    def materials(self) -> dict[str, str]:
        """What the provenance of an image names that is built on this one."""
        return {package_url(self.reference): self.digest}


Family = Mapping[str, Published]


def family(host: str) -> Family:
    """Return the family as it is in a registry of that `host:port`, by the names of this module's docstring."""
    return {**_chain(host), **_platforms(host), **_told(host), **_configured(host)}


def publish(pusher: Pusher) -> Family:
    """Push the family, all but `rebuilt`, and return it."""
    found = family(pusher.address)
    for name, each in found.items():
        if name != "rebuilt":
            pusher.push(each.artifact, each.repository, each.tag)
    return found


def rebuild(pusher: Pusher, found: Family) -> None:
    """Push the base that was built anew: its tag is `rebuilt` from then on, the old base stays by its digest."""
    pusher.push(found["rebuilt"].artifact, found["rebuilt"].repository, found["rebuilt"].tag)


def crowd(pusher: Pusher, count: int) -> list[Published]:
    """Push so many images that have nothing in common, and return them."""
    made = [
        Published(pusher.address, f"crowd/app-{number}", "1", image([layer({"app": f"number {number}"})]))
        for number in range(count)
    ]
    for each in made:
        pusher.push(each.artifact, each.repository, each.tag)
    return made


def _os(platform: str = AMD64, release: str = "12.1") -> Layer:
    return layer({"etc/debian_version": release, "etc/machine": platform})


def _jdk(platform: str = AMD64) -> Layer:
    return layer({"opt/java/release": RELEASE, "opt/java/machine": platform})


RELEASE = 'JAVA_VERSION="17.0.9"\n'
AGENT = layer({"opt/agent/agent.jar": "agent"})
APP = layer({"app/app.jar": "shop"})
EXECUTION: Mapping[str, Any] = {**JDKS["temurin-17.0.9"], "User": USERS["numeric"], "Labels": LABELS}


def _base(platform: str = AMD64, release: str = "12.1", docker: bool = False) -> Artifact:
    return image([_os(platform, release), _jdk(platform)], JDKS["temurin-17.0.9"], platform, docker)


def _app(
    *layers: Layer, platform: str = AMD64, docker: bool = False, says: Mapping[str, str] | None = None
) -> Artifact:
    return image(layers, {**EXECUTION, "Entrypoint": ["java", "-jar", "/app/app.jar"]}, platform, docker, says)


def _chain(host: str) -> dict[str, Published]:
    base = Published(host, "base/java", "17", _base())
    rebuilt = Published(host, "base/java", "17", _base(release="12.2"))
    runtime = Published(
        host, "base/runtime", "1", image([_os(), _jdk(), AGENT], JDKS["temurin-17.0.9"], annotations=base.marks)
    )
    app = _app(_os(), _jdk(), AGENT, APP, says=runtime.marks)
    on_rebuilt = _app(_os(release="12.2"), _jdk(), APP, says=rebuilt.marks)
    return {
        "base": base,
        "rebuilt": rebuilt,
        "runtime": runtime,
        "app": Published(host, "team/app", "1", app),
        "app-on-rebuilt": Published(host, "team/app", "2", on_rebuilt),
        "app-docker": Published(host, "team/app-docker", "1", _app(_os(), _jdk(), AGENT, APP, docker=True)),
    }


def _platforms(host: str) -> dict[str, Published]:
    base = Published(host, "base/java-multi", "17", index(_base(AMD64), _base(ARM64)))
    amd64 = _app(_os(AMD64), _jdk(AMD64), APP, says=base.marks)
    arm64 = _app(_os(ARM64), _jdk(ARM64), APP, platform=ARM64, says=base.marks)
    other = _app(layer({"etc/debian_version": "11.9"}), APP, platform=ARM64, says=base.marks)
    listed = [_app(_os(each), _jdk(each), APP, platform=each, docker=True) for each in (AMD64, ARM64)]
    return {
        "base-multi": base,
        "app-multi": Published(host, "team/multi", "1", index(amd64, arm64, annotations=base.marks)),
        "app-half": Published(host, "team/half", "1", index(amd64, other, annotations=base.marks)),
        "app-list": Published(host, "team/list", "1", index(*listed, docker=True)),
    }


def _told(host: str) -> dict[str, Published]:
    """Return images by how they tell of the base, truly or not."""
    base = _chain(host)["base"]
    child, other = _app(_os(), _jdk(), APP), _app(layer({"etc/os": "scratch"}), layer({"usr/bin/java": "java"}), APP)
    whole = layer(
        {
            "etc/debian_version": "12.1",
            "etc/machine": AMD64,
            "opt/java/release": RELEASE,
            "opt/java/machine": AMD64,
            "app/app.jar": "shop",
        }
    )
    forged = _app(layer({"etc/os": "scratch"}), layer({"usr/bin/java": "java"}), APP, says=base.marks)
    proved = index(child, attestation(child, base.materials))
    proved_v1 = index(child, attestation(child, base.materials, "v1"))
    claimed = index(other, attestation(other, base.materials))
    return {
        "bare": Published(host, "team/bare", "1", child),
        "forged": Published(host, "team/forged", "1", forged),
        "squashed": Published(host, "team/squashed", "1", _app(whole, says=base.marks)),
        "reordered": Published(host, "team/reordered", "1", _app(_jdk(), _os(), APP)),
        "stranger": Published(host, "team/stranger", "1", _app(_os(), layer({"usr/bin/java": "java"}), APP)),
        "attested": Published(host, "team/attested", "1", proved),
        "attested-v1": Published(host, "team/attested", "2", proved_v1),
        "attested-forged": Published(host, "team/attested-forged", "1", claimed),
    }


def _configured(host: str) -> dict[str, Published]:
    """Return images by what their config says: `jdk-<key>`, `user-<key>`, `unlabelled`, `old`."""
    layers = [_os(), _jdk(), APP]
    history: dict[str, Any] = {"history": CORRETTO_HISTORY * len(layers)}
    jdks = {
        f"jdk-{name}": Published(
            host, f"jdk/{name}", "1", image(layers, each, **(history if name.startswith("corretto") else {}))
        )
        for name, each in JDKS.items()
    }
    users = {
        f"user-{name}": Published(host, f"user/{name}", "1", image(layers, {**EXECUTION, "User": user}))
        for name, user in USERS.items()
    }
    bare = {key: value for key, value in EXECUTION.items() if key != "Labels"}
    return {
        **jdks,
        **users,
        "unlabelled": Published(host, "team/unlabelled", "1", image(layers, bare)),
        "old": Published(host, "team/old", "1", image(layers, EXECUTION, created="2020-01-01T00:00:00Z")),
    }
