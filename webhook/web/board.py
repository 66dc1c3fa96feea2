"""A notice board in shared memory: what master and workers say of themselves, and the health process reads.

One anonymous map, made before the first fork. Each writer has a place of its own, so there are no locks; a
place is written at once, in one slice.
"""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Callable

from webhook.model.record import record

PLACES = 64
STALE = 5.0
"""Seconds after which a worker that said nothing counts as not live. It speaks every half second."""

_HEAD = struct.Struct("qq")  # master's pid, draining
_PLACE = struct.Struct("qqdd")  # pid, packs loaded, monotonic time of the last word, end of the certificate


@record(frozen=True, slots=True)
class Worker:
    """What one worker said last; `beat` is the monotonic clock's, `expires` counts seconds since 1970.

    `expires` is 0 while it has no certificate.
    """

    pid: int
    loaded: bool
    beat: float
    expires: float


class Board:
    """The board. Make it before forking; every process then uses the same one."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, lacking: Callable[[], str] = lambda: "nobody says why"
    ) -> None:
        """Make an empty board; `clock` must be one that all processes share, as the monotonic one is.

        `lacking` tells why there is no certificate.
        """
        self._map = mmap.mmap(-1, _HEAD.size + PLACES * _PLACE.size)
        self._clock = clock
        self._lacking = lacking

    def open(self, master: int) -> None:
        """Say that `master` is the process to watch, and serving."""
        self._map[: _HEAD.size] = _HEAD.pack(master, 0)

    def drain(self) -> None:
        """Say that the server is on its way out: not ready from now on."""
        self._map[: _HEAD.size] = _HEAD.pack(self.master, 1)

    @property
    def master(self) -> int:
        """The master's process id; 0 before `open`."""
        return int(_HEAD.unpack(self._map[: _HEAD.size])[0])

    @property
    def draining(self) -> bool:
        """Whether the server is on its way out."""
        return bool(_HEAD.unpack(self._map[: _HEAD.size])[1])

    def say(self, age: int, pid: int, loaded: bool, expires: float) -> None:
        """Write a worker's word; `age` is the number gunicorn gave it, which chooses its place."""
        start = self._start(age)
        self._map[start : start + _PLACE.size] = _PLACE.pack(pid, loaded, self._clock(), expires)

    def leave(self, age: int, pid: int) -> None:
        """Take down a worker's word, unless a later worker has the place."""
        start = self._start(age)
        if _PLACE.unpack(self._map[start : start + _PLACE.size])[0] == pid:
            self._map[start : start + _PLACE.size] = bytes(_PLACE.size)

    def workers(self) -> tuple[Worker, ...]:
        """Return the workers that spoke within the last `STALE` seconds."""
        end = _HEAD.size + PLACES * _PLACE.size
        words = (
            Worker(pid, bool(loaded), beat, expires)
            for pid, loaded, beat, expires in _PLACE.iter_unpack(self._map[_HEAD.size : end])
        )
        oldest = self._clock() - STALE
        return tuple(word for word in words if word.pid and word.beat >= oldest)

    def ready(self, now: float) -> tuple[bool, str]:
        """Return whether reviews can be answered, and a sentence; `now` counts seconds since 1970."""
        workers = self.workers()
        if self.draining:
            return False, "draining: the server was asked to stop"
        if not workers:
            return False, "no worker is live"
        if not any(word.loaded for word in workers):
            return False, "no worker has packs loaded"
        if not any(word.expires for word in workers):
            return False, f"no certificate yet: {self._lacking()}"
        if all(word.expires <= now for word in workers):
            return False, "the certificate has expired"
        return True, f"{len(workers)} worker{'s' if len(workers) != 1 else ''}"

    def expires(self) -> float | None:
        """Return the earliest end of the certificates that live workers serve; None without any."""
        return min((word.expires for word in self.workers() if word.expires), default=None)

    def _start(self, age: int) -> int:
        return _HEAD.size + age % PLACES * _PLACE.size
