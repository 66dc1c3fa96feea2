"""The JDK inside an image is one that sees its container.

## What it does
Asks the registry for the config of each container's image, and reads which JDK is in it: from the variables
`JAVA_VERSION` and `JAVA_HOME` (`JDK_HOME`, `JRE_HOME`) that the image sets, from the labels of Red Hat, IBM and
Microsoft, and, where these tell no update, from what the history of the image says was installed. So it knows the
images of Temurin, Corretto, Zulu, Liberica, Microsoft, OpenJDK, IBM Semeru, Alibaba Dragonwell, Tencent Kona and Red
Hat, and those that are built on them. Then it finds

- a JDK before 8u372, 11.0.16 and 15, the first that read cgroup v2, or before those of `least`,
- a JDK that is of none of `vendors`.

What the manifest says (its own `JAVA_VERSION`) does not count: it changes nothing in the image. Neither does whether
the container starts Java: what is in an image may be started. An image whose variables, labels and history say nothing
of Java, and that does not start `java`, has none, as far as this goes; so have those of buildpacks, whose config does
not tell. Image volumes are not looked at.

An image for several platforms is judged for all that the pod can run on: `nodeSelector` and `os` may say which.

A config often says `11` and no update, or a `JAVA_HOME` without a number; or its `JAVA_VERSION` and its `JAVA_HOME` are
of two versions, where somebody put another JDK in. Of those `undeclared` decides. `17` alone is enough.

Some numbers are a vendor's own. `8.15.16` is Dragonwell's, and is read as the update of 8 that it was made from, or the
last one known before it; `8.0.13-362` is Kona's 8u362, `8.382.05.1` Corretto's 8u382.

## Why
A JVM that cannot read the cgroup of its node takes the memory and the cores of the whole node for its own: its heap is
a quarter of 512 GiB, and the kernel ends the container. What the manifest says of the version is what somebody believed
when it was written; the image is what runs.

## Example
An image that says `JAVA_VERSION=jdk8u352-b08`:

```yaml
apiVersion: v1
kind: Pod
metadata: {name: billing}
spec:
  containers:
    - {name: billing, image: "registry.example/shop/billing:3.1.0"}
```

## Use instead
A newer base in the `FROM` of its Dockerfile, such as `FROM registry.example/java/temurin:8u432`, and the image that is
built from it:

```yaml
apiVersion: v1
kind: Pod
metadata: {name: billing}
spec:
  containers:
    - {name: billing, image: "registry.example/shop/billing:3.1.1"}
```

## Parameters
- `cgroupV2` (default: true): the nodes have cgroup v2. If `false`, 8u191 and 10 are enough, the first that read cgroup
  v1.
- `least` (default: none, which leaves it to `cgroupV2`): the first version of each line that is enough, such as
  `[8u412, 11.0.23, 17.0.11, "21"]`. Of a line that is not named, only those later than all of these are.
- `vendors` (default: none, which is any): those whose JDKs may be used, of `corretto`, `dragonwell`, `kona`,
  `liberica`, `microsoft`, `openjdk`, `redhat`, `semeru`, `temurin`, `zulu`. By their variables alone, those of Temurin,
  Semeru and Dragonwell are alike; the history tells them apart, unless somebody has squashed the image.
- `undeclared`: what becomes of an image with a JDK that does not tell enough of its version, or, where there are
  `vendors`, of its vendor. `unknown`, the default, leaves it to the rule's `onUnknown`; `find` makes it a finding;
  `allow` lets it in.

```yaml
params:
  least: [11.0.23, 17.0.11, "21"]
  vendors: [temurin, corretto]
  undeclared: find
```

## Fix
None: the image has to be built anew, on a base with a newer JDK.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from webhook.checks.check import Check, ParamError
from webhook.model import jdk, jvm
from webhook.model.decision import Unsure, Violation
from webhook.model.inspection import alike, inspections, lookups
from webhook.model.oci import Build, Content
from webhook.model.pods import Container, Pod
from webhook.model.record import record

ID = "jdk-version"
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "cgroupV2": {"type": "boolean", "description": "The nodes have cgroup v2."},
        "least": {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "description": "The first version of each line that is enough, such as 8u372 or 11.0.16.",
        },
        "vendors": {
            "type": "array",
            "items": {"type": "string", "enum": list(jdk.VENDORS)},
            "description": "The vendors whose JDKs may be used; none: any.",
        },
        "undeclared": {
            "type": "string",
            "enum": ["unknown", "find", "allow"],
            "description": "What becomes of an image that does not tell enough of its JDK.",
        },
    },
}
DEFAULTS: dict[str, Any] = {"cgroupV2": True, "least": [], "vendors": [], "undeclared": "unknown"}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("pod",)
CEL = "it asks registries what images are, and a policy cannot"

_REBUILD = "build the image on a newer base, by its FROM"
_DECLARE = "an image that tells it, such as by ENV JAVA_VERSION=17.0.9 beside its JDK"


@record(frozen=True, slots=True)
class Standard:
    """The parameters of one rule, compiled. `by_cgroups`: the versions are those that see their limits on Linux."""

    least: tuple[jvm.Version, ...]
    by_cgroups: bool
    vendors: tuple[str, ...]
    undeclared: str

    @property
    def enough(self) -> str:
        """What is enough, in words."""
        return f"Java {', '.join(map(str, self.least))} or later"


@record(frozen=True, slots=True)
class Lack:
    """What is wrong with the JDK of an image; `unsure`: it may be, for the image does not tell."""

    reason: str
    found: str
    wanted: str
    unsure: bool = False


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for a text that is no version, and for two versions of one line."""
    problems: list[tuple[tuple[str | int, ...], str]] = []
    least: dict[int, jvm.Version] = {}
    for number, text in enumerate(params["least"]):
        version = jdk.version(text)
        if version is None:
            problems.append((("least", number), f"{text!r} is no version of a JDK; wanted 17.0.9 or 8u372"))
        elif version.major in least:
            problems.append((("least", number), f"{text!r} is the second of Java {version.major}; wanted one of each"))
        else:
            least[version.major] = version
    if problems:
        raise ParamError(problems)
    limits = jvm.CGROUP_V2 if params["cgroupV2"] else jvm.CGROUP_V1
    chosen = tuple(least[major] for major in sorted(least)) or limits
    standard = Standard(chosen, not least, tuple(params["vendors"]), params["undeclared"])
    return Check(pod=partial(_pod, standard), inspects=lookups)


