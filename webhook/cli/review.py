"""`plimsoll review`: the server without the server."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from webhook.cli import policies
from webhook.errors import ConfigError, Problem, ReviewError
from webhook.model import answer
from webhook.model.review import decode, parse
from webhook.ports import Rooms
from webhook.service import Service

HELP = "answer one AdmissionReview, as the server would"
SIZE = 7 * 2**20
"""Bytes that a review may have: the server's own limit."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.description = (
        "Reads one AdmissionReview and prints the AdmissionReview that the server answers, byte for byte; on a "
        "terminal with a line's end behind it. Nothing is known of a cluster, as with a server that has no "
        "connection to one. Exit: 0 allowed, 1 denied, 2 wrong use or bad input."
    )
    parser.add_argument("file", nargs="?", default="-", metavar="FILE", help="default: stdin")
    parser.add_argument(
        "--endpoint", choices=("validate", "advise", "mutate"), default="validate", help="default: validate"
    )
    policies.configure(parser)


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Answer and return 0 or 1. Raises ConfigError where the packs or the review cannot be used."""
    if args.file == "-" and "-" in args.policies:
        raise ConfigError([Problem("-", 0, "", "stdin holds either packs or the review; name a file for the other")])
    ruleset = policies.load(args, rooms, few=True)
    name = "stdin" if args.file == "-" else args.file
    try:
        review = parse(decode(_body(args.file)))
    except ReviewError as error:
        raise ConfigError([Problem(name, 0, "", error.message)]) from error
    except OSError as error:
        raise ConfigError([Problem(name, 0, "", f"cannot be read: {error.strerror}")]) from error
    decision = Service(lambda: ruleset, clock=policies.clock(args, rooms)).decide(args.endpoint, review)
    sys.stdout.buffer.write(answer.encode(review, decision, args.endpoint))
    if sys.stdout.isatty():
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()
    return 0 if decision.allowed else 1


def _body(file: str) -> bytes:
    if file == "-":
        body = sys.stdin.buffer.read(SIZE + 1)
    else:
        with Path(file).open("rb") as opened:
            body = opened.read(SIZE + 1)
    if len(body) > SIZE:
        raise ReviewError(f"the review is too large; at most {SIZE} bytes are read, as the server does")
    return body
