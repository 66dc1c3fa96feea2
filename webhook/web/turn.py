"""Whose turn it is: of all threads that wait for a request, one waits for all of them, and answers what comes itself.

Leader and followers (Schmidt, Pattern-Oriented Software Architecture 2): the leader holds the turn while it waits for
every idle connection and while it works, so that a request wakes no thread, and none is in another's way at the
interpreter, which lets only one run anyhow. Where it would have to wait for somebody (a slow peer, the cluster) it
gives the turn away first, and another goes on. One that keeps it for too long is relieved.
"""

from __future__ import annotations

import select
import selectors
import threading
import time
from collections import deque
from typing import Generic, Protocol, TypeVar


class Socket(Protocol):
    """What has a file descriptor."""

    def fileno(self) -> int:
        """Return it."""
        ...


L = TypeVar("L")
_READABLE = getattr(select, "EPOLLIN", 1)


class _Selector:
    """What other systems than Linux have in place of `select.epoll`, with its calls."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def register(self, descriptor: int, _events: int) -> None:
        self._selector.register(descriptor, selectors.EVENT_READ)

    def unregister(self, descriptor: int) -> None:
        self._selector.unregister(descriptor)

    def poll(self, seconds: float) -> list[tuple[int, int]]:
        return [(key.fd, _READABLE) for key, _ in self._selector.select(seconds)]


class Turn(Generic[L]):
    """The idle connections of a worker, each with what it stands for, and who leads."""

    def __init__(self) -> None:
        """Start with none; `open` makes it ready in the process that is to use it."""
        self._seconds = 0.0
        self._lock = threading.Lock()  # the turn itself
        self._idle: dict[int, tuple[Socket, L, float]] = {}  # by descriptor; whoever waits longest stands first
        self._ready: deque[int] = deque()
        self._leader = 0  # the thread
        self._since: float | None = None  # when it began to work
        self._socket: Socket | None = None  # of the connection that it works for, which is still looked at
        self._descriptor = 0  # that socket's
        self._change = threading.Lock()  # held for a moment, by whoever changes one of these

    def open(self, seconds: float) -> None:
        """Make it ready in this process, which may share no selector with another.

        `seconds` is how long a connection may be idle.
        """
        self._watch = select.epoll() if hasattr(select, "epoll") else _Selector()
        self._seconds = seconds

    def wait(self, sock: Socket, line: L) -> None:
        """Let a connection wait for a request from now on."""
        with self._change:
            if self._socket is sock:  # the leader's, and still looked at
                self._socket = self._since = None
            else:
                self._watch.register(sock.fileno(), _READABLE)
            self._idle[sock.fileno()] = (sock, line, time.monotonic() + self._seconds)

    def next(self) -> L:
        """Return a connection from which something came, or that was idle for too long; wait for the turn and for one.

        The calling thread then has the turn, and must come back, or leave.
        """
        if self._leader != threading.get_ident():
            self._lock.acquire()
            self._leader = threading.get_ident()
        try:
            while True:
                with self._change:
                    found, left = self._waiting()
                    if found is not None:
                        self._socket, self._since = found[0], time.monotonic()
                        self._descriptor = found[0].fileno()
                        return found[1]
                self._ready.extend([descriptor for descriptor, _ in self._watch.poll(left)])
        except BaseException:
            self.leave()  # or nobody would ever lead again
            raise

    def _waiting(self) -> tuple[tuple[Socket, L] | None, float]:
        """Return a connection to look at, or None and for how many seconds there may be none."""
        while self._ready:
            found = self._idle.pop(self._ready.popleft(), None)
            if found is not None:
                return found[:2], 0.0
        if not self._idle:
            return None, self._seconds
        first = next(iter(self._idle))
        left = self._idle[first][2] - time.monotonic()
        return (None, left) if left > 0 else (self._idle.pop(first)[:2], 0.0)

    def leave(self) -> None:
        """Give the turn away, where the calling thread has it: it is going to wait, or to end."""
        if self._leader == threading.get_ident():
            with self._change:
                if self._leader == threading.get_ident():
                    self._release()

    def relieve(self, seconds: float) -> None:
        """Take the turn from who has worked with it for more than `seconds`."""
        with self._change:
            if self._since is not None and time.monotonic() - self._since > seconds:
                self._release()

    def _release(self) -> None:
        if self._socket is not None:
            self._watch.unregister(self._descriptor)
        self._leader, self._since, self._socket = 0, None, None
        self._lock.release()