def _pod(standard: Standard, pod: Pod) -> Iterator[Violation | Unsure]:
    for container, image in inspections(pod):
        if image.content is None:
            yield Unsure(f"{container.image}: {image.lacking}", "images")
            continue
        lacks = list(alike(image.content.on(pod.spec), partial(_judge, standard, pod, image.content)))
        yield from (_told(container, lack, where) for lack, where in lacks)


def _told(container: Container, lack: Lack, where: str) -> Violation | Unsure:
    if lack.unsure:
        return Unsure(f"{container.image}: {lack.reason}{where}: {lack.found}", "images")
    return Violation(f"{container.pointer}/image", lack.reason, lack.found + where, lack.wanted, container.name)


def _judge(standard: Standard, pod: Pod, content: Content, build: Build) -> Iterator[Lack]:
    known = jdk.read(build)
    if known is None:
        return
    if not standard.by_cgroups or not content.for_windows(build, pod.spec):
        yield from _version(standard, known)
    if standard.vendors:
        yield from _vendor(standard, known, jdk.vendor(build))


def _version(standard: Standard, known: jdk.Jdk) -> Iterator[Lack]:
    enough = None if known.version is None else known.version.reaches(standard.least)
    wanted = f"{standard.enough}; {_REBUILD}"
    if enough is False:
        reason = "JDK does not see its limits" if standard.by_cgroups else "JDK too old"
        yield Lack(reason, f"Java {known.version}: {known.told}", wanted)
    elif enough is None and standard.undeclared != "allow":
        reason = "image tells two versions of its JDK" if known.unlike else "image does not tell its JDK"
        wanted = f"{standard.enough}; {_DECLARE}"
        yield Lack(reason, known.told, wanted, unsure=standard.undeclared == "unknown")


def _vendor(standard: Standard, known: jdk.Jdk, vendor: str) -> Iterator[Lack]:
    wanted = f"a JDK of {' or '.join(standard.vendors)}; {_REBUILD}"
    if vendor and vendor not in standard.vendors:
        yield Lack("JDK of another vendor", f"{vendor}: {known.told}", wanted)
    elif not vendor and standard.undeclared != "allow":
        reason = "image does not tell the vendor of its JDK"
        yield Lack(reason, known.told, wanted, unsure=standard.undeclared == "unknown")
