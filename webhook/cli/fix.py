"""`plimsoll fix`: manifests mended in their own files, with every byte kept that no fix has to change."""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TextIO

from webhook.cli import crew, objects, policies, shelf
from webhook.cli.edit import store
from webhook.cli.edit.mend import Made, mend
from webhook.cli.judge import ONLY_FILES, Judged, Namespaces, court, namespaces
from webhook.cli.objects import Manifest
from webhook.cli.report import diff, text
from webhook.cli.report.place import cut
from webhook.cli.report.tally import Tally
from webhook.cli.shelf import Kept, Packed, Shelf, unpack
from webhook.errors import ConfigError, Problem
from webhook.packs.rule import Ruleset
from webhook.ports import Clock, Rooms

HELP = "mend manifests in their files, as the cluster would"
ROUNDS = 5
"""Rounds in which a fix of one object may make another one needed beside it, or one that could not be made another."""

_BOM = "\ufeff".encode()
_TEMPLATE = "this is a template and no plain YAML, so it is left as it is; mend its values, or what it is made into"

Hear = Callable[[Manifest], Judged | None]


@dataclass(slots=True)
class Sheet:
    """A file: what is in it, and what was mended.

    `text` is its mended text, None as long as nothing was mended; `before` are the bytes that were read then.
    """

    name: str
    packed: tuple[Kept, ...]
    before: bytes = b""
    text: str | None = None
    fixes: list[str] = field(default_factory=list)

    @property
    def after(self) -> bytes:
        """Return the bytes that it shall have, once something was mended."""
        return (_BOM if self.before.startswith(_BOM) else b"") + (self.text or "").encode()

    def take(self, turn: Turn) -> None:
        """Take what came of a round."""
        if turn.text is not None:
            self.packed, self.before, self.text = turn.packed, turn.before, turn.text
            self.fixes += turn.fixes


