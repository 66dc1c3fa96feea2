"""Which JDK is in an image: what the usual vendors' own images say, and those built on them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.model import jdk, oci
from webhook.model.jvm import Version
from webhook.model.oci import Build

HOME = "JAVA_HOME=/opt/java/openjdk"
RED_HAT = "org.jboss.product.openjdk.version"


def image(env: list[str], history: list[str] | None = None, labels: dict[str, str] | None = None) -> Build:
    config = {
        "config": {"Env": env, "Labels": labels or {}},
        "history": [{"created_by": step} for step in history or []],
    }
    return Build("sha256:a", oci.platform("linux/amd64"), config)


@pytest.mark.parametrize(
    ("vendor", "env", "history", "labels", "version"),
    [
        ("temurin", [HOME, "JAVA_VERSION=jdk-17.0.9+9"], ["RUN curl adoptium/temurin17-binaries/x"], {}, "17.0.9"),
        ("temurin", ["JAVA_HOME=/usr/lib/jvm/temurin-11-jdk-amd64"], [], {}, "11"),
        ("", [HOME, "JAVA_VERSION=jdk8u352-b08"], [], {}, "8u352"),
        ("", [HOME, "JAVA_VERSION=jdk-21.0.12.1+1"], [], {}, "21.0.12"),
        ("corretto", ["JAVA_HOME=/usr/lib/jvm/java-17-amazon-corretto"], ["RUN apt-get install java-17"], {}, "17"),
        (
            "corretto",
            ["JAVA_HOME=/usr/lib/jvm/java-11-amazon-corretto"],
            ["ARG version=11.0.20.9-1", "|1 version=11.0.20.9-1 /bin/sh -c curl https://corretto.aws/x"],
            {},
            "11.0.20",
        ),
        (
            "corretto",
            ["JAVA_HOME=/usr/lib/jvm/default-jvm"],
            ["ARG version=11.0.30.7.1", "RUN apk add amazon-corretto-11=$version-r0", "ENV LANG=C.UTF-8"],
            {},
            "11.0.30",
        ),
        (
            "corretto",
            ["JAVA_HOME=/usr/lib/jvm/java-1.8.0-amazon-corretto/jre"],
            ["ARG version=1.8.0_382.b05-1", "RUN curl https://corretto.aws/x"],
            {},
            "8u382",
        ),
        ("corretto", ["JAVA_HOME=/usr/lib/jvm/default-jvm"], ["ARG version=8.382.05.1", "RUN corretto"], {}, "8u382"),
        ("zulu", ["JAVA_HOME=/usr/lib/jvm/zulu17-ca-amd64"], [], {}, "17"),
        ("zulu", ["JAVA_HOME=/usr/lib/jvm/zulu8"], ["RUN apt install zulu8-jdk-headless"], {}, "8"),
        ("zulu", ["JAVA_HOME=/usr/lib/jvm/zulu11-ca-amd64"], ["RUN apt install zulu11-jdk=11.0.17-*"], {}, "11.0.17"),
        ("zulu", ["JAVA_HOME=/opt/zulu17.44.15-ca-jdk17.0.8-linux_x64"], [], {}, "17.0.8"),
        ("liberica", ["JAVA_HOME=/usr/lib/jvm/jdk-17.0.17-bellsoft"], [], {}, "17.0.17"),
        ("liberica", ["JAVA_HOME=/usr/lib/jvm/jdk-8u392-bellsoft"], [], {}, "8u392"),
        (
            "liberica",
            ["JAVA_HOME=/usr/lib/jvm/jdk"],
            ["ARG LIBERICA_VERSION=8u352", "RUN wget https://download.bell-sw.com/java/x"],
            {},
            "8u352",
        ),
        ("microsoft", ["JAVA_HOME=/usr/lib/jvm/msopenjdk-11-amd64"], [], {}, "11"),
        ("microsoft", ["JAVA_HOME=/usr/jdk"], [], {"Support": "Microsoft OpenJDK Support <x@y>"}, None),
        ("openjdk", ["JAVA_HOME=/usr/local/openjdk-11", "JAVA_VERSION=11.0.14"], [], {}, "11.0.14"),
        ("openjdk", ["JAVA_HOME=/usr/local/openjdk-8", "JAVA_VERSION=8u342"], [], {}, "8u342"),
        ("openjdk", ["JAVA_HOME=/usr/java/openjdk-17", "JAVA_VERSION=17-ea+33"], [], {}, "17"),
        ("openjdk", ["JAVA_VERSION=openjdk-17.0.2"], ["RUN https://download.java.net/java/GA/jdk17"], {}, "17.0.2"),
        ("openjdk", ["JAVA_HOME=/usr/lib/jvm/java-17-openjdk-amd64"], [], {}, "17"),
        ("semeru", [HOME, "JAVA_VERSION=jdk-17.0.9+9_openj9-0.41.0"], [], {}, "17.0.9"),
        ("semeru", [HOME, "JAVA_VERSION=jdk-17.0.19.0"], ["RUN x/ibmruntimes/semeru17-binaries"], {}, "17.0.19"),
        (
            "semeru",
            ["JAVA_HOME=/opt/ibm/java", "JAVA_VERSION=11.0.19.0"],
            [],
            {"name": "IBM Semeru Runtime Certified Edition", "version": "1.4.2"},
            "11.0.19",
        ),
        ("semeru", ["JAVA_HOME=/opt/ibm/java/jre", "JAVA_VERSION=1.8.0_sr8fp15"], [], {}, "8"),
        ("dragonwell", [HOME, "JAVA_VERSION=jdk8u382-b01"], ["RUN x/dragonwell-project/dragonwell8/x"], {}, "8u382"),
        ("dragonwell", [HOME, "JAVA_VERSION=jdk-11.0.19.15+7"], ["RUN x/dragonwell11/releases/x"], {}, "11.0.19"),
        ("dragonwell", [HOME, "JAVA_VERSION=jdk-17.0.7.0.7+7"], ["RUN x/dragonwell17/releases/x"], {}, "17.0.7"),
        ("dragonwell", ["JAVA_HOME=/usr/local/dragonwell-8", "JAVA_VERSION=8.15.16"], [], {}, "8u372"),
        ("kona", ["JAVA_HOME=/data/TencentKona-8.0.13-362"], [], {}, "8u362"),
        ("kona", ["JAVA_HOME=/data/TencentKona-17.0.8.b1"], [], {}, "17.0.8"),
        ("kona", ["JAVA_HOME=/opt/jdk"], ["RUN curl TencentKona8.0.21.b1_jdk_linux-x86_64_8u442.tar.gz"], {}, "8u442"),
        ("redhat", ["JAVA_HOME=/usr/lib/jvm/jre", "JAVA_VERSION=17"], [], {RED_HAT: "17"}, "17"),
        ("", ["JAVA_HOME=/usr/local/jdk1.8.0_202"], [], {}, "8u202"),
        ("", ["JAVA_HOME=/opt/graalvm22-ce-java17"], [], {}, "17"),
        ("", ["JDK_HOME=/opt/jdk-21.0.1"], [], {}, "21.0.1"),
    ],
)  # fmt: skip
def test_the_images_of_vendors_tell_whose_jdk_they_have_and_which(
    vendor: str, env: list[str], history: list[str], labels: dict[str, str], version: str | None
) -> None:
    found = jdk.read(image(env, history, labels))
    assert found is not None
    assert (str(found.version) if found.version else None) == version
    assert jdk.vendor(image(env, history, labels)) == vendor


def test_an_image_that_says_nothing_of_java_has_none() -> None:
    assert jdk.read(image(["PATH=/usr/bin", "JAVA_VERSION="], ["RUN npm ci"])) is None
    assert jdk.read(Build("", oci.platform("linux/amd64"), {"config": None, "history": 7})) is None


@pytest.mark.parametrize(
    "command",
    [["java", "-jar", "/app.jar"], ["/usr/bin/java", "Main"], ["sh", "-c", "exec java -jar /app.jar"]],
)
def test_an_image_that_starts_java_has_a_jdk_of_which_nothing_is_told(command: list[str]) -> None:
    build = Build("", oci.platform("linux/amd64"), {"config": {"Entrypoint": command[:1], "Cmd": command[1:]}})
    assert jdk.read(build) == jdk.Jdk(None, "the image starts java")


def test_a_jdk_that_was_put_in_over_another_leaves_two_versions_and_none_counts() -> None:
    found = jdk.read(image(["JAVA_VERSION=jdk-11.0.20+8", "JAVA_HOME=/usr/lib/jvm/java-17-openjdk"]))
    told = "JAVA_VERSION=jdk-11.0.20+8 and JAVA_HOME=/usr/lib/jvm/java-17-openjdk"
    assert found == jdk.Jdk(None, told, unlike=True)


def test_a_history_that_tells_of_another_version_than_the_config_does_not_count() -> None:
    # a base with Corretto 8, in which somebody has set JAVA_HOME to what he put in beside it
    steps = ["ARG version=8.352.08.1", "RUN https://corretto.aws/x"]
    found = jdk.read(image(["JAVA_HOME=/usr/lib/jvm/java-11-openjdk"], steps))
    assert found == jdk.Jdk(Version(11, None), "JAVA_HOME=/usr/lib/jvm/java-11-openjdk")


def test_the_version_of_the_application_is_not_that_of_its_jdk() -> None:
    base = ["ARG version=11.0.30.7.1", "RUN apk add amazon-corretto-11=$version-r0"]
    found = jdk.read(image(["JAVA_HOME=/usr/lib/jvm/default-jvm"], [*base, "ARG version=21.0.4", "COPY . /app"]))
    assert found == jdk.Jdk(Version(11, 30), "version=11.0.30.7.1 in the history of the image")
    squashed = jdk.read(image(["JAVA_HOME=/opt/java2"], ["RUN apk add amazon-corretto-11", "ARG version=1.4.2"]))
    assert squashed == jdk.Jdk(None, "JAVA_HOME=/opt/java2")


def test_of_a_history_of_very_many_steps_the_last_are_read() -> None:
    steps = ["ARG LIBERICA_VERSION=8u392", "RUN curl https://download.bell-sw.com/java/jdk.tar.gz"]
    later = ["RUN echo"]
    assert jdk.read(image([], [*steps, *later * 500])) is not None
    assert jdk.read(image([], [*steps, *later * 50_000])) is None


def test_of_a_history_the_jdk_counts_that_came_last() -> None:
    steps = ["RUN curl https://corretto.aws/x", "RUN wget https://cdn.azul.com/zulu/bin/x"]
    assert jdk.vendor(image([HOME], steps)) == "zulu"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("8.15.16", 372), ("8.14.15", 345), ("8.16.17", 382), ("8.25.24", 382), ("8.4.4-GA", 262), ("8.3.3", None)],
)
def test_dragonwells_own_numbers_are_the_update_they_were_made_from_or_the_last_known_before(
    text: str, wanted: int | None
) -> None:
    assert jdk.version(text) == Version(8, wanted)


@given(st.text(), st.text(), st.lists(st.text()), st.text())
def test_whatever_a_config_holds_it_is_read_without_an_error(
    declared: str, home: str, history: list[str], label: str
) -> None:
    build = image([f"JAVA_VERSION={declared}", f"JAVA_HOME={home}"], history, {RED_HAT: label})
    found = jdk.read(build)
    assert found is None or found.told
    assert jdk.vendor(build) in ("", *jdk.VENDORS)
