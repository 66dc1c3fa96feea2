"""Finds what stands beside an object in its namespace: asked anew for every review that hangs on it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from webhook.kube.cache import Bounds, Cache
from webhook.kube.client import ApiError, Client, weight
from webhook.model.kinds import OTHERS
from webhook.model.neighbours import Found, Ref
from webhook.model.record import record
from webhook.model.workloads import KINDS, Kinds
from webhook.ports import Unknown

BOUNDS = Bounds(entries=500, weight=16 * 1024 * 1024, fresh=0.0)
"""Never fresh: `kubectl apply -f` sends a budget a moment before its Deployment. What is kept serves while the API
server errs."""
MOST = 1000
"""Objects of a kind that are looked at in one namespace."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")
_API = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?v[0-9]{1,3}((alpha|beta)[0-9]{1,3})?\Z")


@record(frozen=True, slots=True)
class Place:
    """Where a reference is read: the path below the API server's root, and whether it is a list."""

    path: str
    all: bool


class Neighbours:
    """A `ports.NeighbourReader` over the API server; threads may share it."""

    def __init__(
        self,
        client: Client,
        kinds: Kinds = KINDS,
        bounds: Bounds = BOUNDS,
        clock: Callable[[], float] = time.monotonic,
        count: Callable[[str], None] = lambda result: None,
    ) -> None:
        """Read with `client` the objects whose kinds are in `kinds` or Kubernetes' own; `clock` never goes back.

        `count` is told of each look-up how it ended: miss, stale, unknown.
        """
        self._count = count
        self._client = client
        self._kinds = kinds
        self._cache: Cache[Place, Found] = Cache(bounds, clock, client.waits)
        self._clock = clock

    def find(self, namespace: str, ref: Ref, timeout: float) -> Found:
        """Return what `ref` means in `namespace`, within `timeout` seconds.

        A kind that the API server does not have (its CustomResourceDefinition is not installed) has no objects. Of
        more than 1,000 objects that many are given, with what is lacking. Raises Unknown where the API server errs
        and nothing is known, and for a kind whose path isn't known.
        """
        place = self._place(namespace, ref)
        if place is None:
            self._count("unknown")
            raise Unknown(f"{ref}: how to read {ref.api_version}/{ref.kind} isn't known")
        try:
            found, how = self._cache.look(place, lambda seconds: self._fetch(place, ref, seconds), timeout)
            self._count(how)
            return found
        except Unknown as error:
            self._count("unknown")
            raise Unknown(f"{ref}: {error}") from error

    def _place(self, namespace: str, ref: Ref) -> Place | None:
        """Return where to read; None where a part, which an object's author may have written, is no part of a path."""
        row = self._kinds.get((ref.group, ref.kind))
        resource = row.resource if row is not None else OTHERS.get((ref.group, ref.kind), "")
        if not resource or not _API.match(ref.api_version) or not _NAME.match(namespace):
            return None
        if ref.name and not _NAME.match(ref.name):
            return None
        root = "/apis" if ref.group else "/api"
        path = f"{root}/{ref.api_version}/namespaces/{namespace}/{resource}"
        return Place(f"{path}/{ref.name}" if ref.name else path, not ref.name)

    def _fetch(self, place: Place, ref: Ref, timeout: float) -> tuple[Found, int]:
        ends = self._clock() + timeout
        objects, lacking = [], ""
        try:
            if not place.all:
                objects.append(self._client.get(place.path, timeout))
            else:
                for item in self._client.items(place.path, timeout):
                    if len(objects) == MOST or self._clock() > ends:
                        lacking = f"only the first {len(objects)} of them were looked at"
                        break
                    # a list's items leave out what its head says for all of them
                    objects.append({"apiVersion": ref.api_version, "kind": ref.kind, **item})
        except ApiError as error:
            if error.status != 404:
                raise Unknown(str(error)) from error
        return Found(tuple(objects), lacking), weight(objects)
