"""Where everything is put together: the console entry, and the server.

Only this module knows all rooms. It imports each when it is needed, so that `plimsoll --help` and a short
command don't pay for the rest.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from webhook import __version__, cli
from webhook.errors import ConfigError, Problem

if TYPE_CHECKING:
    from webhook.kube.client import Access, Client
    from webhook.model.decision import Decision
    from webhook.model.pods import Kinds
    from webhook.model.review import Review
    from webhook.observe.metrics import Metrics
    from webhook.packs.rule import Ruleset
    from webhook.ports import ImageReader, ImageSource, Rooms
    from webhook.registry.images import Images
    from webhook.service import Service
    from webhook.settings import Settings

LOG = logging.getLogger("plimsoll")
WARM = 500
"""Images that are asked for ahead."""


def kubectl() -> int:
    """Run `kubectl plimsoll`: kubectl finds the program `kubectl-plimsoll` on the path, and hands its arguments on."""
    return main(program="kubectl plimsoll")


def main(argv: Sequence[str] | None = None, program: str = "plimsoll") -> int:
    """Run `plimsoll` with the arguments `argv` (without the program's name) and return its exit code.

    `program` is what it was called by, for its help.

    0: well; 1: findings that deny; 2: wrong use or bad input, with every problem on stderr; 130: interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(arguments, program)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 2
    except BrokenPipeError:
        # `plimsoll check | head`: the reader has seen enough. What is still in the buffer must not raise at
        # exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except OSError as error:  # what is written, to a full disk; all that is read has a sentence of its own
        print(f"plimsoll: {error.strerror or error}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except KeyboardInterrupt:
        return 130


def _dispatch(arguments: list[str], program: str) -> int:
    names = commands()
    if not arguments or arguments[0] not in names:
        _top(names, program).parse_args(arguments or ["--help"])
        return 2  # argparse has printed and left, but for words that it doesn't judge
    name = arguments[0]
    module = importlib.import_module(f"webhook.cli.{name}")
    parser = _parser(name, program)
    status: int = module.run(parser.parse_args(arguments[1:]), rooms())
    sys.stdout.flush()
    return status


def _parser(name: str, program: str) -> argparse.ArgumentParser:
    """Return the argument parser of a command; its module is imported."""
    module = importlib.import_module(f"webhook.cli.{name}")
    parser = argparse.ArgumentParser(prog=f"{program} {name}")
    if name == "serve":
        from webhook.settings import options

        module.configure(parser, options())
    else:
        module.configure(parser)
    return parser


def parsers() -> dict[str, tuple[str, argparse.ArgumentParser]]:
    """Return the help and the argument parser of every command, by its name."""
    return {name: (_help(name) or "", _parser(name, "plimsoll")) for name in commands()}


def commands() -> tuple[str, ...]:
    """Return the names of the commands: the modules of `webhook.cli` that have a HELP."""
    found = (path.stem for path in Path(cli.__path__[0]).glob("*.py"))
    return tuple(sorted(name for name in found if _help(name) is not None))


def _top(names: Sequence[str], program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Keeps a company's containerization standards for workloads, in a cluster and before it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n"
        + "\n".join(f"  {name:10} {_help(name)}" for name in names)
        + f"\n\n`{program} <command> --help` explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"plimsoll {__version__}")
    parser.add_argument("command", choices=names, metavar="command", help="one of those below")
    return parser


def _help(name: str) -> str | None:
    # Read, not imported: the commands together import everything there is.
    text = (Path(cli.__path__[0]) / f"{name}.py").read_text(encoding="utf-8")
    found = re.search(r'^HELP = "([^"\\\n]*)"$', text, re.MULTILINE)
    return None if found is None else found[1]


def rooms() -> Rooms:
    """Return what the commands need of other rooms; each is imported when it is called."""
    from webhook.ports import Rooms

    def certs(*args: Any, **options: Any) -> list[str]:
        from webhook.tls import dev

        return dev.ensure(*args, **options)

    def read(*args: Any, **options: Any) -> Any:
        from webhook import sources

        return sources.read(*args, **options)

    def shipped() -> list[Path]:
        from webhook import sources

        return sources.shipped()

    def registries(file: str, hosts: Collection[str], docker_config: str) -> ImageSource:
        from webhook.registry.client import Client
        from webhook.registry.named import named

        return Client(named(file, hosts, docker_config))

    def images(source: Any) -> ImageReader:
        from webhook.registry.images import Images

        return Images(source)

    return Rooms(
        clock=now,
        certs=certs,
        read=read,
        serve=serve,
        shipped=shipped,
        registries=registries,
        images=images,
        commands=parsers,
        plain=_plain(),
    )


def _plain() -> bool:
    """Say whether colours are unwanted: elsewhere than on a terminal, and where NO_COLOR is set."""
    if not sys.stdout.isatty():
        return True
    from webhook import settings

    return settings.plain()


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


class Hosted(Protocol):
    """A service, as far as hosting it needs it."""

    def decide(self, endpoint: str, review: Review, deadline: float | None) -> Decision:
        """Decide one review."""
        ...

    def ready(self) -> tuple[bool, str]:
        """Say whether packs are loaded."""
        ...


def serve(flags: Mapping[str, Any]) -> int:
    """Load the packs once, fork workers, serve until stopped; ConfigError where the server can't start."""
    from webhook import settings as setting
    from webhook.observe import log, metrics

    settings = setting.read(flags)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there are packs to read again
    log.configure(settings.log_level, settings.log_format)
    directory = metrics.prepare()
    try:
        return _serve(settings, directory)
    finally:
        metrics.clear(directory)


def _serve(settings: Settings, directory: Path) -> int:
    from webhook import sources
    from webhook.model import pods
    from webhook.observe.metrics import Metrics
    from webhook.packs import compile as packs
    from webhook.service import Service

    if sources.STDIN in settings.policies:
        raise ConfigError([Problem("--policies", 0, "", "a server reads packs again and again: not from stdin")])
    paths = settings.policies or [str(path) for path in sources.shipped()]

    def read() -> list[tuple[str, str]]:
        return [(source.name, source.text) for source in sources.read(paths)]

    bases = [(source.name, source.text) for source in sources.read([str(path) for path in sources.shipped()])]
    kinds = pods.table(settings.workload)
    figures = Metrics()
    client = _cluster(settings)
    asking = images(settings, client, figures.image)
    readers = _readers(client, kinds)
    seen = read()  # before they are loaded, so that a change meanwhile is seen
    service = Service(
        lambda: packs.ruleset(read(), settings.mode or None, settings.dry_run, kinds, bases=bases),
        recorder=figures,
        images=asking,
        **readers,
    )
    LOG.info(
        "%s",
        service.ready()[1],
        extra={"fields": {"packs": sorted(pack.name for pack in service.ruleset.packs)}},
    )
    upkeep = _upkeep(settings, asking, client, directory) if asking else _nothing
    look = Look(service, figures, read, seen, upkeep)
    return host(settings, directory, service, figures, look, lambda found: _register(settings, service, found))


class Look:
    """Looks whether the packs changed, and has them loaded then. Called from one thread of each worker."""

    def __init__(
        self,
        service: Service,
        figures: Metrics,
        read: Callable[[], Any],
        seen: Any,
        upkeep: Callable[[Ruleset], None],
    ) -> None:
        """`read` gives the packs' texts, which were `seen` when they were loaded first.

        `upkeep` is told of the rules that are in force now.
        """
        self._upkeep = upkeep
        self._service = service
        self._figures = figures
        self._read = read
        self._seen = seen
        self._said = False

    def __call__(self) -> None:
        """Look once. Packs that can't be used leave the last good ones in force; log and metric say so."""
        try:
            found = self._read()
        except ConfigError as error:
            found = error.problems
        if found == self._seen:
            if not self._said:
                self._said = True
                self._loaded()
            return
        self._seen, self._said = found, True
        if self._service.reload():
            self._loaded()
            LOG.info("packs loaded again: %s", self._service.ready()[1])
            return
        self._figures.load_failed()
        problems = self._service.problems.problems if self._service.problems else ()
        fields = {"problems": [str(problem) for problem in problems]}
        LOG.error("packs changed, but can't be used; the last good ones stay", extra={"fields": fields})

    def _loaded(self) -> None:
        ruleset = self._service.ruleset
        self._figures.loaded(len(ruleset.packs))
        self._figures.expect((rule.about.pack, rule.about.rule) for rule in ruleset.rules)
        self._upkeep(ruleset)


def _access(settings: Settings) -> Access | None:
    """Return the way to an API server where there is one to be used: in a pod, or by a kubeconfig named."""
    from webhook.kube import kubeconfig
    from webhook.settings import place

    found = place(settings)
    if found.named or settings.register:
        return kubeconfig.read([Path(path) for path in found.kubeconfigs], None, found.environ)
    if found.service is None:
        return None
    try:
        return kubeconfig.service_account(*found.service)
    except ConfigError as error:
        LOG.warning("facts of the cluster stay unknown: %s", error)
        return None


def _cluster(settings: Settings) -> Client | None:
    """Return what calls the API server, if there is one; it opens no connection before the fork."""
    access = _access(settings)
    if access is None:
        return None
    from webhook.kube.client import Client

    return Client(access)


def _readers(client: Client | None, kinds: Kinds) -> dict[str, Any]:
    if client is None:
        return {}
    from webhook.kube.namespaces import Namespaces
    from webhook.kube.neighbours import Neighbours
    from webhook.kube.owners import Owners

    return {
        "namespaces": Namespaces(client),
        "owners": Owners(client, kinds),
        "neighbours": Neighbours(client, kinds),
    }


def images(settings: Settings, client: Client | None, count: Callable[[str], None]) -> Images | None:
    """Return what asks the registries that are listed, None where none are. Raises ConfigError."""
    needed = {
        "image_cache": settings.image_cache,
        "registry_secret": settings.registry_secret,
        "pod_secrets": settings.pod_secrets,
        "warm": settings.warm,
    }
    given = [name for name, value in needed.items() if value]
    if not settings.registries:
        text = "has no use without --registries, which names the registries that may be asked"
        if given:
            raise ConfigError([Problem("--" + name.replace("_", "-"), 0, "", text) for name in given])
        return None
    in_cluster = [name for name in given if name != "image_cache"]
    if client is None and in_cluster:
        text = "needs a connection to a cluster: a pod's own, or --kubeconfig"
        raise ConfigError([Problem("--" + name.replace("_", "-"), 0, "", text) for name in in_cluster])
    from webhook.kube.secrets import Secrets
    from webhook.registry import client as registries
    from webhook.registry import config
    from webhook.registry.images import Images, Terms
    from webhook.registry.store import Store

    file = Path(settings.registries)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError([Problem(str(file), 0, "", f"can't be read: {reason}; see --registries")]) from error
    listed = config.load(str(file), text, file.parent)
    secrets = client is not None and (settings.registry_secret or settings.pod_secrets)
    keys = Secrets(client, settings.registry_secret, pods=settings.pod_secrets) if client and secrets else None
    return Images(
        registries.Client(listed, keys=keys) if keys else registries.Client(listed),
        Store(Path(settings.image_cache)) if settings.image_cache else None,
        terms=Terms(fresh=settings.image_fresh),
        pull_secrets=settings.pod_secrets,
        count=count,
    )


def _nothing(ruleset: Ruleset) -> None:
    """Keep nothing up."""


def _upkeep(settings: Settings, images: Images, client: Client | None, directory: Path) -> Callable[[Ruleset], None]:
    """Return what a worker does whenever it has loaded rules: their bases are asked for before a review needs them."""

    def keep(ruleset: Ruleset) -> None:
        images.start()
        images.keep(base for rule in ruleset.rules if rule.check for base in rule.check.bases)
        if settings.warm and client is not None and _first(directory / "warmed"):
            threading.Thread(target=warm, args=(client,), name="warm-up", daemon=True).start()

    def warm(client: Client) -> None:
        from webhook.kube import running
        from webhook.kube.client import ApiError

        try:
            found = running.images(client, WARM)
        except ApiError as error:
            LOG.warning("images are looked into when they are needed, and not ahead: %s", error)
            return
        LOG.info("registries are asked about the %d commonest images of the cluster", len(found))
        images.warm(found)

    return keep


def _first(path: Path) -> bool:
    """Say whether nobody was here before: one worker of a pod does it for all, and once."""
    try:
        path.touch(exist_ok=False)
    except OSError:
        return False
    return True


def _registered_kinds(service: Service) -> dict[str, frozenset[tuple[str, str]]]:
    """Return what to register for, by endpoint: whatever the packs concern now or after an edit of them.

    A pack that is edited from dry-run to enforce moves from one endpoint to another, while the server runs.
    """
    found = service.ruleset.concerned()
    workloads = frozenset(service.ruleset.kinds)
    return {endpoint: kinds | workloads for endpoint, kinds in found.items()}


@contextmanager
def _register(settings: Settings, service: Service, addresses: Sequence[tuple[str, int]]) -> Iterator[None]:
    """Be registered with the cluster inside the block, where that is asked for."""
    if not settings.register:
        yield
        return
    from webhook.kube import register
    from webhook.kube.client import ApiError, Client

    access = _access(settings)
    assert access is not None  # a kubeconfig is read or refused
    register.guard(access, yes=settings.yes)
    client = Client(access)  # not the readers': its connections would be shared by the workers
    authority = Path(settings.ca) if settings.ca else Path(settings.certificate).with_name("ca.crt")
    try:
        ca = authority.read_bytes()
    except OSError as error:
        text = f"can't be read: {error.strerror}; see --ca"
        raise ConfigError([Problem(str(authority), 0, "", text)]) from error
    url = settings.url or f"https://127.0.0.1:{addresses[0][1]}"
    kinds = _registered_kinds(service)
    with ExitStack() as stack:
        try:
            documents = register.configurations(url, ca, kinds, resources=register.discover(client, kinds))
            stack.enter_context(register.registered(client, documents, LOG.info))
        except ApiError as error:
            raise ConfigError([Problem("--register", 0, "", f"the API server refuses: {error}")]) from error
        yield


def host(
    settings: Settings,
    directory: Path,
    service: Hosted,
    figures: Metrics,
    look: Callable[[], None],
    around: Callable[[Sequence[tuple[str, int]]], AbstractContextManager[Any]] = lambda addresses: nullcontext(),
) -> int:
    """Serve `service` as `settings` say until the process is told to stop; return the exit status.

    `directory` and `figures` are the metrics'; `look` is called in every worker after SIGHUP and every `poll`
    seconds, to see whether the packs changed. `around` is entered when the sockets listen, with their
    addresses. Raises ConfigError for a certificate or an address that can't be used.
    """
    from webhook.observe import metrics
    from webhook.tls.reload import Certificate
    from webhook.web import admission, health
    from webhook.web.app import create_app
    from webhook.web.board import Board
    from webhook.web.server import Plan, Server
    from webhook.web.worker import Duties

    certificate = Certificate(
        Path(settings.certificate),
        Path(settings.key),
        minimum=settings.tls_minimum,
        client_ca=Path(settings.client_ca) if settings.client_ca else None,
    )
    sockets = listen(settings.bind, settings.port, "port")
    probes = listen(settings.bind, settings.health_port, "health_port")
    board = Board()
    wake = threading.Event()
    pages = health.pages(board, lambda: metrics.render(directory, board.expires, time.time), time.time, health.alive)

    def beat(age: int, pid: int) -> None:
        certificate.context()  # so that its end, and a change of it, are known without a connection
        board.say(age, pid, service.ready()[0], certificate.expires)

    def in_worker() -> None:
        for probe in probes:
            probe.close()  # the health process's: it must be free when that ends
        _watch(look, wake, settings.poll)

    def probe(go_on: Callable[[], bool]) -> None:
        health.Loop(probes, pages).run(go_on)
        if os.getppid() != board.master:
            metrics.clear(directory)  # nobody else is left to do it

    addresses, probed = [address(sock) for sock in sockets], [address(sock) for sock in probes]
    leaving = ExitStack()
    plan = Plan(
        app=create_app(service, admission.Limits(settings.deadline, settings.body_limit)).wsgi_app,
        duties=Duties(_limits(settings), figures, certificate.context, beat, wake.set),
        board=board,
        descriptors=[sock.detach() for sock in sockets],  # gunicorn closes what it takes over
        certificate=settings.certificate,
        key=settings.key,
        workers=settings.workers,
        log_level=settings.log_level,
        health=lambda close: health.start(probe, close),
        in_worker=in_worker,
        ended=lambda pid: metrics.bury(directory, pid),
        stopping=leaving.close,  # nobody is to be sent here while we drain
    )
    # What was counted before the fork is the master's, which will never speak again.
    metrics.forget(directory, os.getpid())
    _announce(addresses, probed)
    with leaving:
        leaving.enter_context(around(addresses))
        return _run(Server(plan))


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
    from webhook.web.worker import Limits

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
            look()
            wake.wait(seconds)
            wake.clear()

    threading.Thread(target=watch, name="packs", daemon=True).start()


def _announce(serving: Sequence[tuple[str, int]], probes: Sequence[tuple[str, int]]) -> None:
    for what, found in (("admission over TLS", serving), ("probes and metrics", probes)):
        shown = [f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name, port in found]
        LOG.info("listening for %s", what, extra={"fields": {"address": shown}})


if __name__ == "__main__":
    sys.exit(main())
