"""Calls that may hang, such as those to a disk, made in a thread of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from webhook.registry.fork import afresh

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Call(Generic[T]):
    make: Callable[[], T]
    result: T
    undo: Callable[[], None] | None
    done: threading.Event = field(default_factory=threading.Event)
    given_up: bool = False


class Aside:
    """Makes one call after another. Who asks waits for it, but not longer than `patience` seconds.

    Once somebody waited in vain, calls are not made at all until the one that hangs has come back: what hangs
    costs one wait, and nothing piles up behind it.
    """

    def __init__(self, patience: float) -> None:
        """Take for how long to wait; the thread is made with the first call."""
        self._patience = patience
        afresh(self._begin)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._calls: SimpleQueue[_Call[Any]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._hangs = False

    def call(self, make: Callable[[], T], otherwise: T, undo: Callable[[], None] | None = None) -> T:
        """Return what `make` returns, or `otherwise` where that takes too long; then `undo` follows it in the end."""
        call = _Call(make, otherwise, undo)
        with self._lock:
            if self._hangs:
                return otherwise
            self._put(call)
        call.done.wait(self._patience)
        with self._lock:
            if not call.done.is_set():
                call.given_up = self._hangs = True
                return otherwise
        return call.result

    def post(self, make: Callable[[], object]) -> None:
        """Have a call made after all before it, however long they take; nobody waits for it."""
        with self._lock:
            self._put(_Call(make, None, None))

    def _put(self, call: _Call[Any]) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name="image store", daemon=True)
            self._thread.start()
        self._calls.put(call)

    def _work(self) -> None:
        while True:
            call = self._calls.get()
            try:
                if not call.given_up:
                    call.result = call.make()
            finally:
                with self._lock:
                    call.done.set()
                    if self._calls.empty():
                        self._hangs = False
            if call.given_up and call.undo is not None:
                call.undo()
