"""What images are, from memory where it is known, else from the store, else from their registries.

A review waits for nothing but answers: its thread looks into memory, and what isn't there is asked for by threads of
the process's own, all images of a review at once. What comes too late for a review is there for the next one.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from typing import Literal

from webhook.model.lru import Lru
from webhook.model.oci import Content, Former, Inspected, Lookup
from webhook.registry.crew import Crew
from webhook.registry.facts import Fact, Question, Shelf, Sighting, after, question, sighted
from webhook.registry.fork import afresh
from webhook.registry.source import Absent, Source, Unanswered
from webhook.registry.store import Store

Result = Literal["hit", "miss", "stale", "absent", "unknown"]
"""How a look-up ends: known in memory; asked for; known of old, as its registry doesn't answer; not there; unknown."""

FIRST, MOST = 1.0, 30.0
"""Seconds for which a registry is left alone after it did not answer; twice as long each time, up to so long."""
LONGEST_REST = 3600.0
"""Seconds for which a registry may ask to be left alone."""
HOUR = 3600.0
"""Seconds after which the store is told that a digest is still in use."""
FEW = 2
"""Images that are asked for at once where nobody waits for them."""
HOSTS = 256
"""Registries of which it is remembered that they don't answer."""
SHORTEST = 1.0
"""Seconds between two looks at what is kept fresh, at least."""
CROWDED = "too many images are being asked for; try again in a moment"
POLL = 0.02
"""Seconds between two looks whether another worker has its answer."""


@dataclass(frozen=True, slots=True)
class Terms:
    """For how long things hold, in seconds.

    What a tag stands for is `fresh` for a time and then asked for again; while that fails, what it stood for last
    serves, until that was seen `kept` ago. That there is no image is believed for `absent`. A question to a registry
    takes at most `question`, whoever waits for it. `former` is how many digests of a tag are remembered behind its
    latest.
    """

    fresh: float = 300.0
    kept: float = 86_400.0
    absent: float = 30.0
    question: float = 10.0
    former: int = 10


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one process keeps and does at once.

    `entries` references with `weight` bytes of JSON, which take two and a half times that as objects; `threads` that
    ask, at most `each_host` of them one registry, and `waiting` images for which there is no thread yet, at most half
    of them in one registry, and three quarters of those for one namespace.
    """

    entries: int = 2_000
    weight: int = 16 * 1024 * 1024
    threads: int = 16
    each_host: int = 4
    waiting: int = 256


@dataclass(frozen=True, slots=True)
class _Entry:
    """A fact in memory: on our clock, it is fresh until `due`, and serves while there are errors until `ends`."""

    fact: Fact
    due: float
    ends: float


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why there is no answer, and until when nobody asks again; `wait` is the time of leaving alone behind that."""

    text: str
    until: float
    absent: bool = False
    wait: float = 0.0


@dataclass(slots=True, eq=False)
class _Flight:
    """A question on its way, then its answer: a fact or a refusal."""

    begun: float
    done: threading.Event = field(default_factory=threading.Event)
    fact: Fact | None = None
    refusal: _Refusal | None = None


def _uncounted(result: Result) -> None:
    """Count nothing."""


