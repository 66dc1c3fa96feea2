"""`plimsoll export`: rules as policies that the API server runs by itself."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from webhook.checks import CHECKS
from webhook.cli import files, policies
from webhook.cli.emit import yaml_text
from webhook.cli.vap.policy import Exported, Wishes, export
from webhook.model.workloads import table
from webhook.packs.compile import ruleset
from webhook.packs.load import load
from webhook.ports import Rooms

HELP = "write rules as policies that the API server runs by itself"
STDOUT = "-"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.description = (
        "Writes the rules whose meaning CEL can carry as ValidatingAdmissionPolicies with their bindings, which the "
        "API server runs without a webhook. What is not exported, and why, is on stderr and at the top of what is "
        "written. Exit: 0 written, 1 with --strict where something is not exported, 2 wrong use or bad input."
    )
    parser.add_argument("form", choices=("vap",), metavar="vap", help="what to write: ValidatingAdmissionPolicies")
    policies.configure(parser)
    parser.add_argument("-o", "--output", default=STDOUT, metavar="FILE", help="where to write; - is stdout (default)")
    parser.add_argument(
        "--existing",
        choices=("deny",),
        help="export rules that deny as if each had `existing: deny`: what a stored workload had before is refused at "
        "its next change, too",
    )
    parser.add_argument(
        "--binding-namespace-selector",
        action="append",
        default=[],
        type=_label,
        metavar="KEY=VALUE",
        help="bind the policies in namespaces with this label alone (repeatable: all of them)",
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 where something is not exported")


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Write the policies; return 0 or 1. Raises ConfigError with every problem of the packs."""
    texts, bases = policies.given(rooms, args.policies)
    compiled = ruleset(texts, args.mode, kinds=table(args.workload), bases=bases)
    documents = load(texts, CHECKS, bases).sound
    now: datetime = policies.clock(args, rooms)()
    wishes = Wishes(now, args.existing == "deny", dict(args.binding_namespace_selector))
    found = list(export(compiled, documents, wishes))
    report = list(told(found))
    _write(args.output, document(found, report))
    print("\n".join(report), file=sys.stderr)
    return 1 if args.strict and any(one.lacking for one in found) else 0


def told(found: Sequence[Exported]) -> Iterator[str]:
    """Yield what is said of an export: what is not in it, what to know of what is, and the figures."""
    for why, rules in _by_text((one.rule, why) for one in found for why in one.lacking if not one.documents):
        yield f"not exported: {rules}: {why}"
    for why, rules in _by_text((one.rule, why) for one in found for why in one.lacking if one.documents):
        yield f"exported in part: {rules}: not {why}"
    for note, rules in _by_text((one.rule, note) for one in found for note in one.notes if one.documents):
        yield f"exported: {rules}: {note}"
    count = sum(bool(one.documents) for one in found)
    made = sum(document["kind"].endswith("Policy") for one in found for document in one.documents)
    yield f"{count} of {len(found)} rule{'s' if len(found) != 1 else ''} exported, as {made} polic{_ending(made)}"


def _by_text(said: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield each text once, with the rules of which it is said."""
    found: dict[str, list[str]] = {}
    for rule, text in said:
        found.setdefault(text, []).append(rule)
    yield from ((text, ", ".join(rules)) for text, rules in found.items())


def _ending(count: int) -> str:
    return "y" if count == 1 else "ies"


def document(found: Sequence[Exported], report: Sequence[str]) -> str:
    """Return the YAML text of all policies and bindings, with the report as comments above."""
    head = ["Written by `plimsoll export vap`: export again rather than edit.", *report]
    parts = [yaml_text(each) for one in found for each in one.documents]
    return "\n".join(f"# {line}" for line in head) + "\n" + "".join(f"---\n{part}" for part in parts)


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no label; wanted KEY=VALUE, such as plimsoll.dev/policies=on")
    return key, value


def _write(name: str, text: str) -> None:
    if name == STDOUT:
        sys.stdout.write(text)
        return
    files.write(name, text)
