"""SARIF 2.1.0 (OASIS), which code hosts show as alerts: each finding a result with its rule, line and object."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from webhook import __version__
from webhook.checks import CHECKS
from webhook.cli.judge import Judged
from webhook.cli.report.tally import Tally
from webhook.cli.report.words import details, failure, title
from webhook.errors import Problem
from webhook.model.decision import Fault, Finding
from webhook.packs import manual
from webhook.packs.rule import Rule, Ruleset

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"deny": "error", "warn": "warning", "audit": "note"}
# code hosts sort by it; the bounds are those of CVSS' words (github.com, "SARIF support for code scanning")
_SEVERITIES = {"critical": "9.0", "high": "7.0", "medium": "4.0", "low": "1.0"}


class Sarif:
    """The report. Exempt findings are results that are suppressed, with the exemption's reason."""

    def __init__(self, ruleset: Ruleset, problems: Sequence[Problem]) -> None:
        """Take the rules that judge, whose help the report carries, and what could not be read."""
        self._rules = ruleset.rules
        self._numbers = {rule.label: number for number, rule in enumerate(ruleset.rules)}
        self._problems = problems

    def block(self, one: Judged) -> str:
        """Return the results on one object, with a comma between them; '' where there are none."""
        results = [self._finding(one, finding) for finding in one.decision.findings]
        results += [self._fault(one, fault) for fault in (*one.decision.errors, *one.decision.unknown)]
        return ",\n".join(orjson.dumps(result).decode() for result in results)

    def pieces(self, blocks: Iterator[str], tally: Tally) -> Iterator[str]:
        """Yield the log: the tool with its rules, then the results as they come."""
        run = {
            "tool": {
                "driver": {
                    "name": "plimsoll",
                    "version": __version__,
                    "rules": [_described(rule) for rule in self._rules],
                }
            },
            "columnKind": "unicodeCodePoints",
            "invocations": [
                {
                    "executionSuccessful": not self._problems,
                    "toolExecutionNotifications": [_notification(problem) for problem in self._problems],
                }
            ],
        }
        log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
        head = orjson.dumps(log).decode().removesuffix("}]}")
        yield head + ',"results":['
        between = "\n"
        for block in blocks:
            if block:
                yield between + block
                between = ",\n"
        yield "\n]}]}\n"

    def _finding(self, one: Judged, finding: Finding) -> dict[str, Any]:
        violation = finding.violation
        said = [title(finding), *(f"{name}: {text}" for name, text in details(finding) if name not in ("at", "docs"))]
        text = "\n".join(said)
        result = self._result(one, f"{finding.pack}/{finding.rule}", finding.effective, text, violation.pointer)
        told = (finding.pack, finding.rule, one.review.title, violation.container or "", violation.found)
        # what stays the same when lines move, so that a known alert is not a new one
        result["partialFingerprints"] = {"plimsoll/v1": hashlib.sha256("\0".join(told).encode()).hexdigest()[:32]}
        if finding.exempt is not None:
            result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": finding.exempt}]
        return result

    def _fault(self, one: Judged, fault: Fault) -> dict[str, Any]:
        result = self._result(one, f"{fault.pack}/{fault.rule}", fault.effective, failure(fault), "")
        if fault.effective not in _LEVELS:
            result.update(kind="open", level="none")
        return result

    def _result(self, one: Judged, label: str, effective: str, text: str, pointer: str) -> dict[str, Any]:
        review = one.review
        name = f"{review.namespace}/{review.name}" if review.namespace else review.name
        return {
            "ruleId": label,
            "ruleIndex": self._numbers[label],
            "level": _LEVELS.get(effective, "none"),
            "message": {"text": text},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": _artifact(one.manifest.file),
                        "region": {"startLine": one.manifest.line(pointer)},
                    },
                    "logicalLocations": [
                        {
                            "name": review.name,
                            "fullyQualifiedName": f"{review.kind.kind} {name}{pointer}",
                            "kind": "object",
                        }
                    ],
                }
            ],
        }


def _described(rule: Rule) -> dict[str, Any]:
    about = rule.about
    module = CHECKS.get(rule.check_name)
    page = manual.page(module) if module else ""
    short = page.partition("\n")[0] if page else rule.expression.message if rule.expression else ""
    fallback = short or about.rule
    described: dict[str, Any] = {
        "id": rule.label,
        "name": about.rule,
        "shortDescription": {"text": fallback},
        "fullDescription": {"text": rule.description or fallback},
        "help": {"text": about.remediation or rule.description or fallback},
        "defaultConfiguration": {"level": _LEVELS.get(about.action, "none")},
        "properties": {
            "tags": ["kubernetes", about.pack],
            "problem.severity": {"deny": "error", "warn": "warning"}.get(about.action, "recommendation"),
            "security-severity": _SEVERITIES[about.severity],
        },
    }
    if page:
        described["help"]["markdown"] = page
    if about.docs:
        described["helpUri"] = about.docs
    return described


def _notification(problem: Problem) -> dict[str, Any]:
    notification: dict[str, Any] = {"level": "error", "message": {"text": str(problem)}}
    physical: dict[str, Any] = {"artifactLocation": _artifact(problem.source)}
    if problem.line:
        physical["region"] = {"startLine": problem.line}
    return {**notification, "locations": [{"physicalLocation": physical}]}


def _artifact(file: str) -> dict[str, str]:
    return {"uri": Path(file).as_uri() if Path(file).is_absolute() else quote(file.removeprefix("./"))}
