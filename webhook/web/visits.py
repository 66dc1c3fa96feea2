"""A connection's life: its thread does the handshake, then takes turns with the others at answering all of them.

Apart from the worker, whose class is gunicorn's, so that it can be compiled.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from typing import Any

from gunicorn.http.errors import NoMoreData
from gunicorn.http.parser import RequestParser

from webhook.web.channel import Late
from webhook.web.crowd import Crowd, Guest
from webhook.web.exchange import Exchange, Line
from webhook.web.heads import Heads
from webhook.web.turn import Turn

LOG = logging.getLogger(__name__)


class Visits:
    """The connections of a worker, each from its handshake to its end."""

    def __init__(
        self,
        exchange: Exchange,
        crowd: Crowd,
        turn: Turn[Line],
        context: Callable[[], ssl.SSLContext],
        config: Any,
    ) -> None:
        """Answer by `exchange`; `context` gives what a handshake is done with, `config` is gunicorn's."""
        self._exchange = exchange
        self._crowd = crowd
        self._turn = turn
        self._context = context
        self._config = config

    def serve(self, guest: Guest, address: tuple[Any, ...]) -> None:
        """Let a connection in, and take turns with the others at answering all, until some connection ends.

        Each that ends ends one thread, so that there are as many of these as of those.
        """
        stays = self._attend(guest, address, None)
        while stays:
            line = self._turn.next()
            stays = self._attend(line.guest, line.address, line)

    def _attend(self, guest: Guest, address: tuple[Any, ...], line: Line | None) -> bool:
        """Do what a connection wants, a new one where it has no line yet; end it where it does not stay after that.

        Returns whether it stays.
        """
        stays = False
        try:
            stays = self._welcome(guest, address) if line is None else self._answers(line)
        except (Late, NoMoreData) as error:
            LOG.debug("connection cut: %s", error)
        except (OSError, ssl.SSLError, StopIteration) as error:
            LOG.debug("connection ended: %s", type(error).__name__)
        finally:
            if not stays:
                self._turn.leave()
                self._crowd.leave(guest)
        return stays

    def _welcome(self, guest: Guest, address: tuple[Any, ...]) -> bool:
        """Do the handshake of a new connection."""
        channel = guest.channel
        channel.secure(self._context(), self._exchange.limits.handshake)
        parser = RequestParser(self._config, channel, address)
        return self._waits(Line(guest, address, channel.getsockname(), parser, Heads()))

    def _answers(self, line: Line) -> bool:
        """Answer the request that comes over a connection, and those that came with it; return whether it stays."""
        while self._exchange.answer(line):
            if not line.more:
                return self._waits(line)
            line.guest.idle()
            if self._crowd.closed:
                break
        return False

    def _waits(self, line: Line) -> bool:
        """Let a connection wait for a request, which is returned: not when all are told to go."""
        # A new connection may be as idle as a used one: Go's client dials one more than it then needs, and keeps it
        # for the next call.
        line.guest.channel.reading(self._exchange.limits.keep_alive)
        line.guest.idle()
        # Asked after `idle`, so that a connection can't begin to wait unseen while all are told to go.
        if self._crowd.closed:
            return False
        self._turn.wait(line.guest.channel, line)
        return True
