"""`plimsoll bench`: what each rule of a pack costs, dearest first."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from webhook.cli import objects, policies
from webhook.cli.judge import creation
from webhook.cli.objects import Manifest
from webhook.engine.cost import costs
from webhook.engine.facts import Facts, Missing
from webhook.packs.rule import Ruleset
from webhook.ports import Rooms

HELP = "measure what each rule costs, dearest first"
OWN = "bench.yaml"
"""A Deployment and a Pod as services have them, where no others are named."""
ROUNDS = 200
MOST = 100_000


@dataclass(slots=True)
class Bill:
    """What was spent, in nanoseconds of CPU: by rule, on taking objects apart, on CEL's first look; and on how many."""

    rules: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    objects: list[float] = field(default_factory=list)
    cel: list[float] = field(default_factory=list)

    def lines(self) -> list[tuple[str, float, int]]:
        """Return name, mean in microseconds, and on how many objects; rules first, the dearest at the top."""
        found = [(label, _mean(spent), len(spent)) for label, spent in self.rules.items()]
        found.sort(key=lambda line: (-line[1], line[0]))
        return [
            *found,
            ("(taking an object apart)", _mean(self.objects), len(self.objects)),
            ("(CEL's first look at it)", _mean(self.cel), len(self.cel)),
        ]

    @property
    def total(self) -> float:
        """The mean of an object, all in all, in microseconds."""
        everything = sum(sum(spent) for spent in (*self.rules.values(), self.objects, self.cel))
        return everything / len(self.objects) / 1000 if self.objects else 0.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.description = (
        "Judges objects over and over as if user plimsoll-check created them, and prints the CPU time that each rule "
        "takes of a review, dearest first. Without PATH it judges a Deployment and a Pod of its own. The figures are "
        "this machine's: compare rules with each other, and packs with packs. Exit: 0, or 2 for wrong use or bad input."
    )
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="manifests: file, directory (with all below it), glob, or - for stdin"
    )
    policies.configure(parser)
    parser.add_argument(
        "-n", "--namespace", default="default", metavar="NAME", help="namespace of objects that name none"
    )
    parser.add_argument(
        "--rounds", type=_rounds, default=ROUNDS, metavar="N", help=f"how often each is judged (default: {ROUNDS})"
    )
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="default: text")


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Measure and print; return 0, or 2 where a file can't be read. Raises ConfigError where packs can't be used."""
    ruleset = policies.load(args, rooms)
    found = objects.read(args.paths or [str(files("webhook.cli") / OWN)])
    bill, skipped = measured(ruleset, found.manifests, args, rooms)
    if args.output == "json":
        json.dump(_figures(bill, skipped + found.strangers), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in _text(bill, skipped + found.strangers, args.rounds))
    sys.stdout.flush()
    for problem in found.problems:
        print(problem, file=sys.stderr)
    return 2 if found.problems else 0


def measured(
    ruleset: Ruleset, manifests: Sequence[Manifest], args: argparse.Namespace, rooms: Rooms
) -> tuple[Bill, int]:
    """Return what was spent, and how many objects concern no rule."""
    bill, skipped, now = Bill(), 0, policies.clock(args, rooms)()
    nobody = Facts(Missing("nothing is asked of a cluster here"), Missing("nothing is asked of a cluster here"))
    for manifest in manifests:
        review = creation(manifest.value, args.namespace)
        found = costs(ruleset, review, nobody, now, time.process_time_ns, args.rounds)
        if found is None:
            skipped += 1
            continue
        for label, spent in found.rules.items():
            bill.rules[label].append(spent)
        bill.objects.append(found.object)
        bill.cel.append(found.cel)
    return bill, skipped


def _text(bill: Bill, skipped: int, rounds: int) -> Iterator[str]:
    lines = bill.lines()
    width = max(len(name) for name, _, _ in lines)
    everything = sum(mean * count for _, mean, count in lines) or 1.0
    yield f"{'rule':{width}}  CPU µs a review  share  objects"
    for name, mean, count in lines:
        yield f"{name:{width}}  {mean:15.1f}  {100 * mean * count / everything:4.0f} %  {count:7}"
    judged = len(bill.objects)
    objects = f"{judged} object{'' if judged == 1 else 's'}"
    yield f"{objects}, {rounds} times each: {bill.total:.1f} µs a review in the mean" + (
        f"; {skipped} skipped" if skipped else ""
    )


def _figures(bill: Bill, skipped: int) -> dict[str, object]:
    rows = [{"name": name, "microseconds": round(mean, 2), "objects": count} for name, mean, count in bill.lines()]
    return {
        "version": 1,
        "objects": len(bill.objects),
        "skipped": skipped,
        "microseconds": round(bill.total, 2),
        "rules": [row for row in rows if not str(row["name"]).startswith("(")],
        "shared": [row for row in rows if str(row["name"]).startswith("(")],
    }


def _mean(spent: Sequence[float]) -> float:
    return sum(spent) / len(spent) / 1000 if spent else 0.0


def _rounds(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= MOST:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of rounds; wanted 1 to {MOST}")
