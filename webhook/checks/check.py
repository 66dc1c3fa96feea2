"""What a check is: functions over one pod or one object, and a fix; values only, no state."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from webhook.model.decision import Unsure, Violation
from webhook.model.neighbours import Ref
from webhook.model.patch import Draft
from webhook.model.pods import Pod, Subject
from webhook.model.record import record


@record(frozen=True, slots=True)
class Check:
    """One standard with its parameters built in.

    `pod` is asked for every pod template in the scope of the rule, `subject` for every object. Both give
    the places where the standard is not kept, with pointers from the root of the reviewed object (`Pod.pointer`
    and `Subject.pointer` say where it stands). `fix` writes into the draft what makes a pod keep the standard;
    the pod that it gets is read from that very draft. `fix_subject` does so for the object around the pods (its
    strategy, its limits). Both must be idempotent, and leave alone what they cannot mend.

    `seeks` says what a check looks for beside an object (its autoscaler, its budget, its namespace), so that it is
    gathered; `Subject.neighbours` and `Pod.neighbours` give what was found. It must be cheap, and name nothing where
    the verdict hangs on nothing else. Where not all is known that a verdict hangs on, a check yields Unsure, and no
    violation. `fix_seeks` is what only the fix looks for.
    """

    pod: Callable[[Pod], Iterable[Violation | Unsure]] | None = None
    subject: Callable[[Subject], Iterable[Violation | Unsure]] | None = None
    fix: Callable[[Pod, Draft], None] | None = None
    fix_subject: Callable[[Subject, Draft], None] | None = None
    seeks: Callable[[Subject], Iterable[Ref]] | None = None
    fix_seeks: Callable[[Subject], Iterable[Ref]] | None = None

    @property
    def fixes(self) -> bool:
        """Say whether there is any fix."""
        return self.fix is not None or self.fix_subject is not None


class ParamError(ValueError):
    """Parameters that fit the schema and still cannot be meant: `problems` are (path below params, sentence)."""

    def __init__(self, problems: Iterable[tuple[tuple[str | int, ...], str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(text for _, text in self.problems))
