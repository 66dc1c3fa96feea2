"""`/healthz`, `/readyz` and `/metrics` over plain HTTP, from a process of its own.

It answers when every worker is busy or stopped, since it shares nothing with them but the board. One thread
and one loop: each connection has a total deadline, and at the cap the oldest one makes room, so that nobody
who drips bytes into this port can make a probe fail.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from webhook.model.record import record
from webhook.web.board import Board

LOG = logging.getLogger(__name__)
DEADLINE = 5.0
"""Seconds that a connection may last in all."""

CONNECTIONS = 128
HEAD = 8192
"""Bytes of a request head; a probe has some hundred."""

_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}


@record(frozen=True, slots=True)
class Page:
    """An answer: HTTP status, body, content type."""

    status: int
    body: bytes
    type: str = "text/plain; charset=utf-8"


@dataclass(slots=True)
class _Visit:
    """One connection: what came, what is still to be sent, and when it ends at the latest."""

    ends: float
    head: bytes = b""
    answer: bytes = b""


def pages(
    board: Board, metrics: Callable[[], bytes], now: Callable[[], float], alive: Callable[[int], bool]
) -> Mapping[str, Callable[[], Page]]:
    """Return the pages by path; `now` gives seconds since 1970, `alive` tells whether a process lives."""

    def healthz() -> Page:
        # Not the workers: a liveness probe that fails under load would take away the servers that are left.
        return Page(200, b"ok\n") if alive(board.master) else Page(503, b"the server's master process is gone\n")

    def readyz() -> Page:
        ready, why = board.ready(now())
        return Page(200 if ready else 503, f"{'ready' if ready else 'not ready'}: {why}\n".encode())

    def figures() -> Page:
        try:
            return Page(200, metrics(), "text/plain; version=0.0.4; charset=utf-8")
        except (OSError, ValueError, RuntimeError) as error:
            # A figures' file that is gone or broken must not take the probes away.
            LOG.exception("no figures")
            return Page(503, f"no figures: {type(error).__name__}\n".encode())

    return {"/healthz": healthz, "/readyz": readyz, "/metrics": figures}


def respond(head: bytes, found: Mapping[str, Callable[[], Page]]) -> bytes:
    """Return the whole answer to a request head: always one answer a connection."""
    words = head.split(b"\r\n", 1)[0].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        page, method = Page(400, b"not an HTTP/1 request\n"), b""
    else:
        method = words[0]
        make = found.get(words[1].split(b"?", 1)[0].decode("latin-1"))
        if make is None:
            page = Page(404, ("there is only " + ", ".join(sorted(found)) + "\n").encode())
        elif method not in (b"GET", b"HEAD"):
            page = Page(405, b"only GET and HEAD\n")
        else:
            page = make()
    lines = (
        f"HTTP/1.1 {page.status} {_REASONS[page.status]}\r\nContent-Type: {page.type}\r\n"
        f"Content-Length: {len(page.body)}\r\nCache-Control: no-store\r\nConnection: close\r\n"
        + ("Allow: GET, HEAD\r\n" if page.status == 405 else "")
    )
    return lines.encode() + b"\r\n" + (b"" if method == b"HEAD" else page.body)


class Loop:
    """The server's loop; `run` comes back when `go_on` says no."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        found: Mapping[str, Callable[[], Page]],
        *,
        deadline: float = DEADLINE,
        most: int = CONNECTIONS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take over listening sockets."""
        self._selector = selectors.DefaultSelector()
        self._listeners = set(sockets)
        self._found = found
        self._deadline, self._most, self._clock = deadline, most, clock
        self._visits: dict[socket.socket, _Visit] = {}  # in the order of their coming
        for listener in sockets:
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ)

    def run(self, go_on: Callable[[], bool], every: float = 0.25) -> None:
        """Serve until `go_on()`, asked every `every` seconds, is false."""
        while go_on():
            for key, _ in self._selector.select(every):
                found = key.fileobj
                assert isinstance(found, socket.socket)  # noqa: S101 - for the type checker: only sockets are registered
                if found in self._listeners:
                    self._accept(found)
                else:
                    self._serve(found)
            late = self._clock()
            for visitor in [visitor for visitor, visit in self._visits.items() if visit.ends <= late]:
                self._close(visitor)

    def close(self) -> None:
        """Close every connection and the listening sockets."""
        for visitor in list(self._visits):
            self._close(visitor)
        self._selector.close()
        for listener in self._listeners:
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        try:
            visitor, _ = listener.accept()
        except OSError:
            return  # gone again, or no descriptor left: the next round tries
        visitor.setblocking(False)
        if len(self._visits) >= self._most:
            self._close(next(iter(self._visits)))
        self._visits[visitor] = _Visit(self._clock() + self._deadline)
        self._selector.register(visitor, selectors.EVENT_READ)

    def _serve(self, visitor: socket.socket) -> None:
        visit = self._visits.get(visitor)
        if visit is None:
            return  # closed earlier in this round
        try:
            if visit.answer:
                visit.answer = visit.answer[visitor.send(visit.answer) :]
                done = not visit.answer
            else:
                done = self._read(visitor, visit)
        except BlockingIOError:
            return
        except OSError:
            done = True
        if done:
            self._close(visitor)

    def _read(self, visitor: socket.socket, visit: _Visit) -> bool:
        data = visitor.recv(HEAD)
        visit.head += data
        if b"\r\n\r\n" in visit.head or len(visit.head) > HEAD:
            visit.answer = respond(visit.head, self._found)
            self._selector.modify(visitor, selectors.EVENT_WRITE)
            return False
        return not data

    def _close(self, visitor: socket.socket) -> None:
        del self._visits[visitor]
        self._selector.unregister(visitor)
        visitor.close()


def alive(pid: int) -> bool:
    """Tell whether process `pid` lives (a zombie does not)."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - a hot path for probes, and no path arithmetic
            return file.read().rsplit(b")", 1)[-1].split()[0] != b"Z"
    except ProcessLookupError:
        return False
    except OSError:
        return True  # no /proc here, or another's process: it answered to kill
