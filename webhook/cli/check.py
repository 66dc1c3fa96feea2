"""`plimsoll check`: manifests before the rules, without a cluster."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from webhook.cli import baseline, crew, objects, policies, registries, shelf
from webhook.cli.judge import ONLY_FILES, Namespaces, court, namespaces
from webhook.cli.progress import bar
from webhook.cli.report import Report
from webhook.cli.report.tally import Tally
from webhook.cli.shelf import Shelf, unpack
from webhook.errors import ConfigError, Problem
from webhook.packs.rule import Ruleset
from webhook.ports import Rooms

HELP = "judge manifests as the cluster would"
FORMATS = ("text", "json", "sarif", "junit", "github")
MOST = 256
"""Processes that may be asked for."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.description = (
        "Judges every Kubernetes object in the files as if user plimsoll-check created it. Documents that are no "
        "Kubernetes objects, and kinds that no rule concerns, are skipped and counted. Namespaces among the files "
        "give their labels; of others nothing is known. Registries are asked what images are where they are named, "
        "and else rules that need that are unknown. Exit: 0 nothing denied, 1 something denied, 2 wrong use "
        "or bad input (what could be read is judged and printed all the same)."
    )
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="file, directory (with all below it), glob, or - for stdin"
    )
    policies.configure(parser)
    parser.add_argument(
        "-n", "--namespace", default="default", metavar="NAME", help="namespace of objects that name none"
    )
    parser.add_argument("-o", "--output", choices=FORMATS, default="text", help="default: text")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="show exempt findings and what keeps every rule, too"
    )
    parser.add_argument(
        "--baseline", metavar="FILE", help="findings that are known: they are counted, and only new ones fail"
    )
    parser.add_argument(
        "--update-baseline", action="store_true", help="write all that is found to the --baseline file, and exit with 0"
    )
    parser.add_argument(
        "-j", "--jobs", type=jobs, metavar="N", help="processes that judge (default: one for each processor)"
    )
    registries.configure(parser, "none is asked")


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Judge and print; return 0, 1 or 2. Raises ConfigError where the packs cannot be used."""
    if objects.STDIN in args.paths and objects.STDIN in args.policies:
        raise ConfigError([Problem("-", 0, "", "stdin holds either packs or manifests; name a file for the others")])
    known = _known(args)
    ruleset = policies.load(args, rooms)
    images = registries.reader(args, rooms)
    watched = sys.stderr.isatty()
    found = shelf.read(args.paths, args.jobs, progress=watched)
    kept = Shelf.of(found.packed, args.namespace, ONLY_FILES)
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


def jobs(given: str) -> int:
    """Return how many processes an argument asks for, for argparse."""
    if not given.isascii() or not given.isdigit() or not 0 < int(given) <= MOST:
        raise argparse.ArgumentTypeError(f"{given!r} is no number of processes; wanted 1 to {MOST}")
    return int(given)
