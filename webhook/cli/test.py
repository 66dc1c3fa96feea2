"""`plimsoll test`: the tests of rule packs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from webhook.cli import objects, policies
from webhook.cli.case import differences
from webhook.cli.suite import Suite, load
from webhook.errors import ConfigError, Problem, ReviewError
from webhook.packs.rule import Ruleset
from webhook.ports import Rooms

HELP = "run the tests of rule packs"
ENDINGS = (".test.yaml", ".test.yml")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.description = (
        "Runs the cases of every RulePackTest in the files, and shows how what was found (+) differs from what was "
        "expected (-). Exit: 0 all passed, 1 some failed, 2 wrong use or bad input."
    )
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="file, directory (its *.test.yaml), or glob; default: the tests of the packs that come with Plimsoll",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="name the cases that pass, too")


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Run the tests; return 0 or 1. Raises ConfigError with every problem of tests and packs."""
    suites = _suites(args.paths or _shipped(rooms))
    tally = _Tally(args.verbose, sys.stdout.isatty() and not rooms.plain)
    rules = _compiled(suites, rooms)
    for suite in suites:
        _run(suite, rules[suite.packs], rooms, tally)
    count = f"{tally.passed + tally.failed} case{'s' if tally.passed + tally.failed != 1 else ''}"
    print(f"{count}: {tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


@dataclass(slots=True)
class _Tally:
    verbose: bool
    colour: bool
    passed: int = 0
    failed: int = 0

    def note(self, place: str, name: str, lines: Iterable[str]) -> None:
        """Print how a case went, and count it."""
        lines = list(lines)
        if not lines:
            self.passed += 1
            if self.verbose:
                print(f"{self._paint('32', 'pass')} {place}: {name}")
            return
        self.failed += 1
        print(f"{self._paint('31;1', 'FAIL')} {place}: {name}")
        colours = {"-": "31", "+": "32"}
        for line in lines:
            print(self._paint(colours.get(line.strip()[:1], "0"), f"    {line}"))

    def _paint(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.colour else text


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


def _compiled(suites: Iterable[Suite], rooms: Rooms) -> dict[tuple[str, ...], Ruleset]:
    wrong = _Wrong()
    rules: dict[tuple[str, ...], Ruleset] = {}
    for suite in suites:
        if suite.packs not in rules:
            try:
                rules[suite.packs] = policies.compiled(rooms, suite.packs)
            except ConfigError as error:
                wrong.problems += error.problems
    wrong.end()
    return rules


def _run(suite: Suite, ruleset: Ruleset, rooms: Rooms, tally: _Tally) -> None:
    for case in suite.cases:
        now = rooms.clock() if case.day is None else policies.at(case.day)()
        try:
            lines = differences(case, ruleset, now)
        except ReviewError as error:
            lines = [f"no API server would ask this: {error.message}"]
        tally.note(f"{suite.source}:{case.line}", case.name, lines)
