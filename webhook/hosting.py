"""A service on sockets: processes, threads, signals, certificates, probes. What it decides is its own affair."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from webhook.errors import ConfigError, Problem

if TYPE_CHECKING:
    from webhook.model.decision import Decision
    from webhook.model.review import Review
    from webhook.observe.metrics import Metrics
    from webhook.settings import Settings
    from webhook.shelf import Shelf
    from webhook.tls.reload import Certificate
    from webhook.web.admission import Vetter
    from webhook.web.board import Board
    from webhook.web.turn import Turn

LOG = logging.getLogger("plimsoll")
LOOK = 1.0
"""Seconds between two looks of a worker at the shelf, should nobody wake it."""


class Hosted(Protocol):
    """A service, as far as hosting it needs it."""

    def decide(self, endpoint: str, review: Review, deadline: float | None) -> Decision:
        """Decide one review."""
        ...

    def ready(self) -> tuple[bool, str]:
        """Say whether packs are loaded."""
        ...


def host(
    settings: Settings,
    directory: Path,
    service: Hosted,
    figures: Metrics,
    look: Callable[[], None],
    around: Callable[[Sequence[tuple[str, int]]], AbstractContextManager[Any]] = lambda addresses: nullcontext(),
    turn: Turn[Any] | None = None,
    upkeep: Callable[[Callable[[], bool]], None] | None = None,
    wrap: Callable[[Any], Any] = lambda app: app,
    vetter: Vetter | None = None,
) -> int:
    """Serve `service` as `settings` say until the process is told to stop; return the exit status.

    `directory` and `figures` are the metrics'; `look` is called in every worker before it serves, after SIGHUP
    and every second, to see whether the packs changed. `around` is entered when the sockets listen, with their
    addresses. `turn` is what `service` leaves before it waits. `upkeep(go_on)` is run in a process of its own beside
    the workers, until `go_on()` is false. `wrap` may put a WSGI application around ours, `vetter` judges packs that
    somebody applies. Raises ConfigError for a certificate or an address that can't be used.
    """
    from webhook.observe import scrape
    from webhook.shelf import Shelf
    from webhook.web import admission
    from webhook.web.app import create_app
    from webhook.web.board import Board
    from webhook.web.server import Plan, Server
    from webhook.web.turn import Turn
    from webhook.web.worker import Duties

    shelf = Shelf(directory / "shelf")
    files = _files(settings, shelf)
    certificate = _certificate(settings, files)
    sockets = listen(settings.bind, settings.port, "port")
    probes = listen(settings.bind, settings.health_port, "health_port")
    board = Board(lacking=partial(_lacking, shelf))
    wake = threading.Event()

    def beat(age: int, pid: int) -> None:
        certificate.look()  # so that its end, and a change of it, are known without a connection
        board.say(age, pid, service.ready()[0], certificate.expires)

    def in_worker() -> None:
        for probe in probes:
            probe.close()  # the health process's: it must be free when that ends
        look()  # one that takes another's place was forked from the master, which has the packs of the start
        _watch(look, wake, min(settings.poll, LOOK))

    addresses, probed = [address(sock) for sock in sockets], [address(sock) for sock in probes]
    leaving = ExitStack()
    plan = Plan(
        app=wrap(create_app(service, admission.Limits(settings.deadline, settings.body_limit), vetter).wsgi_app),
        duties=Duties(_limits(settings), figures, certificate.context, beat, wake.set, turn or Turn()),
        board=board,
        descriptors=[sock.detach() for sock in sockets],  # gunicorn closes what it takes over
        certificate=str(files[0]),
        key=str(files[1]),
        workers=settings.workers,
        log_level=settings.log_level,
        beside=_beside(directory, board, probes, upkeep),
        in_worker=in_worker,
        ended=lambda pid: scrape.bury(directory, pid),
        stopping=leaving.close,  # nobody is to be sent here while we drain
    )
    # What was counted before the fork is the master's, which will never speak again.
    scrape.forget(directory, os.getpid())
    _announce(addresses, probed)
    with leaving:
        leaving.enter_context(around(addresses))
        return _run(Server(plan))


def _beside(
    directory: Path, board: Board, probes: Sequence[socket.socket], upkeep: Callable[[Callable[[], bool]], None] | None
) -> dict[str, Callable[[Sequence[int]], int]]:
    """Return what starts the processes beside the workers, by name: who answers probes, and who does the upkeep."""
    from webhook.observe import metrics, scrape
    from webhook.web import beside, health

    pages = health.pages(board, lambda: scrape.render(directory, board.expires, time.time), time.time, health.alive)

    def probe(go_on: Callable[[], bool]) -> None:
        health.Loop(probes, pages).run(go_on)
        if os.getppid() != board.master:
            metrics.clear(directory)  # nobody else is left to do it

    found = {"health": lambda close: beside.start(probe, close)}
    if upkeep is not None:
        apart = [sock.fileno() for sock in probes]
        found["upkeep"] = lambda close: beside.start(upkeep, [*close, *apart])
    return found


def _certificate(settings: Settings, files: tuple[Path, Path]) -> Certificate:
    from webhook.tls.reload import Certificate

    return Certificate(
        *files,
        minimum=settings.tls_minimum,
        client_ca=Path(settings.client_ca) if settings.client_ca else None,
        may_lack=bool(settings.certificate_secret),
    )


def _lacking(shelf: Shelf) -> str:
    """Say why there is no certificate, where one is kept on the shelf."""
    from webhook.tls import store

    return (shelf.get(store.REASON) or b"it is being looked for").decode()


def listen(addresses: Sequence[str], port: int, name: str) -> list[socket.socket]:
    """Return sockets that listen on each of `addresses`, all on one port (0: a free one).

    Each family has a socket of its own (IPV6_V6ONLY), so that it doesn't matter what the host's default is.
    Where a host has no IPv6 at all, `::` is left out if there is another address. Raises ConfigError, naming
    the setting `name`.
    """
    made: list[socket.socket] = []
    for text in addresses:
        try:
            sock = _bound(text, port)
        except OSError as error:
            if text == "::" and len(addresses) > 1:
                LOG.info("no IPv6 on this host, so not listening on it: %s", error.strerror)
                continue
            for sock in made:
                sock.close()
            text = f"can't listen on {text} port {port}: {error.strerror}"
            raise ConfigError([Problem("--" + name.replace("_", "-"), 0, "", text)]) from error
        port = sock.getsockname()[1]
        made.append(sock)
    return made


def _files(settings: Settings, shelf: Shelf) -> tuple[Path, Path]:
    """Return where certificate and key are read from: the shelf, in one file, where a Secret is kept on it."""
    if not settings.certificate_secret:
        return Path(settings.certificate), Path(settings.key)
    from webhook.tls import store

    if shelf.get(store.PAIR) is None:
        shelf.put(store.PAIR, b"")  # gunicorn wants a file to be there
    return shelf.path(store.PAIR), shelf.path(store.PAIR)


def _bound(text: str, port: int) -> socket.socket:
    family, _, _, _, found = socket.getaddrinfo(text, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(found)
        sock.listen(1024)
    except OSError:
        sock.close()
        raise
    return sock


def address(sock: socket.socket) -> tuple[str, int]:
    """Return a socket's address and port."""
    name = sock.getsockname()
    return str(name[0]), int(name[1])


