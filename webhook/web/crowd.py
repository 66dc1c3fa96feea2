"""The connections that a worker holds, and who has to go when there are too many."""

from __future__ import annotations

import threading
import time

from webhook.web.channel import Channel

OVERFLOW = 32
"""Connections over the cap that are only told that there is no room."""

GRACE = 0.5
"""Seconds that a handshake has before it counts as one that isn't meant; a good one takes 10 ms."""

SLOW = 2.0
"""Seconds after which a request that is still coming may be given up for another connection."""

_HANDSHAKE, _IDLE, _READS, _WORKS = range(4)


class Guest:
    """One connection and what it is doing. Its own thread moves it; the crowd's main thread looks."""

    __slots__ = ("channel", "extra", "since", "state")

    def __init__(self, channel: Channel, extra: bool) -> None:
        """Come in; `extra` are over the cap."""
        self.channel = channel
        self.extra = extra
        self.state = _HANDSHAKE
        self.since = time.monotonic()

    def idle(self) -> None:
        """Wait for a request from now on."""
        self.state, self.since = _IDLE, time.monotonic()

    def reads(self) -> None:
        """A request is coming."""
        self.state, self.since = _READS, time.monotonic()

    def works(self) -> None:
        """A request is in work."""
        self.state, self.since = _WORKS, time.monotonic()

    def rank(self, now: float) -> tuple[int, float] | None:
        """Return who goes first (the smallest), None for those that stay."""
        age = now - self.since
        if self.state == _HANDSHAKE and age >= GRACE:
            return (0, self.since)
        if self.state == _READS and age >= SLOW:
            return (1, self.since)
        if self.state == _IDLE:
            return (2, self.since)
        return None


class Crowd:
    """All connections of a worker, at most `most` and some extra ones."""

    def __init__(self, most: int) -> None:
        """Start empty."""
        self._most = most
        self._guests: set[Guest] = set()
        self.closed = False
        self._lock = threading.Lock()

    def admit(self, channel: Channel) -> Guest | None:
        """Take in a connection. At the cap another one makes room; where none can, this one is `extra`.

        None when even the extra places are taken: it has to be closed unheard.
        """
        with self._lock:
            extra = len(self._guests) >= self._most and not self._make_room()
            if extra and len(self._guests) >= self._most + OVERFLOW:
                return None
            guest = Guest(channel, extra)
            self._guests.add(guest)
            return guest

    def leave(self, guest: Guest) -> None:
        """Close a connection that is over."""
        with self._lock:
            self._guests.discard(guest)
        guest.channel.close()

    def count(self) -> int:
        """Return how many there are."""
        return len(self._guests)

    def close(self) -> None:
        """End those that wait; those with a request in work or on its way finish it."""
        with self._lock:
            self.closed = True
            for guest in self._guests:
                if guest.state in (_HANDSHAKE, _IDLE):
                    guest.channel.wake()

    def _make_room(self) -> bool:
        now = time.monotonic()
        ranked = [(rank, guest) for guest in self._guests if (rank := guest.rank(now)) is not None]
        if not ranked:
            return False
        (kind, _), guest = min(ranked, key=lambda pair: pair[0])
        if kind == 2:
            guest.channel.wake()
        else:
            guest.channel.cut()
        self._guests.discard(guest)  # its thread ends by itself and frees the rest
        return True
