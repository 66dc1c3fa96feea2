"""Which action counts: the weakest of all that have a say."""

from __future__ import annotations

from datetime import UTC, datetime

from webhook.model.decision import Action
from webhook.packs.match import Known
from webhook.packs.rule import Rule

NAMESPACE_LABEL = "plimsoll.dev/mode"
Cap = tuple[Action, str]
_STRENGTH: dict[str, int] = {"disabled": 0, "allow": 0, "audit": 1, "warn": 2, "deny": 3}


def effective(rule: Rule, action: Action, known: Known, now: datetime, dry_run: bool) -> Action:
    """Return what counts of `action` for a rule at `now`: its own action, or its `onError` or `onUnknown`."""
    return weigh(rule, action, known, now, dry_run)[0]


def weigh(rule: Rule, action: Action, known: Known, now: datetime, dry_run: bool) -> Cap:
    """Return what counts of `action`, and what weakened it: '' where nothing did.

    The weakest wins of: the server's dry-run (`server`), the pack's mode (`mode`), the namespace's mode where the
    pack allows it (`namespace`), the action, and `enforceFrom` (before that UTC day deny counts as warn). A
    namespace whose labels are not known has no mode of its own.
    """
    cap: Cap = (action, "")
    if dry_run:
        cap = _weaker(cap, "audit", "server")
    if rule.pack.mode == "dry-run":
        cap = _weaker(cap, "audit", "mode")
    if rule.pack.mode == "disabled":
        cap = _weaker(cap, "disabled", "mode")
    if rule.enforce_from is not None and now.astimezone(UTC).date() < rule.enforce_from:
        cap = _weaker(cap, "warn", "enforceFrom")
    return _weaker(cap, _namespace_cap(rule, known), "namespace")


def _weaker(cap: Cap, action: Action, what: str) -> Cap:
    return (action, what) if _STRENGTH[action] < _STRENGTH[cap[0]] else cap


def _namespace_cap(rule: Rule, known: Known) -> Action:
    if not rule.pack.namespace_modes or isinstance(known.namespace_labels, str):
        return "deny"
    wanted = known.namespace_labels.get(NAMESPACE_LABEL)
    return "audit" if wanted == "dry-run" and wanted in rule.pack.namespace_modes else "deny"
