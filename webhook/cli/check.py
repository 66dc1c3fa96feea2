"""`plimsoll check`: its arguments. What it does is in `checking`, so that `--help` doesn't wait for that."""

from __future__ import annotations

import argparse

from webhook.cli import policies, registries
from webhook.ports import Rooms

HELP = "judge manifests as the cluster would"
FORMATS = ("text", "json", "sarif", "junit", "github")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.description = (
        "Judges every Kubernetes object in the files as if user plimsoll-check created it. Documents that are no "
        "Kubernetes objects, and kinds that no rule concerns, are skipped and counted. Namespaces among the files "
        "give their labels; of others nothing is known. Registries are asked what images are where they are named, "
        "and else rules that need that are unknown. Exit: 0 nothing denied, 1 something denied, 2 wrong use "
        "or bad input (what could be read is judged and printed all the same)."
    )
    policies.configure(parser)
    policies.subjects(parser)
    parser.add_argument("-o", "--output", choices=FORMATS, default="text", help="default: text")
    parser.add_argument(
        "--baseline", metavar="FILE", help="findings that are known: they are counted, and only new ones fail"
    )
    parser.add_argument(
        "--update-baseline", action="store_true", help="write all that is found to the --baseline file, and exit with 0"
    )
    registries.configure(parser, "none is asked")


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Judge and print; return 0, 1 or 2. Raises ConfigError where the packs cannot be used."""
    from webhook.cli import checking

    return checking.run(args, rooms)
