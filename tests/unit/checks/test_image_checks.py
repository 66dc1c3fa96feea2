"""jdk-version, image-config and jvm-flags where they ask registries: mistakes, failures, and the shipped packs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook import sources
from webhook.checks import image_config, jdk_version, jvm_flags
from webhook.checks.check import Check, ParamError
from webhook.engine.evaluate import evaluate, needs
from webhook.engine.facts import Facts
from webhook.errors import ConfigError
from webhook.model import oci
from webhook.model.decision import Decision
from webhook.model.oci import Inspected, Lookup
from webhook.model.patch import apply
from webhook.model.review import Review
from webhook.packs import manual
from webhook.packs.compile import ruleset
from webhook.packs.rule import Ruleset

ROOT = Path(__file__).parents[3]
ASKED = datetime(2026, 11, 1, tzinfo=UTC)
IMAGE = "registry.example/shop/web:1.4.2"
OLD = {"created": "2020-01-01T00:00:00Z", "config": {"Env": ["JAVA_VERSION=8u352"], "Labels": {"tier": "web"}}}


def known(config: dict[str, Any]) -> Facts:
    document = {"digest": "sha256:a", "builds": [{"config": config}]}
    return Facts(images={Lookup(IMAGE): oci.inspected(document, ASKED)})


def problems(build: Callable[[dict[str, Any]], Check], params: dict[str, Any]) -> dict[tuple[str | int, ...], str]:
    with pytest.raises(ParamError) as told:
        build(params)
    return dict(told.value.problems)


def test_least_versions_that_are_none_or_are_two_of_one_line_are_told() -> None:
    params = {**jdk_version.DEFAULTS, "least": ["8u372", "latest", "11.0.16", "11.0.20"]}
    assert problems(jdk_version.build, params) == {
        ("least", 1): "'latest' is no version of a JDK; wanted 17.0.9 or 8u372",
        ("least", 3): "'11.0.20' is the second of Java 11; wanted one of each",
    }


@pytest.mark.parametrize("age", ["180", "1.5", '"180"'])
def test_a_number_for_an_age_is_told_the_unit_at_once(load: Callable[..., Any], age: str) -> None:
    with pytest.raises(ConfigError) as told:
        load(f"rules:\n  - {{name: r, check: image-config, action: warn, params: {{maxAge: {age}}}}}\n")
    [problem] = told.value.problems
    assert problem.text.endswith("wanted hours, days or weeks: 36h, 180d, 26w")
    assert "quote" not in problem.text


def test_every_parameter_of_an_image_that_cannot_be_meant_is_told_with_its_place() -> None:
    conditions = [
        {"expression": "image.age > 3"},
        {"expression": "image.size", "messageExpression": "image.size"},
        {"expression": "object.spec == null"},
        {"expression": "image.size < 5 &&"},
    ]
    params = {**image_config.DEFAULTS, "maxAge": "half a year", "maxSize": "1KB", "conditions": conditions}
    found = problems(image_config.build, params)
    assert found[("maxAge",)] == "'half a year' is no age; wanted hours, days or weeks: 36h, 180d, 26w"
    assert found[("maxSize",)] == "'1KB' is no size; wanted one like 500Mi"
    assert "`>` does not work on" in found[("conditions", 0, "expression")]
    only = "CEL, column 1: `object` is not available here, only container, image, pod"
    assert found[("conditions", 2, "expression")] == only
    assert found[("conditions", 3, "expression")].startswith("CEL, column 18: syntax error")
    assert ("conditions", 1, "expression") not in found  # of what type a field is, only the image tells


def test_a_condition_that_cannot_be_compiled_is_a_mistake_of_its_pack(
    load: Callable[..., Ruleset],
) -> None:
    with pytest.raises(ConfigError) as told:
        load("""
            rules:
              - name: images
                check: image-config
                action: deny
                params:
                  conditions:
                    - expression: "image.size < 'small' && image.age < 5"
        """)
    assert str(told.value).startswith("pack0.yaml:12: spec.rules[0].params.conditions[0].expression: CEL, column ")


CONDITION = """
rules:
  - name: images
    check: image-config
    action: deny
    onError: %s
    params: {nonRoot: false, conditions: [{expression: "image.labels.owner == 'shop'"}]}
