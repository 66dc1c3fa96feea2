"""gunicorn as we run it: settings in code, our worker, a master that drains and minds the probes."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gunicorn import glogging
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from webhook.model.record import record
from webhook.web import heap
from webhook.web.board import Board
from webhook.web.worker import Duties, Worker

LOG = logging.getLogger(__name__)
PATIENCE = 12.0
"""Seconds that the master waits for workers beyond their drain: what is in work ends, connections linger."""

RESTS = (1.0, 30.0)
"""Seconds between two starts of a process beside the workers: the least, and the most, for one that dies again and
again."""
LEAVE = 8.0
"""Seconds for a process beside the workers to end: its tasks have five."""


@record(frozen=True, slots=True)
class Plan:
    """All that a server is started with.

    `beside` are processes that the master keeps up, by name: each is forked by what stands there, which returns its
    id; the descriptors given are not to be kept by it. They end after the workers, the first one last.
    `in_worker` is called in each worker once, before it serves; `ended` in the master with the id of a worker
    that ended, and `stopping` when it is told to stop, before the workers drain.
    """

    app: Callable[..., Any]
    duties: Duties
    board: Board
    descriptors: Sequence[int]
    """Of listening sockets; gunicorn takes them over."""
    certificate: str
    key: str
    workers: int
    log_level: str
    beside: Mapping[str, Callable[[Sequence[int]], int]]
    in_worker: Callable[[], None]
    ended: Callable[[int], None]
    stopping: Callable[[], None]


class Log(glogging.Logger):  # type: ignore[misc]
    """gunicorn's logger without handlers of its own: its lines go where all others go."""

    def setup(self, cfg: Any) -> None:
        """Let records through to the root logger."""
        self.cfg = cfg
        self._access_log_enabled = False
        self.loglevel = self.LOG_LEVELS.get(cfg.loglevel.lower(), logging.INFO)
        self.error_log.setLevel(self.loglevel)
        for log in (self.error_log, self.access_log):
            log.handlers[:] = []
            log.propagate = True

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Write nothing: each review has a line of its own, with what matters in it."""


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn's application: no configuration file, no command line, no environment."""

    def __init__(self, plan: Plan) -> None:
        """Take the plan; `run` serves."""
        self.plan = plan
        self.duties = plan.duties
        super().__init__()

    def load_config(self) -> None:
        """Give gunicorn its settings, those that this version of it knows."""
        shm = Path("/dev/shm")  # noqa: S108 - gunicorn makes an unguessable name in it
        for name, value in {
            "bind": [f"fd://{number}" for number in self.plan.descriptors],
            "worker_class": Worker,
            "workers": self.plan.workers,
            "certfile": self.plan.certificate,
            "keyfile": self.plan.key,
            # Its notes of every signal and child are for debugging; what matters we say ourselves.
            "loglevel": "debug" if self.plan.log_level == "debug" else "warning",
            "logger_class": Log,
            "preload_app": True,
            "timeout": 30,
            "graceful_timeout": int(self.duties.limits.drain + PATIENCE),
            # A disk that stalls must not look like a worker that stalls.
            "worker_tmp_dir": str(shm) if os.access(shm, os.W_OK) else None,
            "forwarded_allow_ips": "",
            "control_socket_disable": True,  # since gunicorn 25.1
            "post_worker_init": lambda _worker: self.plan.in_worker(),
            "child_exit": self._ended,
            "proc_name": "plimsoll",
        }.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Callable[..., Any]:
        """Return the WSGI application."""
        return self.plan.app

    def run(self) -> None:
        """Serve until told to stop; raises SystemExit with the status."""
        Master(self).run()

    def _ended(self, _master: Any, worker: Any) -> None:
        self.plan.board.leave(worker.age, worker.pid)
        self.plan.ended(worker.pid)


class Master(Arbiter):  # type: ignore[misc]
    """gunicorn's master, with three differences."""

    def __init__(self, app: Server) -> None:
        """Take the application."""
        self._beside: dict[str, tuple[int, float, float]] = {}  # its id, when it was begun, the rest until the next
        super().__init__(app)

    def start(self) -> None:
        """Listen, and put the probes' process beside us before there are workers."""
        super().start()
        self.app.plan.board.open(os.getpid())
        heap.share()
        self._watch_beside()

    def manage_workers(self) -> None:
        """Keep the right number of workers, and the processes beside them; called every second."""
        self._watch_beside()
        super().manage_workers()

    def handle_term(self) -> None:
        """Say that we are not ready, at once, and do what stopping asks for; then the workers drain."""
        self.app.plan.board.drain()
        self.app.plan.stopping()
        LOG.info("asked to stop: not ready from now on, draining")
        super().handle_term()

    def handle_hup(self) -> None:
        """Have everybody look at the packs again, in place: no process is replaced, no connection closed.

        gunicorn's own HUP reads its configuration again and replaces all workers; ours never changes.
        """
        self.kill_workers(signal.SIGHUP)
        for pid, *_ in self._beside.values():
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGHUP)

    def handle_usr2(self) -> None:
        """Don't start a second master: in a cluster a new pod does that."""
        LOG.warning("SIGUSR2 ignored: start a second server instead")

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """Stop everything, the processes beside the workers last; raises SystemExit."""
        try:
            super().halt(reason=reason, exit_status=exit_status)
        finally:
            for pid, *_ in reversed(list(self._beside.values())):
                if pid:  # 0 is one that died a moment ago, and to kill(2) everybody in our group
                    _end(pid)
            self._beside.clear()

    def _watch_beside(self) -> None:
        # One that died is started again: taking the server down for it would take admission down. If the health
        # process can't stay up, the kubelet's liveness probe fails and restarts the pod, as it should.
        now = time.monotonic()
        for name, start in self.app.plan.beside.items():
            pid, begun, rest = self._beside.get(name, (0, now - RESTS[0], RESTS[0]))
            if pid and _running(pid):
                continue
            if pid:
                LOG.error("the %s process (%d) ended; starting another", name, pid)
                self.app.plan.ended(pid)
                rest = RESTS[0] if now - begun > RESTS[1] else min(2 * rest, RESTS[1])
                self._beside[name] = 0, begun, rest
            if now - begun >= rest:  # one that dies at once is not to keep the master, or the log, busy
                listeners = [listener.fileno() for listener in self.LISTENERS]
                self._beside[name] = start(listeners), now, rest


def _running(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return False  # gunicorn, which waits for every child, saw it end


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
        ends = time.monotonic() + LEAVE
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > ends:
                LOG.error("process %d does not end, and is killed", pid)
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return
            time.sleep(0.02)
    except (ProcessLookupError, ChildProcessError):
        return
