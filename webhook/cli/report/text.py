"""The text report of `plimsoll check`, as a good compiler writes: by object, every finding with its line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from webhook.cli.judge import Judged
from webhook.cli.report.place import excerpt, lines
from webhook.cli.report.tally import Tally
from webhook.cli.report.words import WOULD, ask, details, failure, place
from webhook.model import pointer as pointers
from webhook.model.decision import Fault, Finding, Violation

WIDTH = 100
FILES = 16
"""Files whose lines are kept; objects of one file are shown one after the other."""
MANY = 4
"""So many rules that one thing keeps from judging are told of together: a pod that can't be read does so to all."""
NAMES = 10
"""Rules that are then named for each action; the others are counted."""
_INDENT = "      "
_COLOURS = {"deny": "31;1", "warn": "33;1", "audit": "36;1", "exempt": "2", "allow": "32", "": "1", "note": "2"}
VERDICTS = {
    "deny": "denied",
    "warn": "let in with warnings",
    "audit": "let in, with audit findings",
    "allow": "let in",
}


class Page:
    """The report; with `verbose` also the exempt findings and the objects that keep everything."""

    def __init__(self, colour: bool, verbose: bool) -> None:
        self._colour = colour
        self._verbose = verbose
        self._lines_of = lru_cache(maxsize=FILES)(lines)

    def block(self, one: Judged, shown: Sequence[str] | None = None) -> str:
        """Return the lines on one object and an empty one; nothing where there is nothing to say.

        `shown` are the lines of its file, where that holds something else than what was judged.
        """
        lines = list(self._lines(one, self._lines_of(one.manifest.file) if shown is None else shown))
        return "\n".join([*lines, "", ""]) if lines else ""

    def _lines(self, one: Judged, shown: Sequence[str]) -> Iterator[str]:
        decision = one.decision
        findings = [finding for finding in decision.findings if self._verbose or finding.exempt is None]
        faults = (*decision.errors, *decision.unknown)
        fixed = one.mended.patched
        if not (findings or faults or fixed or self._verbose):
            return
        verdict = self._paint(one.strongest, VERDICTS.get(one.strongest, "let in"))
        yield f"{self._paint('', plain(f'{one.manifest.source}: {one.review.title}'))}: {verdict}"
        for finding in findings:
            yield from self._finding(one, finding, shown)
        for alike in _alike(faults):
            yield from self._faults(one, alike)
        for fix in fixed:
            would = WOULD if fix.would else "corrects it before it is judged"
            yield f"  {self._paint('note', 'fix')}: {fix.rule}: in a cluster /mutate {would}"
            yield from field("by", f"{count(fix.operations, 'change')} from {fix.pointer}")

    def _finding(self, one: Judged, finding: Finding, lines: Sequence[str]) -> Iterator[str]:
        violation = finding.violation
        shown = "exempt" if finding.exempt is not None else finding.effective
        where = f" ({_whose(one, violation)} {violation.container})" if violation.container else ""
        yield (
            f"  {plain(place(one, violation.pointer))}: {self._paint(shown, shown)}: {finding.rule}: "
            f"{plain(violation.reason + where)}"
        )
        for line in excerpt(one.manifest, violation.pointer, lines):
            yield self._paint("note", line)
        said = dict(details(finding))
        for name in ("at", "found", "wanted"):
            yield from field(name, said.get(name, ""))
        if finding.exempt is not None:
            yield from field("exempt", finding.exempt)
            return
        if finding.effective != finding.action:
            yield from field("note", weaker(finding))
        for name in ("do", "docs"):
            yield from field(name, said.get(name, ""))

    def _faults(self, one: Judged, faults: Sequence[Fault]) -> Iterator[str]:
        """Yield that one rule could not be judged, or that many could not, for which reason, and what comes of each."""
        first = faults[0]
        strongest = next(action for action in VERDICTS if action in {fault.effective for fault in faults})
        what, _, why = failure(first).partition(": ")
        told = f"{first.rule}: {what}" if len(faults) == 1 else f"{len(faults)} rules {what.removeprefix('the rule ')}"
        yield f"  {plain(one.manifest.source)}: {self._paint(strongest, strongest)}: {told}"
        yield from field("why", why)
        for action in VERDICTS if len(faults) > 1 else ():
            names = [f"{fault.pack}/{fault.rule}" for fault in faults if fault.effective == action]
            more = [f"and {len(names) - NAMES} more, which -o json names"] if len(names) > NAMES else []
            yield from field(action, ", ".join(names[:NAMES] + more))

    def pieces(self, blocks: Iterator[str], tally: Tally) -> Iterator[str]:
        """Yield the blocks as they come, and the end."""
        yield from blocks
        yield self.end(tally)

    def remark(self, place: str, kind: str, word: str, text: str) -> str:
        """Return a line that says something of a place; `kind` is the action whose colour the word has."""
        return f"{plain(place)}: {self._paint(kind, word)}: {plain(text)}\n"

    def end(self, tally: Tally) -> str:
        """Return whom to ask, and the line of figures."""
        asked = [plain(ask(pack, contact)) for pack, contact in sorted(tally.contacts)]
        figures = tally.summary()
        counts = [
            self._paint("deny" if figures["denied"] else "", f"{figures['denied']} denied"),
            f"{figures['warned']} warned of",
            f"{figures['audited']} audited",
        ]
        found = count(figures["findings"], "finding")
        more = [
            count(figures[key], "error") if key == "errors" else f"{figures[key]} {key}"
            for key in ("exempt", "known", "unknown", "errors", "skipped")
            if figures[key]
        ]
        line = f"{count(figures['objects'], 'object')}: {', '.join(counts)}; {', '.join([found, *more])}"
        return "\n".join([*asked, line, ""])

    def _paint(self, kind: str, text: str) -> str:
        return f"\033[{_COLOURS.get(kind, '0')}m{text}\033[0m" if self._colour else text


