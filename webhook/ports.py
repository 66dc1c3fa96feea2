"""What the service needs from outside, as Protocols; kube/, registry/ and observe/ implement them."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from webhook.model.access import Right
from webhook.model.decision import Decision
from webhook.model.image import Image
from webhook.model.neighbours import Found, Ref
from webhook.model.oci import Content, Inspected, Lookup
from webhook.model.record import record
from webhook.model.review import Review
from webhook.model.workloads import Kinds


@record(frozen=True, slots=True)
class Owner:
    """A controller owner as the cluster has it now; `object` is the whole of it."""

    group: str
    kind: str
    name: str
    uid: str
    created: datetime | None
    object: Mapping[str, Any] = field(default_factory=dict)


class Unknown(Exception):
    """A fact that could not be had in time; the text says why.

    `found` are the owners that were had before one could not be.
    """

    def __init__(self, text: str, found: Sequence[Owner] = ()) -> None:
        """Take the reason, and what was had."""
        super().__init__(text)
        self.found = tuple(found)


class NamespaceReader(Protocol):
    """Reads namespaces."""

    def get(self, name: str, timeout: float) -> Mapping[str, Any]:
        """Return the Namespace object. Raises Unknown where it can't be had within `timeout` seconds."""
        ...


class OwnerReader(Protocol):
    """Reads the controllers of an object."""

    def chain(self, namespace: str, references: Sequence[Mapping[str, Any]], timeout: float) -> tuple[Owner, ...]:
        """Return the controller owner, then its own, and so on. Raises Unknown; an error is never "no owner"."""
        ...


class AccessReader(Protocol):
    """Asks what somebody may do."""

    def may(self, user: Mapping[str, Any], right: Right, timeout: float) -> bool:
        """Say whether a user, described as a review's `userInfo` does, has a right. Raises Unknown; an error is
        never "yes", and never "no".
        """
        ...


class NeighbourReader(Protocol):
    """Finds what stands beside an object."""

    def find(self, namespace: str, ref: Ref, timeout: float) -> Found:
        """Return what `ref` means in a namespace, as it is now. Raises Unknown; an error is never "there is none"."""
        ...


class ImageReader(Protocol):
    """Asks registries what images are."""

    def look(self, lookups: Collection[Lookup], namespace: str, timeout: float) -> Mapping[Lookup, Inspected]:
        """Return what is known of each image within `timeout` seconds, all of them asked for at once.

        `namespace` is that of the pull secrets that the look-ups name. Nothing is raised: what could not be had has
        `lacking`, with a sentence.
        """
        ...


class ImageSource(Protocol):
    """Asks registries, now and without remembering anything. Safe to call from many threads."""

    def content(self, image: Image, seconds: float) -> Content:
        """Return all that an image is, within `seconds`. Raises Unknown, with the registry's reason."""
        ...


class Recorder(Protocol):
    """Keeps figures and log lines of reviews."""

    def record(self, endpoint: str, review: Review, decision: Decision, seconds: float) -> None:
        """Note one decided review; `seconds` is how long it took."""
        ...


class Clock(Protocol):
    """Tells the time."""

    def __call__(self) -> datetime:
        """Return now, with a time zone."""
        ...


class Cluster(Protocol):
    """What a cluster holds, for commands that look at all of it; what is around an object is read from it, too."""

    @property
    def namespaces(self) -> NamespaceReader:
        """Its namespaces."""
        ...

    @property
    def neighbours(self) -> NeighbourReader:
        """What stands beside an object."""
        ...

    @property
    def owners(self) -> OwnerReader:
        """The controllers of an object."""
        ...

    def objects(self, kinds: Collection[tuple[str, str]]) -> Iterator[Mapping[str, Any]]:
        """Yield all objects of (group, kind) that it has. Raises Unknown where it does not tell of one."""
        ...


@record(frozen=True, slots=True)
class Remnant:
    """An object of Plimsoll's in a cluster; `about` says what is in it, `stays` why it has to stay, "" where it may go.

    `namespace` is empty for cluster-scoped kinds.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    about: str = ""
    stays: str = ""


class Uninstaller(Protocol):
    """Takes out of a cluster what Plimsoll has there."""

    def find(self, kind: str) -> tuple[Remnant, ...]:
        """Return what there is of a kind. Raises Unknown where the cluster does not tell."""
        ...

    def remove(self, remnant: Remnant) -> bool:
        """Delete an object; False where it has gone meanwhile. Raises Unknown where it is still there."""
        ...


@record(frozen=True, slots=True)
class Rooms:
    """What `main` hands to the commands, since rooms of one row don't know each other.

    `certs` makes development certificates (webhook.tls); `read` reads packs from paths, `shipped` gives the paths
    of those that come with Plimsoll (webhook.sources); `serve` runs the server. `registries` gives what asks the
    registries of a registries file and others by host, logged in by a docker config (webhook.registry), and `images`
    a reader that remembers what it was told. `cluster` gives the cluster of a kubeconfig ("": kubectl's own) and a
    context of it ("": the current one), which knows these workload kinds, and `uninstall` what takes Plimsoll out of
    one that is named so (webhook.kube). `plain` is whether colours
    are unwanted, as NO_COLOR says (webhook.settings); `commands` gives every command's help and argument parser, by its
    name.
    """

    clock: Clock
    certs: Callable[..., list[str]]
    read: Callable[..., Any]
    serve: Callable[..., int]
    shipped: Callable[[], Sequence[Path]]
    registries: Callable[[str, Collection[str], str], ImageSource]
    images: Callable[[ImageSource], ImageReader]
    cluster: Callable[[str, str, Kinds], Cluster]
    uninstall: Callable[[str, str], Uninstaller]
    commands: Callable[[], Mapping[str, tuple[str, ArgumentParser]]]
    plain: bool = False
