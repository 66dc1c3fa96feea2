"""The service: gather facts, evaluate, record. Holds the current rules, and keeps the last good ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from webhook.engine import facts as plain
from webhook.engine.evaluate import evaluate, former, needs
from webhook.engine.explain import Trace, explain
from webhook.engine.facts import FORMER, Facts, Missing, Needs
from webhook.engine.view import controller
from webhook.errors import ConfigError
from webhook.model.access import Right
from webhook.model.decision import Decision
from webhook.model.neighbours import Found, Ref
from webhook.model.oci import Inspected, Lookup
from webhook.model.pods import mapping
from webhook.model.review import Review
from webhook.packs.rule import Ruleset
from webhook.ports import (
    AccessReader,
    Clock,
    ImageReader,
    NamespaceReader,
    NeighbourReader,
    Owner,
    OwnerReader,
    Recorder,
    Unknown,
)

GATHER_SECONDS = 0.5
IMAGE_SECONDS = 1.5
"""A registry is farther away than the API server: token, manifest and configs are some round trips, once per image."""
FOR_JUDGING = 0.4
"""The part of what is left of a caller's time that registries must leave."""
NO_CLUSTER = "no connection to a cluster"
NO_REGISTRY = "no registry is asked here"


def utc_now() -> datetime:
    """Return the time now, in UTC."""
    return datetime.now(UTC)


