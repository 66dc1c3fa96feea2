"""Which tasks a pod has, by its settings."""

from __future__ import annotations

from collections.abc import Callable

from webhook.kube.client import Client
from webhook.kube.lease import Lease
from webhook.model.record import record
from webhook.observe.metrics import Metrics
from webhook.packs.rule import Ruleset
from webhook.settings import Settings
from webhook.shelf import Shelf
from webhook.tls import dev, probe
from webhook.tls.rotate import Terms
from webhook.upkeep.certificates import Certificates, Post
from webhook.upkeep.namespaces import Namespaces
from webhook.upkeep.run import Task


@record(frozen=True, slots=True)
class Pod:
    """What the tasks of a pod work with.

    `client` is theirs alone; `name` is the pod's, by which replicas tell each other apart, `namespace` our own.
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


def tasks(pod: Pod) -> list[Task]:
    """Return the tasks of a pod. Those that write for all replicas ask the Lease, which then is one of them."""
    found: list[Task] = [Namespaces(pod.client, pod.shelf, pod.figures.quiet)]
    writers: list[Task] = []
    lease = Lease(pod.client, pod.namespace, pod.settings.lease, pod.name)
    if pod.settings.certificate_secret:
        writers.append(_certificates(pod, lease))
    if writers:
        found.append(Election(lease))
    return [*found, *writers]


def _certificates(pod: Pod, lease: Lease) -> Certificates:
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
    return Certificates(post, Terms(names, settings.certificate_grace, tells=bool(settings.webhooks)))


class Election:
    """A task: takes part in the election of the replica that writes."""

    name = "election"

    def __init__(self, lease: Lease) -> None:
        """Hold `lease` if it can be had."""
        self.run = lease.run