"""


@pytest.mark.parametrize(("on_error", "allowed"), [("deny", False), ("warn", True)])
def test_a_condition_that_fails_is_an_error_of_the_rule_and_on_error_decides(
    judge: Callable[..., Decision], deployment: Callable[..., Any], on_error: str, allowed: bool
) -> None:
    decision = judge(CONDITION % on_error, deployment(), facts=known(OLD))
    assert [fault.message for fault in decision.errors] == ["no such key: owner"]
    assert (decision.allowed, decision.findings) == (allowed, ())


def test_a_config_that_cel_cannot_see_is_an_error_of_the_rule(
    judge: Callable[..., Decision], deployment: Callable[..., Any]
) -> None:
    config = {"config": {"Labels": {"owner": "shop\0evil"}}}
    (fault,) = judge(CONDITION % "deny", deployment(), facts=known(config)).errors
    assert fault.message.startswith(f"{IMAGE}: what its registry says cannot be judged: /labels/owner: ")


def test_what_is_not_known_of_an_image_is_left_to_on_unknown(
    judge: Callable[..., Decision], deployment: Callable[..., Any]
) -> None:
    pack = "rules: [{name: jdk, check: jdk-version, action: deny, onUnknown: %s}]"
    lacking = Facts(images={Lookup(IMAGE): Inspected(lacking="the registry did not answer in time")})
    for on_unknown, allowed in (("warn", True), ("deny", False)):
        decision = judge(pack % on_unknown, deployment(), facts=lacking)
        assert decision.allowed is allowed
        assert [(fault.fact, fault.message) for fault in decision.unknown] == [
            ("images", f"{IMAGE}: the registry did not answer in time")
        ]


def test_the_conditions_on_the_page_are_compiled_and_say_what_they_say_there(
    judge: Callable[..., Decision], deployment: Callable[..., Any]
) -> None:
    block = manual.page(image_config).split("## Parameters")[1].split("```yaml")[1].split("```")[0]
    params = {**yaml.safe_load(block)["params"], "nonRoot": False}
    pack = yaml.safe_dump({"rules": [{"name": "images", "check": "image-config", "action": "deny", "params": params}]})
    config = {"created": "2026-09-01T00:00:00Z", "config": {"User": "root"}}
    found = judge(pack, deployment(), facts=known(config)).findings
    assert sorted((one.violation.reason, one.violation.found) for one in found) == [
        ("image without a label", "no label com.example.owner"),
        ("image without a label", "no label org.opencontainers.image.revision"),
        ("our own images have a user with a number above 999", "User root"),
        ("what faces the internet is built every month", IMAGE),
    ]


def test_jvm_flags_asks_no_registry_unless_a_pack_says_so() -> None:
    assert not jvm_flags.build(jvm_flags.DEFAULTS).asks
    assert jvm_flags.build({**jvm_flags.DEFAULTS, "fromImages": True}).into_images


# -- in the shipped packs ----------------------------------------------------------------------------------------


def shipped() -> list[tuple[str, str]]:
    return [(path.name, path.read_text()) for path in sources.shipped()]


def extended(base: str, spec: str) -> Ruleset:
    """Return a shipped pack with what a company changes in it, in force."""
    own = f"apiVersion: plimsoll.dev/v1\nkind: RulePack\nmetadata: {{name: acme}}\nspec: {{extends: {base}, {spec}}}\n"
    return ruleset([("acme.yaml", own)], mode="enforce", bases=shipped())


def test_as_shipped_no_pack_asks_a_registry(review: Callable[..., Review], deployment: Callable[..., Any]) -> None:
    rules = ruleset(shipped(), mode="enforce")
    asked = review(deployment())
    assert not needs(rules, asked, "all").images
    assert not needs(rules, asked, "mutate").images


def test_what_the_sample_says_is_wrong_with_its_images_is_found_where_registries_are_asked(
    judge: Callable[..., Decision],
) -> None:
    java = {"digest": "sha256:a", "builds": [{"config": {"config": {"Env": ["JAVA_VERSION=8u352"], "User": "1000"}}}]}
    root = {"digest": "sha256:b", "builds": [{"config": {"config": {"Entrypoint": ["/import"]}}}]}
    known = {"registry.example/shop/billing:3.1.0": java, "registry.example/shop/billing-import:3.1.0": root}
    facts = Facts(images={Lookup(name): oci.inspected(one, ASKED) for name, one in known.items()})
    sample = yaml.safe_load((ROOT / "samples" / "images.yaml").read_text())
    found = {}
    for base, rule in (("containerization", "jdk-version"), ("best-practices", "image-config")):
        decision = judge(extended(base, f"rules: [{{name: {rule}, action: deny}}]"), sample, facts=facts)
        found |= {one.rule: one.violation.container for one in decision.findings if one.rule == rule}
    assert found == {"jdk-version": "billing", "image-config": "import"}


@pytest.mark.parametrize(
    ("base", "spec", "rule", "found"),
    [
        (
            "containerization",
            "rules: [{name: jdk-version, action: warn}]",
            "jdk-version",
            ["Java 8u352: JAVA_VERSION=8u352"],
        ),
        (
            "containerization",
            'values: {javaLeast: ["21"], javaVendors: [temurin]}, rules: [{name: jdk-version, action: warn}]',
            "jdk-version",
            ["Java 8u352: JAVA_VERSION=8u352"],
        ),
        (
            "best-practices",
            "values: {imageAge: 180d, imageLabels: {owner: '*'}}, rules: [{name: image-config, action: deny}]",
            "image-config",
            ["no User", "created 2020-01-01, 2496 days ago", "no label owner"],
        ),
        (
            "containerization",
            "values: {javaFromImages: true}",
            "jvm-flags",
            [f"{IMAGE}, which has Java 8u352: JAVA_VERSION=8u352", "no cpu limit and no -XX:ActiveProcessorCount"],
        ),
    ],
)
def test_a_company_switches_them_on_by_a_pack_that_extends_the_shipped_one(
    judge: Callable[..., Decision],
    deployment: Callable[..., Any],
    base: str,
    spec: str,
    rule: str,
    found: list[str],
) -> None:
    config = {**OLD, "config": {**OLD["config"], "Entrypoint": ["java", "-Xmx64m", "-jar", "/app.jar"]}}
    decision = judge(extended(base, spec), deployment(), facts=known(config))
    assert [one.violation.found for one in decision.findings if one.rule == rule] == found


def test_what_an_image_sets_stays_when_a_heap_that_nothing_sizes_is_mended(
    judge: Callable[..., Decision], deployment: Callable[..., Any]
) -> None:
    limits = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}
    obj = deployment(pod={"containers": [{"name": "web", "image": IMAGE, "resources": limits}]})
    env = ["JAVA_VERSION=17.0.9", "JAVA_TOOL_OPTIONS=-javaagent:/agent.jar"]
    facts = known({"config": {"Entrypoint": ["java", "-jar", "/app.jar"], "Env": env}})
    rules = extended("containerization", "values: {javaFromImages: true}")
    decision = judge(rules, obj, facts=facts, endpoint="mutate")
    wanted = {"name": "JAVA_TOOL_OPTIONS", "value": "-javaagent:/agent.jar -XX:MaxRAMPercentage=75.0"}
    (container,) = apply(obj, list(decision.patch))["spec"]["template"]["spec"]["containers"]
    assert [one for one in container["env"] if one["name"] == "JAVA_TOOL_OPTIONS"] == [wanted]


ROOTLESS = "rules: [{name: images, check: image-config, action: deny, params: %s}]"
NUMBER = "User: %s, which is no number of a user; the largest is 2147483647"


@pytest.mark.parametrize(
    ("user", "found"),
    [
        *((text, f"User: {text}") for text in ("0", "00", "+0", "-0", "+0:1000", "0:0", "root:1000")),
        *((text, NUMBER % text) for text in ("4294967296", "2147483648:1000", "-1")),
        *((text, "") for text in ("1000", "+1000", "2147483647", "0app", "app")),
    ],
)
def test_a_user_is_read_as_runtimes_read_it(
    user: str, found: str, judge: Callable[..., Decision], deployment: Callable[..., Any]
) -> None:
    decision = judge(ROOTLESS % "{}", deployment(), facts=known({"config": {"User": user}}))
    assert [one.violation.found for one in decision.findings] == ([found] if found else [])


@pytest.mark.parametrize(
    ("spec", "index", "found"),
    [
        ({}, False, ["image runs as root", "JDK does not see its limits"]),
        ({}, True, []),
        ({"os": {"name": "windows"}}, False, []),
        ({"nodeSelector": {"kubernetes.io/os": "windows"}}, False, []),
    ],
)
def test_a_config_that_says_windows_hides_nothing_where_no_runtime_reads_that(
    spec: dict[str, Any],
    index: bool,
    found: list[str],
    judge: Callable[..., Decision],
    deployment: Callable[..., Any],
) -> None:
    build = {"platform": "windows/amd64", "config": {**OLD, "os": "windows"}}
    document = {"digest": "sha256:a", "builds": [build], "index": index}
    facts = Facts(images={Lookup(IMAGE): oci.inspected(document, ASKED)})
    rules = "rules: [{name: a, check: image-config, action: deny}, {name: b, check: jdk-version, action: deny}]"
    judged = judge(rules, deployment(pod=spec), facts=facts)
    assert [one.violation.reason for one in judged.findings] == found


def test_an_image_of_a_time_to_come_does_not_tell_its_age(
    judge: Callable[..., Decision], deployment: Callable[..., Any]
) -> None:
    for created, sure in (("2099-01-01T00:00:00Z", False), ("2026-11-01T10:00:00Z", True)):
        config = {"created": created, "config": {"User": "1000"}}
        decision = judge(ROOTLESS % "{maxAge: 180d, undated: find}", deployment(), facts=known(config))
        found = [(one.violation.reason, one.violation.found) for one in decision.findings]
        assert found == ([] if sure else [("image does not tell its age", f"created: {created}")])


@pytest.mark.parametrize(
    ("check", "endpoint"),
    [
        *((check, "all") for check in ("approved-base", "image-config", "jdk-version", "jvm-flags")),
        ("image-digest", "mutate"),
    ],
)
def test_a_rule_that_looks_into_many_images_stops_when_nobody_waits_any_more(
    check: str, endpoint: str, load: Callable[..., Ruleset], review: Callable[..., Review]
) -> None:
    params = {"approved-base": {"bases": [IMAGE]}, "jvm-flags": {"fromImages": True}}.get(check, {})
    rule = {"name": "a", "check": check, "action": "deny", "params": params, "fix": endpoint == "mutate"}
    rules = load(yaml.safe_dump({"rules": [rule]}))
    containers = [{"name": f"c{number}", "image": IMAGE} for number in range(1000)]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": containers}}
    asked = []

    def expired() -> bool:
        asked.append(1)
        return len(asked) > 20

    decision = evaluate(rules, review(pod), known(OLD), ASKED, endpoint, expired)
    assert [fault.message for fault in decision.errors] == ["not judged within the time that the API server waits"]
    assert len(asked) < 30
    assert (decision.allowed, decision.patch) == (endpoint == "mutate", ())
