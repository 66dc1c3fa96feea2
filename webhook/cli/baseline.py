"""Findings that are known: a file of them, so that only new ones fail, and old ones can be mended one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from webhook.cli import files
from webhook.cli.judge import Judged
from webhook.errors import ConfigError, Problem
from webhook.model.decision import Finding

KNOWN = "known: it stands in the baseline"
"""Why a known finding does not count."""
VERSION = 1
FIELDS = ("pack", "rule", "kind", "namespace", "name", "container", "found")
"""What makes a finding the same: neither its file nor its line, which move, but whose it is and what was found."""
Key = tuple[str, ...]
Known = Mapping[Key, int]
"""How many findings alike an object may have."""


def key(one: Judged, finding: Finding) -> Key:
    """Return the values of FIELDS for a finding; `kind` with its group (`apps/Deployment`)."""
    review, violation = one.review, finding.violation
    kind = f"{review.kind.group}/{review.kind.kind}".lstrip("/")
    told = (review.namespace, review.name, violation.container or "", violation.found)
    return (finding.pack, finding.rule, kind, *told)


def keys(judged: Iterable[Judged]) -> Counter[Key]:
    """Return what a baseline of these objects holds: of findings alike the most that one object has."""
    found: Counter[Key] = Counter()
    for one in judged:
        found |= Counter(key(one, finding) for finding in one.decision.findings if finding.exempt is None)
    return found


def without(one: Judged, known: Known) -> Judged:
    """Return an object without what is known of it: those findings are exempt, and deny no more."""
    left = dict(known)
    findings = []
    for finding in one.decision.findings:
        name = key(one, finding)
        if finding.exempt is None and left.get(name, 0) > 0:
            left[name] -= 1
            finding = replace(finding, exempt=KNOWN)
        findings.append(finding)
    decision = one.decision
    denied = any(finding.effective == "deny" and finding.exempt is None for finding in findings)
    denied = denied or any(fault.effective == "deny" for fault in (*decision.errors, *decision.unknown))
    return replace(one, decision=replace(decision, findings=tuple(findings), allowed=not denied))


def read(path: str) -> Known:
    """Return what a baseline file holds. Raises ConfigError where it is none, and says how to make one."""
    try:
        document = orjson.loads(Path(path).read_bytes())
    except OSError as error:
        text = f"cannot be read: {error.strerror}; make it by --update-baseline"
        raise ConfigError([Problem(path, 0, "", text)]) from error
    except orjson.JSONDecodeError as error:
        raise ConfigError([Problem(path, error.lineno, "", f"this is no JSON: {error.msg}")]) from error
    problems: list[Problem] = []
    if not isinstance(document, dict) or not isinstance(document.get("findings"), list):
        problems.append(Problem(path, 0, "", "this is no baseline; wanted {version, findings}, by --update-baseline"))
    elif document.get("version") != VERSION:
        found = document.get("version")
        problems.append(Problem(path, 0, "version", f"found {found!r}, wanted {VERSION}; make it by --update-baseline"))
    if problems:
        raise ConfigError(problems)
    known: dict[Key, int] = {}
    for number, entry in enumerate(document["findings"]):
        wrong = list(_wrong(entry))
        problems += [Problem(path, 0, f"findings[{number}]", text) for text in wrong]
        if not wrong:
            known[tuple(entry[name] for name in FIELDS)] = entry.get("count", 1)
    if problems:
        raise ConfigError(problems)
    return known


def write(path: str, found: Known) -> None:
    """Write a baseline, sorted, a line for each finding, in one move. Raises ConfigError where it can't be written."""
    entries = (
        {**dict(zip(FIELDS, name, strict=True)), **({"count": count} if count > 1 else {})}
        for name, count in sorted(found.items())
    )
    lines = ",\n".join("    " + orjson.dumps(entry).decode() for entry in entries)
    text = f'{{\n  "version": {VERSION},\n  "findings": [\n{lines}\n  ]\n}}\n'
    files.write(path, text)


def _wrong(entry: Any) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield "wanted a mapping"
        return
    for name in FIELDS:
        if not isinstance(entry.get(name), str):
            yield f"{name}: wanted a text"
    count = entry.get("count", 1)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        yield "count: wanted a whole number from 1"
    strange = sorted(set(entry) - {*FIELDS, "count"})
    if strange:
        yield f"{', '.join(strange)}: not known; there is {', '.join((*FIELDS, 'count'))}"
