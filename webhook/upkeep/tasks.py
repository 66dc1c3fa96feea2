"""Which tasks a pod has, by its settings."""

from __future__ import annotations

import socket
from collections.abc import Callable

from webhook.kube.client import Client
from webhook.kube.lease import Lease
from webhook.kube.owners import Owners
from webhook.model.record import record
from webhook.observe.metrics import Metrics
from webhook.packs.rule import Ruleset
from webhook.settings import Settings
from webhook.shelf import Shelf
from webhook.upkeep.events import Events
from webhook.upkeep.namespaces import Namespaces
from webhook.upkeep.run import Task


@record(frozen=True, slots=True)
class Pod:
    """What the tasks of a pod work with.

    `client` is theirs alone; `name` is the pod's with the server's process, by which replicas tell each other apart,
    `namespace` our own.
    `ruleset` gives the rules in force. `look` has this process look at the packs again, `wake` every worker.
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
    told: socket.socket | None = None
    """Where the workers tell of denials, if Events are to be written."""


def tasks(pod: Pod) -> list[Task]:
    """Return the tasks of a pod. Those that write for all replicas ask the Lease, which then is one of them."""
    found: list[Task] = [Namespaces(pod.client, pod.shelf, pod.figures.quiet)]
    if pod.told is not None:  # each pod tells of its own denials, whoever holds the Lease
        owners = Owners(pod.client, pod.ruleset().kinds)
        found.append(Events(pod.client, pod.told, owners, pod.name, pod.figures.event))
    writers: list[Task] = []
    if writers:
        lease = Lease(pod.client, pod.namespace, pod.settings.lease, pod.name)
        found.append(Election(lease))
    return [*found, *writers]


class Election:
    """A task: takes part in the election of the replica that writes."""

    name = "election"

    def __init__(self, lease: Lease) -> None:
        """Hold `lease` if it can be had."""
        self.run = lease.run