class Service:
    """Decides reviews. Safe to call from many threads: the rules are swapped as one reference."""

    def __init__(
        self,
        load: Callable[[], Ruleset],
        *,
        namespaces: NamespaceReader | None = None,
        owners: OwnerReader | None = None,
        neighbours: NeighbourReader | None = None,
        images: ImageReader | None = None,
        access: AccessReader | None = None,
        recorder: Recorder | None = None,
        clock: Clock = utc_now,
        stage: Callable[[str, float], None] | None = None,
    ) -> None:
        """Load the rules by `load`, whose ConfigError is raised here: there are no last good ones yet.

        `stage` is told of each part of a review that is over (`gather`, `evaluate`), and when it began
        (`time.perf_counter`), by the thread that did it.
        """
        self._stage = stage
        self._load = load
        self._namespaces = namespaces
        self._owners = owners
        self._neighbours = neighbours
        self._images = images
        self._access = access
        self._recorder = recorder
        self._clock = clock
        self.problems: ConfigError | None = None
        self.ruleset = load()

    def decide(self, endpoint: str, review: Review, deadline: float | None = None) -> Decision:
        """Return the decision on a review at an endpoint, recorded; `deadline` is on `time.monotonic`."""
        started = time.perf_counter()
        decision, _ = self._decided(self.ruleset, endpoint, review, deadline)
        if self._recorder is not None:
            self._recorder.record(endpoint, review, decision, time.perf_counter() - started)
        return decision

    def explain(self, endpoint: str, review: Review) -> Trace:
        """Return how the rules come to what `decide` gives: with the same facts, and not recorded."""
        ruleset = self.ruleset
        _, facts = self._decided(ruleset, endpoint, review, None)
        return explain(ruleset, review, facts, self._clock(), endpoint)

    def _decided(
        self, ruleset: Ruleset, endpoint: str, review: Review, deadline: float | None
    ) -> tuple[Decision, Facts]:
        """Return the decision, and the facts that it was made on."""
        stage, begun = self._stage, time.perf_counter()
        wanted = needs(ruleset, review, endpoint)
        facts = self._gather(review, wanted, Facts(), deadline) if wanted else Facts()
        if stage:
            stage("gather", begun)
            begun = time.perf_counter()
        expired = _expiry(deadline)
        decision = evaluate(ruleset, review, facts, self._clock(), endpoint, expired, wanted.subjects)
        if stage:
            stage("evaluate", begun)
        if decision.wants and (decision.unknown or not decision.allowed):
            # facts that only a finding makes interesting: most reviews never ask for them
            begun = time.perf_counter()
            images = former(ruleset, review, endpoint) if FORMER in decision.wants else frozenset[Lookup]()
            more = Needs(decision.wants, images=images.difference(facts.images))
            facts = self._gather(review, more, facts, deadline)
            if stage:
                stage("gather", begun)
                begun = time.perf_counter()
            decision = evaluate(ruleset, review, facts, self._clock(), endpoint, expired, wanted.subjects)
            if stage:
                stage("evaluate", begun)
        return decision, facts

    def reload(self) -> bool:
        """Load the rules anew. Where they have problems the last good ones stay, and `problems` says what is wrong."""
        try:
            self.ruleset = self._load()
        except ConfigError as error:
            self.problems = error
            return False
        self.problems = None
        return True

    def ready(self) -> tuple[bool, str]:
        """Say whether reviews can be decided, with a sentence."""
        packs, rules = len(self.ruleset.packs), len(self.ruleset.rules)
        return True, f"{packs} pack{'' if packs == 1 else 's'} with {rules} rule{'' if rules == 1 else 's'}"

    def _gather(self, review: Review, wanted: Needs, known: Facts, deadline: float | None) -> Facts:
        namespace, owners, neighbours, images = known.namespace, known.owners, known.neighbours, known.images
        if "namespace" in wanted.names and review.namespace:
            namespace = self._namespace(review.namespace, _budget(deadline))
        if "owners" in wanted.names and review.object is not None:
            owners = self._chain(review, _budget(deadline))
        if wanted.neighbours:
            neighbours = self._beside(review.namespace, wanted.neighbours, deadline)
        if wanted.images:
            images = {**images, **self._inspect(review.namespace, wanted.images, deadline)}
        access = known.access if wanted.right is None else self._may(review, wanted.right, _budget(deadline))
        return Facts(namespace, owners, neighbours, images, access)

    def _may(self, review: Review, right: Right, timeout: float) -> bool | plain.Missing:
        if self._access is None:
            return Missing(NO_CLUSTER)
        try:
            return self._access.may(mapping(review.request.get("userInfo")), right, timeout)
        except Unknown as error:
            return Missing(str(error))

    def _inspect(
        self, namespace: str, lookups: frozenset[Lookup], deadline: float | None
    ) -> Mapping[Lookup, Inspected]:
        """Return what is known of each image; all of them are asked for at once."""
        if self._images is None:
            return dict.fromkeys(lookups, Inspected(lacking=NO_REGISTRY))
        left = IMAGE_SECONDS if deadline is None else max(0.0, deadline - time.monotonic()) * (1 - FOR_JUDGING)
        asked = self._clock()
        return {
            lookup: Inspected(found.content, found.lacking, found.absent, found.former, asked)
            for lookup, found in self._images.look(lookups, namespace, min(IMAGE_SECONDS, left)).items()
        }

    def _beside(self, namespace: str, refs: Iterable[Ref], deadline: float | None) -> Mapping[Ref, Found]:
        """Return what each reference means; all of them share one budget."""
        ends = time.monotonic() + _budget(deadline)
        found = {}
        for ref in sorted(refs, key=str):
            try:
                if self._neighbours is None:
                    raise Unknown(NO_CLUSTER)
                found[ref] = self._neighbours.find(namespace, ref, max(0.0, ends - time.monotonic()))
            except Unknown as error:
                found[ref] = Found(lacking=str(error), failed=True)
        return found

    def _namespace(self, name: str, timeout: float) -> plain.Missing | dict[str, object]:
        if self._namespaces is None:
            return Missing(NO_CLUSTER)
        try:
            return dict(self._namespaces.get(name, timeout))
        except Unknown as error:
            return Missing(str(error))

    def _chain(self, review: Review, timeout: float) -> plain.Missing | tuple[plain.Owner, ...]:
        reference = controller(review.object or {})
        if self._owners is None or reference is None:
            return Missing(NO_CLUSTER)
        try:
            return tuple(_plain(owner) for owner in self._owners.chain(review.namespace, [reference], timeout))
        except Unknown as error:
            return Missing(str(error), tuple(map(_plain, error.found)))


def _plain(owner: Owner) -> plain.Owner:
    return plain.Owner(owner.group, owner.kind, owner.name, owner.object)


def _expiry(deadline: float | None) -> Callable[[], bool]:
    """Return what tells the engine that the caller has given up."""
    if deadline is None:
        return lambda: False
    return lambda: time.monotonic() >= deadline


def _budget(deadline: float | None) -> float:
    """Return how many seconds a look-up may take: half a second, or less where the caller waits no longer."""
    if deadline is None:
        return GATHER_SECONDS
    return max(0.0, min(GATHER_SECONDS, deadline - time.monotonic()))
