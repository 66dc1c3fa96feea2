"""The figures of a check: how much was judged, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from webhook.cli.baseline import KNOWN, Key
from webhook.cli.judge import Judged
from webhook.cli.report.words import contacts

_VERDICTS = {"deny": "denied", "warn": "warned", "audit": "audited"}
FIGURES = ("objects", "skipped", "denied", "warned", "audited", "findings", "exempt", "known", "unknown", "errors")


@dataclass(slots=True)
class Tally:
    """Figures by name; `contacts` are (pack, whom to ask) of what was found or is denied.

    `allowed` says that nothing is denied, `alike` is what a new baseline would hold, where one is made.
    """

    figures: Counter[str] = field(default_factory=Counter)
    contacts: set[tuple[str, str]] = field(default_factory=set)
    allowed: bool = True
    alike: Counter[Key] = field(default_factory=Counter)

    @classmethod
    def of(cls, results: Iterable[Judged], skipped: int) -> Tally:
        """Return the figures of objects that were judged, and of as many that were not."""
        tally = cls(Counter(skipped=skipped))
        for one in results:
            tally.add(one)
        return tally

    def add(self, one: Judged) -> None:
        """Count one object: by the strongest that is found in it, and by each finding."""
        decision = one.decision
        found = [finding for finding in decision.findings if finding.exempt is None]
        known = sum(finding.exempt == KNOWN for finding in decision.findings)
        self.figures.update(
            objects=1,
            findings=len(found),
            exempt=len(decision.findings) - len(found) - known,
            known=known,
            unknown=len(decision.unknown),
            errors=len(decision.errors),
        )
        verdict = _VERDICTS.get(one.strongest)
        if verdict:
            self.figures[verdict] += 1
        self.contacts |= contacts((*found, *decision.errors, *decision.unknown))
        self.allowed = self.allowed and decision.allowed

    def join(self, other: Tally) -> None:
        """Add the figures of others."""
        self.figures.update(other.figures)
        self.contacts |= other.contacts
        self.alike |= other.alike
        self.allowed = self.allowed and other.allowed

    def summary(self) -> dict[str, int]:
        """Return the figures as the report has them."""
        return {name: self.figures[name] for name in FIGURES}
