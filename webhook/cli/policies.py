"""What commands that judge have in common: which packs, in which mode, on which day."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

from webhook.errors import ConfigError, Problem
from webhook.model.workloads import KINDS, Kinds, Row, row, table
from webhook.ports import Rooms

if TYPE_CHECKING:
    from webhook.packs.rule import Ruleset

FEW = 64
"""Objects that are judged sooner by each rule in CEL alone: to compile rules that are asked together takes 10 ms, and
spares a tenth of one for each object."""
MOST = 256
"""Processes that may be asked for."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add `--policies`, `--workload`, `--mode` and `--date`."""
    parser.add_argument(
        "--policies",
        action="append",
        default=[],
        metavar="PATH",
        help="pack: file, directory, glob, shipped:NAME for one that comes with Plimsoll, or - for stdin (repeatable; "
        "default: all that come with it)",
    )
    workloads(parser)
    parser.add_argument("--mode", choices=("enforce", "dry-run"), help="judge as if every pack had this mode")
    parser.add_argument(
        "--date", type=day, metavar="DAY", help="judge as on this day, YYYY-MM-DD in UTC (default: today)"
    )


def workloads(parser: argparse.ArgumentParser) -> None:
    """Add `--workload`."""
    parser.add_argument(
        "--workload",
        action="append",
        default=[],
        type=workload,
        metavar="ROW",
        help="a workload kind of your own, as the server knows it: group/Kind:resource:path of its pod template, such "
        "as acme.example/Service:services:spec.template (repeatable)",
    )


def subjects(parser: argparse.ArgumentParser) -> None:
    """Add what is judged, where, how much is said of it, and by how many processes."""
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="file, directory (with all below it), glob, or - for stdin"
    )
    parser.add_argument(
        "-n", "--namespace", default="default", metavar="NAME", help="namespace of objects that name none"
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="show exempt findings and what keeps every rule, too"
    )
    parser.add_argument(
        "-j", "--jobs", type=jobs, metavar="N", help="processes that judge (default: one for each processor)"
    )


def load(args: argparse.Namespace, rooms: Rooms, few: bool = False) -> Ruleset:
    """Return the packs that the arguments name, compiled; see `ruleset` for `few`. Raises ConfigError."""
    from webhook.cli.objects import STDIN

    if STDIN in args.policies and STDIN in getattr(args, "paths", ()):
        raise ConfigError([Problem("-", 0, "", "stdin holds either packs or manifests; name a file for the others")])
    return compiled(rooms, args.policies, args.mode, table(args.workload), few)


def compiled(
    rooms: Rooms, paths: Sequence[str], mode: str | None = None, kinds: Kinds = KINDS, few: bool = False
) -> Ruleset:
    """Return the packs at `paths`, or those that come with Plimsoll where there are none, compiled.

    As in the server, those that come with it may be extended without being named.
    """
    from webhook.packs.compile import ruleset  # with CEL, which nobody needs for `--help`

    sources, bases = given(rooms, paths)
    return ruleset(sources, mode, kinds=kinds, bases=bases, few=few)


def suited(ruleset: Ruleset, objects: int) -> Ruleset:
    """Return packs that were loaded for few objects as they judge so many the fastest."""
    from webhook.packs.compile import joined

    return joined(ruleset) if objects > FEW else ruleset


def given(rooms: Rooms, paths: Sequence[str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return name and text of the packs to judge by, and of those that they may extend without their being named.

    Raises ConfigError where there are none.
    """
    sources = texts(rooms, paths)
    if not sources:
        raise ConfigError([Problem("--policies", 0, "", "no packs there; wanted files with kind: RulePack")])
    return sources, texts(rooms, ()) if paths else []


def texts(rooms: Rooms, paths: Sequence[str]) -> list[tuple[str, str]]:
    """Return name and text of the packs at `paths`, or of those that come with Plimsoll where there are none."""
    wanted = list(paths) or [str(path) for path in rooms.shipped()]
    return [(source.name, source.text) for source in rooms.read(wanted)]


def clock(args: argparse.Namespace, rooms: Rooms) -> Callable[[], datetime]:
    """Return the clock to judge by: it stands at noon of `--date` where that is given."""
    return rooms.clock if args.date is None else at(args.date)


def at(day: date) -> Callable[[], datetime]:
    """Return a clock that stands at noon, UTC, of a day."""
    return lambda: datetime.combine(day, time(12), UTC)


def workload(text: str) -> Row:
    """Return the workload kind that an argument describes, for argparse."""
    try:
        return row(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def jobs(given: str) -> int:
    """Return how many processes an argument asks for, for argparse."""
    if not given.isascii() or not given.isdigit() or not 0 < int(given) <= MOST:
        raise argparse.ArgumentTypeError(f"{given!r} is no number of processes; wanted 1 to {MOST}")
    return int(given)


def day(text: str) -> date:
    """Return the day that an argument names, for argparse."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day of the calendar; wanted YYYY-MM-DD") from None
