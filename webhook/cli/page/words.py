"""Why a rule is not asked, and why another action counts than it says, in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from webhook.engine.explain import Absence

_WEAKER: Mapping[str, str] = {
    "server": "the server is in dry-run",
    "mode": "its pack is in {mode}",
    "namespace": "the namespace asks for it by its label plimsoll.dev/mode",
    "enforceFrom": "it denies from {day} on",
}
_ABSENT: Mapping[str, str] = {
    "object": "there is no object to judge: {found}",
    "operation": "nothing is judged on {found}",
    "subresource": "nothing is judged on the subresource {found}",
    "mirror": "this is a mirror pod, by {found} itself",
    "mode": "its pack is disabled",
    "endpoint": "it is asked elsewhere than at /{found}",
    "scale": "it judges no replicas, and nothing else is in a Scale",
    "unchanged": "the update changes nothing that it reads",
    "controller": "it judges the workload, and {found} made this one",
    "pods": "there is no pod in it",
    "containers": "no container is in containers of the {whose}'s match ({found})",
    "images": "no image is in images of the {whose}'s match (containers {found})",
    "matchConditions": "the matchCondition {name} of the {whose}'s match is false",
}
_CLAUSE = "{clause} of the {whose}'s match leaves it out ({found})"


def absent(absence: Absence) -> str:
    """Return why a rule is not asked."""
    out, found = absence.out, absence.found
    if out.clause == "kinds" and not out.whose:
        return f"it does not judge the kind {found}"
    sentence = _ABSENT.get(out.clause, _CLAUSE)
    return sentence.format(clause=out.clause, whose=out.whose, name=out.name, found=found)


def weaker(why: str, mode: str, day: date | None) -> str:
    """Return what weakens an action, by the word of `engine.mode`; '' where nothing does."""
    return _WEAKER[why].format(mode=mode, day=day) if why else ""
