"""What every report of an impact says, in the same words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from webhook.cli.effect.compare import CATEGORIES, Heard, Impact
from webhook.cli.report.text import count

HEADS = {
    "denied": "newly denied",
    "warned": "newly warned of",
    "allowed": "let in again",
    "relieved": "no longer warned of",
}
WORDS = {"deny": "denied", "warn": "warned of", "allow": "let in"}
SHORT = {"denied": "denied", "warned": "warned", "allowed": "let in", "relieved": "relieved"}
"""Heads of columns."""


@dataclass(frozen=True, slots=True)
class Title:
    """What is compared: the packs as they were named, the day that each is judged on, and the mode given to NEW."""

    old: str
    new: str
    today: date
    day: date
    mode: str | None


class Report(Protocol):
    """One format."""

    def pieces(self, title: Title, found: Impact) -> Iterator[str]:
        """Yield the whole report."""
        ...


def headline(title: Title, found: Impact) -> str:
    """Return the answer in a sentence: `On 2026-11-30 this stops 14 of 812 objects, of 3 of 5 owners.`"""
    denied = found.of("denied")
    owners = len({change.owner for change in denied})
    when = f"On {title.day} this" if title.day != title.today else "This"
    objects = count(found.total, "object")
    if not denied:
        return f"{when} stops none of {objects} of {count(len(found.objects), 'owner')}."
    return f"{when} stops {len(denied)} of {objects}, of {owners} of {count(len(found.objects), 'owner')}."


def notes(found: Impact) -> Iterator[str]:
    """Yield what else is to be known of the figures, a sentence each."""
    denied = found.of("denied")
    updatable = sum(change.updatable for change in denied)
    if updatable:
        yield (
            f"Of these, {updatable} may go on being updated where they are there already (existing: allow): they are "
            "stopped when they are made anew."
        )
    if found.corrected:
        yield f"/mutate saves {count(found.corrected, 'object')} from being denied, by correcting what is wrong first."
    if found.altered:
        yield f"The verdict stays, for other reasons, of {count(found.altered, 'object')}."
    if found.controlled:
        yield f"Counted with their controllers, as which they do: {count(found.controlled, 'object')}."
    rules = sorted({label for label, _ in found.undecided})
    if rules:
        yield f"Not decided for some objects, and counted for nothing here: {', '.join(rules)}."


def undecided(found: Impact) -> list[tuple[str, str, int]]:
    """Return the rules that could not be decided, why, and for how many objects; the commonest first."""
    ranked = sorted(found.undecided.items(), key=lambda item: (-item[1], item[0]))
    return [(label, why, number) for (label, why), number in ranked]


def step(change: Heard) -> str:
    """Return how a verdict changes: `let in -> denied`."""
    return f"{WORDS[change.before]} -> {WORDS[change.after]}"


def shown(found: Impact) -> Iterator[tuple[str, list[Heard]]]:
    """Yield the categories that have objects, those that are stopped first."""
    for category in CATEGORIES:
        changes = found.of(category)
        if changes:
            yield category, changes
