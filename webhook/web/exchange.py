"""Answers the requests that come over a worker's connections: reads each, has the application answer, sends that.

Apart from the worker, whose class is gunicorn's, so that it can be compiled.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from gunicorn.http import wsgi
from gunicorn.http.errors import (
    ChunkMissingTerminator,
    InvalidChunkSize,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
)

from webhook.model.record import record
from webhook.web.admission import STARTED
from webhook.web.channel import Channel
from webhook.web.crowd import Guest
from webhook.web.heads import Heads, Known
from webhook.web.reply import Reply
from webhook.web.turn import Turn

INLINE = 128 * 1024
"""Bytes of a body above which others don't wait for its review."""

MIB = 1 << 20
LARGE = MIB
LARGE_PLACES = 8
LARGE_WAIT = 1.0
"""Bodies over `LARGE` bytes are taken `LARGE_PLACES` at a time; others wait so long, then are shed."""

RECORD = 16 * 1024
"""Bytes that one read of a TLS connection can give at most (RFC 8446, section 5.1)."""


@record(frozen=True, slots=True)
class Limits:
    """What a worker grants its peers: seconds, bytes, and how many at once."""

    keep_alive: float = 150.0
    handshake: float = 5.0
    head: float = 10.0
    body: float = 10.0
    write: float = 10.0
    drain: float = 15.0
    body_limit: int = 7 * MIB
    connections: int = 256
    requests: int = 128


class Traffic(Protocol):
    """Counts what happens to connections, and keeps what else a worker counts."""

    def settle(self) -> None:
        """Bring what was counted into the figures that others see."""
        ...

    def shed(self, reason: str) -> None:
        """Count one that was turned away."""
        ...

    def connections(self, count: int) -> None:
        """Say how many there are."""
        ...


@record(frozen=True, slots=True)
class Line:
    """One connection with what its requests share."""

    guest: Guest
    address: tuple[Any, ...]
    """The peer's."""
    server: tuple[str, int]
    """The address that the peer called."""
    parser: Any
    heads: Heads

    @property
    def more(self) -> bool:
        """Whether something was received that is not read yet."""
        return bool(self.parser.unreader.buf.getvalue()) or self.guest.channel.pending


