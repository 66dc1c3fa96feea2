"""The reports of `plimsoll check`: each valid in its format, with every finding, whatever names there are."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import xmlschema

from webhook.cli.report.place import span

TESTS = Path(__file__).parents[2]
GOLDEN = TESTS / "golden" / "cli" / "check-text"
SARIF = json.loads((TESTS / "schemas" / "sarif-2.1.0.json").read_text())
JUNIT = xmlschema.XMLSchema(str(TESTS / "schemas" / "junit-10.xsd"))
OWN = json.loads((TESTS.parent / "docs" / "schemas" / "check.json").read_text())
NAMESPACE = '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default", "labels": {"tier": "prod"}}}\n'
NASTY = f"""{NAMESPACE}---
apiVersion: v1
kind: Pod
metadata: {{name: 'a", b&c<d>::error::%0A'}}
spec:
  containers:
    - name: "line one\\nline two \\u0007 %25"
      image: nginx
      resources: {{limits: {{memory: 1Gi}}, requests: {{memory: "]]>"}}}}
    - {{name: b, image: c, resources: {{limits: {{memory: 1Gi}}, requests: {{memory: "1\\n::error::x"}}}}}}
"""


@pytest.fixture
def check(plimsoll: Callable[..., Any]) -> Callable[..., Any]:
    """Judge what the golden text report shows, or another text, in one of the formats."""

    def run(form: str, text: str | None = None, *more: str) -> Any:
        Path("pack.yaml").write_text((GOLDEN / "pack.yaml").read_text())
        Path("deploy.yaml").write_text((GOLDEN / "deploy.yaml").read_text() if text is None else text)
        return plimsoll("check", "-o", form, "--policies", "pack.yaml", *more, "deploy.yaml")

    return run


def results(ran: Any) -> Any:
    (log,) = json.loads(ran.out)["runs"]
    return log["results"]


@pytest.mark.parametrize(
    "text", [None, NASTY, "kind: Nothing", "a: [", GOLDEN.joinpath("deploy.yaml").read_text() + "\n---\na: ["]
)
def test_each_report_is_valid_in_its_format(text: str | None, check: Callable[..., Any]) -> None:
    log = json.loads(check("sarif", text).out)
    jsonschema.validate(log, SARIF)
    JUNIT.validate(check("junit", text).out)
    jsonschema.validate(json.loads(check("json", text).out), OWN)
    for line in check("github", text).out.splitlines()[:-1]:
        assert line.startswith(("::error ", "::warning ", "::notice "))


def test_every_format_tells_the_same_findings_and_ends_with_the_same_status(check: Callable[..., Any]) -> None:
    ran = {form: check(form) for form in ("text", "json", "sarif", "junit", "github")}
    assert {one.status for one in ran.values()} == {1}
    found = [
        (f"{finding['pack']}/{finding['rule']}", finding["line"], finding["effective"], finding["exempt"] is not None)
        for result in json.loads(ran["json"].out)["results"]
        for finding in result["findings"]
    ]
    assert len(found) == 5
    levels = {"deny": "error", "warn": "warning", "audit": "note"}
    told = [one for one in results(ran["sarif"]) if "partialFingerprints" in one]
    assert [(one["ruleId"], one["level"], bool(one.get("suppressions"))) for one in told] == [
        (label, levels[effective], exempt) for label, _, effective, exempt in found
    ]
    regions = [one["locations"][0]["physicalLocation"]["region"]["startLine"] for one in told]
    assert regions == [line for _, line, _, _ in found]
    for label, line, effective, exempt in found:
        level = {"deny": "error", "warn": "warning", "audit": "notice"}[effective]
        shown = f"::{level} file=deploy.yaml,line={line},title={label}::"
        assert (shown in ran["github"].out) is not exempt
        assert (f"deploy.yaml:{line}: {effective}: {label}: " in ran["junit"].out) is not exempt


def test_a_sarif_result_knows_its_rule_with_its_page(check: Callable[..., Any]) -> None:
    (log,) = json.loads(check("sarif").out)["runs"]
    rules = log["tool"]["driver"]["rules"]
    assert all(rules[one["ruleIndex"]]["id"] == one["ruleId"] for one in log["results"])
    (equal,) = (rule for rule in rules if rule["name"] == "requests-equal-limits")
    assert "## What it does" in equal["help"]["markdown"]
    assert equal["help"]["text"] == "Set requests and limits to the same values."


def test_a_fingerprint_stays_when_lines_move_and_is_another_for_another_value(check: Callable[..., Any]) -> None:
    text = (GOLDEN / "deploy.yaml").read_text()
    first = [one.get("partialFingerprints") for one in results(check("sarif", text))]
    assert [one.get("partialFingerprints") for one in results(check("sarif", "# a line\n\n" + text))] == first
    other = [one.get("partialFingerprints") for one in results(check("sarif", text.replace("256Mi", "128Mi")))]
    assert sum(1 for one, two in zip(first, other, strict=True) if one != two) == 1


def test_what_could_not_be_read_is_in_every_report(check: Callable[..., Any]) -> None:
    text = (GOLDEN / "deploy.yaml").read_text() + "\n---\na: ["
    for form in ("sarif", "junit", "github"):
        ran = check(form, text)
        assert ran.status == 2
        assert "this is no YAML" in ran.out
    (log,) = json.loads(check("sarif", text).out)["runs"]
    assert log["invocations"][0]["executionSuccessful"] is False


def unreadable(plimsoll: Callable[..., Any], rules: int, form: str) -> Any:
    comes = ("action: audit", "action: deny", "action: warn, onError: warn")
    listed = [
        f"    - {{name: r{number}, expression: 'containers.size() == 0', {comes[number % 3]}}}\n"
        for number in range(rules)
    ]
    head = "apiVersion: plimsoll.dev/v1\nkind: RulePack\nmetadata: {name: acme}\nspec:\n  rules:\n"
    Path("pack.yaml").write_text(head + "".join(listed))
    Path("pod.yaml").write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: {web: {}}}\n")
    return plimsoll("check", "-o", form, "--policies", "pack.yaml", "pod.yaml")


def test_what_keeps_many_rules_from_judging_a_pod_is_told_once_with_what_comes_of_each(
    plimsoll: Callable[..., Any],
) -> None:
    ran = unreadable(plimsoll, 6, "text")
    assert ran.status == 1
    assert ran.out.splitlines() == [
        "pod.yaml:1: Pod default/web: denied",
        "  pod.yaml:1: deny: 6 rules failed",
        "      why:    spec.containers is no list of objects, so nothing in it can be judged; Kubernetes",
        "              refuses it",
        "      deny:   acme/r1, acme/r4",
        "      warn:   acme/r2, acme/r5",
        "      allow:  acme/r0, acme/r3",
        "",
        "1 object: 1 denied, 0 warned of, 0 audited; 0 findings, 6 errors",
    ]
    assert [fault["rule"] for fault in json.loads(unreadable(plimsoll, 6, "json").out)["results"][0]["errors"]] == [
        f"r{number}" for number in range(6)
    ]


def test_of_more_rules_than_anybody_reads_some_are_named_and_the_others_counted(plimsoll: Callable[..., Any]) -> None:
    lines = unreadable(plimsoll, 300, "text").out.splitlines()
    assert len(lines) < 20
    assert sum("and 90 more, which -o json names" in line for line in lines) == 3


def test_a_few_rules_that_could_not_judge_are_told_one_by_one(plimsoll: Callable[..., Any]) -> None:
    lines = unreadable(plimsoll, 3, "text").out.splitlines()
    assert [line for line in lines if line.endswith(": the rule failed")] == [
        "  pod.yaml:1: allow: r0: the rule failed",
        "  pod.yaml:1: deny: r1: the rule failed",
        "  pod.yaml:1: warn: r2: the rule failed",
    ]


def test_no_name_in_a_manifest_makes_a_command_for_github(check: Callable[..., Any]) -> None:
    lines = check("github", NASTY).out.splitlines()
    assert all(line.count("::") >= 2 and not line.startswith("::error::") for line in lines[:-1])
    assert any("%0A" in line for line in lines)
    assert not any(line.startswith("line two") for line in lines)


def test_a_junit_failure_names_what_denies_and_the_rest_is_output(check: Callable[..., Any]) -> None:
    root = ET.fromstring(check("junit").out)
    cases = {case.get("name"): case for case in root.iter("testcase")}
    web = cases["Deployment shop/web (deploy.yaml:11)"]
    assert "requests-equal-limits" in web.findtext("failure", "")
    assert "named-by-digest" in web.findtext("system-out", "")
    assert root.get("failures") == str(sum(1 for case in cases.values() if case.find("failure") is not None)) == "2"


@pytest.mark.parametrize(
    ("line", "key", "marked"),
    [
        ("    resources: {requests: {cpu: 1}}", "requests", "requests"),
        ("  - name: web", "name", "name"),
        ("  - name: web", "", "name: web"),
        ("{\"spec\": {\"a\": 1}}", "spec", '"spec"'),
        ("  a.b: c", "a+b", "a.b: c"),
        ("   ", "x", ""),
        ("", "x", ""),
        ("  x-requests: 1", "requests", "x-requests: 1"),
    ],
)  # fmt: skip
def test_carets_stand_under_the_key_or_else_under_the_line(line: str, key: str, marked: str) -> None:
    start, end = span(line, key)
    assert line[start:end] == marked


def test_a_long_line_is_cut_around_what_is_meant(check: Callable[..., Any]) -> None:
    long = '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "annotations": {"a": "' + "y" * 500
    long += '"}}, "spec": {"containers": [{"name": "c", "image": "b", "resources": {"limits": {"cpu": "1KB"}}}]}}'
    shown = check("text", NAMESPACE + long).out
    line = next(line for line in shown.splitlines() if "resources" in line and " | " in line)
    assert len(line) < 180
    carets = shown.splitlines()[shown.splitlines().index(line) + 1]
    assert line[carets.index("^") : carets.rindex("^") + 1] == '"resources"'
