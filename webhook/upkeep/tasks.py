"""Which tasks a pod has, by its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from webhook.kube.client import Client
from webhook.kube.lease import Lease
from webhook.model.record import record
from webhook.observe.metrics import Metrics
from webhook.packs.rule import Ruleset
from webhook.settings import Settings
from webhook.shelf import Shelf
from webhook.upkeep.namespaces import Namespaces
from webhook.upkeep.packs import Packs
from webhook.upkeep.run import Task
from webhook.upkeep.standing import Status


@record(frozen=True, slots=True)
class Pod:
    """What the tasks of a pod work with.

    `client` is theirs alone; `name` is the pod's, by which replicas tell each other apart, `namespace` our own.
    `ruleset` gives the rules in force. `look` has this process look at the packs again, `wake` every worker. `packs`
    is the task that says which are in force; `counts` are the pod's findings by (pack, rule, effective action).
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


def tasks(pod: Pod) -> list[Task]:
    """Return the tasks of a pod. Those that write for all replicas ask the Lease, which then is one of them."""
    found: list[Task] = [Namespaces(pod.client, pod.shelf, pod.figures.quiet)]
    writers: list[Task] = []
    lease = Lease(pod.client, pod.namespace, pod.settings.lease, pod.name)
    if pod.settings.watch_packs:
        writers.append(Status(pod.client, pod.packs, pod.ruleset, lease.held, pod.name, pod.counts))
    if writers:
        found.append(Election(lease))
    return [*found, *writers]


class Election:
    """A task: takes part in the election of the replica that writes."""

    name = "election"

    def __init__(self, lease: Lease) -> None:
        """Hold `lease` if it can be had."""
        self.run = lease.run
