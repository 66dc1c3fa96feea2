"""Which texts of packs are in force: those that are wanted, and for what can't be loaded the last good ones.

Nobody's word is taken for who is to blame, since a mistake may show in a pack that extends the one that has it. Changes
are tried instead: all at once, which is nearly always the end of it; else by halves, until those are found that don't
go together with what is in force. Packs that extend one another are tried together before they are tried one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from webhook.errors import ConfigError, Problem
from webhook.model.record import record
from webhook.packs.merge import CHAIN, base_of, name_of
from webhook.packs.parse import scan

Text = tuple[str, str]
Unit = list[str]


@record(frozen=True, slots=True)
class Kept:
    """The texts that are good together, and by source what keeps its present text out of force, sorted.

    Whoever's last good text stays, or has none and is out of force, has an entry among `problems`.
    """

    good: tuple[Text, ...]
    problems: Mapping[str, tuple[Problem, ...]]


def keep(good: Sequence[Text], wanted: Sequence[Text], attempt: Callable[[Sequence[Text]], object]) -> Kept:
    """Return what is to be in force, after `good`, where `wanted` are the sources that are there now.

    `attempt` raises ConfigError for texts that can't be loaded together; it has taken `good`. It is asked once where
    all can be, else about twice the logarithm of the changes for each that can't. A source that is gone is out of
    force, but for one that others extend: it stays for their sake, and they have the problem.
    """
    before, after = dict(good), dict(wanted)
    order = [name for name in (*before, *after) if name in after]
    everything = tuple((name, after[name]) for name in dict.fromkeys(order))
    try:
        attempt(everything)
    except ConfigError:
        draft = _Draft(dict(before), after, attempt)
    else:
        return Kept(everything, {})
    changes = [name for name in dict.fromkeys((*before, *after)) if before.get(name) != after.get(name)]
    left = draft.take(_units(changes, before, after))
    for _ in range(CHAIN):  # a pack may wait for its base, which came later
        again = draft.take([[name] for unit in left for name in unit])
        if len(again) == len(left):
            break
        left = again
    return Kept(tuple(draft.texts.items()), draft.blamed({name for unit in left for name in unit}))


@dataclass(slots=True)
class _Draft:
    """Texts that are good together, to which changes are added as long as they stay so."""

    texts: dict[str, str]
    wanted: Mapping[str, str]
    attempt: Callable[[Sequence[Text]], object]
    refused: dict[str, tuple[Problem, ...]] = field(default_factory=dict)

    def take(self, units: list[Unit]) -> list[Unit]:
        """Make these changes as far as they go, and return those that don't, one by one."""
        if not units:
            return []
        problems = self._try([name for unit in units for name in unit])
        if problems is None:
            return []
        if len(units) > 1:
            half = len(units) // 2
            return self.take(units[:half]) + self.take(units[half:])
        [unit] = units
        if len(unit) > 1:
            return self.take([[name] for name in unit])
        self.refused[unit[0]] = problems
        return units

    def _try(self, names: Iterable[str]) -> tuple[Problem, ...] | None:
        changed = dict(self.texts)
        for name in names:
            if name in self.wanted:
                changed[name] = self.wanted[name]
            else:
                changed.pop(name, None)
        try:
            self.attempt(tuple(changed.items()))
        except ConfigError as error:
            return error.problems
        self.texts = changed
        return None

    def blamed(self, names: Iterable[str]) -> dict[str, tuple[Problem, ...]]:
        """Return by source what keeps the changes of `names` out of force: where it was made, and where it shows."""
        found: dict[str, set[Problem]] = {}
        for name in names:
            for problem in self.refused[name]:
                for source in {name, problem.source} & self.wanted.keys():
                    found.setdefault(source, set()).add(problem)
        return {source: tuple(sorted(problems)) for source, problems in sorted(found.items())}


def _units(changes: Iterable[str], *texts: Mapping[str, str]) -> list[Unit]:
    """Return the changes, those together whose packs extend one another or have one name."""
    words: dict[str, set[str]] = {}
    defined: set[str] = set()
    for source, text in (item for each in texts for item in each.items()):
        documents = scan(source, text)[0]
        defined |= {name_of(document) for document in documents}
        words.setdefault(source, set()).update(
            word for document in documents for word in (name_of(document), base_of(document))
        )
    groups: list[tuple[set[str], Unit]] = []
    for source, all_words in words.items():
        meant = all_words & (defined - {""})
        sources = [source]
        rest = []
        for group in groups:
            if group[0] & meant:
                meant |= group[0]
                sources = group[1] + sources
            else:
                rest.append(group)
        groups = [*rest, (meant, sources)]
    wanted = set(changes)
    return [unit for _, sources in groups if (unit := [source for source in sources if source in wanted])]
