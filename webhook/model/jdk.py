"""The JDK inside of an image, as far as the image's config tells it: its version, who built it, and what says so.

Nobody writes it into one place. What the usual images set, read from their Dockerfiles (2019 to 2026):

| vendor | JAVA_VERSION | JAVA_HOME | besides | source |
| --- | --- | --- | --- | --- |
| Temurin | `jdk-17.0.9+9`, `jdk8u352-b08` | `/opt/java/openjdk` | | adoptium/containers |
| Corretto | | `/usr/lib/jvm/java-17-amazon-corretto`, on Alpine `/usr/lib/jvm/default-jvm` | `ARG version=17.0.9.8-1`, `1.8.0_382.b05-1`, `8.382.05.1` | corretto/corretto-docker |
| Zulu | | `/usr/lib/jvm/zulu17-ca-amd64`, `/usr/lib/jvm/zulu17` | `zulu11-jdk=11.0.17-*` is installed | zulu-openjdk/zulu-openjdk |
| Liberica | | `/usr/lib/jvm/jdk-17.0.17-bellsoft`, `/usr/lib/jvm/jdk` | `ARG LIBERICA_VERSION=8u392` | bell-sw/Liberica |
| Microsoft | | `/usr/lib/jvm/msopenjdk-17-amd64`, `/usr/jdk` | label `Support=Microsoft OpenJDK Support <...>` | microsoft/openjdk-docker |
| OpenJDK | `11.0.14`, `8u342`, `17-ea+33` | `/usr/local/openjdk-11`, `/usr/java/openjdk-17` | | docker-library/openjdk |
| Semeru | `jdk-17.0.19.0`, `jdk-17.0.9+9_openj9-0.41.0`, `11.0.19.0` | `/opt/java/openjdk`, `/opt/ibm/java` | label `name=IBM Semeru Runtime...` | ibmruntimes/semeru-containers |
| Dragonwell | `jdk8u382-b01`, `jdk-11.0.19.15+7` | `/opt/java/openjdk` | 8 has numbers of its own too, see `_DRAGONWELL` | dragonwell-project/dragonwell-containers |
| Kona | | `.../TencentKona-8.0.13-362`, `.../TencentKona-17.0.8.b1` | | TencentBlueKing/bk-job, from Tencent's archives |
| Red Hat | `17`, `11` | `/usr/lib/jvm/java-17`, `/usr/lib/jvm/jre` | label `org.jboss.product.openjdk.version=17` | jboss-container-images/openjdk |

`ARG`s, and what was installed, stand in the `history` of the config, as long as nobody has squashed the image. Images
of Debian, Alpine and others with a package of OpenJDK have at best a JAVA_HOME such as `/usr/lib/jvm/java-17-openjdk`.
"""  # noqa: E501 (a table)

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import re2

from webhook.model import jvm, shell
from webhook.model.oci import Build
from webhook.model.record import record

DECLARED = "JAVA_VERSION"
HOMES = ("JAVA_HOME", "JDK_HOME", "JRE_HOME")
_LABEL = "org.jboss.product.openjdk.version"
# a version behind a word that stands for a JDK, within one name of a path or archive
_NAMED = re2.compile(
    r"(?i)(?:jdk|jre|java|zulu|temurin|adoptopenjdk|corretto|dragonwell|semeru|kona|sapmachine|graalvm)[-_]?"
    r"((?:1\.)?[0-9]{1,2}(?:[.u_][0-9]+)*(?:-b[0-9]+)?)"
)
# TencentKona-8.0.13-362 is Kona's own 8.0.13, made from 8u362
_KONA_8 = re2.compile(r"(?i)kona-?8\.0\.[0-9]+-([0-9]{3})")
# 8.15.16 is Dragonwell's own number; the releases say from which update of 8 they were made, those between are later
_OWN_8 = re2.compile(r"8\.([1-9][0-9]?)\.[0-9]{1,2}(?:[-.].*)?")
_DRAGONWELL = ((4, 262), (5, 275), (6, 282), (12, 345), (15, 372), (16, 382))
# 8.382.05.1 is Corretto's 8u382
_CORRETTO_8 = re2.compile(r"8\.([0-9]{3})\.[0-9]+\.[0-9]+(?:-.*)?")


