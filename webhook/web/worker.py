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
from types import FrameType
from typing import Any

from gunicorn.workers.base import Worker as GunicornWorker

from webhook.model.record import record
from webhook.web import heap, parent
from webhook.web.channel import Channel
from webhook.web.crowd import Crowd, Guest
from webhook.web.exchange import Exchange, Limits, Traffic
from webhook.web.turn import Turn
from webhook.web.visits import Visits

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
        heap.reserve()
        # the application is there since the fork
        exchange = Exchange(self.limits, self.duties.traffic, self.turn, self.wsgi, self.cfg, lambda: bool(self.alive))
        self.visits = Visits(exchange, self.crowd, self.turn, self.duties.context, self.cfg)
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
            self.duties.traffic.settle()
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
        self.duties.traffic.settle()

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
        """Be the thread of a connection."""
        heap.deepen()
        self.visits.serve(guest, address)
