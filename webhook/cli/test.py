"""`plimsoll test`: the tests of rule packs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from webhook.cli import objects, outcomes, policies
from webhook.cli.case import differences, hear
from webhook.cli.outcomes import Coverage, Outcome
from webhook.cli.suite import Case, Suite, load
from webhook.engine.evaluate import verdicts
from webhook.errors import ConfigError, Problem, ReviewError
from webhook.packs.rule import Ruleset
from webhook.ports import Rooms

HELP = "run the tests of rule packs"
ENDINGS = (".test.yaml", ".test.yml")
Packs = tuple[tuple[str, ...], str | None]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.description = (
        "Runs the cases of every RulePackTest in the files, and shows how what was found (+) differs from what was "
        "expected (-). Exit: 0 all passed, 1 some failed (with --coverage also: some rule lacks a case), 2 wrong use "
        "or bad input."
    )
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="file, directory (its *.test.yaml), or glob; default: the tests of the packs that come with Plimsoll",
    )
    parser.add_argument(
        "--coverage", action="store_true", help="name the rules that no case breaks, or none that is judged keeps"
    )
    parser.add_argument("-o", "--output", choices=("text", "json", "junit"), default="text", help="default: text")
    parser.add_argument("-v", "--verbose", action="store_true", help="name the cases that pass, too")


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Run the tests; return 0 or 1. Raises ConfigError with every problem of tests and packs."""
    suites = _suites(args.paths or _shipped(rooms))
    rules = _compiled(suites, rooms)
    seen = _Seen(args.coverage)
    found = [
        _outcome(suite, case, rules[suite.packs, case.mode], rooms, seen) for suite in suites for case in suite.cases
    ]
    coverage = seen.coverage(rules) if args.coverage else None
    if args.output == "json":
        print(json.dumps(outcomes.document(found, coverage), indent=2, ensure_ascii=False))
    elif args.output == "junit":
        sys.stdout.writelines(outcomes.junit(found, coverage))
    else:
        lines = outcomes.text(found, coverage, args.verbose, sys.stdout.isatty() and not rooms.plain)
        sys.stdout.writelines(f"{line}\n" for line in lines)
    gaps = coverage.gaps() if coverage is not None else []
    return 1 if gaps or any(one.differences for one in found) else 0


@dataclass(slots=True)
class _Seen:
    """Which rules cases broke and kept, where that is `wanted`."""

    wanted: bool
    refused: set[tuple[str, str]] = field(default_factory=set)
    passed: set[tuple[str, str]] = field(default_factory=set)

    def note(self, found: Mapping[tuple[str, str], bool]) -> None:
        """Take what the rules said to one case."""
        for rule, kept in found.items():
            (self.passed if kept else self.refused).add(rule)

    def coverage(self, rules: Mapping[Packs, Ruleset]) -> Coverage:
        """Return which of the rules that can find anything were broken and kept."""
        every = {
            (rule.about.pack, rule.about.rule)
            for ruleset in rules.values()
            for rule in ruleset.rules
            if rule.pack.mode != "disabled"
        }
        return Coverage(every, self.refused, self.passed)


@dataclass(slots=True)
class _Wrong:
    problems: list[Problem] = field(default_factory=list)

    def end(self) -> None:
        """Raise what was noted."""
        if self.problems:
            raise ConfigError(self.problems)


def _shipped(rooms: Rooms) -> list[str]:
    tests = [path.with_name(path.stem + ".test.yaml") for path in rooms.shipped()]
    return [str(path) for path in tests if path.is_file()]


def _suites(paths: Iterable[str]) -> list[Suite]:
    wrong = _Wrong()
    suites: list[Suite] = []
    for name in objects.files(paths, ENDINGS, wrong.problems):
        folder = Path() if name == objects.STDIN else Path(name).parent
        try:
            suites += load("stdin" if name == objects.STDIN else name, objects.text(name), folder)
        except ConfigError as error:
            wrong.problems += error.problems
    wrong.end()
    return suites


def _compiled(suites: Sequence[Suite], rooms: Rooms) -> dict[Packs, Ruleset]:
    """Return the packs of all suites, compiled once for each mode in which some case wants them."""
    wrong = _Wrong()
    rules: dict[Packs, Ruleset] = {}
    for packs, mode in dict.fromkeys((suite.packs, case.mode) for suite in suites for case in suite.cases):
        try:
            rules[packs, mode] = policies.compiled(rooms, packs, mode)
        except ConfigError as error:
            wrong.problems += [problem for problem in error.problems if problem not in wrong.problems]
    wrong.end()
    return rules


def _outcome(suite: Suite, case: Case, ruleset: Ruleset, rooms: Rooms, seen: _Seen) -> Outcome:
    now = rooms.clock() if case.day is None else policies.at(case.day)()
    try:
        heard = hear(case, ruleset, now)
        lines = differences(case, heard)
        if seen.wanted:
            # what /mutate mends are findings of the others
            endpoint = "all" if heard.endpoint == "mutate" else heard.endpoint
            seen.note(verdicts(ruleset, heard.review, heard.facts, now, endpoint))
    except ReviewError as error:
        lines = [f"no API server would ask this: {error.message}"]
    return Outcome(suite.source, case.line, suite.name, case.name, tuple(lines))
