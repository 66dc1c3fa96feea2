"""The JSON report of `plimsoll check`: a public shape, version 1, to which later versions only add."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from webhook.cli.judge import Judged
from webhook.model.decision import Fault, Finding

VERSION = 1


def render(results: Sequence[Judged], skipped: int) -> str:
    """Return the report as JSON text."""
    return orjson.dumps(document(results, skipped), option=orjson.OPT_INDENT_2).decode() + "\n"


def document(results: Sequence[Judged], skipped: int) -> dict[str, Any]:
    """Return the report as plain values."""
    return {"version": VERSION, "summary": summary(results, skipped), "results": [_result(one) for one in results]}


def summary(results: Iterable[Judged], skipped: int) -> dict[str, int]:
    """Return the figures: `denied`, `warned`, `audited` count objects by the strongest that is found in them."""
    results = list(results)
    strongest = [one.strongest for one in results]
    findings = [finding for one in results for finding in one.decision.findings]
    return {
        "objects": len(results),
        "skipped": skipped,
        "denied": strongest.count("deny"),
        "warned": strongest.count("warn"),
        "audited": strongest.count("audit"),
        "findings": sum(finding.exempt is None for finding in findings),
        "exempt": sum(finding.exempt is not None for finding in findings),
        "unknown": sum(len(one.decision.unknown) for one in results),
        "errors": sum(len(one.decision.errors) for one in results),
    }


def _result(one: Judged) -> dict[str, Any]:
    obj = one.review.object or {}
    result = {
        "source": one.manifest.source,
        "apiVersion": obj.get("apiVersion"),
        "kind": obj.get("kind"),
        "namespace": one.review.namespace,
        "name": one.review.name,
        "allowed": one.decision.allowed,
        "findings": [_finding(one, finding) for finding in one.decision.findings],
        "patch": list(one.mended.patch),
    }
    # only where there are any: who reads findings alone is not bothered
    for key, faults in (("unknown", one.decision.unknown), ("errors", one.decision.errors)):
        if faults:
            result[key] = [_fault(fault) for fault in faults]
    return result


def _finding(one: Judged, finding: Finding) -> dict[str, Any]:
    violation = finding.violation
    return {
        "pack": finding.pack,
        "rule": finding.rule,
        "action": finding.action,
        "effective": finding.effective,
        "severity": finding.about.severity,
        "pointer": violation.pointer,
        "line": one.manifest.line(violation.pointer),
        "container": violation.container,
        "reason": violation.reason,
        "found": violation.found,
        "wanted": violation.wanted,
        "remediation": finding.about.remediation,
        "exempt": finding.exempt,
    }


def _fault(fault: Fault) -> dict[str, Any]:
    return {"pack": fault.pack, "rule": fault.rule, "effective": fault.effective, "message": fault.message}
