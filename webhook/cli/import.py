"""`plimsoll import`: policies of other engines as rule packs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from webhook.checks import CHECKS
from webhook.cli import objects, policies
from webhook.cli.files import write
from webhook.cli.foreign import gatekeeper, kyverno, psa
from webhook.cli.foreign.outcome import Outcome, Spec, text
from webhook.errors import ConfigError, Problem
from webhook.packs.compile import ruleset
from webhook.packs.load import load
from webhook.ports import Rooms

HELP = "turn policies of Kyverno, Gatekeeper or Pod Security Admission into packs"
READERS = {"kyverno": kyverno.read, "gatekeeper": gatekeeper.read, "psa": psa.read}
ABOUT = {
    "kyverno": ("ClusterPolicy, Policy and ValidatingPolicy", "policies of Kyverno"),
    "gatekeeper": ("Constraints of the library's kinds, and ConstraintTemplates with CEL", "constraints of Gatekeeper"),
    "psa": ("Namespaces by their labels, and the API server's configuration", "Pod Security Admission"),
}
LEVELS = ("baseline", "restricted")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the three sources and their arguments."""
    parser.description = (
        "Reads policies of other engines, and writes those that can be said here exactly as rule packs. All others "
        "are listed, with place and reason, on stderr and in the file. "
        "Exit: 0 all are imported, 1 some are not, 2 wrong use or bad input."
    )
    sources = parser.add_subparsers(dest="source", required=True, metavar="kyverno | gatekeeper | psa")
    for name, (what, _) in ABOUT.items():
        source = sources.add_parser(name, help=f"read {what}")
        source.description = f"Reads {what}."
        source.add_argument(
            "paths",
            nargs="*" if name == "psa" else "+",
            metavar="PATH",
            help="file, directory (with all below it), glob, or - for stdin" + (" (default: -)" * (name == "psa")),
        )
        source.add_argument("-o", "--output", metavar="FILE", help="where to write (default: stdout)")
        source.add_argument(
            "--name", default=name, metavar="NAME", help=f"name of the pack, or what it begins with (default: {name})"
        )


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Write the packs, and list what is not in them; return 0 or 1. Raises ConfigError for bad input."""
    found = objects.read(args.paths or [objects.STDIN])
    if found.problems:
        raise ConfigError(found.problems)
    bases = policies.texts(rooms, ())
    outcome = READERS[args.source](found.manifests, _standards(bases), args.name)
    what, origin = ABOUT[args.source]
    if not outcome.read:
        raise ConfigError([Problem(f"plimsoll import {args.source}", 0, "", f"nothing to read there; wanted {what}")])
    written = text(outcome, origin)
    if outcome.packs:
        ruleset([(args.output or "import", written)], bases=bases)
        if args.output is None:
            sys.stdout.write(written)
        else:
            write(args.output, written)
    _report(outcome)
    return 1 if outcome.refused else 0


def _standards(bases: Sequence[tuple[str, str]]) -> dict[str, Sequence[Spec]]:
    """Return the rules of our pod-security packs, by level."""
    specs = {pack.value["metadata"]["name"]: pack.value["spec"] for pack in load(bases, CHECKS).sound}
    return {level: specs[f"pod-security-{level}"]["rules"] for level in LEVELS}


def _report(outcome: Outcome) -> None:
    for problem in sorted(set(outcome.refused)):
        print(problem, file=sys.stderr)
    rules = sum(len(pack["spec"]["rules"]) for pack in outcome.packs)
    packs = len(outcome.packs)
    counted = f"{packs} pack{'s' if packs != 1 else ''} with {rules} rule{'s' if rules != 1 else ''}"
    print(f"{outcome.read} read: {counted}, {len(set(outcome.refused))} not imported", file=sys.stderr)
