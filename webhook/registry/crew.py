"""Threads that ask registries: few, made when there is something to ask, and never many at one host."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable

from webhook.registry.fork import afresh

Job = Callable[[], None]


class Crew:
    """Runs jobs in the order they came, but passes over those whose host has its number of jobs under way.

    Whoever has the fewest under way comes first, so that one who asks for very much delays himself.

    The threads are daemons: a process that stops doesn't wait for a registry.
    """

    def __init__(self, threads: int, waiting: int, each_host: int) -> None:
        """Have at most so many `threads`, jobs `waiting` and jobs of a host under way.

        Of those that wait half may be for one host, and three quarters of these by one who asks.
        """
        self._most = threads
        self._waiting = waiting
        self._each = each_host
        afresh(self._begin)

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._jobs: deque[tuple[str, str, Job]] = deque()
        self._busy: Counter[str] = Counter()
        self._served: Counter[tuple[str, str]] = Counter()
        self._latest = ("", "")
        self._threads = self._idle = 0

    def submit(self, host: str, job: Job, asker: str = "") -> bool:
        """Have a job done at a host for who asks; False where nobody can, and then it is not done at all."""
        with self._changed:
            if len(self._jobs) >= self._waiting or self._crowded(host, asker):
                return False
            self._jobs.append((host, asker, job))
            self._changed.notify()
            # who was woken for the job before may not have come to take it yet, and counts as idle until then
            if self._threads < self._most and len(self._jobs) > self._idle:
                self._start()
            if not self._threads:
                self._jobs.pop()
            return self._threads > 0

    def _crowded(self, host: str, asker: str) -> bool:
        """Say whether a host, or one who asks it, has its part of those that wait, and must not take others' place."""
        askers = [who for waits, who, _ in self._jobs if waits == host]
        return 2 * len(askers) >= self._waiting or 8 * askers.count(asker) >= 3 * self._waiting

    def _start(self) -> None:
        try:
            threading.Thread(target=self._work, name="images", daemon=True).start()
        except RuntimeError:
            return  # the machine has no thread for us; those that we have go on
        self._threads += 1

    def _work(self) -> None:
        try:
            while True:
                host, asker, job = self._next()
                try:
                    job()
                finally:
                    self._done(host, asker)
        finally:  # a job raised what it must not: the thread ends with it, another goes on
            with self._changed:
                self._threads -= 1
                if self._jobs:
                    self._start()

    def _next(self) -> tuple[str, str, Job]:
        with self._changed:
            while True:
                able = [number for number, (host, _, _) in enumerate(self._jobs) if self._busy[host] < self._each]
                if able:
                    first = min(able, key=self._turn)
                    host, asker, job = self._jobs[first]
                    del self._jobs[first]
                    self._latest = host, asker
                    self._busy[host] += 1
                    self._served[host, asker] += 1
                    return host, asker, job
                self._idle += 1
                self._changed.wait()
                self._idle -= 1

    def _turn(self, number: int) -> tuple[int, bool]:
        """Return whose turn it is, the least first: who has the fewest under way, and was not served just now."""
        who = self._jobs[number][:2]
        return self._served[who], who == self._latest

    def _done(self, host: str, asker: str) -> None:
        with self._changed:
            self._busy[host] -= 1
            self._served[host, asker] -= 1
            self._busy, self._served = +self._busy, +self._served  # without those that have none
            self._changed.notify()
