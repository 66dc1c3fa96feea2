"""Threads that ask registries: few, made when there is something to ask, and never many at one host."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable

from webhook.registry.fork import afresh

Job = Callable[[], None]


class Crew:
    """Runs jobs in the order they came, but passes over those whose host has its number of jobs under way.

    The threads are daemons: a process that stops doesn't wait for a registry.
    """

    def __init__(self, threads: int, waiting: int, each_host: int) -> None:
        """Have at most so many `threads`, jobs `waiting` for one, and jobs of each host under way."""
        self._most = threads
        self._waiting = waiting
        self._each = each_host
        afresh(self._begin)

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._jobs: deque[tuple[str, Job]] = deque()
        self._busy: Counter[str] = Counter()
        self._threads = self._idle = 0

    def submit(self, host: str, job: Job) -> bool:
        """Have a job done for a host; False where too many wait already, and then it is not done at all."""
        with self._changed:
            if len(self._jobs) >= self._waiting:
                return False
            self._jobs.append((host, job))
            self._changed.notify()
            # who was woken for the job before may not have come to take it yet, and counts as idle until then
            if self._threads < self._most and len(self._jobs) > self._idle:
                self._threads += 1
                threading.Thread(target=self._work, name="images", daemon=True).start()
            return True

    def _work(self) -> None:
        try:
            while True:
                host, job = self._next()
                try:
                    job()
                finally:
                    self._done(host)
        finally:  # a job raised what it must not: the thread ends with it, another is made for the next job
            with self._changed:
                self._threads -= 1

    def _next(self) -> tuple[str, Job]:
        with self._changed:
            while True:
                for number, (host, job) in enumerate(self._jobs):
                    if self._busy[host] < self._each:
                        del self._jobs[number]
                        self._busy[host] += 1
                        return host, job
                self._idle += 1
                self._changed.wait()
                self._idle -= 1

    def _done(self, host: str) -> None:
        with self._changed:
            self._busy[host] -= 1
            if not self._busy[host]:
                del self._busy[host]
            self._changed.notify()
