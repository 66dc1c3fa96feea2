"""Climbs from an object to the workload that made it: Pod to ReplicaSet to Deployment, Job to CronJob."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from webhook.kube.cache import Bounds, Cache
from webhook.kube.client import ApiError, Client, weight
from webhook.model.record import record
from webhook.model.workloads import KINDS, Kinds, Row
from webhook.ports import Owner, Unknown

BOUNDS = Bounds(entries=2000, weight=32 * 1024 * 1024, fresh=300.0)
"""Kind, name, uid and creation never change; who controls an owner hardly ever does. Some KB each."""
HOPS = 4
"""Longer than any chain of known controllers (Pod, Job, JobSet or CronJob are three): more are made up, as a ring."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")
# any that a CustomResourceDefinition can have: DNS-1035 labels
_VERSION = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?\Z")
# A node owns its mirror pods and is owned by nobody; reading it would need rights on nodes and tell nothing.
_NODE = ("", "Node")


@record(frozen=True, slots=True)
class _Reference:
    """A controller's ownerReference. Whoever writes the object writes this: no part of it is trusted in a
    path."""

    group: str
    version: str
    kind: str
    name: str
    uid: str


class Owners:
    """A `ports.OwnerReader` over the API server; threads may share it."""

    def __init__(
        self,
        client: Client,
        kinds: Kinds = KINDS,
        bounds: Bounds = BOUNDS,
        clock: Callable[[], float] = time.monotonic,
        count: Callable[[str], None] = lambda result: None,
    ) -> None:
        """Read with `client` the owners whose kinds are in `kinds`; `clock` never goes back.

        `count` is told of each look-up how it ended: hit, miss, stale, unknown.
        """
        self._count = count
        self._client = client
        self._kinds = kinds
        self._clock = clock
        self._cache: Cache[tuple[str, _Reference], Owner] = Cache(bounds, clock, client.waits)

    def chain(self, namespace: str, references: Sequence[Mapping[str, Any]], timeout: float) -> tuple[Owner, ...]:
        """Return the controller owner among `references`, then that one's, and so on; () where there is none.

        `namespace` is the object's, `timeout` is in seconds and for all of the chain. An owner that the API server
        does not have, has under another uid, or cannot have by its name or version, is made up, and ends the chain: a
        controller writes its own object first. So do more than four. Raises Unknown for an owner that can't be read in
        time, or is of a kind whose path isn't known: an error is never "no owner". It has those who were found below.
        """
        found: list[Owner] = []
        try:
            self._climb(namespace, references, self._clock() + timeout, found)
        except Unknown as error:
            raise Unknown(str(error), found) from error
        return tuple(found)

    def _climb(self, namespace: str, references: object, deadline: float, found: list[Owner]) -> None:
        reference = _controller(references)
        while reference is not None and len(found) < HOPS:
            owner = self._owner(namespace, reference, deadline - self._clock())
            if owner.uid != reference.uid:
                break
            found.append(owner)
            metadata = owner.object.get("metadata") or {}
            reference = _controller(metadata.get("ownerReferences") or ())

    def nearest(self, namespace: str, references: Sequence[Mapping[str, Any]], timeout: float) -> Owner | None:
        """Return the controller owner alone, which needs no right to read what stands above it; None for none.

        Raises Unknown as `chain` does.
        """
        reference = _controller(references)
        owner = self._owner(namespace, reference, timeout) if reference else None
        return owner if owner and reference and owner.uid == reference.uid else None

    def _owner(self, namespace: str, reference: _Reference, timeout: float) -> Owner:
        if (reference.group, reference.kind) == _NODE:
            return Owner("", "Node", reference.name, reference.uid, None, {})
        what = f"owner {reference.kind} {reference.name}"
        row = self._kinds.get((reference.group, reference.kind))
        if row is None:
            self._count("unknown")
            raise Unknown(f"{what}: how to read {reference.group or 'core'}/{reference.kind} isn't known")
        path = _path(row, namespace, reference)
        if path is None:
            return _nobody(reference)[0]
        # The whole reference is the key: a forged one with another's uid must not find that owner.
        key = (namespace, reference)
        try:
            owner, how = self._cache.look(key, lambda seconds: self._fetch(path, reference, seconds), timeout)
            self._count(how)
            return owner
        except Unknown as error:
            self._count("unknown")
            raise Unknown(f"{what}: {error}") from error

    def _fetch(self, path: str, reference: _Reference, timeout: float) -> tuple[Owner, int] | None:
        try:
            found = self._client.get(path, timeout)
        except ApiError as error:
            if error.status == 404:
                return _nobody(reference)
            raise Unknown(str(error)) from error
        metadata = found.get("metadata") or {}
        if metadata.get("uid") != reference.uid:
            return _nobody(reference)
        metadata.pop("managedFields", None)
        found.pop("status", None)
        created = metadata.get("creationTimestamp")
        when = datetime.fromisoformat(created) if isinstance(created, str) else None
        owner = Owner(reference.group, reference.kind, reference.name, reference.uid, when, found)
        return owner, weight(found)


def _path(row: Row, namespace: str, reference: _Reference) -> str | None:
    """Return where an owner is read, None where there can be none of such a name or version, or in no namespace."""
    if not (_NAME.match(namespace) and _NAME.match(reference.name) and _VERSION.match(reference.version)):
        return None
    root = f"/apis/{row.group}" if row.group else "/api"
    return f"{root}/{reference.version}/namespaces/{namespace}/{row.resource}/{reference.name}"


def _nobody(reference: _Reference) -> tuple[Owner, int]:
    """Return what is kept for a reference to nothing: an owner without a uid."""
    return Owner(reference.group, reference.kind, reference.name, "", None, {}), 1


def _controller(references: object) -> _Reference | None:
    """Return the one reference with `controller: true` (the API allows one); Unknown where it is no
    reference."""
    for held in references if isinstance(references, list | tuple) else ():
        if isinstance(held, Mapping) and held.get("controller") is True:
            values = [held.get(key) for key in ("apiVersion", "kind", "name", "uid")]
            if not all(isinstance(value, str) and value for value in values):
                raise Unknown("the controller's reference has no apiVersion, kind, name or uid")
            api, kind, name, uid = (str(value) for value in values)
            group, _, version = api.rpartition("/")
            return _Reference(group, version, kind, name, uid)
    return None
