"""`plimsoll lint`: mistakes and advice on rule packs."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC

from webhook.advice.pack import advice
from webhook.cli import policies
from webhook.errors import ConfigError
from webhook.packs.compile import survey
from webhook.ports import Rooms

HELP = "find mistakes in rule packs, and give advice"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.description = (
        "Loads rule packs as the server does. Mistakes, on stderr, exit with 2: the server would not take these "
        "packs. Advice, on stdout, is about what loads and is hardly meant; it exits with 0, or with --strict 1."
    )
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="pack: file, directory, glob, shipped:NAME for one that comes with Plimsoll, or - for stdin; default: all "
        "that come with it",
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 where there is any advice")


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Print advice; return 0 or 1. Raises ConfigError with every mistake, when the advice is printed."""
    texts, bases = policies.given(rooms, args.paths)
    surveyed = survey(texts, bases=bases)
    written = "\n".join(text for _, text in (*texts, *bases))
    packs = [(part.document, part.rules) for part in surveyed.sound]
    found = advice(packs, rooms.clock().astimezone(UTC).date(), written)
    for problem in found:
        print(problem)
    if surveyed.problems:
        raise ConfigError(surveyed.problems)
    rules = sum(len(rules) for _, rules in packs)
    counted = f"{len(packs)} pack{'s' if len(packs) != 1 else ''} with {rules} rule{'s' if rules != 1 else ''}"
    # figures are for people; who reads the advice by a program gets nothing else
    print(f"{counted}: no mistakes, {len(found)} piece{'s' if len(found) != 1 else ''} of advice", file=sys.stderr)
    return 1 if found and args.strict else 0
