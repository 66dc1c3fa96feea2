"""`plimsoll check`: manifests before the rules, without a cluster."""

from __future__ import annotations

import argparse
import sys

from webhook.cli import objects, policies
from webhook.cli.judge import judge
from webhook.cli.report import json, text
from webhook.errors import ConfigError, Problem
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
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="file, directory (with all below it), glob, or - for stdin"
    )
    policies.configure(parser)
    parser.add_argument(
        "-n", "--namespace", default="default", metavar="NAME", help="namespace of objects that name none"
    )
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="default: text")
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="show exempt findings and what keeps every rule, too"
    )


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Judge and print; return 0, 1 or 2. Raises ConfigError where the packs cannot be used."""
    if objects.STDIN in args.paths and objects.STDIN in args.policies:
        raise ConfigError([Problem("-", 0, "", "stdin holds either packs or manifests; name a file for the others")])
    ruleset = policies.load(args, rooms)
    found = objects.read(args.paths)
    judged, unconcerned = judge(ruleset, found.manifests, policies.clock(args, rooms), args.namespace)
    skipped = found.strangers + unconcerned
    if args.output == "json":
        sys.stdout.write(json.render(judged, skipped))
    else:
        colour = sys.stdout.isatty() and not rooms.plain
        sys.stdout.write(text.render(judged, skipped, colour, args.verbose))
    sys.stdout.flush()  # before the diagnostics, where both go to one terminal
    for problem in sorted(set(found.problems)):
        print(problem, file=sys.stderr)
    if found.problems:
        return 2
    return 0 if all(one.decision.allowed for one in judged) else 1
