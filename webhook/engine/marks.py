"""What a finding was there before by, for `existing: allow`."""

from __future__ import annotations

from webhook.model.decision import Violation
from webhook.model.pods import Subject
from webhook.model.pointer import upwards

Key = tuple[int, bool, str | None, str, str]
"""Number of the template, whether it is about a volume, whose, the reason, and the thing that was found."""


class Marks:
    """Tells the findings of one subject apart; made once for all of them, since there may be thousands."""

    def __init__(self, subject: Subject) -> None:
        """Look at the pods of `subject`."""
        self._templates = {pod.pointer: number for number, pod in enumerate(subject.pods)}
        self._running = [frozenset([one.name for one in pod.everyone if one.role != "init"]) for pod in subject.pods]

    def of(self, violation: Violation) -> list[Key]:
        """Return what a finding of a rule was there before by: all of it.

        The reason is part of it: a rule may ask several things that are found with the same words, such as `not set`.
        So is the number of the template, where there are several: the containers of two may have one name. And a volume
        may have the name of a container.
        """
        return self._keys(violation, _things(violation))

    def all(self, violation: Violation) -> list[Key]:
        """Return that, and what else of an object a finding reaches."""
        return self._keys(violation, _things(violation) + self._reach(violation))

    def _reach(self, violation: Violation) -> list[str]:
        """Return what a finding reaches; also that its container goes on, unlike one for `init`."""
        reach, name = [f"reaches {one}" for one in violation.reach], violation.container
        goes_on = self._running[self._template(violation)] if self._running else frozenset[str]()
        return [*reach, "goes on"] if name in goes_on and not _of_volume(violation) else reach

    def _keys(self, violation: Violation, things: list[str]) -> list[Key]:
        template, volume = self._template(violation), _of_volume(violation)
        return [(template, volume, violation.container, violation.reason, thing) for thing in things]

    def _template(self, violation: Violation) -> int:
        if len(self._templates) < 2:
            return 0
        return next((self._templates[at] for at in upwards(violation.pointer) if at in self._templates), 0)


def _things(violation: Violation) -> list[str]:
    return list(violation.same) if violation.same else [violation.found]


def _of_volume(violation: Violation) -> bool:
    return "/volumes/" in f"{violation.pointer}/"
