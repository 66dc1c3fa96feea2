"""The JSON report of `plimsoll check`: a public shape, version 1, to which later versions only add."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from webhook.cli.judge import Judged
from webhook.cli.report.tally import Tally
from webhook.cli.spool import kept
from webhook.model.decision import Fault, Finding

VERSION = 1


def document(results: Sequence[Judged], skipped: int) -> dict[str, Any]:
    """Return the report as plain values."""
    return _whole(Tally.of(results, skipped), [_result(one) for one in results])


class Json:
    """The report as JSON text."""

    def block(self, one: Judged) -> str:
        """Return what the report has of one object, as text, indented as it stands there."""
        # no line break stands in a text of JSON, so that each one is the layout's
        return "    " + orjson.dumps(_result(one), option=orjson.OPT_INDENT_2).decode().replace("\n", "\n    ")

    def pieces(self, blocks: Iterator[str], tally: Tally) -> Iterator[str]:
        """Yield the report piece by piece: the figures stand before the objects."""
        objects = kept(blocks)  # until all are judged, nobody knows the figures
        empty = orjson.dumps(_whole(tally, []), option=orjson.OPT_INDENT_2).decode()
        head, tail = empty.removesuffix("]\n}"), "]\n}\n"
        between = head + "\n"
        for text in objects:
            yield between + text
            between = ",\n"
        yield head + tail if between.startswith(head) else f"\n  {tail}"


def _whole(tally: Tally, results: list[dict[str, Any]]) -> dict[str, Any]:
    return {"version": VERSION, "summary": tally.summary(), "results": results}


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