class Turn(NamedTuple):
    """What one round makes of a file: its mended text or None, what is in it then, what was and what is to be said."""

    tally: Tally
    left: str
    problems: tuple[Problem, ...] = ()
    before: bytes = b""
    text: str | None = None
    packed: tuple[Packed, ...] = ()
    fixes: tuple[str, ...] = ()


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.description = (
        "Makes in the files the fixes that /mutate would make if user plimsoll-check created the objects. Only what a "
        "fix changes is written anew: comments, order, quotes, anchors and line ends stay. What is left after the "
        "fixes is shown as by check. What stands on stdin (-) goes mended to stdout. Files that are no plain YAML or "
        "JSON, such as Helm templates, are refused and left as they are. Exit: 0 nothing is denied any more; 1 "
        "something is, or with --diff something would change; 2 wrong use or bad input (what could be read is mended "
        "all the same)."
    )
    policies.configure(parser)
    policies.subjects(parser)
    parser.add_argument("--diff", action="store_true", help="show what would change, and write nothing")


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Mend, write and print; return 0, 1 or 2. Raises ConfigError where the packs cannot be used."""
    ruleset = policies.load(args, rooms, few=True)
    problems: list[Problem] = []
    data = _once(objects.data)
    names = objects.files(args.paths, objects.ENDINGS, problems)
    found = shelf.read_files(names, args.jobs, data)
    ruleset = policies.suited(ruleset, len(found.packed))
    problems += _refused(found.problems, names, data)
    bad = {problem.source for problem in found.problems}
    sheets = list(_sheets([name for name in names if objects.shown(name) not in bad], found.packed))

    out: TextIO = sys.stderr if args.diff or objects.STDIN in names else sys.stdout
    page = text.Page(out.isatty() and not rooms.plain, args.verbose)
    desk = _Desk(page, data, args.namespace, args.jobs, "would be fixed" if args.diff else "fixed")
    turns = desk.rounds(sheets, ruleset, policies.clock(args, rooms))
    total = Tally(Counter(skipped=found.strangers))
    for turn in turns:
        total.join(turn.tally)
        problems += turn.problems
    done = [sheet for sheet in sheets if sheet.text is not None]
    if args.diff:
        _show(done, sys.stdout.isatty() and not rooms.plain)
    else:
        done = list(_stored(done, problems))
        sys.stdout.buffer.writelines(desk.bytes(sheet) for sheet in sheets if sheet.name == objects.STDIN)
    sys.stdout.flush()
    out.writelines(line for sheet in done for line in sheet.fixes)
    out.writelines(["\n"] if done else [])
    out.writelines(turn.left for turn in turns)
    out.write(page.end(total) + _summary(done, total, args.diff))
    out.flush()  # before the diagnostics, where both go to one terminal
    for problem in sorted(set(problems)):
        print(problem, file=sys.stderr)
    if problems:
        return 2
    return 0 if total.allowed and not (args.diff and done) else 1


def _once(data: Callable[[str], bytes]) -> Callable[[str], bytes]:
    """Return what gives the bytes of files again and again, also of stdin and of pipes, which can be read only once."""
    kept: dict[str, bytes] = {}

    def read(name: str) -> bytes:
        if name != objects.STDIN and Path(name).is_file():
            return data(name)
        if name not in kept:
            kept[name] = data(name)
        return kept[name]

    return read


def _refused(found: Iterable[Problem], names: Iterable[str], data: Callable[[str], bytes]) -> Iterator[Problem]:
    """Yield what is wrong with files; of a template only that it is one."""
    files = {objects.shown(name): name for name in names}
    for problem in found:
        place = 0
        with suppress(ConfigError):  # which is the problem, then
            place = _marks(objects.decoded(problem.source, data(files[problem.source])))
        yield Problem(problem.source, place, "", _TEMPLATE) if place else problem


def _marks(content: str) -> int:
    """Return the first line with a mark of a template (Helm, Jinja), or 0."""
    at = min((at for at in (content.find("{{"), content.find("{%")) if at >= 0), default=-1)
    return content.count("\n", 0, at) + 1 if at >= 0 else 0


def _sheets(names: Iterable[str], packed: Iterable[Kept]) -> Iterator[Sheet]:
    inside: dict[str, list[Kept]] = defaultdict(list)
    for one in packed:
        inside[one.file].append(one)
    yield from (Sheet(name, tuple(inside[objects.shown(name)])) for name in names)


@dataclass(frozen=True, slots=True)
class _Desk:
    """Where files are mended: how it is said, how they are read."""

    page: text.Page
    data: Callable[[str], bytes]
    namespace: str
    jobs: int | None
    word: str

    def rounds(self, sheets: Sequence[Sheet], ruleset: Ruleset, clock: Clock) -> list[Turn]:
        """Mend files until nothing changes any more; return the last turn of each, which says what is left."""
        for number in range(ROUNDS + 1):
            kept = Shelf.of([one for sheet in sheets for one in sheet.packed], self.namespace, ONLY_FILES)
            hear = court(ruleset, Namespaces(namespaces(kept.namespaces())), kept, clock, self.namespace)
            turns = list(self._round(sheets, hear, mending=number < ROUNDS))
            for sheet, turn in zip(sheets, turns, strict=True):
                sheet.take(turn)
            if all(turn.text is None for turn in turns):
                break
        return turns

    def bytes(self, sheet: Sheet) -> bytes:
        """Return what a file has to hold."""
        return self.data(sheet.name) if sheet.text is None else sheet.after

    def _round(self, sheets: Sequence[Sheet], hear: Hear, *, mending: bool) -> Iterator[Turn]:
        def work(part: Sequence[int]) -> list[Turn]:
            return [self._turn(sheets[number], hear, mending) for number in part]

        for some in crew.spread(work, range(len(sheets)), crew.hands(self.jobs, len(sheets))):
            yield from some

    def _turn(self, sheet: Sheet, hear: Hear, mending: bool) -> Turn:
        manifests = [unpack(one) for one in sheet.packed]
        heard = [(manifest, hear(manifest)) for manifest in manifests]
        judged = [one for _, one in heard if one is not None]
        tally = Tally.of(judged, len(heard) - len(judged))
        mended = None if sheet.text is None else cut(sheet.text)
        left = "".join(self.page.block(one, mended) for one in judged)
        if not mending or not any(one.mended.patch for one in judged):
            return Turn(tally, left)
        try:
            return self._mended(sheet, heard, Turn(tally, left))
        except ConfigError as error:
            return Turn(tally, left, error.problems)

    def _mended(self, sheet: Sheet, heard: Sequence[tuple[Manifest, Judged | None]], turn: Turn) -> Turn:
        name = objects.shown(sheet.name)
        before = self.data(sheet.name) if sheet.text is None else sheet.before
        old = objects.decoded(sheet.name, before) if sheet.text is None else sheet.text
        if _in_chart(sheet.name) and _marks(old):
            raise ConfigError([Problem(name, _marks(old), "", _TEMPLATE)])
        new, made = mend(name, old, heard)
        held = "".join(self._said(one, "warn", "not fixed") for one in made if one.why)
        if new == old:
            return turn._replace(left=held + turn.left)
        packed = tuple(shelf.pack(one) for one in objects.within(sheet.name, new) if one is not None)
        fixes = tuple(self._said(one, "allow", self.word) for one in made if not one.why)
        return Turn(turn.tally, turn.left, (), before, new, packed, fixes)

    def _said(self, made: Made, kind: str, word: str) -> str:
        manifest, fixed = made.judged.manifest, made.fixed
        place = f"{manifest.file}:{manifest.line(fixed.pointer)}"
        changes = f"{text.count(fixed.operations, 'change')} from {fixed.pointer}"
        return self.page.remark(place, kind, word, ": ".join([fixed.rule, changes, *filter(None, [made.why])]))


def _in_chart(name: str) -> bool:
    """Say whether a file is a template of a Helm chart, though YAML as it stands: all its marks are in quotes."""
    return any(
        place.name == "templates" and (place.parent / "Chart.yaml").exists() for place in Path(name).resolve().parents
    )


def _show(sheets: Iterable[Sheet], colour: bool) -> None:
    for sheet in sheets:
        name = objects.shown(sheet.name)
        sys.stdout.write(diff.unified(name, sheet.before.decode(), sheet.after.decode(), colour))


def _stored(sheets: Iterable[Sheet], problems: list[Problem]) -> Iterator[Sheet]:
    """Write files, but for stdin, and yield those that are as they shall be. Notes what could not be written."""
    for sheet in sheets:
        try:
            if sheet.name != objects.STDIN:
                store.replace(sheet.name, sheet.before, sheet.after)
            yield sheet
        except ConfigError as error:
            problems += error.problems


def _summary(done: Sequence[Sheet], total: Tally, only_shown: bool) -> str:
    fixes = sum(len(sheet.fixes) for sheet in done)
    files = text.count(len(done), "file")
    left = text.count(total.summary()["findings"], "finding")
    would = "would be changed" if only_shown else "changed"
    return f"{files} {would}, {fixes} fix{'' if fixes == 1 else 'es'}; {left} left\n"
