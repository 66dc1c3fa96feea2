"""The trace of a review: rule by rule what came of it, and by which clause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from webhook.cli.objects import Manifest
from webhook.cli.page import words
from webhook.cli.page.markdown import Markdown
from webhook.cli.report.text import count, plain
from webhook.cli.report.words import WOULD, details, failure, title
from webhook.engine import guard
from webhook.engine.explain import Cover, Guarded, Heard, Trace, Traced, Value, Weighed
from webhook.engine.mode import NAMESPACE_LABEL
from webhook.model.decision import Decision, Fault, Finding, Fixed
from webhook.packs.rule import Rule

GUARD = f"{guard.PACK}/{guard.RULE}"
CUT = 200
"""Characters of a value that are shown."""
STATES = ("found", "failed", "unknown", "exempt", "kept", "disabled", "out")
_COLOURS = {"found": "31;1", "failed": "31;1", "unknown": "33;1", "exempt": "36", "kept": "32", "out": "2"}


@dataclass(frozen=True, slots=True)
class Shown:
    """The trace of one review, and what /mutate does to it; `at` is where its object stands in the document.

    `disabled` are the rules that are disabled by themselves, as `pack/rule`.
    """

    manifest: Manifest
    at: str
    endpoint: str
    trace: Trace
    mended: Decision
    disabled: tuple[str, ...]

    def place(self, finding: Finding) -> str:
        """Return file and line of what a finding points at."""
        return f"{self.manifest.file}:{self.manifest.line(self.at + finding.violation.pointer)}"

    def fixes(self, rule: Rule) -> list[Fixed]:
        """Return what /mutate does to the object by a rule."""
        return [one for one in self.mended.patched if (one.pack, one.rule) == (rule.about.pack, rule.about.rule)]


def state(traced: Traced) -> str:
    """Return what came of a rule: the gravest of what came of it on each subject."""
    found = {one.state for one in traced.heard} or {"out"}
    return next(name for name in STATES if name in found)


def described(shown: Shown) -> dict[str, Any]:
    """Return a trace as plain values."""
    review = shown.trace.review
    return {
        "source": shown.manifest.source,
        "kind": review.kind.kind,
        "namespace": review.namespace,
        "name": review.name,
        "operation": review.operation,
        "user": review.user,
        "endpoint": shown.endpoint,
        "right": _right(shown.trace.guarded),
        "rules": [_rule(shown, traced) for traced in shown.trace.rules]
        + [{"rule": label, "state": "disabled", "why": "its action is disabled"} for label in shown.disabled],
    }


def _right(guarded: Guarded | None) -> dict[str, Any] | None:
    if guarded is None:
        return None
    state, why, effective = _held(guarded)
    return {"rule": GUARD, "right": str(guarded.right), "state": state, "why": why, "effective": effective}


def _held(guarded: Guarded) -> tuple[str, str, str]:
    """Return what came of a right that a requester needs, why, and what it counts as."""
    decision = guarded.decision
    if decision is None:
        return "kept", "the requester has it", "allow"
    for fault in decision.unknown:
        return "unknown", fault.message, fault.effective
    finding = decision.findings[0]
    return "found", f"{finding.violation.reason}: {finding.violation.found}", finding.effective


def _rule(shown: Shown, traced: Traced) -> dict[str, Any]:
    said: dict[str, Any] = {"rule": traced.rule.label, "state": state(traced)}
    if traced.absent is not None:
        out = traced.absent.out
        return {**said, "why": words.absent(traced.absent), "clause": out.clause, "match": out.whose or None}
    return {
        **said,
        "subjects": [_subject(shown, traced.rule, one) for one in traced.heard],
        "fix": [
            {"operations": one.operations, "pointer": one.pointer, "would": one.would}
            for one in shown.fixes(traced.rule)
        ],
    }


def _subject(shown: Shown, rule: Rule, one: Heard) -> dict[str, Any]:
    subject = one.subject
    said = {"kind": subject.kind, "name": subject.name, "pointer": subject.pointer, "state": one.state}
    if one.absent is not None:
        out = one.absent.out
        return {**said, "why": words.absent(one.absent), "clause": out.clause, "match": out.whose or None}
    return {
        **said,
        "effective": one.action,
        "weaker": words.weaker(one.weaker, rule.pack.mode, rule.enforce_from),
        "findings": [_finding(shown, weighed) for weighed in one.findings],
        "unknown": [{"fact": fault.fact, "why": fault.message, "effective": fault.effective} for fault in one.unknown],
        "errors": [{"why": fault.message, "effective": fault.effective} for fault in one.errors],
        "spared": [{"why": why, "exemption": _exemption(cover)} for cover, why in one.spared],
        "values": [_value(value) for value in one.values],
    }


def _finding(shown: Shown, weighed: Weighed) -> dict[str, Any]:
    finding, violation = weighed.finding, weighed.finding.violation
    return {
        "pointer": violation.pointer,
        "line": shown.manifest.line(shown.at + violation.pointer),
        "container": violation.container,
        "reason": violation.reason,
        "found": violation.found,
        "wanted": violation.wanted,
        "effective": finding.effective,
        "existing": finding.existing,
        "since": None if finding.since is None else {"owner": finding.since.owner, "day": finding.since.day},
        "exemption": None if weighed.cover is None else _exemption(weighed.cover),
    }


def _exemption(cover: Cover) -> dict[str, Any]:
    one = cover.exemption
    said = {"reason": one.reason, "owner": one.owner, "expires": one.expires.isoformat()}
    return {**said, "clauses": dict(cover.clauses)}


def _value(value: Value) -> dict[str, Any]:
    given: Mapping[str, Any] = {"failed": value.failed} if value.failed else {"value": value.value}
    return {"name": value.name, "pointer": value.pointer, **given}


@dataclass(frozen=True, slots=True)
class Page:
    """The trace for a terminal."""

    markdown: Markdown

    def lines(self, shown: Shown) -> Iterator[str]:
        """Yield the lines on one review."""
        review = shown.trace.review
        by = f"{review.operation} by {review.user or 'nobody'}"
        yield self.markdown.paint("1", plain(f"{shown.manifest.source}: {review.title}: {by}"))
        yield from self._right(shown)
        states: Counter[str] = Counter(disabled=len(shown.disabled))
        for traced in shown.trace.rules:
            states[state(traced)] += 1
            yield from self._rule(shown, traced)
        for label in shown.disabled:
            yield self._head(label, "disabled", "its action is disabled")
        counts = ", ".join(f"{states[name]} {name}" for name in STATES if states[name])
        yield f"{count(sum(states.values()), 'rule')}: {counts or 'none'}"

    def _right(self, shown: Shown) -> Iterator[str]:
        guarded = shown.trace.guarded
        if guarded is None:
            return
        state, why, effective = _held(guarded)
        yield self._head(GUARD, state)
        yield from self._field("needs", f"the right {guarded.right}, of whoever sets the label {NAMESPACE_LABEL}")
        yield from self._field(effective, why)
        if guarded.decision is not None:
            abouts = [one.about for one in guarded.decision.findings]
            abouts += [one.about for one in guarded.decision.unknown]
            yield from self._field("do", abouts[0].remediation)

    def _rule(self, shown: Shown, traced: Traced) -> Iterator[str]:
        rule, here = traced.rule, state(traced)
        if traced.absent is not None:
            yield self._head(rule.label, here, words.absent(traced.absent))
            return
        told = [one for one in traced.heard if one.absent is None] or list(traced.heard)
        if len(told) == 1 and told[0].absent is not None:
            yield self._head(rule.label, here, words.absent(told[0].absent))
            return
        yield self._head(rule.label, here)
        for one in told:
            if len(traced.heard) > 1:
                where = f" at {one.subject.pointer}" if one.subject.pointer else ""
                why = f": {words.absent(one.absent)}" if one.absent is not None else ""
                yield from self._field("on", f"{one.subject.kind} {one.subject.name}{where}: {one.state}{why}")
            yield from self._heard(shown, rule, one)
        for fixed in shown.fixes(rule):
            would = WOULD if fixed.would else "corrects it"
            yield from self._field("fix", f"/mutate {would}: {count(fixed.operations, 'change')} from {fixed.pointer}")

    def _heard(self, shown: Shown, rule: Rule, one: Heard) -> Iterator[str]:
        for value in one.values:
            yield from self._field("value", _shown(value))
        why = words.weaker(one.weaker, rule.pack.mode, rule.enforce_from)
        if why and one.state != "kept" and one.absent is None:
            yield from self._field("counts as", f"{one.action} instead of {rule.about.action}: {why}")
        for weighed in one.findings:
            yield from self._found(shown, weighed)
        for cover, unsaid in one.spared:
            yield from self._field("exempt", _covered(cover))
            yield from self._field("unsaid", unsaid)
        for fault in (*one.errors, *one.unknown):
            yield from self._field("failed" if fault.kind == "error" else "unknown", _faulty(fault))

    def _found(self, shown: Shown, weighed: Weighed) -> Iterator[str]:
        finding = weighed.finding
        said = f"{title(finding)} at {finding.violation.pointer or '/'} ({shown.place(finding)})"
        yield from self._field("exempt" if weighed.cover else finding.effective, said)
        more = dict(details(finding))
        for name in ("found", "wanted"):
            if name in more:
                yield from self._field(name, more[name])
        if weighed.cover is not None:
            yield from self._field("by", _covered(weighed.cover))
        if finding.since is not None:
            said = (
                f"{finding.since.owner} has this, and has been there since {finding.since.day}, before the rule denied"
            )
            yield from self._field("note", f"{said}, so it is only warned of")
        elif finding.existing:
            yield from self._field("note", "the object had this before, so it is only warned of")

    def _head(self, label: str, state: str, why: str = "") -> str:
        shown = self.markdown.paint(_COLOURS.get(state, "0"), state)
        return f"  {label}: {shown}" + (f": {plain(why)}" if why else "")

    def _field(self, name: str, text: str) -> Iterator[str]:
        lead = f"      {name + ':':11}"
        # what stands in objects is no Markdown
        yield from self.markdown.wrapped(plain(text), lead, " " * len(lead))


def _faulty(fault: Fault) -> str:
    return f"{failure(fault).partition(': ')[2]}; this counts as {fault.effective}"


def _covered(cover: Cover) -> str:
    one = cover.exemption
    clauses = " and ".join(f"{clause} ({found})" for clause, found in cover.clauses)
    return f"{one.reason} ({one.owner}, through {one.expires}), which covers it by {clauses}"


def _shown(value: Value) -> str:
    where = f" at {value.pointer}" if value.pointer else ""
    if value.failed:
        return f"{value.name}{where} fails: {value.failed}"
    text = orjson.dumps(value.value).decode()
    cut = f"{text[:CUT]}... ({len(text)} characters)" if len(text) > CUT else text
    return f"{value.name}{where} = {cut}"
