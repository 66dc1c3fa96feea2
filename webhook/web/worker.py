"""Our gunicorn worker: as many threads as connections, total deadlines, and a cap that sheds.

A connection's thread does the handshake and whatever has to wait for its peer; all that wait for a request take turns
(`web/turn.py`): one looks at all idle connections and answers what comes, without waking another.

Why not one of gunicorn's own: docs/decisions/0002-worker.md.
"""

from __future__ import annotations

import io
import logging
import os
import selectors
import signal
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from functools import lru_cache, partial
from types import FrameType
from typing import Any, Protocol

from gunicorn.http import wsgi
from gunicorn.http.errors import (
    ChunkMissingTerminator,
    InvalidChunkSize,
    LimitRequestHeaders,
    LimitRequestLine,
    NoMoreData,
    ParseException,
)
from gunicorn.http.parser import RequestParser
from gunicorn.workers.base import Worker as GunicornWorker

from webhook.model.record import record
from webhook.web import parent
from webhook.web.channel import Channel, Late
from webhook.web.crowd import Crowd, Guest
from webhook.web.heads import Heads, Known
from webhook.web.turn import Turn

LOG = logging.getLogger(__name__)
BEAT = 0.5
"""Seconds between a worker's words to master and board."""

HOLD = 0.05
"""Seconds for which a thread may work while the others wait for the turn. A review takes a millisecond or two."""
INLINE = 128 * 1024
"""Bytes of a body above which others don't wait for its review."""

MIB = 1 << 20
LARGE = MIB
LARGE_PLACES = 8
LARGE_WAIT = 1.0
"""Bodies over `LARGE` bytes are taken `LARGE_PLACES` at a time; others wait so long, then are shed."""

RECORD = 16 * 1024
"""Bytes that one read of a TLS connection can give at most (RFC 8446, section 5.1)."""

STARTED = "plimsoll.started"
"""The key in a request's environ under which its arrival stands (monotonic seconds)."""


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
    """Counts what happens to connections."""

    def shed(self, reason: str) -> None:
        """Count one that was turned away."""
        ...

    def connections(self, count: int) -> None:
        """Say how many there are."""
        ...


@record(frozen=True, slots=True)
class Duties:
    """What `main` gives a worker to work with."""

    limits: Limits
    traffic: Traffic
    context: Callable[[], ssl.SSLContext]
    beat: Callable[[int, int], None]
    """Called with the worker's age and process id, every half second."""
    reload: Callable[[], None]
    """Called on SIGHUP; must come back at once."""
    turn: Turn[Any]
    """Whoever has to wait for something in the middle of a review calls its `leave`."""


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


class Response(wsgi.Response):  # type: ignore[misc]
    """gunicorn's response; its date is written out once a second instead of once an answer."""

    def default_headers(self) -> list[str]:
        """Return the lines that every answer begins with."""
        headers = [
            f"HTTP/{self.req.version[0]}.{self.req.version[1]} {self.status}\r\n",
            f"Server: {self.version}\r\n",
            f"Date: {_date(int(time.time()))}\r\n",
            f"Connection: {'close' if self.should_close() else 'keep-alive'}\r\n",
        ]
        return [*headers, "Transfer-Encoding: chunked\r\n"] if self.chunked else headers