class Images:
    """Implements `ports.ImageReader`. Safe for many threads, and in a process that is forked after it was made."""

    def __init__(
        self,
        source: Source,
        store: Store | None = None,
        *,
        terms: Terms | None = None,
        bounds: Bounds | None = None,
        pull_secrets: bool = False,
        count: Callable[[Result], None] = _uncounted,
        waits: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Take who asks registries, and what is kept over restarts (None: nothing, and workers share nothing).

        With `pull_secrets` those of a pod are handed to the source, and what was read with them is told to nobody
        else; without, they are ignored. `count` is called with the result of each look-up, and
        `waits` before anything is waited for. `clock` counts seconds and
        never goes back; `wall` gives seconds since 1970, as well as the machine knows. No thread is started here.
        """
        self._source = source
        self._shelf = Shelf(store)
        self._store = store
        self._terms = terms or Terms()
        self._bounds = bounds or Bounds()
        self._pull_secrets = pull_secrets
        self._count = count
        self._waits = waits
        self._clock = clock
        self._wall = wall
        self._crew = Crew(self._bounds.threads, self._bounds.waiting, self._bounds.each_host)
        self._watched: tuple[Question, ...] = ()
        self._cold: deque[Question] = deque()
        afresh(self._begin)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._entries: Lru[str, _Entry] = Lru(self._bounds.entries, self._bounds.weight)
        self._refusals: Lru[str, _Refusal] = Lru(self._bounds.entries, self._bounds.entries)
        self._hosts: Lru[str, _Refusal] = Lru(HOSTS, HOSTS)
        self._flights: dict[str, _Flight] = {}
        self._wake = threading.Event()
        self._tending = False

    # -- what a review's thread does ------------------------------------------------------------------------------

    def look(self, lookups: Collection[Lookup], namespace: str, timeout: float) -> Mapping[Lookup, Inspected]:
        """Return what is known of each image within `timeout` seconds; see `ports.ImageReader`."""
        ends = self._clock() + timeout
        found: dict[Lookup, Inspected] = {}
        flying: list[tuple[Lookup, Question, _Flight]] = []
        for lookup in lookups:
            try:
                asked = question(lookup, namespace, self._pull_secrets)
            except ValueError as error:
                found[lookup] = self._told("unknown", Inspected(lacking=str(error)))
                continue
            fact = self._fresh(asked)
            if fact is not None:
                found[lookup] = self._told("hit", self._inspected(fact))
            elif len(flying) >= self._bounds.waiting:  # no more can wait, whoever else asks
                found[lookup] = self._told("unknown", Inspected(lacking=CROWDED))
            else:
                flying.append((lookup, asked, self._fly(asked, self._terms.fresh, namespace)))
        if flying:
            self._waits()
        for lookup, asked, flight in flying:
            flight.done.wait(self._patience(asked, flight, ends, timeout))
            found[lookup] = self._landed(asked, flight)
        return found

    def _fresh(self, asked: Question) -> Fact | None:
        now = self._clock()
        with self._lock:
            entry = self._entries.get(asked.key)
            if entry is None or now < entry.due:
                return None if entry is None else entry.fact
            if not asked.image.digest:
                return None
            self._put(asked, entry.fact)
        self._crew.submit("", lambda: self._shelf.keep(asked, entry.fact, entry.fact))
        return entry.fact

    def _patience(self, asked: Question, flight: _Flight, ends: float, timeout: float) -> float:
        """Return for how long to wait for an answer.

        Where there is something to serve in its place, one wait is enough for all who come while a registry hangs.
        """
        if self._serving(asked) is not None:
            ends = min(ends, flight.begun + timeout)
        return max(0.0, ends - self._clock())

    def _serving(self, asked: Question) -> Fact | None:
        """Return what serves while there is no answer."""
        with self._lock:
            entry = self._entries.get(asked.key)
        return entry.fact if entry and entry.fact.current and self._clock() < entry.ends else None

    def _landed(self, asked: Question, flight: _Flight) -> Inspected:
        if flight.fact is not None:
            return self._told("miss", self._inspected(flight.fact))
        refusal = flight.refusal or _Refusal(f"{asked.image.registry} did not answer in time", 0.0)
        fact = None if refusal.absent else self._serving(asked)
        if fact is not None:
            return self._told("stale", self._inspected(fact))
        with self._lock:
            entry = self._entries.get(asked.key)
        former = self._former(entry.fact.history) if entry else ()
        result: Result = "absent" if refusal.absent else "unknown"
        return self._told(result, Inspected(None, refusal.text, refusal.absent, former))

    def _inspected(self, fact: Fact) -> Inspected:
        return Inspected(fact.latest.content, former=self._former(fact.history[1:]))

    def _former(self, history: tuple[Sighting, ...]) -> tuple[Former, ...]:
        if not history:
            return ()
        now = self._wall()
        return tuple(Former(sighting.content, max(0.0, now - sighting.seen)) for sighting in history)

    def _told(self, result: Result, inspected: Inspected) -> Inspected:
        self._count(result)
        return inspected

    # -- what is asked in the background -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread that keeps and warms, in a process that serves; called twice it does nothing."""
        with self._lock:
            if self._tending:
                return
            self._tending = True
        threading.Thread(target=self._tend, name="image upkeep", daemon=True).start()

    def keep(self, references: Iterable[str]) -> None:
        """Have these references, in the place of those before, asked for before they are needed: no review waits.

        What is no reference is passed over. Every worker may do this: they share the answers by the store.
        """
        self._watched = tuple(self._questions(references))
        self._wake.set()

    def warm(self, references: Iterable[str]) -> None:
        """Have these references asked for once, a few at a time; those beyond what memory holds are passed over."""
        self._cold.extend(islice(self._questions(references), max(0, self._bounds.entries - len(self._cold))))
        self._wake.set()

    def _questions(self, references: Iterable[str]) -> Iterator[Question]:
        for reference in references:
            try:
                yield question(Lookup(reference), "", False)
            except ValueError:
                continue

    def _tend(self) -> None:
        while True:
            self._wake.clear()
            self._together(self._watched, self._terms.fresh / 2)
            self._together(self._thawing(), self._terms.fresh)
            if not self._cold:
                self._wake.wait(max(SHORTEST, self._terms.fresh / 4))

    def _thawing(self) -> list[Question]:
        """Return a part of what is to be warmed, so that what is kept is looked after in between."""
        return [self._cold.popleft() for _ in range(min(len(self._cold), 8 * FEW))]

    def _together(self, questions: Iterable[Question], age: float) -> None:
        """Ask, a few at a time, for what isn't known to have been so `age` seconds ago."""
        wanted = [asked for asked in questions if self._older(asked, age)]
        for first in range(0, len(wanted), FEW):
            flights = [self._fly(asked, age) for asked in wanted[first : first + FEW]]
            for flight in flights:
                flight.done.wait(self._terms.question)

    def _older(self, asked: Question, age: float) -> bool:
        with self._lock:
            entry = self._entries.get(asked.key)
        return entry is None or not self._young(asked, entry, age)

    # -- what a thread of the crew does -------------------------------------------------------------------------------

    def _fly(self, asked: Question, age: float, asker: str = "") -> _Flight:
        """Return the flight of a question, begun where there is none; its answer is younger than `age` seconds.

        `asker` is the namespace of the review, '' for ourselves.
        """
        now = self._clock()
        with self._lock:
            refusal = self._resting(asked) if self._nowhere(asked) else None
            flight = self._flights.get(asked.key) if refusal is None else _Flight(now, refusal=refusal)
            if flight is None:
                flight = self._flights[asked.key] = _Flight(now)
            elif refusal is None:
                return flight
        if refusal is not None:
            flight.done.set()
        elif not self._crew.submit(asked.image.registry, lambda: self._answer(asked, flight, age), asker):
            flight.refusal = _Refusal(CROWDED, 0.0)
            self._land(asked, flight)
        return flight

    def _resting(self, asked: Question) -> _Refusal | None:
        """Return why an image isn't asked for now, where that is so. Called with the lock."""
        now = self._clock()
        for refusal in (self._refusals.get(asked.key), self._hosts.get(asked.image.registry)):
            if refusal is not None and now < refusal.until:
                return refusal
        return None

    def _nowhere(self, asked: Question) -> bool:
        """Say whether only a registry can tell more, and not the store. Called with the lock."""
        known = self._entries.get(asked.key) or self._refusals.get(asked.key)
        return self._store is None or known is not None

    def _answer(self, asked: Question, flight: _Flight, age: float) -> None:
        ends = self._clock() + self._terms.question
        held = self._hold(asked, ends)
        try:
            self._learn(asked, flight, age, ends)
        finally:
            self._land(asked, flight)
            if held and self._store is not None:
                self._store.free(asked.key)

    def _hold(self, asked: Question, ends: float) -> bool:
        """Wait until no other worker asks for this; say whether they wait for us now.

        A worker that hangs is waited for half of the time there is. What is known of old serves meanwhile.
        """
        if self._store is None or self._store.hold(asked.key):
            return True
        self._recall(asked)
        half = (self._clock() + ends) / 2
        while self._clock() < half:
            if self._store.hold(asked.key):
                return True
            time.sleep(POLL)
        return False

    def _learn(self, asked: Question, flight: _Flight, age: float, ends: float) -> None:
        """Give a flight its answer, from the store or from the registry."""
        entry = self._recall(asked)
        if entry is not None and self._young(asked, entry, age):
            flight.fact = entry.fact
            return
        with self._lock:
            flight.refusal = self._resting(asked)
        if flight.refusal is None:
            self._inquire(asked, flight, entry.fact if entry else None, ends)

    def _inquire(self, asked: Question, flight: _Flight, known: Fact | None, ends: float) -> None:
        try:
            fact = flight.fact = self._ask(asked, known, ends)
        except Unanswered as error:
            flight.refusal = self._unanswered(asked, error)
            return
        except Absent as error:
            flight.refusal = self._absent(asked, error)
            if known is None:
                return
            fact = Fact(known.history, current=False)
        else:
            with self._lock:
                self._refusals.drop(asked.key)
                self._hosts.drop(asked.image.registry)
        self._take(asked, fact)
        self._land(asked, flight)  # nobody waits for what we write
        self._shelf.keep(asked, fact, known)

    def _recall(self, asked: Question) -> _Entry | None:
        """Return the latest of what this worker and another one know, which is in memory now, also if it is too old."""
        with self._lock:
            entry = self._entries.get(asked.key)
        found = self._shelf.fact(asked, entry.fact if entry else None)
        if found is None or (entry is not None and self._age(entry.fact) <= self._age(found)):
            return entry
        return self._take(asked, found)

    def _young(self, asked: Question, entry: _Entry, age: float) -> bool:
        """Say whether a fact is known to have been so `age` seconds ago; those about a digest always are."""
        if asked.image.digest:
            return True
        return entry.fact.current and self._clock() < entry.due - self._terms.fresh + age

    def _age(self, fact: Fact) -> float:
        """Return how long ago a fact was so; a time to come was told by a clock that went wrong, and is just stale."""
        age = self._wall() - fact.latest.seen
        return age if age >= 0 else self._terms.fresh

    def _ask(self, asked: Question, known: Fact | None, ends: float) -> Fact:
        if known is None:
            content = self._read(asked, ends)
        else:
            left = max(0.0, ends - self._clock())
            digest = self._source.digest(asked.image, left, asked.namespace, asked.secrets)
            content = self._content(asked.at(digest), known) or self._read(asked.at(digest), ends)
        return after(known, sighted(content, self._wall()), self._terms.former)

    def _read(self, asked: Question, ends: float) -> Content:
        return self._source.content(asked.image, max(0.0, ends - self._clock()), asked.namespace, asked.secrets)

    def _content(self, asked: Question, known: Fact) -> Content | None:
        """Return the content of a digest, where it is known."""
        for sighting in known.history:
            if sighting.content.digest == asked.image.digest:
                return sighting.content
        entry = self._recall(asked)
        return entry.fact.latest.content if entry else None

    def _take(self, asked: Question, fact: Fact) -> _Entry:
        with self._lock:
            entry = self._put(asked, fact)
            if not asked.image.digest and fact.current:
                # the same image by its digest: what a tag is pinned to is reviewed next
                self._put(asked.at(fact.latest.content.digest), Fact((fact.latest,)))
        return entry

    def _put(self, asked: Question, fact: Fact) -> _Entry:
        """Keep a fact in memory, if it isn't too large. Called with the lock."""
        now = self._clock()
        if asked.image.digest:
            entry = _Entry(fact, now + HOUR if self._store else inf, inf)
        else:
            read = now - self._age(fact)
            entry = _Entry(fact, read + self._terms.fresh if fact.current else now, read + self._terms.kept)
        self._entries.put(asked.key, entry, fact.weight)
        return entry

    def _unanswered(self, asked: Question, error: Unanswered) -> _Refusal:
        """Note that a registry didn't tell, and for how long it is left alone now."""
        now = self._clock()
        with self._lock:
            # what one namespace's account is told (429) is nothing to the others
            whole = error.host and not asked.secrets
            place, key = (self._hosts, error.host) if whole else (self._refusals, asked.key)
            wait = _longer(place.get(key), now)
            refusal = _Refusal(str(error), now + max(wait, min(error.rest, LONGEST_REST)), wait=wait)
            place.put(key, refusal)
        return refusal

    def _absent(self, asked: Question, error: Absent) -> _Refusal:
        """Note that there is no such image, and for how long that is believed."""
        refusal = _Refusal(str(error), self._clock() + self._terms.absent, absent=True)
        with self._lock:
            self._refusals.put(asked.key, refusal)
        return refusal

    def _land(self, asked: Question, flight: _Flight) -> None:
        with self._lock:
            if self._flights.get(asked.key) is flight:
                del self._flights[asked.key]
            if flight.fact is None and flight.refusal is None:
                flight.refusal = _Refusal("the question was broken off", 0.0)
        flight.done.set()


def _longer(old: _Refusal | None, now: float) -> float:
    """Return for how long to leave alone: longer where it was tried again and in vain, the same while it is left."""
    if old is None or now > old.until + MOST:
        return FIRST
    return old.wait if now < old.until else min(MOST, max(FIRST, 2 * old.wait))
