"""What is said of a pack where it stands: the status of a RulePack, and the Events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime
from typing import Any

import orjson

from webhook.errors import Problem
from webhook.model.record import record
from webhook.packs.rule import Ruleset
from webhook.packs.served import LAST_GOOD, rulepack

Object = Mapping[str, Any]
MESSAGE = 4096
"""Characters of a condition's message; the API allows 32,768, and Events 1,024."""
EVENT = 1024
CONDITION = "Loaded"
ROOM = 1024 * 1024
"""Bytes of a pack as it is written and of its last good text, together: etcd takes objects of 1.5 MiB."""


_STAYS = "the last good text stays in force"
_RUNNING = f"{_STAYS} where a server has it, and is too large to be kept for one that starts"


@record(frozen=True, slots=True)
class Counted:
    """Findings by (pack, rule, effective action), as one pod counted them from a time on."""

    by: str
    since: datetime
    findings: Mapping[tuple[str, str, str], int]


def status(
    obj: Object,
    source: str,
    good: frozenset[str],
    problems: Sequence[Problem],
    ruleset: Ruleset,
    now: datetime,
    counted: Counted | None = None,
    kept: str = "",
) -> dict[str, Any]:
    """Return the status of a RulePack object.

    `source` is its name as a source, `good` are those in force, `problems` what keeps its present text out of force,
    `kept` the text that is in force meanwhile. It goes into the status, where servers that start find it; what is in
    the status stays as long as we have no good text ourselves. A condition that stays keeps its time.
    """
    meta = obj.get("metadata") or {}
    name, generation = str(meta.get("name")), int(meta.get("generation") or 0)
    pack = next((pack for pack in ruleset.packs if pack.source == source), None)
    kept = kept if problems and kept and kept != rulepack(obj)[1] else ""
    fits = not kept or _fits(obj, kept)
    found: dict[str, Any] = {
        "observedGeneration": generation,
        "conditions": [_condition(obj, generation, source in good, problems, pack is not None, now, fits)],
        "version": (pack.version if pack else "") or None,
        "rules": sum(rule.pack is pack for rule in ruleset.rules) if pack else 0,
    }
    if source in good:
        found[LAST_GOOD] = kept if fits and kept else None
    if counted is not None and pack is not None:
        found["findings"] = _findings(name, {rule.about.rule for rule in ruleset.rules if rule.pack is pack}, counted)
    return found


def _fits(obj: Object, kept: str) -> bool:
    return len(orjson.dumps(kept)) + len(rulepack(obj)[1].encode()) <= ROOM


def _condition(
    obj: Object, generation: int, good: bool, problems: Sequence[Problem], judges: bool, now: datetime, fits: bool
) -> dict[str, Any]:
    if problems:
        state, reason = "False", "LastGoodKept" if good else "Invalid"
        lead = _STAYS if good and fits else _RUNNING if good else "it is not in force, and had no good text before"
        message = told(problems, lead, MESSAGE)
    elif judges:
        state, reason, message = "True", "Loaded", "in force as it is written"
    elif good:
        state, reason, message = "True", "Extended", "another pack extends it, so that it judges no more by itself"
    else:
        state, reason, message = "Unknown", "Waiting", "it is being loaded"
    before = condition(obj)
    same = before.get("status") == state
    return {
        "type": CONDITION,
        "status": state,
        "reason": reason,
        "message": message,
        "lastTransitionTime": before.get("lastTransitionTime") if same else stamp(now),
        "observedGeneration": generation,
    }


def condition(obj: Object) -> Mapping[str, Any]:
    """Return the condition that a RulePack object has now, empty where it has none."""
    found = (obj.get("status") or {}).get("conditions") or ()
    return next((one for one in found if one.get("type") == CONDITION), {})


def told(problems: Iterable[Problem], lead: str, most: int) -> str:
    """Return all problems, a line each, at most `most` characters; what does not fit is counted."""
    lines = [str(problem) for problem in problems]
    text = lead + ":"
    for number, line in enumerate(lines):
        rest = f"\n... and {len(lines) - number} more"
        if len(text) + 1 + len(line) + len(rest) > most and number < len(lines):
            return (text + rest) if number else f"{text}\n{line}"[: most - len(rest)] + rest
        text += "\n" + line
    return text


def _findings(name: str, present: Set[str], counted: Counted) -> dict[str, Any]:
    rules: dict[str, dict[str, int]] = {}
    for (pack, rule, effective), number in counted.findings.items():
        key = {"deny": "denied", "warn": "warned", "audit": "audited"}.get(effective)
        # a rule that was taken out of the pack has been counted, too
        if pack == name and rule in present and key and number:
            entry = rules.setdefault(rule, {})
            entry[key] = entry.get(key, 0) + number
    return {
        "observedBy": counted.by,
        "since": stamp(counted.since),
        "denied": sum(entry.get("denied", 0) for entry in rules.values()),
        "rules": [{"name": rule, **rules[rule]} for rule in sorted(rules)],
    }


def differs(obj: Object, wanted: Mapping[str, Any]) -> bool:
    """Say whether a RulePack object's status says something else than is wanted, counts aside."""
    present = obj.get("status") or {}
    return any(present.get(key) != value for key, value in wanted.items() if key != "findings")


def change(obj: Object, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is to be written of the status that is wanted: a text that stands there is not sent again."""
    present = (obj.get("status") or {}).get(LAST_GOOD)
    return {key: value for key, value in wanted.items() if key != LAST_GOOD or value != present}


def stamp(when: datetime) -> str:
    """Return a time as the API writes it (RFC 3339, UTC, seconds)."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
