"""What came of the tests of packs, as text, JSON and JUnit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webhook.cli.report import xml


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case went: where it stands, the name of its test and its own, and how what was found differs."""

    source: str
    line: int
    suite: str
    name: str
    differences: tuple[str, ...]

    @property
    def place(self) -> str:
        """Return file and line of the case."""
        return f"{self.source}:{self.line}"


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which rules (pack, rule) there are, and by which of them some case was refused, or let through."""

    rules: Collection[tuple[str, str]]
    refused: Collection[tuple[str, str]]
    passed: Collection[tuple[str, str]]

    def gaps(self) -> list[tuple[str, str]]:
        """Return each rule that lacks a case, with which."""
        return [(f"{pack}/{rule}", lack) for pack, rule in sorted(self.rules) if (lack := self.lacking(pack, rule))]

    def lacking(self, pack: str, rule: str) -> str:
        """Return which case a rule lacks, or ''."""
        refused, passed = (pack, rule) in self.refused, (pack, rule) in self.passed
        if refused:
            return "" if passed else "no case keeps it"
        return "no case breaks it" if passed else "no case breaks it, and none keeps it"


def text(outcomes: Sequence[Outcome], coverage: Coverage | None, verbose: bool, colour: bool) -> Iterator[str]:
    """Yield the lines for people: cases that fail with how they differ (with `verbose` those that pass), and counts."""

    def paint(code: str, words: str) -> str:
        return f"\033[{code}m{words}\033[0m" if colour else words

    colours = {"-": "31", "+": "32"}
    for one in outcomes:
        if one.differences:
            yield f"{paint('31;1', 'FAIL')} {one.place}: {one.name}"
            yield from (paint(colours.get(line.strip()[:1], "0"), f"    {line}") for line in one.differences)
        elif verbose:
            yield f"{paint('32', 'pass')} {one.place}: {one.name}"
    if coverage is not None:
        gaps = coverage.gaps()
        yield from (f"{paint('31;1', 'GAP')}  {name}: {lack}" for name, lack in gaps)
        total = len(coverage.rules)
        count = f"{total} rule{'' if total == 1 else 's'}"
        yield f"{count}: {total - len(gaps)} with a case that breaks and one that keeps it"
    failed = _failed(outcomes)
    count = f"{len(outcomes)} case{'' if len(outcomes) == 1 else 's'}"
    yield f"{count}: {len(outcomes) - failed} passed, {failed} failed"


def document(outcomes: Sequence[Outcome], coverage: Coverage | None) -> Mapping[str, Any]:
    """Return what `-o json` prints; its shape is public: docs/commands.md."""
    failed = _failed(outcomes)
    cases = [
        {
            "file": one.source,
            "line": one.line,
            "test": one.suite,
            "name": one.name,
            "passed": not one.differences,
            "differences": list(one.differences),
        }
        for one in outcomes
    ]
    summary = {"cases": len(outcomes), "passed": len(outcomes) - failed, "failed": failed}
    found: dict[str, Any] = {"version": 1, "summary": summary, "cases": cases}
    if coverage is not None:
        found["coverage"] = [
            {
                "pack": pack,
                "rule": rule,
                "broken": (pack, rule) in coverage.refused,
                "kept": (pack, rule) in coverage.passed,
            }
            for pack, rule in sorted(coverage.rules)
        ]
    return found


def junit(outcomes: Sequence[Outcome], coverage: Coverage | None) -> Iterator[str]:
    """Yield the document for CI systems; with `coverage` each rule is a case, too, which fails where it lacks one."""
    cases = []
    for one in outcomes:
        lines = "\n".join((f"{one.place}: {one.name}", *one.differences)) + "\n"
        inner = xml.failure("difference", one.differences[0].strip(), lines) if one.differences else ""
        cases.append(xml.case(one.source, f"{one.name} ({one.place})", inner))
    gaps = dict(coverage.gaps()) if coverage is not None else {}
    for pack, rule in sorted(coverage.rules) if coverage is not None else ():
        name = f"{pack}/{rule}"
        inner = xml.failure("coverage", gaps[name], f"{name}: {gaps[name]}\n") if name in gaps else ""
        cases.append(xml.case("coverage", f"{name} has a case that breaks and one that keeps it", inner))
    yield from xml.document("plimsoll test", (len(cases), _failed(outcomes) + len(gaps), 0), cases)


def _failed(outcomes: Sequence[Outcome]) -> int:
    return sum(1 for one in outcomes if one.differences)
