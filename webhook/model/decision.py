"""What a review comes to: findings, errors, what is unknown, the patch; plain values for every reader."""

from __future__ import annotations

from typing import Any, Literal

from webhook.model.patch import Conflict
from webhook.model.record import record

Action = Literal["deny", "warn", "audit", "disabled", "allow"]


@record(frozen=True, slots=True)
class Violation:
    """One place where a check sees its standard not kept.

    `pointer` starts at the root of the reviewed object. `reason` is short and fixed, `found` and `wanted` are
    specific. `container` is the name of the container or volume meant, None for the pod or object as a whole. `same`
    are the things that it was there before by, where `found` says more than these, or has no room for all: one that
    has fewer of them than before is not new. On an update it is new, too, where it has come to reach more (`reach`: the
    containers for which a value of the pod counts; others put some into pods, so that of a controller this is not
    asked), or where `extent`, how bad it is, has grown. People are shown none of these.
    """

    pointer: str
    reason: str
    found: str
    wanted: str
    container: str | None = None
    same: tuple[str, ...] = ()
    reach: tuple[str, ...] = ()
    extent: int = 0


@record(frozen=True, slots=True)
class Unsure:
    """What a check yields where it cannot tell, since a fact is lacking: `why`, and which (`neighbours`, `images`)."""

    why: str
    fact: str = "neighbours"


@record(frozen=True, slots=True)
class About:
    """What every finding of a rule says of its rule."""

    pack: str
    version: str
    rule: str
    action: Action
    severity: str = "medium"
    responsible: str = ""
    remediation: str = ""
    docs: str = ""
    contact: str = ""
    pack_mode: str = "enforce"


@record(frozen=True, slots=True)
class Since:
    """A workload (`Deployment web`) that was there before a rule denied, and the UTC day on which it was made."""

    owner: str
    day: str


@record(frozen=True, slots=True)
class Finding:
    """One violation of one rule, with what comes of it.

    `effective` is the action that counts here and now; `exempt` is the reason of the exemption that covers
    it, or None; `existing` says that the object had it before, so that it is only warned of; `since`, that the
    workload had it for which a controller made the object.
    """

    about: About
    violation: Violation
    effective: Action
    exempt: str | None = None
    existing: bool = False
    since: Since | None = None

    @property
    def pack(self) -> str:
        """The pack's name."""
        return self.about.pack

    @property
    def rule(self) -> str:
        """The rule's name."""
        return self.about.rule

    @property
    def action(self) -> Action:
        """The action that the rule names, whatever weakens it here."""
        return self.about.action


@record(frozen=True, slots=True)
class Fault:
    """A rule that failed (`kind` error), or a fact that it lacked (`kind` unknown), and what comes of it."""

    about: About
    kind: Literal["error", "unknown"]
    message: str
    effective: Action
    fact: str = ""

    @property
    def pack(self) -> str:
        """The pack's name."""
        return self.about.pack

    @property
    def rule(self) -> str:
        """The rule's name."""
        return self.about.rule


@record(frozen=True, slots=True)
class Fixed:
    """A fix that was applied, or (`would`) that would have been: how many operations, and where first.

    `steps` says which operations of the patch they are, by their numbers.
    """

    about: About
    operations: int
    pointer: str
    quiet: bool = False
    would: bool = False
    steps: tuple[int, ...] = ()

    @property
    def pack(self) -> str:
        """The pack's name."""
        return self.about.pack

    @property
    def rule(self) -> str:
        """The rule's name."""
        return self.about.rule


@record(frozen=True, slots=True)
class Decision:
    """All that the answer, the log, the metrics and the reports are made from; everything sorted.

    `wants` names facts that would have mattered and were not gathered; the service gathers and asks again.
    """

    allowed: bool = True
    findings: tuple[Finding, ...] = ()
    errors: tuple[Fault, ...] = ()
    unknown: tuple[Fault, ...] = ()
    patch: tuple[dict[str, Any], ...] = ()
    patched: tuple[Fixed, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    packs: tuple[str, ...] = ()
    wants: frozenset[str] = frozenset()


NOTHING_TO_SAY = Decision()
