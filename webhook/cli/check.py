"""`plimsoll check`: manifests before the rules, without a cluster."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from webhook.cli import crew, policies, shelf
from webhook.cli.judge import ONLY_FILES, Judged, Namespaces, court, namespaces
from webhook.cli.objects import Manifest
from webhook.cli.report import json, text
from webhook.cli.report.tally import Tally
from webhook.cli.shelf import Shelf, unpack
from webhook.ports import Rooms

HELP = "judge manifests as the cluster would"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.description = (
        "Judges every Kubernetes object in the files as if user plimsoll-check created it. Documents that are no "
        "Kubernetes objects, and kinds that no rule concerns, are skipped and counted. Namespaces among the files "
        "give their labels; of others nothing is known. Exit: 0 nothing denied, 1 something denied, 2 wrong use "
        "or bad input (what could be read is judged and printed all the same)."
    )
    policies.configure(parser)
    policies.subjects(parser)
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="default: text")


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Judge and print; return 0, 1 or 2. Raises ConfigError where the packs cannot be used."""
    ruleset = policies.load(args, rooms)
    found = shelf.read(args.paths, args.jobs)
    kept = Shelf.of(found.packed, args.namespace, ONLY_FILES)
    spaces = Namespaces(namespaces(kept.namespaces()))
    hear = court(ruleset, spaces, kept, policies.clock(args, rooms), args.namespace)
    total = Tally(Counter(skipped=found.strangers))
    if args.output == "json":
        blocks = list(_judged(kept, hear, json.block, args.jobs, total))  # the figures come first
        sys.stdout.writelines(json.pieces(blocks, total))
    else:
        page = text.Page(sys.stdout.isatty() and not rooms.plain, args.verbose)
        sys.stdout.writelines(_judged(kept, hear, page.block, args.jobs, total))
        sys.stdout.write(page.end(total))
    sys.stdout.flush()  # before the diagnostics, where both go to one terminal
    for problem in sorted(set(found.problems)):
        print(problem, file=sys.stderr)
    if found.problems:
        return 2
    return 0 if total.allowed else 1


def _judged(
    kept: Shelf,
    hear: Callable[[Manifest], Judged | None],
    show: Callable[[Judged], str],
    jobs: int | None,
    total: Tally,
) -> Iterator[str]:
    """Yield what is shown of each object, in their order; their figures are added to `total`."""

    def work(part: Sequence[int]) -> tuple[list[str], Tally]:
        heard = [hear(unpack(kept.packed[number])) for number in part]
        judged = [one for one in heard if one is not None]
        return [show(one) for one in judged], Tally.of(judged, heard.count(None))

    numbers = range(len(kept.packed))
    for blocks, tally in crew.spread(work, numbers, crew.hands(jobs, len(numbers))):
        total.join(tally)
        yield from blocks
