"""Judges a pack that somebody applies to the cluster: can it be loaded beside those that are in force?"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType

from webhook.advice.pack import advice
from webhook.checks import CHECKS
from webhook.errors import ConfigError
from webhook.model.pods import mapping
from webhook.model.review import Review
from webhook.packs import served
from webhook.packs.load import load
from webhook.packs.merge import CHAIN, base_of, name_of
from webhook.packs.parse import scan
from webhook.packs.rule import Ruleset
from webhook.packs.schema import KIND
from webhook.packs.served import Text

ASKED = ("CREATE", "UPDATE")
LONGEST = 5.0
"""Seconds that one pack may take. Whoever reaches the port may post here, and a small pack can be long work."""
WAITING = 4
"""Packs that are judged or wait for it at once: each has one of the places in which reviews are answered."""
ASKS = 16
"""Packs that the API server is asked for, of those that one pack and its bases extend."""
LATE = (
    "it was not looked at before, since that takes too long or others are looked at; once it is stored, it is loaded "
    "if it can be, and its status says so"
)


class Vetter:
    """Called with a review of a RulePack or a ConfigMap; threads may call it, one is served at a time."""

    def __init__(
        self,
        in_force: Callable[[], Sequence[Text]],
        attempt: Callable[[Sequence[Text]], Ruleset],
        bases: Sequence[Text],
        *,
        namespace: str = "",
        stored: Callable[[str], Mapping[str, object] | None] = lambda name: None,
        waits: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Judge packs beside those `in_force`, compiled by `attempt`, which raises ConfigError.

        `bases` may be extended by any. `namespace` is the one whose ConfigMaps count (empty: any). `stored` returns
        the RulePack of a name as the cluster has it, None where it has none or does not say: a pack may come together
        with its base, which is not in force yet. `waits` is called before it takes long. `clock` counts seconds.
        """
        self._in_force = in_force
        self._attempt = attempt
        self._bases = bases
        self._namespace = namespace
        self._stored = stored
        self._waits = waits
        self._now = now
        self._clock = clock
        self._one = threading.Lock()
        self._places = threading.BoundedSemaphore(WAITING)

    def __call__(self, review: Review, until: float | None = None) -> tuple[list[str], list[str]]:
        """Return every mistake, a line each, and where there is none, advice.

        Nobody waits after `until` (on `clock`). What is not judged by then is let in with a word of advice: nothing
        depends on this answer, since the loader looks at it again.
        """
        given = self._given(review, review.object)
        if review.operation not in ASKED or review.subresource or not given:
            return [], []
        if mapping(mapping(review.object).get("metadata")).get("deletionTimestamp"):
            return [], []  # finalizers are taken from it; it is out of force soon
        if review.old_object is not None and self._given(review, review.old_object) == given:
            return [], []  # not the pack is changed, but what stands around it
        self._waits()
        if not self._places.acquire(blocking=False):
            return [], [LATE]
        try:
            return self._in_turn(review, given, until)
        finally:
            self._places.release()

    def _in_turn(self, review: Review, given: list[Text], until: float | None) -> tuple[list[str], list[str]]:
        left = LONGEST if until is None else until - self._clock()
        if not self._one.acquire(timeout=max(0.0, left)):
            return [], [LATE]
        try:
            longest = self._clock() + LONGEST
            return self._judged(review, given, longest if until is None else min(until, longest))
        except _Late:
            return [], [LATE]
        finally:
            self._one.release()

    def _given(self, review: Review, obj: Mapping[str, object] | None) -> list[Text]:
        if obj is None:
            return []
        if (review.kind.group, review.kind.kind) == (served.GROUP, KIND):
            return [served.rulepack(obj)]
        if (review.kind.group, review.kind.kind) != ("", "ConfigMap"):
            return []
        return served.configmap(obj) if self._namespace in ("", review.namespace) else []

    def _judged(self, review: Review, given: list[Text], ends: float) -> tuple[list[str], list[str]]:
        if review.kind.kind == "ConfigMap":
            prefix = served.configmap_name(review.name)
            others = [text for text in self._in_force() if not text[0].startswith(prefix)]
        else:
            others = [text for text in self._in_force() if text[0] != given[0][0]]
        others += self._bases_of(given, others, ends)
        everything = [*others, *given]
        with _bounded(ends, self._clock):
            try:
                compiled = self._attempt(everything)
            except ConfigError as error:
                return [str(problem) for problem in error.problems], []
            return [], self._advice(given, everything, compiled)

    def _bases_of(self, given: list[Text], others: Sequence[Text], ends: float) -> list[Text]:
        """Return the packs that the given ones extend and that are in the cluster, but not in force yet."""
        with _bounded(ends, self._clock):
            named, wanted = _names([*others, *given])
            named |= _names(self._bases)[0]
        found: list[Text] = []
        asks = ASKS
        for _ in range(CHAIN):
            missing = sorted(wanted - named - {""})
            if not missing:
                break
            asks -= len(missing)
            if asks < 0 or self._clock() > ends:
                raise _Late
            for name in missing:
                obj = self._stored(name)
                if obj is not None:
                    found.append(served.rulepack(obj))
            with _bounded(ends, self._clock):
                more = _names(found)
            named |= more[0] | set(missing)
            wanted = more[1]
        return found

    def _advice(self, given: list[Text], everything: list[Text], compiled: Ruleset) -> list[str]:
        ours = {name for name, _ in given}
        sound = load(everything, CHECKS, self._bases).sound
        documents = [document for document in sound if document.place(()).source in ours]
        written = "\n".join(text for _, text in (*everything, *self._bases))
        packs = [(one, [rule for rule in compiled.rules if rule.pack.name == name_of(one)]) for one in documents]
        return [str(one) for one in advice(packs, self._now().date(), written) if one.source in ours]


def _names(texts: Sequence[Text]) -> tuple[set[str], set[str]]:
    """Return the names of packs, and of those that they extend."""
    documents = [document for source, text in texts for document in scan(source, text)[0]]
    return {name_of(document) for document in documents}, {base_of(document) for document in documents}


class _Late(BaseException):
    """Nobody waits any more. No Exception, so that nothing in between takes it for a fault of the pack."""


@contextmanager
def _bounded(ends: float, clock: Callable[[], float]) -> Iterator[None]:
    """End what the block does in this thread once it is `ends`, by _Late.

    Python has no other way to bound what is pure computing, of any shape, in a thread: at each call of a function the
    interpreter asks. That makes it some slower, and is why nothing that waits for others stands in such a block.
    """

    def look(frame: FrameType, event: str, arg: object) -> None:
        if event == "call" and clock() > ends:
            raise _Late

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(before)