@record(frozen=True, slots=True)
class Vendor:
    """How a vendor's JDK is known: by JAVA_HOME, by what built the image, and what that says of the version."""

    name: str
    home: str
    history: str
    version: str = ""


_VENDORS = (
    Vendor("corretto", r"corretto", r"corretto", r"\bversion=([0-9][0-9a-z._]*)"),
    Vendor("zulu", r"zulu", r"cdn\.azul\.com|\bzulu[0-9]+-", r"\bzulu[0-9]+-j[a-z-]+=([0-9.]+)"),
    Vendor("liberica", r"bellsoft|liberica", r"bell-sw\.com", r"\bLIBERICA_VERSION=([0-9][0-9a-z._]*)"),
    Vendor("microsoft", r"msopenjdk", r"msopenjdk|aka\.ms/download-jdk"),
    Vendor("semeru", r"semeru|/opt/ibm/java", r"ibmruntimes/semeru"),
    Vendor("dragonwell", r"dragonwell", r"dragonwell[-_/0-9]"),
    Vendor("kona", r"kona", r"tencentkona|konajdk", r"(?i)kona[0-9.b_-]*jdk[a-z0-9_.-]*?_(8u[0-9]+)"),
    Vendor("temurin", r"temurin|adoptopenjdk", r"adoptium/temurin|adoptopenjdk/openjdk[0-9]+-binaries"),
    Vendor("openjdk", r"openjdk-[0-9]|-openjdk", r"download\.java\.net/java|openjdk[0-9]+-upstream-binaries"),
)
VENDORS = tuple(sorted((*(one.name for one in _VENDORS), "redhat")))
"""The vendors that an image may be known to have its JDK from."""

_HOMES = tuple((one, re2.compile(f"(?i)(?:{one.home})")) for one in _VENDORS)
_HISTORIES = tuple((one, re2.compile(f"(?i)(?:{one.history})")) for one in _VENDORS)
_ANY_HISTORY = re2.compile("(?i)" + "|".join(one.history for one in _VENDORS))
_VERSIONS = {one.name: re2.compile(one.version) for one in _VENDORS if one.version}
_OLDEST = 5  # no directory of a JDK in a container is named after an older one; java2 is something else
_STEPS = 512  # of a history that are read, the last ones: an image has at most some hundred layers
_LONGEST = 8192  # characters of a step that are read; those of the vendors have half of it
_ROOT = re2.compile(r"/opt/java/openjdk/?")  # of Temurin, Semeru and Dragonwell alike


@record(frozen=True, slots=True)
class Jdk:
    """What an image tells of its JDK: the version, None where it tells none, and what says so, in words.

    `unlike`: two of its words are of different versions, so that neither counts.
    """

    version: jvm.Version | None
    told: str
    unlike: bool = False


def read(build: Build) -> Jdk | None:
    """Return what an image tells of its JDK; None where nothing in it speaks of Java."""
    said = list(_said(build))
    known = [(version, told) for version, told in said if version is not None]
    if len({version.major for version, _ in known}) > 1:
        return Jdk(None, " and ".join(told for _, told in said), unlike=True)
    exact = [one for one in known if one[0].update is not None]
    if not exact:
        # the history is long, and tells what was done, also what was undone: only where nothing else tells
        found = _of_history(build)
        if found is not None and all(found[0].major == version.major for version, _ in known):
            exact = [found]
    for version, told in (*exact, *known, *said):
        return Jdk(version, told)
    return Jdk(None, "the image starts java") if _starts(build) else None


