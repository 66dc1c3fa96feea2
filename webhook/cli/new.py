"""`plimsoll new`: the beginning of a pack, a rule or a check, with blanks to fill in."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Sequence
from datetime import UTC
from pathlib import Path

from webhook.checks import CHECKS, Module
from webhook.cli import files, objects
from webhook.cli.scaffold import check as checks
from webhook.cli.scaffold import pack as packs
from webhook.cli.scaffold.append import append
from webhook.cli.shape import KIND as TEST
from webhook.errors import ConfigError, Problem
from webhook.packs.blanks import WORDS
from webhook.packs.parse import documents
from webhook.packs.schema import KIND
from webhook.packs.suggest import hint
from webhook.ports import Rooms

HELP = "begin a pack, a rule or a check, with its tests"
FIRST = "first-rule"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_FIELD = re.compile(r"[a-z][A-Za-z0-9]*")
LONGEST = 63


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.description = (
        f"Writes the beginning of a pack, a rule or a check, and of its tests. What only you know is marked {WORDS}; "
        "`plimsoll lint` and `plimsoll test` name each blank that is left. Nothing is written over. "
        "Exit: 0, or 2 for wrong use or what is there already."
    )
    what = parser.add_subparsers(dest="what", required=True, metavar="pack | rule | check")
    pack = what.add_parser("pack", help="a pack with one rule, and its tests beside it")
    pack.description = "Writes NAME.yaml and NAME.test.yaml."
    pack.add_argument("name", type=_named, metavar="NAME", help="the pack's name, in kebab-case")
    pack.add_argument("-d", "--directory", default="", metavar="DIR", help="where to write them (default: here)")
    pack.add_argument(
        "--rule", type=_named, metavar="NAME", help=f"its first rule (default: the check's name, or {FIRST})"
    )
    _by(pack)
    rule = what.add_parser("rule", help="one more rule of a pack, and its tests")
    rule.description = "Adds a rule to a pack, and two cases to its tests; without --pack, prints them."
    rule.add_argument("name", type=_named, metavar="NAME", help="the rule's name, in kebab-case")
    rule.add_argument("--pack", metavar="FILE", help="the pack; its tests are in the .test.yaml beside it")
    _by(rule)
    check = what.add_parser("check", help="a check in code, in the source tree of Plimsoll")
    check.description = "Writes a check on one field of containers, and its cases, and adds it to the list of checks."
    check.add_argument("name", type=_named, metavar="NAME", help="the check's name, in kebab-case")
    check.add_argument(
        "--field",
        type=_field,
        default="terminationMessagePolicy",
        metavar="FIELD",
        help="the field of containers to begin with (default: terminationMessagePolicy)",
    )


def _by(parser: argparse.ArgumentParser) -> None:
    by = parser.add_mutually_exclusive_group()
    by.add_argument("--check", type=_check, metavar="CHECK", help="a rule by this check")
    by.add_argument("--cel", action="store_true", help="a rule in CEL (default)")


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Write what is asked for, and say what is next; return 0. Raises ConfigError."""
    make = {"pack": _pack, "rule": _rule, "check": _new_check}[args.what]
    make(args, rooms)
    return 0


def _pack(args: argparse.Namespace, rooms: Rooms) -> None:
    rule = args.rule or (args.check.ID if args.check else FIRST)
    file = str(Path(args.directory, f"{args.name}.yaml"))
    version = f"{rooms.clock().astimezone(UTC):%Y.%m}"
    tests = packs.tests(args.name, f"{args.name}.yaml", packs.cases(rule, args.check))
    texts = {file: packs.pack(args.name, version, packs.rule(rule, args.check)), packs.beside(file): tests}
    files.create(texts)
    _say(texts, (), _to_fill(file))