def _run(server: Any) -> int:
    home = os.getpid()
    status = 0
    try:
        server.run()
    except SystemExit as end:
        status = int(end.code or 0)
    if os.getpid() != home:
        # A worker ends here too, since it was forked down there. All that follows is the master's to do.
        logging.shutdown()
        os._exit(status & 0xFF)
    return status


def _limits(settings: Settings) -> Any:
    from webhook.web.exchange import Limits

    return Limits(
        keep_alive=settings.keep_alive,
        handshake=settings.handshake,
        head=settings.head,
        body=settings.body,
        write=settings.write,
        drain=settings.drain,
        body_limit=settings.body_limit,
        connections=settings.connections,
        requests=settings.requests,
    )


def _watch(look: Callable[[], None], wake: threading.Event, seconds: float) -> None:
    """Start the thread that looks at the packs, in a worker."""

    def watch() -> None:
        while True:
            wake.wait(seconds)
            wake.clear()
            look()

    threading.Thread(target=watch, name="packs", daemon=True).start()


def _announce(serving: Sequence[tuple[str, int]], probes: Sequence[tuple[str, int]]) -> None:
    for what, found in (("admission over TLS", serving), ("probes and metrics", probes)):
        shown = [f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name, port in found]
        LOG.info("listening for %s", what, extra={"fields": {"address": shown}})
