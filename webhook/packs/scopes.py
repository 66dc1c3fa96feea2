"""From `match` and `exemptions` to scopes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from webhook.model import image
from webhook.model.kinds import find, names
from webhook.model.workloads import Kinds
from webhook.packs.exempt import Exemption
from webhook.packs.match import Scope, selector
from webhook.packs.notes import Notes, entries, globs
from webhook.packs.parse import Path

WHOLE = Scope()


def scope(notes: Notes, path: Path, spec: Mapping[str, Any] | None, kinds: Kinds, words: Mapping[str, str]) -> Scope:
    """Return a `match` compiled; problems are noted. `words` are the names that its conditions may use."""
    if not spec:
        return WHOLE
    conditions = []
    for number, condition in entries(spec, "matchConditions"):
        at = (*path, "matchConditions", number, "expression")
        program = notes.cel(at, condition["expression"], words, "bool")
        if program is not None:
            conditions.append((condition["name"], program))
    return Scope(
        operations=frozenset(spec["operations"]) if "operations" in spec else None,
        namespace_selector=selector(spec["namespaceSelector"]) if spec.get("namespaceSelector") else None,
        object_selector=selector(spec["objectSelector"]) if spec.get("objectSelector") else None,
        exclude_namespaces=globs(spec, "excludeNamespaces"),
        exclude_users=globs(spec, "excludeUsers"),
        exclude_groups=globs(spec, "excludeGroups"),
        conditions=tuple(conditions),
        whose="rule" if "rules" in path else "pack",
        **_places(notes, path, spec, kinds),
    )


def exemption(notes: Notes, path: Path, entry: Mapping[str, Any], kinds: Kinds) -> Exemption:
    """Return one entry of `exemptions` compiled; problems are noted."""
    return Exemption(
        rules=frozenset(entry["rules"]),
        reason=entry["reason"],
        owner=entry["owner"],
        expires=date.fromisoformat(entry["expires"]),
        **_places(notes, (*path, "match"), entry["match"], kinds),
    )


def _places(notes: Notes, path: Path, spec: Mapping[str, Any], kinds: Kinds) -> dict[str, Any]:
    """Return the clauses that a match and an exemption share."""
    compiled: dict[str, Any] = {key: globs(spec, key) for key in ("namespaces", "names", "containers")}
    if "kinds" in spec:
        found = notes.each((*path, "kinds"), spec["kinds"], lambda text: find(text, kinds), names(kinds))
        compiled["kinds"] = frozenset(found)
    if "images" in spec and "*" not in spec["images"]:
        compiled["images"] = tuple(notes.each((*path, "images"), spec["images"], image.pattern))
    return compiled