class Worker(GunicornWorker):  # type: ignore[misc]
    """A worker process; its main thread only accepts and keeps the heart beating."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As gunicorn makes it, before the fork."""
        super().__init__(*args, **kwargs)
        self.duties: Duties = self.app.duties
        self.limits = self.duties.limits
        self.crowd = Crowd(self.limits.connections)
        self.turn = self.duties.turn
        self._told = False
        self.places = threading.BoundedSemaphore(self.limits.requests)
        self.large = threading.BoundedSemaphore(LARGE_PLACES)

    def init_signals(self) -> None:
        """Take gunicorn's signals, but let HUP mean "look at the packs again", without a new process."""
        super().init_signals()
        signal.signal(signal.SIGHUP, self._handle_hup)

    def _handle_hup(self, _number: int, _frame: FrameType | None) -> None:
        # Nothing that takes a lock: a handler can come on top of itself. The main thread is woken by the pipe.
        self._told = True

    def run(self) -> None:
        """Accept until told to stop, go on for `drain` seconds, let what is in work end."""
        parent.follow(signal.SIGKILL)  # even if this loop should hang: nobody would kill it then
        self.turn.open(self.limits.keep_alive)
        selector = selectors.DefaultSelector()
        for listener in self.sockets:
            listener.setblocking(False)
            selector.register(listener, selectors.EVENT_READ)
        selector.register(self.PIPE[0], selectors.EVENT_READ)
        ends: float | None = None
        due = 0.0
        while ends is None or time.monotonic() < ends:
            if time.monotonic() >= due:
                due = time.monotonic() + BEAT
                self._beat()
            if ends is None and not self.alive:
                ends = time.monotonic() + self.limits.drain
                LOG.info("worker drains for %g s", self.limits.drain)
            if self.ppid != os.getppid():
                LOG.error("the master is gone, so the worker ends")
                return
            if self._told:
                self._told = False
                self.duties.reload()
            self.turn.relieve(HOLD)
            for key, _ in selector.select(min(HOLD, max(0.0, (ends or due) - time.monotonic()))):
                if key.fileobj == self.PIPE[0]:
                    os.read(self.PIPE[0], 4096)
                else:
                    self._accept(key.fileobj)
        selector.close()
        self._finish()

    def _finish(self) -> None:
        for listener in self.sockets:
            listener.close()
        self.crowd.close()
        # What is in work has at most its own deadlines; the master's patience (graceful_timeout) is longer.
        ends = time.monotonic() + self.limits.write
        while self.crowd.count() and time.monotonic() < ends:
            self._beat()
            self.turn.relieve(HOLD)
            time.sleep(0.02)

    def _beat(self) -> None:
        self.notify()
        self.duties.beat(self.age, self.pid)
        self.duties.traffic.connections(self.crowd.count())

    def _accept(self, listener: Any) -> None:
        try:
            sock, address = listener.accept()
        except BlockingIOError:
            return  # another worker was faster
        except OSError:
            time.sleep(0.02)  # no descriptor or memory left: the listener stays readable, so this would spin
            return
        sock.setblocking(True)
        guest = self.crowd.admit(Channel(sock, self.turn.leave))
        if guest is None:
            self.duties.traffic.shed("overflow")
            sock.close()
            return
        try:
            threading.Thread(target=self._serve, args=(guest, address), daemon=True).start()
        except RuntimeError:  # no more threads: the system's limit is lower than ours
            self.duties.traffic.shed("threads")
            self.crowd.leave(guest)

    def _serve(self, guest: Guest, address: tuple[Any, ...]) -> None:
        """Let a connection in, and take turns with the others at answering all, until some connection ends.

        Each that ends ends one thread, so that there are as many of these as of those.
        """
        stays = self._attend(guest, lambda: self._welcome(guest, address))
        while stays:
            line = self.turn.next()
            stays = self._attend(line.guest, partial(self._answers, line))

    def _attend(self, guest: Guest, work: Callable[[], bool]) -> bool:
        """Do what a connection wants; end it where it does not stay after that, which is returned."""
        stays = False
        try:
            stays = work()
        except (Late, NoMoreData) as error:
            LOG.debug("connection cut: %s", error)
        except (OSError, ssl.SSLError, StopIteration) as error:
            LOG.debug("connection ended: %s", type(error).__name__)
        finally:
            if not stays:
                self.turn.leave()
                self.crowd.leave(guest)
        return stays

    def _welcome(self, guest: Guest, address: tuple[Any, ...]) -> bool:
        """Do the handshake of a new connection."""
        channel = guest.channel
        channel.secure(self.duties.context(), self.limits.handshake)
        parser = RequestParser(self.cfg, channel, address)
        return self._waits(Line(guest, address, channel.getsockname(), parser, Heads()))

    def _answers(self, line: Line) -> bool:
        """Answer the request that comes over a connection, and those that came with it; return whether it stays."""
        while self._exchange(line):
            if not line.more:
                return self._waits(line)
            line.guest.idle()
            if self.crowd.closed:
                break
        return False

    def _waits(self, line: Line) -> bool:
        """Let a connection wait for a request, which is returned: not when all are told to go."""
        # A new connection may be as idle as a used one: Go's client dials one more than it then needs, and keeps it
        # for the next call.
        line.guest.channel.reading(self.limits.keep_alive)
        line.guest.idle()
        # Asked after `idle`, so that a connection can't begin to wait unseen while all are told to go.
        if self.crowd.closed:
            return False
        self.turn.wait(line.guest.channel, line)
        return True

    def _exchange(self, line: Line) -> bool:
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
            response, environ = Response(known.request, channel, self.cfg), known.environ
            environ[STARTED] = started
            return self._answer(guest, response, environ, lambda: _rest(channel, parser.unreader, known))
        parser.unreader.unread(first)
        channel.reading(limits.head)
        try:
            request = next(parser)
        except ParseException as error:
            self._refuse(channel, error)
            return False
        environ = wsgi.create(request, channel, line.address, line.server, self.cfg)[1]
        environ.pop("wsgi.early_hints", None)  # would hint at the response that gunicorn made, and we use another
        environ["wsgi.multithread"] = True
        line.heads.learn(first, request, environ)
        environ[STARTED] = started
        channel.writing(limits.write)
        response = Response(request, channel, self.cfg)
        return self._answer(guest, response, environ, lambda: request.body.read(limits.body_limit + 1))

    def _answer(self, guest: Guest, response: Any, environ: dict[str, Any], read: Callable[[], bytes]) -> bool:
        """Let large bodies in a few at a time; `read` reads the body. Return whether another request may follow."""
        channel = guest.channel
        if guest.extra:
            return self._shed(channel, response, "connections")
        length = _length(environ)
        if length is None or length > INLINE:
            self.turn.leave()
        if length is not None and length <= LARGE:
            return self._judge(guest, response, environ, length, read)
        # A review in memory takes some ten times its bytes, so few large ones are let in at once.
        if not self.large.acquire(timeout=LARGE_WAIT):
            return self._shed(channel, response, "large")
        try:
            return self._judge(guest, response, environ, length, read)
        finally:
            self.large.release()

    def _judge(
        self, guest: Guest, response: Any, environ: dict[str, Any], length: int | None, read: Callable[[], bytes]
    ) -> bool:
        """Read the body, have the application answer; return whether another request may follow."""
        channel, limits = guest.channel, self.limits
        whole = length is None or length <= limits.body_limit
        if whole:
            channel.reading(limits.body + (limits.body_limit if length is None else length) // MIB)
            try:
                body = read()
            except (ParseException, InvalidChunkSize, ChunkMissingTerminator) as error:
                self._refuse(channel, error)
                return False
            if length is not None and len(body) < length:
                return False  # the peer is gone
            whole = len(body) <= limits.body_limit
            environ["wsgi.input"] = io.BytesIO(body)
        # Only now, so that bodies that drip don't take the places of those that are there.
        if not self.places.acquire(blocking=False):
            return self._shed(channel, response, "requests")
        try:
            guest.works()
            if not (whole and self.alive):
                response.force_close()
            respond(self.wsgi, environ, response)
        finally:
            self.places.release()
        channel.flush()
        if response.should_close():
            channel.linger(1.0, MIB)
            return False
        return True

    def _shed(self, channel: Channel, response: Any, reason: str) -> bool:
        """Answer that there is no room. An API server tries again after Retry-After, within its timeout."""
        self.duties.traffic.shed(reason)
        body = b"too busy; try again in a second\n"
        response.force_close()
        response.start_response(
            "503 Service Unavailable",
            [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), ("Retry-After", "1")],
        )
        response.write(body)
        channel.flush()
        channel.linger(1.0, MIB)
        return False

    def _refuse(self, channel: Channel, error: Exception) -> None:
        """Answer what is no HTTP request with 400 (414, 431) and a sentence."""
        status = {
            LimitRequestLine: "414 URI Too Long",
            LimitRequestHeaders: "431 Request Header Fields Too Large",
        }.get(type(error), "400 Bad Request")
        body = f"not a request that can be answered: {type(error).__name__}\n".encode()
        lines = (
            f"HTTP/1.1 {status}",
            "Content-Type: text/plain",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        channel.writing(self.limits.write)
        channel.sendall("\r\n".join((*lines, "", "")).encode() + body)
        channel.flush()
        channel.linger(1.0, MIB)


def respond(app: Callable[..., Iterable[bytes]], environ: dict[str, Any], response: Any) -> None:
    """Run a WSGI application for one request and give its answer to gunicorn's `response` (PEP 3333)."""
    parts = app(environ, response.start_response)
    try:
        for part in parts:
            response.write(part)
        response.close()
    finally:
        close = getattr(parts, "close", None)
        if close is not None:
            close()


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    """Return a time (seconds since 1970) as HTTP writes it (RFC 9110, section 5.6.7)."""
    return formatdate(second, usegmt=True)


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
