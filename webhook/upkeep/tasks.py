"""Which tasks a pod has, by its settings."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from webhook.kube import entries
from webhook.kube.client import Client
from webhook.kube.lease import Lease
from webhook.kube.owners import Owners
from webhook.model.record import record
from webhook.observe.metrics import Metrics
from webhook.packs.rule import Ruleset
from webhook.settings import Settings
from webhook.shelf import Shelf
from webhook.upkeep.configurations import Around, Configurations, readiness
from webhook.upkeep.events import Events
from webhook.upkeep.namespaces import Namespaces
from webhook.upkeep.packs import Packs
from webhook.upkeep.run import Task
from webhook.upkeep.standing import Status

if TYPE_CHECKING:
    from webhook.upkeep.certificates import Certificates


@record(frozen=True, slots=True)
class Pod:
    """What the tasks of a pod work with.

    `client` is theirs alone; `name` is the pod's with the server's process, by which replicas tell each other apart,
    `namespace` our own. `ruleset` gives the rules in force. `look` has this process look at the packs again, `wake`
    every worker. `packs` is the task that says which are in force; `counts` are the pod's findings by (pack, rule,
    effective action).
    """

    settings: Settings
    client: Client
    name: str
    namespace: str
    shelf: Shelf
    figures: Metrics
    ruleset: Callable[[], Ruleset]
    look: Callable[[], None]
    wake: Callable[[], None]
    packs: Packs
    counts: Callable[[], Mapping[tuple[str, str, str], int]]
    told: socket.socket | None = None
    """Where the workers tell of denials, if Events are to be written."""


def tasks(pod: Pod) -> list[Task]:
    """Return the tasks of a pod. Those that write for all replicas ask the Lease, which then is one of them."""
    found: list[Task] = [Namespaces(pod.client, pod.shelf, pod.figures.quiet)]
    if pod.told is not None:  # each pod tells of its own denials, whoever holds the Lease
        owners = Owners(pod.client, pod.ruleset().kinds)
        found.append(Events(pod.client, pod.told, owners, pod.name, pod.figures.event))
    writers: list[Task] = []
    lease = Lease(pod.client, pod.namespace, pod.settings.lease, pod.name)
    if pod.settings.certificate_secret:
        writers.append(_certificates(pod, lease))
    if pod.settings.webhooks:
        writers.append(_configurations(pod, lease))
    if pod.settings.watch_packs:
        writers.append(Status(pod.client, pod.packs, pod.ruleset, lease.held, pod.name, pod.counts))
    if writers:
        found.append(Election(lease))
    return [*found, *writers]


def _certificates(pod: Pod, lease: Lease) -> Certificates:
    # not elsewhere: where others renew the certificate, nobody needs what makes one, which is 10 MB
    from webhook.tls import dev, probe, rotate
    from webhook.upkeep.certificates import Certificates, Post

    settings = pod.settings
    name = f"{settings.service}.{pod.namespace}.svc"

    def verify(bundle: bytes) -> str:
        # a free port is not known here, and who wants certificates of clients would not let us in
        if not settings.port or settings.client_ca:
            return ""
        return probe.verify(probe.address(settings.bind), settings.port, name, bundle)

    post = Post(
        client=pod.client,
        namespace=pod.namespace,
        secret=settings.certificate_secret,
        shelf=pod.shelf,
        figures=pod.figures,
        writes=lease.held,
        hindrance=lambda: lease.problem,
        verify=verify,
    )
    names = dev.wanted(settings.service, pod.namespace, ())
    return Certificates(post, rotate.Terms(names, settings.certificate_grace, tells=bool(settings.webhooks)))


def _configurations(pod: Pod, lease: Lease) -> Configurations:
    settings = pod.settings
    around = Around(
        client=pod.client,
        shelf=pod.shelf,
        figures=pod.figures,
        held=lease.held,
        ruleset=pod.ruleset,
        ready=readiness(settings.bind, settings.health_port),
        ours=bool(settings.certificate_secret),
    )
    terms = entries.Terms(
        settings.service,
        pod.namespace,
        side_effects=settings.writes,
        excluded=settings.webhook_exclude,
        seconds=settings.webhook_timeout,
    )
    return Configurations(around, settings.webhooks, terms)


class Election:
    """A task: takes part in the election of the replica that writes."""

    name = "election"

    def __init__(self, lease: Lease) -> None:
        """Hold `lease` if it can be had."""
        self.run = lease.run