def _rule(args: argparse.Namespace, rooms: Rooms) -> None:
    rule, cases = packs.rule(args.name, args.check), packs.cases(args.name, args.check)
    if args.pack is None:
        print(f"# under spec.rules of a pack\n{rule}\n# under spec.cases of its tests\n{cases}", end="")
        return
    if args.pack == objects.STDIN:
        raise ConfigError([Problem("--pack", 0, "", "the rule is added to a file; name one instead of -")])
    text, tests = objects.text(args.pack), packs.beside(args.pack)
    name = _unused(args.pack, text, args.name)
    changed = {args.pack: append(args.pack, text, KIND, "rules", rule)}
    made = {}
    if Path(tests).exists():
        changed[tests] = append(tests, objects.text(tests), TEST, "cases", cases)
    else:
        made[tests] = packs.tests(name, Path(args.pack).name, cases)
    files.create(made)
    for file, after in changed.items():
        files.write(file, after)
    _say(made, changed, _to_fill(args.pack))


def _unused(file: str, text: str, rule: str) -> str:
    """Return the name of the pack in a file. Raises ConfigError where it has a rule of this name already."""
    for document in documents(file, text):
        spec = document.value.get("spec")
        rules = spec.get("rules") if isinstance(spec, dict) else None
        for number, entry in enumerate(rules if isinstance(rules, list) else ()):
            if isinstance(entry, dict) and entry.get("name") == rule:
                path = ("spec", "rules", number, "name")
                raise ConfigError([document.problem(path, f"{rule} is there already; take another name")])
        metadata = document.value.get("metadata")
        if document.value.get("kind") == KIND and isinstance(metadata, dict):
            return str(metadata.get("name", ""))
    return ""


def _new_check(args: argparse.Namespace, rooms: Rooms) -> None:
    root = checks.tree(Path.cwd())
    listed, stem = root / "webhook/checks/__init__.py", args.name.replace("-", "_")
    if args.name in CHECKS:
        raise ConfigError([Problem(str(listed), 0, "", f"there is a check {args.name} already; take another name")])
    after = checks.registered(str(listed), listed.read_text(encoding="utf-8"), stem)
    code = listed.with_name(f"{stem}.py")
    texts = {
        str(code): checks.module(args.name, args.field),
        str(listed.with_name(f"{args.name}.cases.yaml")): checks.cases(args.name, args.field),
    }
    files.create(texts)
    files.write(str(listed), after)
    steps = (
        f"fill in what is marked {WORDS} in both files; tests/unit/checks/test_contract.py fails until you have",
        f"add a rule with it to a pack: plimsoll new rule {args.name} --check {args.name} --pack policies/PACK.yaml",
        "make generated writes its page; make check says what is missing yet",
    )
    _say(texts, [str(listed)], steps)


def _to_fill(pack: str) -> Sequence[str]:
    tests = packs.beside(pack)
    return (
        f"fill in what is marked {WORDS}; what is left is named by: plimsoll lint {pack}",
        f"see that the cases pass: plimsoll test {tests}",
        f"see what it finds in your manifests: plimsoll check --policies {pack} manifests/",
    )


def _say(made: Iterable[str], changed: Iterable[str], steps: Iterable[str]) -> None:
    for what, names in (("wrote", made), ("added to", changed)):
        for name in names:
            print(f"{what} {name}")
    print("next:")
    for number, step in enumerate(steps, 1):
        print(f"  {number}. {step}")


def _named(text: str) -> str:
    if _NAME.fullmatch(text) is None or len(text) > LONGEST:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name; wanted kebab-case, such as no-host-path, with at most {LONGEST} characters"
        )
    return text


def _field(text: str) -> str:
    if _FIELD.fullmatch(text) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no field of a container; wanted one such as imagePullPolicy")
    return text


def _check(text: str) -> Module:
    if text not in CHECKS:
        raise argparse.ArgumentTypeError(
            f"there is no check {text}; {hint(text, CHECKS)}the checks are {', '.join(CHECKS)}"
        )
    return CHECKS[text]
