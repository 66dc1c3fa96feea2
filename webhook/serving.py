"""The server put together: its packs, what tells facts, who keeps figures; `hosting` then runs it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webhook import rulebook
from webhook.errors import ConfigError, Problem
from webhook.shelf import PACKS

if TYPE_CHECKING:
    from webhook.kube.client import Access, Client
    from webhook.model.workloads import Kinds
    from webhook.observe.metrics import Metrics
    from webhook.observe.trace import Tracer
    from webhook.packs.rule import Ruleset
    from webhook.ports import Recorder
    from webhook.registry.images import Images
    from webhook.service import Service
    from webhook.settings import Settings
    from webhook.shelf import Shelf
    from webhook.upkeep.packs import Packs
    from webhook.web.turn import Turn

LOG = logging.getLogger("plimsoll")
SHARE = 2**16
"""Bytes that a file of recorded reviews has at least: a larger review than this is rare."""
CONNECTIONS = 32
"""To the API server from the process beside the workers: one for each watch, and some for calls."""
WARM = 500
"""Images that are asked for ahead."""


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
    from webhook.model import workloads
    from webhook.observe import metrics
    from webhook.observe.metrics import Metrics
    from webhook.packs import compile as packs
    from webhook.packs import served
    from webhook.service import Service
    from webhook.shelf import Shelf
    from webhook.web.turn import Turn

    if sources.STDIN in settings.policies:
        raise ConfigError([Problem("--policies", 0, "", "a server reads packs again and again: not from stdin")])
    shipped = [(source.name, source.text) for source in sources.read([str(path) for path in sources.shipped()])]
    kinds = workloads.table(settings.workload)
    compiler = rulebook.Compiler(
        lambda texts: packs.ruleset(texts, settings.mode or None, settings.dry_run, kinds, bases=shipped)
    )
    figures = Metrics()
    turn: Turn[Any] = Turn()
    client = _cluster(settings, turn.leave)
    kept(settings, client)
    shelf = Shelf(directory / metrics.SHELF)
    task = rulebook.packs_task(settings, client, shelf, compiler)
    asking = images(settings, client, figures.image, turn.leave)
    readers = _readers(client, kinds, shelf, figures)
    told = _told(settings, client)
    tracer = _tracer(settings, figures)
    service = Service(
        lambda: compiler(served.restore(shelf.get(PACKS))),
        recorder=_recorder(settings, figures, told, tracer),
        images=asking,
        stage=tracer.stage if tracer else None,
        **readers,
    )
    LOG.info(
        "%s",
        service.ready()[1],
        extra={"fields": {"packs": sorted(pack.name for pack in service.ruleset.packs)}},
    )
    look = rulebook.Look(service, figures, shelf, _upkeep(settings, asking, client, directory) if asking else _nothing)
    around = partial(_register, settings, service)
    from webhook.hosting import host

    # The other looks ask registries for what new rules need; one worker doing so is enough.
    apart = rulebook.Look(service, figures, shelf, _nothing)
    source = told[1] if told else None
    beside = partial(_beside, settings, client, shelf, service, figures, apart, task, directory, source)
    vetter = rulebook.vetter(settings, client, shelf, compiler, shipped, turn.leave)
    wrap = tracer.listen if tracer else _as_it_is
    return host(settings, directory, service, figures, look, around, turn, beside, wrap, vetter)


def _beside(
    settings: Settings,
    client: Client | None,
    shelf: Shelf,
    service: Service,
    figures: Metrics,
    look: rulebook.Look,
    packs: Packs,
    directory: Path,
    told: socket.socket | None,
    go_on: Callable[[], bool],
) -> None:
    """Do what the process beside the workers does, until `go_on()` is false."""
    from webhook.observe import scrape
    from webhook.upkeep import run

    master = os.getppid()
    packs.adopt, packs.stale, packs.failed = look, figures.quiet, figures.load_failed
    packs.wake = partial(os.kill, master, signal.SIGHUP)
    signal.signal(signal.SIGHUP, lambda number, frame: packs.nudge())
    found: list[run.Task] = [packs]
    if client is not None:
        # not elsewhere: with what tasks need, certificates above all, this process is 5 MB larger
        from webhook.kube.client import Client
        from webhook.upkeep import tasks

        pod = tasks.Pod(
            settings=settings,
            client=Client(client.access, connections=CONNECTIONS),
            name=f"{socket.gethostname()}_{master}",  # of two servers on one host, each has its own
            namespace=client.access.namespace,
            shelf=shelf,
            figures=figures,
            ruleset=lambda: service.ruleset,
            look=look,
            wake=packs.wake,
            packs=packs,
            counts=partial(scrape.findings, directory),
            told=told,
        )
        found += tasks.tasks(pod)
    look()  # before anything is counted: a count of this process alone would say that it has no packs in force
    run.run(found, go_on, figures.upkeep_failed)


def _told(settings: Settings, client: Client | None) -> tuple[socket.socket, socket.socket] | None:
    """Return the two ends between workers and upkeep where Events are to be written. Raises ConfigError."""
    if not settings.events:
        return None
    if client is None:
        text = "needs a connection to a cluster: a pod's own, or --kubeconfig"
        raise ConfigError([Problem("--events", 0, "", text)])
    from webhook.observe import tell

    return tell.pair()


def _tracer(settings: Settings, figures: Metrics) -> Tracer | None:
    """Return what makes traces, where there is somewhere to send them. Raises ConfigError."""
    if not settings.trace:
        if settings.trace_every > 1:
            text = "has no use without --trace, which says where traces are sent"
            raise ConfigError([Problem("--trace-every", 0, "", text)])
        return None
    from webhook.observe.trace import Tracer

    return Tracer(settings.trace, settings.trace_every, figures.spans, socket.gethostname())


def _as_it_is(app: Any) -> Any:
    return app


def _recorder(
    settings: Settings, figures: Metrics, told: tuple[socket.socket, socket.socket] | None, tracer: Tracer | None
) -> Recorder:
    """Return what notes each review: the figures, and whatever else is asked for. Raises ConfigError."""
    from webhook.observe.record import Both
    from webhook.observe.tell import Teller

    found: Recorder = figures
    if settings.record:
        found = Both(found, _recording(settings, figures))
    if told is not None:
        found = Both(found, Teller(told[0], figures.event))
    return found if tracer is None else Both(found, tracer)


def _recording(settings: Settings, figures: Metrics) -> Recorder:
    from webhook.observe.record import Recording, Terms

    if settings.record_files <= settings.workers:
        text = f"{settings.record_files} files are too few for {settings.workers} workers, each of which writes one"
        raise ConfigError([Problem("--record-files", 0, "", text)])
    share = settings.record_bytes // settings.record_files
    if share < SHARE:
        text = (
            f"{settings.record_bytes} bytes leave {share} for each of {settings.record_files} files; {SHARE} are needed"
        )
        raise ConfigError([Problem("--record-bytes", 0, "", text)])
    from webhook.service import utc_now

    terms = Terms(settings.record_every, settings.record_files, settings.record_bytes)
    return Recording(Path(settings.record), terms, utc_now, figures.recorded)


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


def _cluster(settings: Settings, waits: Callable[[], None]) -> Client | None:
    """Return what calls the API server, if there is one; it opens no connection before the fork.

    It calls `waits` before it waits.
    """
    access = _access(settings)
    if access is None:
        return None
    from webhook.kube.client import Client

    return Client(access, waits=waits)


def kept(settings: Settings, client: Client | None) -> None:
    """Refuse a certificate, and webhook configurations, that can't be kept. Raises ConfigError."""
    given = {"--certificate-secret": settings.certificate_secret, "--webhooks": settings.webhooks}
    text = "needs a connection to a cluster: a pod's own, or --kubeconfig"
    if client is None and any(given.values()):
        raise ConfigError([Problem(flag, 0, "", text) for flag, value in given.items() if value])
    if client is not None and settings.certificate_secret:
        from webhook.tls import dev

        dev.wanted(settings.service, client.access.namespace, ())


def _readers(client: Client | None, kinds: Kinds, shelf: Shelf, figures: Metrics) -> dict[str, Any]:
    if client is None:
        return {}
    from webhook.kube.access import Rights
    from webhook.kube.namespaces import Namespaces
    from webhook.kube.neighbours import Neighbours
    from webhook.kube.owners import Owners

    return {
        "namespaces": Namespaces(client, shelf=shelf, count=partial(figures.fact, "namespace")),
        "owners": Owners(client, kinds, count=partial(figures.fact, "owners")),
        "neighbours": Neighbours(client, kinds, count=partial(figures.fact, "neighbours")),
        "access": Rights(client),
    }


def images(
    settings: Settings, client: Client | None, count: Callable[[str], None], waits: Callable[[], None]
) -> Images | None:
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
        waits=waits,
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
            resources = register.discover(client, kinds)
            documents = register.configurations(url, ca, kinds, resources=resources, side_effects=settings.writes)
            stack.enter_context(register.registered(client, documents, LOG.info))
        except ApiError as error:
            raise ConfigError([Problem("--register", 0, "", f"the API server refuses: {error}")]) from error
        yield
