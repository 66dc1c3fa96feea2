"""`plimsoll lint`: mistakes and advice on rule packs."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC

from webhook.advice.pack import advice
from webhook.checks import CHECKS
from webhook.cli import policies
from webhook.packs.compile import ruleset
from webhook.packs.load import load
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
        help="pack: file, directory, glob, or - for stdin; default: the packs that come with Plimsoll",
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 where there is any advice")


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Print advice; return 0 or 1. Raises ConfigError with every mistake."""
    texts = policies.texts(rooms, args.paths)
    bases = policies.texts(rooms, ())
    compiled = ruleset(texts, bases=bases)
    documents = load(texts, CHECKS, bases).sound
    written = "\n".join(text for _, text in (*texts, *bases))
    found = advice(documents, compiled, rooms.clock().astimezone(UTC).date(), written)
    for problem in found:
        print(problem)
    packs = len(compiled.packs)
    rules = len(compiled.rules)
    counted = f"{packs} pack{'s' if packs != 1 else ''} with {rules} rule{'s' if rules != 1 else ''}"
    # figures are for people; who reads the advice by a program gets nothing else
    print(f"{counted}: no mistakes, {len(found)} piece{'s' if len(found) != 1 else ''} of advice", file=sys.stderr)
    return 1 if found and args.strict else 0
