"""`plimsoll explain`: the page of a rule or a check, and the trace of a review."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from webhook.checks import CHECKS
from webhook.cli import judge, objects, policies
from webhook.cli.objects import Manifest
from webhook.cli.page import check as checks
from webhook.cli.page import rule as rules
from webhook.cli.page.markdown import Markdown
from webhook.cli.page.rule import Entry
from webhook.cli.page.trace import Page, Shown
from webhook.cli.page.trace import described as traced
from webhook.errors import ConfigError, Problem, ReviewError
from webhook.model.pods import group_of
from webhook.model.review import API_VERSION, Review, parse
from webhook.model.workloads import table
from webhook.packs.compile import ruleset as compiled
from webhook.packs.load import load
from webhook.packs.rule import Ruleset
from webhook.packs.suggest import hint
from webhook.ports import Rooms
from webhook.service import Service

HELP = "explain a rule or a check, or what became of a review"
VERSION = 1
GROUP = group_of(API_VERSION)
WIDEST = 100
"""Columns that are filled: longer lines are hard to read."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.description = (
        "With a name: the page of a rule, with its check's, or of a check. With --review: of every rule whether it is "
        "concerned, by which clause it was left out, what it found, what exempts it, and the value of each variable. "
        "Exit: 0, or 2 for wrong use or bad input."
    )
    parser.add_argument("name", nargs="?", metavar="RULE|CHECK", help="pack/rule, a rule's name, or a check's")
    parser.add_argument(
        "--review",
        metavar="FILE",
        help="trace an AdmissionReview, or the creation of the objects in a file; - is stdin",
    )
    parser.add_argument(
        "--endpoint",
        choices=("all", "validate", "advise"),
        default="all",
        help="with --review: where it is asked (default: all, both of the others)",
    )
    parser.add_argument(
        "-n", "--namespace", default="default", help="with --review: namespace of objects that name none"
    )
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="default: text")
    policies.configure(parser)


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Print the page or the trace; return 0. Raises ConfigError for what cannot be used."""
    if (args.name is None) == (args.review is None):
        raise ConfigError([Problem("plimsoll explain", 0, "", "wanted either a name, or --review with a file")])
    if args.review == objects.STDIN and objects.STDIN in args.policies:
        raise ConfigError([Problem("-", 0, "", "stdin holds either packs or the review; name a file for the other")])
    texts, bases = policies.given(rooms, args.policies)
    ruleset = compiled(texts, args.mode, kinds=table(args.workload), bases=bases)
    entries = rules.entries(load(texts, CHECKS, bases).sound, ruleset)
    terminal = sys.stdout.isatty()
    markdown = Markdown(_width() if terminal else WIDEST, terminal and not rooms.plain)
    said, lines = (
        _named(args, rooms, entries, ruleset, markdown)
        if args.review is None
        else _reviewed(args, rooms, entries, ruleset, markdown)
    )
    if args.output == "json":
        print(orjson.dumps({"version": VERSION, **said}, option=orjson.OPT_INDENT_2).decode())
    else:
        for line in lines:
            print(line)
    return 0


def _width() -> int:
    try:
        return max(40, min(WIDEST, os.get_terminal_size(sys.stdout.fileno()).columns))
    except OSError:
        return WIDEST


def _named(
    args: argparse.Namespace, rooms: Rooms, entries: Sequence[Entry], ruleset: Ruleset, markdown: Markdown
) -> tuple[dict[str, Any], Iterator[str]]:
    """Return the page of what a name means, as plain values and as lines."""
    now = policies.clock(args, rooms)()
    found = _meant(args.name, entries)
    if isinstance(found, str):
        return checks.described(CHECKS[found], ruleset), checks.lines(CHECKS[found], ruleset, markdown)
    said = rules.described(found, now)
    if said["check"]:
        said["page"] = checks.described(CHECKS[said["check"]], ruleset)
    return said, rules.lines(found, ruleset, now, markdown)


def _meant(name: str, entries: Sequence[Entry]) -> Entry | str:
    """Return the rule of this name, or the name where it is a check's. Raises ConfigError with what may be meant.

    A rule that has the name of its check has that check's page beneath its own, so the rule goes before.
    """
    found = [entry for entry in entries if name in (entry.label, entry.name)]
    if len(found) == 1:
        return found[0]
    if name in CHECKS:
        return name
    if found:
        text = f"{len(found)} rules are named {name}; wanted one of {', '.join(entry.label for entry in found)}"
        raise ConfigError([Problem("plimsoll explain", 0, "", text)])
    known = {*CHECKS, *(entry.name for entry in entries), *(entry.label for entry in entries)}
    text = f"no rule or check is named {name}; {hint(name, known)}wanted pack/rule, or the name of a rule or a check"
    raise ConfigError([Problem("plimsoll explain", 0, "", text)])


def _reviewed(
    args: argparse.Namespace, rooms: Rooms, entries: Sequence[Entry], ruleset: Ruleset, markdown: Markdown
) -> tuple[dict[str, Any], Iterator[str]]:
    """Return the traces of the reviews in a file, as plain values and as lines."""
    found = objects.read([args.review])
    if found.problems:
        raise ConfigError(found.problems)
    if not found.manifests:
        text = "holds neither an AdmissionReview nor a Kubernetes object"
        raise ConfigError([Problem(args.review, 0, "", text)])
    values = [manifest.value for manifest in found.manifests]
    service = Service(
        lambda: ruleset,
        namespaces=judge.Namespaces(judge.namespaces(values)),
        neighbours=judge.Neighbours(judge.neighbours(values, args.namespace)),
        clock=policies.clock(args, rooms),
    )
    disabled = tuple(entry.label for entry in entries if entry.rule is None)
    shown = [_traced(args, service, manifest, disabled) for manifest in found.manifests]
    page = Page(markdown)
    lines = (line for number, one in enumerate(shown) for line in (*([""] if number else []), *page.lines(one)))
    return {"results": [traced(one) for one in shown]}, lines


def _traced(args: argparse.Namespace, service: Service, manifest: Manifest, disabled: tuple[str, ...]) -> Shown:
    # of every version: parse says which is wanted
    asked = (group_of(manifest.value["apiVersion"]), manifest.value["kind"]) == (GROUP, "AdmissionReview")
    try:
        review: Review = parse(manifest.value) if asked else judge.creation(manifest.value, args.namespace)
    except ReviewError as error:
        raise ConfigError([Problem(manifest.file, manifest.mark[0], "", error.message)]) from error
    at = "/request/object" if asked else ""
    trace, mended = service.explain(args.endpoint, review), service.decide("mutate", review)
    return Shown(manifest, at, args.endpoint, trace, mended, disabled)
