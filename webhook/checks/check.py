"""What a check is: functions over one pod or one object, and a fix; values only, no state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from webhook.model import image as images
from webhook.model.decision import Unsure, Violation
from webhook.model.image import Pattern
from webhook.model.neighbours import Ref
from webhook.model.oci import Lookup
from webhook.model.patch import Draft
from webhook.model.pods import Pod, Subject
from webhook.model.record import record

Problems = list[tuple[tuple[str | int, ...], str]]
"""What is wrong with parameters: paths below params, each with a sentence."""


@record(frozen=True, slots=True)
class Part:
    """A share in a glance that is one for several rules: it tells of all of them at once that a pod keeps them.

    `broken` returns those of some bits that stand for what the pod may not keep, `bits` are those of the check: where
    none of them comes back, its `pod` would find nothing. Raising is taken for all of them.
    """

    broken: Callable[[Pod, int], int]
    bits: int


@record(frozen=True, slots=True)
class Check:
    """One standard with its parameters built in.

    `pod` is asked for every pod template in the scope of the rule, `subject` for every object. Both give
    the places where the standard is not kept, with pointers from the root of the reviewed object (`Pod.pointer`
    and `Subject.pointer` say where it stands). `fix` writes into the draft what makes a pod keep the standard;
    the pod that it gets is read from that very draft. `fix_subject` does so for the object around the pods (its
    strategy, its limits). Both must be idempotent, and leave alone what they cannot mend. `fix` may return what it was
    unsure of, for lack of a fact: that is unknown, and `onUnknown` decides.

    `kept` is a glance: True only where `pod` would find nothing; it may say False of a pod that is fine. It is for a
    check whose `pod` does much to find nothing, as in most pods. `part` is a share in a glance, where rules with such
    checks can be asked together. Whoever asks about a pod asks `violations`, which glances first.

    `seeks` says what a check looks for beside an object (its autoscaler, its budget, its namespace), so that it is
    gathered; `Subject.neighbours` and `Pod.neighbours` give what was found. It must be cheap, and name nothing where
    the verdict hangs on nothing else. Where not all is known that a verdict hangs on, a check yields Unsure, and no
    violation. `fix_seeks` is what only the fix looks for.

    `inspects` and `fix_inspects` name the images whose registries are to be asked, in the same way; `Pod.images` gives
    what they said. `bases` are images that a check compares with, whatever the pod: they are asked for ahead of it.
    """

    pod: Callable[[Pod], Iterable[Violation | Unsure]] | None = None
    kept: Callable[[Pod], bool] | None = None
    subject: Callable[[Subject], Iterable[Violation | Unsure]] | None = None
    fix: Callable[[Pod, Draft], Iterable[Unsure] | None] | None = None
    fix_subject: Callable[[Subject, Draft], None] | None = None
    seeks: Callable[[Subject], Iterable[Ref]] | None = None
    fix_seeks: Callable[[Subject], Iterable[Ref]] | None = None
    inspects: Callable[[Pod], Iterable[Lookup]] | None = None
    fix_inspects: Callable[[Pod], Iterable[Lookup]] | None = None
    bases: tuple[str, ...] = ()
    part: Part | None = None

    def violations(self, pod: Pod) -> Iterable[Violation | Unsure]:
        """Return the places where a pod does not keep the standard, and what cannot be told; glances first.

        Raises what the check raises, also while what is returned is gone through.
        """
        if self.kept is not None and self.kept(pod):
            return ()
        return () if self.pod is None else self.pod(pod)

    @property
    def fixes(self) -> bool:
        """Say whether there is any fix."""
        return self.fix is not None or self.fix_subject is not None

    @property
    def into_images(self) -> bool:
        """Say whether it, or its fix, asks what images are."""
        return self.inspects is not None or self.fix_inspects is not None

    @property
    def asks(self) -> bool:
        """Say whether it, or its fix, needs facts: what stands beside an object, or what images are."""
        return self.seeks is not None or self.fix_seeks is not None or self.into_images


class ParamError(ValueError):
    """Parameters that fit the schema and still cannot be meant: `problems` are (path below params, sentence)."""

    def __init__(self, problems: Iterable[tuple[tuple[str | int, ...], str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(text for _, text in self.problems))


def patterns(key: str, texts: Iterable[str], problems: Problems) -> tuple[Pattern, ...]:
    """Return the image patterns of the parameter `key`, compiled; what is wrong with one is added to `problems`."""
    compiled = [pattern(text, (key, index), problems) for index, text in enumerate(texts)]
    return tuple(one for one in compiled if one is not None)


def pattern(text: str, path: tuple[str | int, ...], problems: Problems) -> Pattern | None:
    """Return one image pattern compiled, None where it can't be meant: `problems` then says why, at `path`."""
    try:
        return images.pattern(text)
    except ValueError as error:
        problems.append((path, str(error)))
        return None


def one_of(texts: Sequence[str], most: int = 6) -> str:
    """Return a choice as people read it: `one of a, b and 3 more`; of one text that text alone."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ("one of " if len(texts) > 1 else "") + ", ".join(texts[:most]) + more
