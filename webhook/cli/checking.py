"""What `plimsoll check` does: manifests before the rules, without a cluster."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from webhook.cli import baseline, crew, policies, registries, shelf
from webhook.cli.judge import ONLY_FILES, Namespaces, court, namespaces
from webhook.cli.progress import bar
from webhook.cli.report import Report
from webhook.cli.report.tally import Tally
from webhook.cli.shelf import Shelf, unpack
from webhook.errors import ConfigError, Problem
from webhook.packs.rule import Ruleset
from webhook.ports import Rooms


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Judge and print; return 0, 1 or 2. Raises ConfigError where the packs cannot be used."""
    known = _known(args)
    ruleset = policies.load(args, rooms, few=True)
    images = registries.reader(args, rooms)
    watched = sys.stderr.isatty()
    found = shelf.read(args.paths, args.jobs, progress=watched)
    kept = Shelf.of(found.packed, args.namespace, ONLY_FILES)
    ruleset = policies.suited(ruleset, len(kept.packed))
    spaces = Namespaces(namespaces(kept.namespaces()))
    hear = court(ruleset, spaces, kept, policies.clock(args, rooms), args.namespace, images)
    total = Tally(Counter(skipped=found.strangers))
    report = _report(args, rooms, ruleset, sorted(set(found.problems)))

    def work(part: Sequence[int]) -> tuple[list[str], Tally]:
        heard = [hear(unpack(kept.packed[number])) for number in part]
        judged = [baseline.without(one, known) if known else one for one in heard if one is not None]
        tally = Tally.of(judged, heard.count(None))
        if args.update_baseline:
            tally.alike = baseline.keys(judged)
        return [report.block(one) for one in judged], tally

    numbers = range(len(kept.packed))
    heard = crew.spread(work, numbers, crew.hands(args.jobs, len(numbers)))
    # what comes on the same terminal shows by itself how far it is
    heard = bar(heard, crew.parts(len(numbers)), "judging", watched and not sys.stdout.isatty())
    sys.stdout.writelines(report.pieces(_shown(heard, total), total))
    sys.stdout.flush()  # before the diagnostics, where both go to one terminal
    for problem in sorted(set(found.problems)):
        print(problem, file=sys.stderr)
    if found.problems:
        if args.update_baseline:
            text = "is as it was, since not all files could be read; mend them and try again"
            print(Problem(args.baseline, 0, "", text), file=sys.stderr)
        return 2
    if args.update_baseline:
        baseline.write(args.baseline, total.alike)
        return 0
    return 0 if total.allowed else 1


def _known(args: argparse.Namespace) -> baseline.Known:
    """Return what is known; a baseline that is made anew knows nothing. Raises ConfigError."""
    if args.update_baseline and not args.baseline:
        raise ConfigError([Problem("--update-baseline", 0, "", "names no file; add --baseline FILE")])
    return baseline.read(args.baseline) if args.baseline and not args.update_baseline else {}


def _shown(heard: Iterable[tuple[list[str], Tally]], total: Tally) -> Iterator[str]:
    """Yield what is shown of each object, in their order; their figures are added to `total`."""
    for blocks, tally in heard:
        total.join(tally)
        yield from blocks


def _report(args: argparse.Namespace, rooms: Rooms, ruleset: Ruleset, problems: Sequence[Problem]) -> Report:
    """Return the report that is asked for; each is imported for itself alone."""
    if args.output == "json":
        from webhook.cli.report.json import Json

        return Json()
    if args.output == "sarif":
        from webhook.cli.report.sarif import Sarif

        return Sarif(ruleset, problems)
    if args.output == "junit":
        from webhook.cli.report.junit import JUnit

        return JUnit(problems)
    if args.output == "github":
        from webhook.cli.report.github import GitHub

        return GitHub(problems)
    from webhook.cli.report.text import Page

    return Page(sys.stdout.isatty() and not rooms.plain, args.verbose)
