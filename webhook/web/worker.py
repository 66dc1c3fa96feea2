"""Our gunicorn worker: as many threads as connections, total deadlines, and a cap that sheds.

A connection's thread does the handshake and whatever has to wait for its peer; all that wait for a request take turns
(`web/turn.py`): one looks at all idle connections and answers what comes, without waking another.

Why not one of gunicorn's own: docs/decisions/0002-worker.md.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import ssl
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache, partial
from types import FrameType
from typing import Any

from gunicorn.http import wsgi
from gunicorn.http.errors import NoMoreData
from gunicorn.http.parser import RequestParser
from gunicorn.workers.base import Worker as GunicornWorker

from webhook.model.record import record
from webhook.web import parent
from webhook.web.channel import Channel, Late
from webhook.web.crowd import Crowd, Guest
from webhook.web.exchange import Exchange, Limits, Line, Traffic
from webhook.web.heads import Heads
from webhook.web.turn import Turn

LOG = logging.getLogger(__name__)
BEAT = 0.5
"""Seconds between a worker's words to master and board."""

HOLD = 0.05
"""Seconds for which a thread may work while the others wait for the turn. A review takes a millisecond or two."""


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


def _responding(config: Any, request: Any, channel: Channel) -> Response:
    return Response(request, channel, config)


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
        respond, traffic = partial(_responding, self.cfg), self.duties.traffic
        # the application is there since the fork
        self.exchange = Exchange(
            self.limits, traffic, self.turn, respond, self.wsgi, self.cfg, lambda: bool(self.alive)
        )
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
        while self.exchange.answer(line):
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


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    """Return a time (seconds since 1970) as HTTP writes it (RFC 9110, section 5.6.7)."""
    return formatdate(second, usegmt=True)