def _alike(faults: Sequence[Fault]) -> Iterator[Sequence[Fault]]:
    """Yield faults one by one, and those of many rules that have one reason together."""
    groups: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        groups.setdefault((fault.kind, fault.message), []).append(fault)
    for group in groups.values():
        yield from [group] if len(group) >= MANY else [[fault] for fault in group]


def _whose(one: Judged, violation: Violation) -> str:
    """Return what the name in a finding is the name of: a volume where the pointer goes into one of that name."""
    before, volumes, after = violation.pointer.partition("/volumes/")
    place = pointers.split(before + volumes + after.partition("/")[0] + "/name")
    of_volume = volumes and pointers.get(one.review.object, place) == violation.container
    return "volume" if of_volume else "container"


def field(name: str, text: str) -> Iterator[str]:
    """Yield one thing that is said of a finding, with its name, filled to WIDTH; nothing for no text."""
    if text:
        lead = f"{_INDENT}{name + ':':8}"
        line = plain(text)
        # most are short, and filling one costs more than to find what it says
        if len(lead) + len(line) <= WIDTH:
            yield lead + line
            return
        import textwrap  # for what is long alone

        yield textwrap.fill(
            line, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead), break_long_words=False,
            break_on_hyphens=False,
        )  # fmt: skip


def weaker(finding: Finding) -> str:
    """Return why another action counts than the rule says."""
    if finding.since is not None:
        return f"{finding.since.owner} had this before the rule denied, since {finding.since.day}: it is only warned of"
    if finding.existing:
        return "the object had this before, so it is only warned of"
    if finding.about.pack_mode == "dry-run":
        return f"the rule says {finding.action}, but its pack is in dry-run"
    return f"the rule says {finding.action}; the pack's enforceFrom or the namespace's mode weakens it here"


def count(number: int, what: str) -> str:
    """Return a number of things in words: `2 rules`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def plain(text: str) -> str:
    """Return text on one line without control characters: names in manifests must not drive a terminal."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(char if char.isprintable() else "�" for char in line)