def vendor(build: Build) -> str:
    """Return whose JDK is in an image, one of VENDORS; '' where nothing tells."""
    home = _home(build)[1]
    if home and not _ROOT.fullmatch(home):
        for one, pattern in _HOMES:
            if pattern.search(home):
                return one.name
    labels = build.labels
    if "openj9" in build.environment.get(DECLARED, "") or labels.get("name", "").startswith("IBM Semeru"):
        return "semeru"
    if "Microsoft OpenJDK" in labels.get("Support", ""):
        return "microsoft"
    if _LABEL in labels:
        return "redhat"
    found = _built(build)
    return found[0].name if found else ""


# the same few texts come again and again, review after review
@lru_cache(maxsize=1024)
def version(text: str) -> jvm.Version | None:
    """Return the version that a text says, in the numbers of any vendor; None where it says none."""
    own, corretto = _OWN_8.fullmatch(text), _CORRETTO_8.fullmatch(text)
    if corretto:
        return jvm.Version(8, int(corretto[1]))
    if own:
        updates = [update for number, update in _DRAGONWELL if number <= int(own[1])]
        return jvm.Version(8, updates[-1] if updates else None)
    return jvm.version(text.removeprefix("openjdk-"))


def _said(build: Build) -> Iterator[tuple[jvm.Version | None, str]]:
    """Give each word of a config on its JDK: the version in it, and the word."""
    declared, (name, home) = build.environment.get(DECLARED, ""), _home(build)
    if declared:
        yield version(declared), f"{DECLARED}={declared}"
    if home:
        yield _of_path(home), f"{name}={home}"
    label = build.labels.get(_LABEL, "")
    if label:
        yield version(label), f"label {_LABEL}={label}"


def _starts(build: Build) -> bool:
    """Say whether an image starts `java` by itself."""
    words = build.command
    return any("java" in word for word in words) and any(one.program == "java" for one in shell.starts(words))


def _home(build: Build) -> tuple[str, str]:
    environment = build.environment
    return next(((name, environment[name]) for name in HOMES if environment.get(name)), ("", ""))


@lru_cache(maxsize=1024)
def _of_path(path: str) -> jvm.Version | None:
    """Return the version in the name of a directory; the exact one where there are two (zulu17.44.15-ca-jdk17.0.8)."""
    kona = _KONA_8.search(path)
    if kona:
        return jvm.Version(8, int(kona[1]))
    found = [version(match[1]) for match in _NAMED.finditer(path)]
    known = [one for one in found if one is not None and one.major >= _OLDEST]
    return next((one for one in known if one.update is not None), known[-1] if known else None)


def _of_history(build: Build) -> tuple[jvm.Version, str] | None:
    """Return the version in the history of an image of a vendor who tells it nowhere else."""
    built = _built(build)
    pattern = _VERSIONS.get(built[0].name) if built else None
    if built is None or pattern is None:
        return None
    # the arguments of a step stand in it, or before it: `|1 version=... /bin/sh -c ...`, `ARG version=...`; a `version`
    # that comes later is the application's own
    for step in built[1]:
        match = pattern.search(step)
        known = version(match[1]) if match else None
        if match and known is not None and known.update is not None:
            return known, f"{match[0]} in the history of the image"
    return None


def _built(build: Build) -> tuple[Vendor, Sequence[str]] | None:
    """Return whose JDK the history says was installed last; and the step that did it, with those before, last first."""
    steps = _steps(build)
    found = ((_installed(step), number) for number, step in enumerate(steps))
    return next(((one, steps[number:]) for one, number in found if one is not None), None)


@lru_cache(maxsize=1024)
def _installed(step: str) -> Vendor | None:
    """Return whose JDK a step installed."""
    if not _ANY_HISTORY.search(step):
        return None
    return next(one for one, pattern in _HISTORIES if pattern.search(step))


def _steps(build: Build) -> Sequence[str]:
    """Return the commands that built an image, the last first; of very many the first are left out."""
    steps: Any = build.config.get("history")
    texts = (
        [step.get("created_by") for step in steps[-_STEPS:] if isinstance(step, dict)]
        if isinstance(steps, list)
        else []
    )
    return [text[:_LONGEST] for text in reversed(texts) if isinstance(text, str)]
