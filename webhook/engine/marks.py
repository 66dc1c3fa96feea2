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
        things = list(violation.same) if violation.same else [violation.found]
        return self._keys(violation, things)

    def reached(self, violation: Violation) -> list[Key]:
        """Return what else of an object a finding reaches; also that its container goes on, unlike one for `init`."""
        reach = [f"reaches {one}" for one in violation.reach]
        template, name = self._template(violation), violation.container
        if name is not None and not _of_volume(violation) and self._running and name in self._running[template]:
            reach.append("goes on")
        return self._keys(violation, reach)

    def all(self, violation: Violation) -> list[Key]:
        """Return both."""
        return self.of(violation) + self.reached(violation)

    def _keys(self, violation: Violation, things: list[str]) -> list[Key]:
        template, volume = self._template(violation), _of_volume(violation)
        return [(template, volume, violation.container, violation.reason, thing) for thing in things]

    def _template(self, violation: Violation) -> int:
        if len(self._templates) < 2:
            return 0
        return next((self._templates[at] for at in upwards(violation.pointer) if at in self._templates), 0)


def _of_volume(violation: Violation) -> bool:
    return "/volumes/" in f"{violation.pointer}/"
