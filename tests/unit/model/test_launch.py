"""Which JVMs a container starts, and which options hold in each."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.model import launch, oci
from webhook.model.java import HIDDEN, Machine
from webhook.model.oci import Build
from webhook.model.pods import Container


def container(**spec: Any) -> Container:
    env = spec.pop("env", {})
    entries = [
        {"name": name, **(value if isinstance(value, dict) else {"value": value})} for name, value in env.items()
    ]
    return Container("web", "container", {**spec, "env": entries}, "/c")


def machines(launcher: bool = True, **spec: Any) -> list[Machine]:
    return list(launch.start(container(**spec), ["JAVA_OPTS"]).machines(launcher))


def heap(one: Machine) -> str | None:
    held = one.held.get("MaxHeapSize")
    return None if held is None else f"{held.found} at {held.source.pointer}"


SECRET = {"valueFrom": {"secretKeyRef": {"name": "web", "key": "java"}}}


@pytest.mark.parametrize(
    ("env", "words", "wanted"),
    [
        ({"JAVA_TOOL_OPTIONS": "-Xmx1g"}, [], "-Xmx1g in JAVA_TOOL_OPTIONS at /c/env/0"),
        ({"JAVA_TOOL_OPTIONS": "-Xmx1g"}, ["-Xmx2g"], "-Xmx2g in command at /c/command"),
        ({"JDK_JAVA_OPTIONS": "-Xmx1g"}, ["-Xmx2g"], "-Xmx2g in command at /c/command"),
        ({"JDK_JAVA_OPTIONS": "-Xmx1g", "JAVA_TOOL_OPTIONS": "-Xmx3g"}, [], "-Xmx1g in JDK_JAVA_OPTIONS at /c/env/0"),
        ({"_JAVA_OPTIONS": "-Xmx1g"}, ["-Xmx2g"], "-Xmx1g in _JAVA_OPTIONS at /c/env/0"),
        ({}, ["-Xmx1g", "-Xmx2g"], "-Xmx2g in command at /c/command"),
        ({"JAVA_OPTS": "-Xmx1g"}, [], None),
    ],
)
def test_the_last_place_of_an_option_counts(env: dict[str, str], words: list[str], wanted: str | None) -> None:
    [one] = machines(command=["java", *words, "-jar", "web.jar"], env=env)
    assert (heap(one), one.complete) == (wanted, True)


def test_a_jdk_8_has_a_launcher_without_a_variable_of_its_own() -> None:
    [one] = machines(launcher=False, command=["java", "-jar", "web.jar"], env={"JDK_JAVA_OPTIONS": "-Xmx1g"})
    assert one.held == {}


def test_an_entrypoint_of_the_image_may_pass_on_what_only_scripts_know() -> None:
    [one] = machines(env={"JAVA_OPTS": "-Xmx1g"})
    assert heap(one) == "-Xmx1g in JAVA_OPTS, if a script passes it on at /c/env/0"


def test_what_is_not_seen_hides_what_stands_before_it_only() -> None:
    [one] = machines(command=["java", "-Xmx1g", "-jar", "web.jar"], env={"JAVA_TOOL_OPTIONS": SECRET})
    assert (heap(one), one.complete) == ("-Xmx1g in command at /c/command", False)
    [one] = machines(command=["java", "-Xmx1g", "-jar", "web.jar"], env={"_JAVA_OPTIONS": SECRET})
    assert (set(one.held), one.complete) == ({HIDDEN}, False)


@pytest.mark.parametrize(
    "spec",
    [
        {"envFrom": [{"secretRef": {"name": "web"}}], "command": ["java", "-jar", "web.jar"]},
        {"command": ["java", "@options", "-jar", "web.jar"]},
        {"command": ["sh", "-c", ". ./env.sh; exec java -jar web.jar"]},
        {"command": ["sh", "-c", "export JAVA_TOOL_OPTIONS=-Xmx1g; exec java -jar web.jar"]},
        {"command": ["sh", "-c", "exec java $MORE -jar web.jar"]},
        {"command": ["sh", "-c", "unset JAVA_TOOL_OPTIONS; java -jar web.jar"], "env": {"JAVA_TOOL_OPTIONS": "-Xmx1g"}},
        {"command": ["env", "-u", "_JAVA_OPTIONS", "java", "-jar", "web.jar"], "env": {"_JAVA_OPTIONS": "-Xmx1g"}},
    ],
)
def test_a_manifest_that_leaves_some_options_out_is_not_complete(spec: dict[str, Any]) -> None:
    [one] = machines(**spec)
    assert not one.complete


def test_each_jvm_of_a_script_stands_by_itself() -> None:
    first, second = machines(command=["sh", "-c", "java -Xmx1g -cp a Setup && exec java -Xmx2g -jar web.jar"])
    assert (heap(first), heap(second)) == ("-Xmx1g in command at /c/command", "-Xmx2g in command at /c/command")


@pytest.mark.parametrize(
    ("spec", "runs", "direct"),
    [
        ({"command": ["/opt/java/bin/java", "-jar", "web.jar"]}, True, True),
        ({"args": ["java", "-jar", "web.jar"]}, True, False),
        ({"args": ["-jar", "web.jar"]}, True, False),
        ({"args": ["--class-path", "/app", "Main"]}, True, False),
        ({"command": ["/wait-for-it.sh", "db:5432", "--", "java", "-jar", "web.jar"]}, True, False),
        ({"command": ["catalina.sh", "run"]}, True, False),
        ({"command": ["echo", "java", "-jar", "web.jar"]}, False, False),
        ({"command": ["/find", "java"]}, False, False),
        ({"command": ["java", "-version"]}, False, False),
        ({"command": ["/web"]}, False, False),
        ({"command": ["/web"], "env": {"JAVA_TOOL_OPTIONS": "-Da=b"}}, True, False),
        ({"command": ["/web"], "env": {"JAVA_TOOL_OPTIONS": ""}}, False, False),
    ],
)
def test_java_is_what_starts_it_or_has_its_variables(spec: dict[str, Any], runs: bool, direct: bool) -> None:
    start = launch.start(container(**spec), ["JAVA_OPTS"])
    assert (start.runs, start.direct) == (runs, direct)


def test_the_last_variable_of_a_name_counts_and_only_a_literal_has_a_text() -> None:
    entries = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "B", **SECRET}, {"name": "C"}]
    one = Container("web", "container", {"env": entries}, "/c")
    assert (launch.at(one, "A"), launch.literal(one, "A")) == ("/c/env/1", "2")
    assert (launch.at(one, "B"), launch.literal(one, "B")) == ("/c/env/2", None)
    assert (launch.at(one, "C"), launch.literal(one, "C")) == ("/c/env/3", "")
    assert (launch.at(one, "D"), launch.literal(one, "D")) == ("", None)


def test_a_word_may_stand_twice() -> None:
    words = ["--add-opens", "a", "--add-opens", "b", "-Xmx1g", "-Xmx2g", "-Xmx1g"]
    [one] = machines(command=["java", *words, "-jar", "web.jar"])
    assert heap(one) == "-Xmx1g in command at /c/command"


def test_an_option_is_named_by_where_it_is_written() -> None:
    env = {"HEAP": "4g", "OPTS": "-Xmx3g"}
    for script, wanted in (
        ("java -Xmx2g -jar web.jar", "-Xmx2g in args at /c/args"),
        ("java -Xmx$HEAP -jar web.jar", "-Xmx4g in args at /c/args"),
        ("java $OPTS -jar web.jar", "-Xmx3g in OPTS at /c/env/1"),
        ("java $(OPTS) -jar web.jar", "-Xmx3g in OPTS at /c/env/1"),
    ):
        [one] = machines(command=["sh", "-c"], args=[script], env=env)
        assert heap(one) == wanted


@pytest.mark.parametrize(
    "spec",
    [
        {"command": ["java", "-jar", "a.jar"]},
        {"args": ["-jar", "a.jar"]},
        {"args": ["-cp", "a", "Main"]},
        {"command": ["sh", "-c", "ja''va -jar a.jar"]},
        {"command": ["sh", "-c", "exec ja\\va -jar a.jar"]},
        {"command": ["$(RUN)", "Main"], "env": {"RUN": "java"}},
        {"command": ["sh", "-c", "JAVA_OPTS=-Xmx1g exec ./run"]},
        {"command": ["kafka-server-start.sh"]},
        {"env": {"JAVA_OPTS": "-Xmx1g"}},
        {"env": {"JAVA_TOOL_OPTIONS": SECRET}},
    ],
)
def test_a_container_that_runs_a_jvm_is_never_silent(spec):
    assert launch.start(container(**spec), ["JAVA_OPTS"]).runs
    assert not launch.silent(container(**spec), launch.variables(["JAVA_OPTS"]))


@pytest.mark.parametrize("spec", [{}, {"args": ["--listen=:8080"]}, {"command": ["sh", "-c", "exec web; rm x"]}])
def test_a_container_without_any_sign_of_java_is_silent(spec):
    assert launch.silent(container(**spec, env={"A": "java"}), launch.variables(["JAVA_OPTS"]))
    assert not launch.start(container(**spec, env={"A": "java"}), ["JAVA_OPTS"]).runs


# -- with the image known -----------------------------------------------------------------------------------------


def image(*entrypoint: str, cmd: list[str] | None = None, env: dict[str, str] | None = None) -> Build:
    variables = [f"{name}={value}" for name, value in (env or {}).items()]
    execution = {"Entrypoint": list(entrypoint), "Cmd": cmd or [], "Env": variables}
    return Build("", oci.platform("linux/amd64"), {"config": execution})


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({}, "-Xmx1g in the image's own command at /c/image"),
        ({"args": ["-Xmx2g", "-jar", "b.jar"]}, "-Xmx2g in args at /c/args"),
        ({"command": ["java", "-Xmx3g", "-jar", "c.jar"]}, "-Xmx3g in command at /c/command"),
        ({"command": ["java", "-jar", "c.jar"]}, "-Xmx4g in JAVA_TOOL_OPTIONS of the image at /c/image"),
        ({"command": ["java", "-jar", "c.jar"], "env": {"JAVA_TOOL_OPTIONS": ""}}, None),
        (
            {"command": ["java", "-jar", "c.jar"], "env": {"JAVA_TOOL_OPTIONS": "-Xmx5g"}},
            "-Xmx5g in JAVA_TOOL_OPTIONS at /c/env/0",
        ),
    ],
)
def test_what_a_manifest_leaves_the_image_has(spec: dict[str, Any], wanted: str | None) -> None:
    build = image("java", cmd=["-Xmx1g", "-jar", "a.jar"], env={"JAVA_TOOL_OPTIONS": "-Xmx4g"})
    start = launch.start(container(**spec), [], build)
    [one] = start.machines(launcher=True)
    assert (heap(one), start.runs, start.direct) == (wanted, True, True)


def test_any_variable_of_the_image_may_be_another_one_in_env_from() -> None:
    build = image("java", "-jar", "a.jar", env={"JAVA_TOOL_OPTIONS": "-Xmx4g"})
    start = launch.start(container(envFrom=[{"secretRef": {"name": "web"}}]), [], build)
    [one] = start.machines(launcher=True)
    assert (heap(one), one.complete) == (None, False)


def test_the_variables_of_an_image_do_not_make_another_program_java() -> None:
    build = image("java", "-jar", "a.jar", env={"JAVA_TOOL_OPTIONS": "-Xmx4g"})
    assert not launch.start(container(command=["/app/report"]), [], build).runs
    assert launch.silent(container(command=["/app/report"]), launch.variables([]), build)


def test_a_script_of_the_image_stands_before_the_java_that_it_starts() -> None:
    start = launch.start(container(), [], image("/entrypoint.sh", cmd=["java", "-Xmx1g", "-jar", "a.jar"]))
    [one] = start.machines(launcher=True)
    assert (heap(one), start.direct) == ("-Xmx1g in the image's own command at /c/image", False)


@pytest.mark.parametrize(
    "build",
    [
        image("java", "-jar", "a.jar"),
        image("sh", "-c", "exec java $JAVA_OPTS -jar a.jar"),
        image(cmd=["catalina.sh", "run"]),
        image("/entrypoint.sh", env={"JAVA_TOOL_OPTIONS": "-Xmx1g"}),
        image("/entrypoint.sh", env={"JAVA_OPTS": "-Xmx1g"}),
    ],
)
def test_a_container_whose_image_runs_a_jvm_is_never_silent(build: Build) -> None:
    assert launch.start(container(), ["JAVA_OPTS"], build).runs
    assert not launch.silent(container(), launch.variables(["JAVA_OPTS"]), build)


def test_a_container_whose_image_has_no_sign_of_java_is_silent() -> None:
    node = image("node", cmd=["server.js"], env={"NODE_ENV": "production"})
    assert launch.silent(container(), launch.variables(["JAVA_OPTS"]), node)
