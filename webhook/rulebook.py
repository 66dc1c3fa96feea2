"""The rules of a server: how each process comes by those in force, and who judges packs that somebody applies."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from webhook.errors import ConfigError, Problem
from webhook.shelf import PACKS

if TYPE_CHECKING:
    from webhook.kube.client import Client
    from webhook.observe.metrics import Metrics
    from webhook.packs.rule import Ruleset
    from webhook.service import Service
    from webhook.settings import Settings
    from webhook.shelf import Shelf
    from webhook.upkeep.packs import Packs
    from webhook.vetting import Vetter

LOG = logging.getLogger("plimsoll")
PATIENCE = 60.0
"""Seconds that a server that starts waits for an API server to tell it the packs; then the kubelet starts it again."""
AGAIN = 2.0
BASE = 2.0
"""Seconds in which an API server has to say what a pack extends, while somebody waits for its `kubectl apply`."""


class Compiler:
    """Compiles sources, and remembers the last that it compiled: who proved them also wants them."""

    def __init__(self, compile_: Callable[[Sequence[tuple[str, str]]], Ruleset]) -> None:
        """Compile by `compile_`, one at a time."""
        self._compile = compile_
        self._one = threading.Lock()
        self._last: tuple[list[tuple[str, str]], Ruleset] | None = None

    def __call__(self, sources: Sequence[tuple[str, str]]) -> Ruleset:
        """Return the rules. Raises ConfigError."""
        if self._last is None or self._last[0] != list(sources):
            self._last = list(sources), self.fresh(sources)
        return self._last[1]

    def fresh(self, sources: Sequence[tuple[str, str]]) -> Ruleset:
        """Return the rules, not remembered. Raises ConfigError."""
        with self._one:
            return self._compile(sources)


def packs_task(settings: Settings, client: Client | None, shelf: Shelf, compiler: Compiler) -> Packs:
    """Return the task that says which packs are in force, with the first of them on the shelf. Raises ConfigError."""
    from webhook import sources
    from webhook.upkeep.packs import Packs

    shipped = [] if settings.watch_packs else [str(path) for path in sources.shipped()]
    paths = settings.policies or shipped

    def read() -> list[tuple[str, str]]:
        return [(source.name, source.text) for source in sources.read(paths)]

    if not settings.watch_packs:
        task = Packs(shelf, compiler, read, settings.poll)
        task.begin()
        return task
    if client is None:
        text = "needs a connection to a cluster: a pod's own, or --kubeconfig"
        raise ConfigError([Problem("--watch-packs", 0, "", text)])
    from webhook.kube.client import Client

    own = Client(client.access)  # workers must not inherit its connections
    task = Packs(shelf, compiler, read, settings.poll, own, client.access.namespace)
    try:
        task.begin(*_listed(own))
    finally:
        own.close()
    return task


def _listed(client: Client) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the packs that the cluster holds; waits for an API server that does not answer. Raises ConfigError.

    Nobody listens meanwhile, so that no review is decided without packs, and the pod is not ready.
    """
    from webhook.kube import packs
    from webhook.kube.client import ApiError

    ends = time.monotonic() + PATIENCE
    while True:
        try:
            return packs.listing(client, client.access.namespace)
        except ApiError as error:
            if time.monotonic() > ends:
                text = f"the cluster's packs can't be read, and without them nothing is decided: {error}"
                raise ConfigError([Problem("--watch-packs", 0, "", text)]) from error
            LOG.warning("the cluster's packs can't be read yet; tried again: %s", error)
            time.sleep(AGAIN)


def vetter(
    settings: Settings,
    client: Client | None,
    shelf: Shelf,
    compiler: Compiler,
    shipped: Sequence[tuple[str, str]],
    waits: Callable[[], None],
) -> Vetter:
    """Return what judges packs that somebody applies, beside those in force; it calls `waits` before it takes long."""
    from webhook.kube import packs
    from webhook.kube.client import ApiError
    from webhook.packs import served
    from webhook.shelf import PACKS
    from webhook.vetting import Vetter

    def stored(name: str) -> dict[str, Any] | None:
        if client is None or not settings.watch_packs:
            return None
        try:
            return packs.rulepack(client, name, BASE)
        except ApiError as error:
            LOG.info("a base of a pack can't be asked for: %s", error)
            return None

    return Vetter(
        lambda: served.restore(shelf.get(PACKS)),
        compiler.fresh,
        shipped,
        namespace=client.access.namespace if client else "",
        stored=stored,
        waits=waits,
    )


class Look:
    """Looks whether other packs are on the shelf, and has them loaded then. Called from one thread of each process."""

    def __init__(self, service: Service, figures: Metrics, shelf: Shelf, upkeep: Callable[[Ruleset], None]) -> None:
        """Look at what is on `shelf`, of which `service` has loaded what is there now.

        `upkeep` is told of the rules that are in force now.
        """
        self._upkeep = upkeep
        self._service = service
        self._figures = figures
        self._shelf = shelf
        self._seen = shelf.stamp(PACKS)
        self._said = False

    def __call__(self) -> None:
        """Look once. They were proven before they were put there; should they not load, the last good ones stay."""
        found = self._shelf.stamp(PACKS)
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
        LOG.error("proven packs can't be loaded here, which is a bug of Plimsoll's own", extra={"fields": fields})

    def _loaded(self) -> None:
        ruleset = self._service.ruleset
        self._figures.loaded(len(ruleset.packs))
        self._figures.expect((rule.about.pack, rule.about.rule) for rule in ruleset.rules)
        self._upkeep(ruleset)
