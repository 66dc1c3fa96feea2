"""A bounded cache of facts, asked by many threads at once.

One question at a time goes out for a key (singleflight); the answer is fresh for a while; and while the API
server errs, the last known value serves.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from webhook.model.lru import Lru
from webhook.model.record import record
from webhook.ports import Unknown

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Result = Literal["hit", "miss", "stale"]
"""How a value was had: known; asked for; known of old, since the API server errs."""
REST = 5.0
"""Seconds for which a key with a known value isn't asked for again after an error, so that only one review
waits."""


@record(frozen=True, slots=True)
class Bounds:
    """How much a cache holds and for how long: entries, their bytes together, seconds fresh, seconds at
    all."""

    entries: int
    weight: int
    fresh: float
    kept: float = 3600.0


@dataclass(slots=True)
class _Entry(Generic[V]):
    value: V
    read: float
    rest: float = 0.0


@dataclass(slots=True)
class _Flight:
    """A question on its way; `error` is set where it came back without an answer."""

    done: threading.Event = field(default_factory=threading.Event)
    error: Unknown | None = None


class Cache(Generic[K, V]):
    """Keeps values by key. `fetch(seconds)` gives a value and its weight in bytes, or None where there is
    none."""

    def __init__(
        self,
        bounds: Bounds,
        clock: Callable[[], float] = time.monotonic,
        waits: Callable[[], None] = lambda: None,
    ) -> None:
        """Start empty; `clock` counts seconds and never goes back, `waits` is called before another's question is
        waited for."""
        self._bounds = bounds
        self._clock = clock
        self._waits = waits
        self._lock = threading.Lock()
        self._entries: Lru[K, _Entry[V]] = Lru(bounds.entries, bounds.weight)
        self._flights: dict[K, _Flight] = {}

    def get(self, key: K, fetch: Callable[[float], tuple[V, int] | None], timeout: float) -> V:
        """Return what `look` finds, without how."""
        return self.look(key, fetch, timeout)[0]

    def look(self, key: K, fetch: Callable[[float], tuple[V, int] | None], timeout: float) -> tuple[V, Result]:
        """Return the value of `key` within `timeout` seconds, and how it was had.

        `fetch` raises Unknown where it can't tell; then the last known value serves, if it is younger than
        `kept`. Where `fetch` says None the value is forgotten. Raises Unknown where there is nothing to
        give.
        """
        deadline = self._clock() + timeout
        error = Unknown("no answer in time")
        # A second try for those who waited: whoever asked first may have had less time than we have.
        for _ in range(2):
            with self._lock:
                entry = self._entries.get(key)
                if entry is not None and self._serves(entry):
                    return entry.value, self._how(entry)
                flight = self._flights.get(key)
                leads = flight is None
                if flight is None:
                    flight = self._flights[key] = _Flight()
            if leads:
                return self._lead(key, flight, fetch, deadline)
            self._waits()
            if not flight.done.wait(max(0.0, deadline - self._clock())):
                break
            error = flight.error or error
        with self._lock:
            return self._last(key, error)

    def __len__(self) -> int:
        """Return how many entries are held."""
        with self._lock:
            return len(self._entries)

    def _serves(self, entry: _Entry[V]) -> bool:
        now = self._clock()
        return now - entry.read < self._bounds.fresh or (now < entry.rest and self._young(entry))

    def _young(self, entry: _Entry[V]) -> bool:
        return self._clock() - entry.read < self._bounds.kept

    def _how(self, entry: _Entry[V]) -> Result:
        return "hit" if self._clock() - entry.read < self._bounds.fresh else "stale"

    def _lead(
        self, key: K, flight: _Flight, fetch: Callable[[float], tuple[V, int] | None], deadline: float
    ) -> tuple[V, Result]:
        error = flight.error = Unknown("the question was broken off")
        try:
            found = fetch(max(0.0, deadline - self._clock()))
            with self._lock:
                self._keep(key, found)
            if found is not None:
                flight.error = None
                return found[0], "miss"
            error = flight.error = Unknown("the API server has none of this name")
        except Unknown as failed:
            error = flight.error = failed
        finally:
            with self._lock:
                del self._flights[key]
            flight.done.set()
        with self._lock:
            return self._last(key, error)

    def _keep(self, key: K, found: tuple[V, int] | None) -> None:
        """Put what was found in the place of what was known."""
        if found is None:
            self._entries.drop(key)
        else:
            self._entries.put(key, _Entry(found[0], self._clock()), found[1])

    def _last(self, key: K, error: Unknown) -> tuple[V, Result]:
        """Return the last known value and let it rest; raise `error` where there is none."""
        entry = self._entries.get(key)
        if entry is None or not self._young(entry):
            raise error
        entry.rest = self._clock() + REST
        return entry.value, "stale"
