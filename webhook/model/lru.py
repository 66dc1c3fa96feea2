"""A mapping within bounds, out of which goes first what was used longest ago."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Lru(Generic[K, V]):
    """Keeps at most so many `entries`, which together weigh at most `weight`. Threads need a lock around it."""

    def __init__(self, entries: int, weight: int) -> None:
        """Start empty; the weights are in whatever unit `put` is given."""
        self._most = entries
        self._heaviest = weight
        self._held: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._weight = 0

    def get(self, key: K) -> V | None:
        """Return the value, which is now the one used last, or None."""
        found = self._held.get(key)
        if found is None:
            return None
        self._held.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, weight: int = 1) -> None:
        """Keep a value in the place of what the key had; what is heavier than all may weigh together is not kept."""
        self.drop(key)
        if weight > self._heaviest:
            return
        self._held[key] = value, weight
        self._weight += weight
        while len(self._held) > self._most or self._weight > self._heaviest:
            self._weight -= self._held.popitem(last=False)[1][1]

    def drop(self, key: K) -> None:
        """Forget a key, if it is known."""
        old = self._held.pop(key, None)
        self._weight -= old[1] if old else 0

    def __len__(self) -> int:
        """Return how many entries are held."""
        return len(self._held)
