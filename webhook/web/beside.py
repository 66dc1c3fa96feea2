"""Forks a process that lives beside the workers, and ends with the master, however that ends."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Sequence

from webhook.web import parent

LOG = logging.getLogger(__name__)


def start(run: Callable[[Callable[[], bool]], None], close: Sequence[int] = ()) -> int:
    """Fork a process that does `run(go_on)`, until `go_on()` is false; return its id.

    `close` are descriptors that it must not keep (the TLS listeners, when it is started a second time).
    """
    master = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        for descriptor in close:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH):
            signal.signal(number, signal.SIG_IGN)  # a terminal's Ctrl-C goes to all; the parent decides the end
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        told: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
        parent.follow(signal.SIGTERM)
        run(lambda: not told and os.getppid() == master)
        status = 0
    except Exception:
        LOG.exception("a process beside the workers failed, which is a bug of Plimsoll's own")
    finally:
        os._exit(status)
