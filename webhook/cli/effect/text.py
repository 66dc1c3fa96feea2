"""The impact for a terminal: the answer first, then by owner, namespace and rule, then object by object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from webhook.cli.effect.compare import ALONE, CATEGORIES, Heard, Impact, Point
from webhook.cli.effect.show import HEADS, SHORT, Title, headline, notes, shown, step, undecided
from webhook.cli.report.text import count, field, plain

_COLOURS = {"denied": "31;1", "warned": "33;1", "allowed": "32", "relieved": "32", "head": "1", "note": "2"}


class Text:
    """The report; `colour` where a terminal shows it."""

    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def pieces(self, title: Title, found: Impact) -> Iterator[str]:
        """Yield the whole report."""
        for line in self._lines(title, found):
            yield line + "\n"

    def _lines(self, title: Title, found: Impact) -> Iterator[str]:
        colour = "denied" if found.count("denied") else "allowed"
        yield self._paint(colour, plain(headline(title, found)))
        mode = f" in mode {title.mode}" if title.mode else ""
        yield plain(f"{title.old} on {title.today} -> {title.new} on {title.day}{mode}")
        yield ", ".join(f"{found.count(category)} {HEADS[category]}" for category in CATEGORIES)
        yield from (plain(note) for note in notes(found))
        if found.changes:
            owners = found.by(lambda change: change.owner)
            yield from self._table("owner", CATEGORIES, [(f"{who.name} ({who.by})", row) for who, row in owners])
            yield from self._table("namespace", CATEGORIES, _named(found.by(lambda change: change.namespace)))
            yield from self._table("rule", CATEGORIES[:2], found.rules())
        for category, changes in shown(found):
            yield ""
            yield self._paint(category, f"{HEADS[category]} ({len(changes)})")
            before = None
            for change in changes:
                owner = change.owner
                if owner != before and owner.by != ALONE:  # else the line of the object says it all
                    yield self._paint("head", plain(f"{owner.name} ({owner.by})"))
                before = owner
                yield from self._change(change)
        yield from self._left(found)

    def _table(self, name: str, columns: Sequence[str], rows: Sequence[tuple[str, Counter[str]]]) -> Iterator[str]:
        wide = max([len(name), *(len(plain(label)) for label, _ in rows)])
        yield ""
        yield self._paint("head", f"{'by ' + name:{wide + 3}}" + "".join(f"{SHORT[key]:>10}" for key in columns))
        for label, row in rows:
            yield f"{plain(label):{wide + 3}}" + "".join(f"{row[key] or '-':>10}" for key in columns)

    def _change(self, change: Heard) -> Iterator[str]:
        more = f", and {count(change.followers, 'object')} that it controls" if change.followers else ""
        place = self._paint("note", plain(f"({change.source})"))
        yield f"  {plain(change.title)}: {step(change)}{more} {place}"
        for sign, points in (("+", change.gained), ("-", change.lost)):
            for point in points:
                yield from self._point(sign, point)

    def _point(self, sign: str, point: Point) -> Iterator[str]:
        where = f" ({point.container})" if point.container else ""
        yield f"    {sign} " + plain(f"{point.effective}: {point.pack}/{point.rule}: {point.reason}{where}")
        if sign == "-":
            return
        for name, text in (("at", point.pointer), ("found", point.found), ("wanted", point.wanted)):
            yield from field(name, text)
        yield from field("do", point.remediation)

    def _left(self, found: Impact) -> Iterator[str]:
        listed = undecided(found)
        if listed:
            yield ""
            yield self._paint("head", "could not be decided")
        for rule, why, number in listed:
            yield f"  {count(number, 'object')}: {plain(rule)}: {plain(why)}"
        if found.left:
            yield ""
            yield self._paint("head", "not judged")
        for what, number in found.left.most_common():
            yield f"  {what}: {number}"

    def _paint(self, kind: str, text: str) -> str:
        return f"\033[{_COLOURS[kind]}m{text}\033[0m" if self._colour else text


def _named(rows: Sequence[tuple[Any, Counter[str]]]) -> list[tuple[str, Counter[str]]]:
    return [(name or "(cluster-scoped)", row) for name, row in rows]