class Places:
    """How many may be in at once. Safe from many threads; nobody waits here, which is what makes a semaphore dear."""

    def __init__(self, most: int) -> None:
        """Start with all of them free."""
        self._free = most
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take one; False where none is free."""
        with self._lock:
            if self._free == 0:
                return False
            self._free -= 1
            return True

    def give(self) -> None:
        """Give one back."""
        with self._lock:
            self._free += 1


class Exchange:
    """What all connections of a worker share for their requests: limits, places, and the application."""

    def __init__(
        self,
        limits: Limits,
        traffic: Traffic,
        turn: Turn[Any],
        application: Callable[..., Iterable[bytes]],
        config: Any,
        alive: Callable[[], bool],
    ) -> None:
        """Answer by `application` (PEP 3333).

        `config` is gunicorn's. Once `alive` says no, a connection ends with its answer.
        """
        self.limits = limits
        self._traffic = traffic
        self._turn = turn
        self._application = application
        self._config = config
        self._alive = alive
        self._places = Places(limits.requests)
        self._large = threading.BoundedSemaphore(LARGE_PLACES)

    def answer(self, line: Line) -> bool:
        """Read a request and answer it; return whether the connection may have another."""
        guest, parser, limits = line.guest, line.parser, self.limits
        channel, first, known = guest.channel, b"", None
        if not parser.unreader.buf.getvalue():
            first = channel.recv(RECORD)
            if not first:
                return False
            known = line.heads.match(first)
        started = time.monotonic()
        guest.reads()
        channel.writing(limits.write)
        if known is not None:
            known.environ[STARTED] = started
            return self._answer(line, known.request, known.environ, known)
        parser.unreader.unread(first)
        channel.reading(limits.head)
        try:
            request = next(parser)
        except ParseException as error:
            self._refuse(channel, error)
            return False
        environ = wsgi.create(request, channel, line.address, line.server, self._config)[1]
        environ.pop("wsgi.early_hints", None)  # would hint at the response that gunicorn made, and we use another
        environ["wsgi.multithread"] = True
        line.heads.learn(first, request, environ)
        environ[STARTED] = started
        channel.writing(limits.write)
        return self._answer(line, request, environ, None)

    def _answer(self, line: Line, request: Any, environ: dict[str, Any], known: Known | None) -> bool:
        """Let large bodies in a few at a time. Return whether another request may follow."""
        guest = line.guest
        if guest.extra:
            return self._shed(guest.channel, request, "connections")
        length = _length(environ)
        if length is None or length > INLINE:
            self._turn.leave()
        if length is not None and length <= LARGE:
            return self._judge(line, request, environ, known, length)
        # A review in memory takes some ten times its bytes, so few large ones are let in at once.
        if not self._large.acquire(timeout=LARGE_WAIT):
            return self._shed(guest.channel, request, "large")
        try:
            return self._judge(line, request, environ, known, length)
        finally:
            self._large.release()

    def _judge(
        self, line: Line, request: Any, environ: dict[str, Any], known: Known | None, length: int | None
    ) -> bool:
        """Read the body, have the application answer; return whether another request may follow."""
        guest, limits = line.guest, self.limits
        channel = guest.channel
        whole = length is None or length <= limits.body_limit
        if whole:
            channel.reading(limits.body + (limits.body_limit if length is None else length) // MIB)
            try:
                if known is None:
                    body = request.body.read(limits.body_limit + 1)
                else:
                    body = _rest(channel, line.parser.unreader, known)
            except (ParseException, InvalidChunkSize, ChunkMissingTerminator) as error:
                self._refuse(channel, error)
                return False
            if length is not None and len(body) < length:
                return False  # the peer is gone
            whole = len(body) <= limits.body_limit
            environ["wsgi.input"] = io.BytesIO(body)
        # Only now, so that bodies that drip don't take the places of those that are there.
        if not self._places.take():
            return self._shed(channel, request, "requests")
        try:
            guest.works()
            closes = not (whole and self._alive()) or (known is None and bool(request.should_close()))
            reply = Reply(request.version, request.method, closes)
            answer = respond(self._application, environ, reply)
        finally:
            self._places.give()
        channel.give(answer)
        if closes:
            channel.linger(1.0, MIB)
        return not closes

    def _shed(self, channel: Channel, request: Any, reason: str) -> bool:
        """Answer that there is no room. An API server tries again after Retry-After, within its timeout."""
        self._traffic.shed(reason)
        reply = Reply(request.version, request.method, True)
        _last(channel, reply, "503 Service Unavailable", "too busy; try again in a second\n", ("Retry-After", "1"))
        return False

    def _refuse(self, channel: Channel, error: Exception) -> None:
        """Answer what is no HTTP request with 400 (414, 431) and a sentence."""
        status = {
            LimitRequestLine: "414 URI Too Long",
            LimitRequestHeaders: "431 Request Header Fields Too Large",
        }.get(type(error), "400 Bad Request")
        channel.writing(self.limits.write)
        _last(channel, Reply((1, 1), "", True), status, f"not a request that can be answered: {type(error).__name__}\n")


def respond(app: Callable[..., Iterable[bytes]], environ: dict[str, Any], reply: Reply) -> bytes:
    """Run a WSGI application for one request, and return what its answer is on the wire (PEP 3333)."""
    parts = app(environ, reply.start_response)
    try:
        return reply.whole(parts)
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()


def _last(channel: Channel, reply: Reply, status: str, text: str, *headers: tuple[str, str]) -> None:
    """Answer without the application, as the last on a connection."""
    reply.start_response(status, [("Content-Type", "text/plain"), *headers])
    channel.give(reply.whole([text.encode()]))
    channel.linger(1.0, MIB)


def _rest(channel: Channel, unreader: Any, known: Known) -> bytes:
    """Return the body of a known request; what came behind it waits for the parser. Too short where the peer goes."""
    missing = known.length - len(known.body)
    if missing < 0:
        unreader.unread(known.body[known.length :])
        return known.body[: known.length]
    parts = [known.body]
    while missing > 0:
        part = channel.recv(min(missing, RECORD))
        if not part:
            break
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _length(environ: dict[str, Any]) -> int | None:
    """Return the body's length, None where it comes in chunks; 0 where there is none."""
    if "HTTP_TRANSFER_ENCODING" in environ:
        return None
    return int(environ.get("CONTENT_LENGTH") or 0)  # the parser took digits only
