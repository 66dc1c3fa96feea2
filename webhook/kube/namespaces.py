"""Reads namespaces for the rules that look at their labels: from the shelf, which a watch keeps (`upkeep/namespaces`),
and live where that has not come by yet, from a bounded cache then."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from webhook.kube.cache import Bounds, Cache
from webhook.kube.client import ApiError, Client, Object, weight
from webhook.ports import Unknown
from webhook.shelf import Shelf

BOUNDS = Bounds(entries=2000, weight=16 * 1024 * 1024, fresh=30.0)
"""A namespace is 1 to 2 KB; labels changed are seen after 30 s at most."""
AGAIN = 0.05
"""Seconds before a namespace that isn't there is asked for once more: an API server whose watch cache lags
may send us an object just before it knows the object's new namespace."""
FOLDER = "namespaces"
SEEN = "namespaces.seen"
"""On the shelf: the folder of namespaces as JSON by name, and when the watch was last known to go on (monotonic)."""
TRUSTED = 30.0
"""Seconds after which a shelf that nobody kept up is no longer read."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")


class Namespaces:
    """A `ports.NamespaceReader` over the API server; threads may share it."""

    def __init__(
        self,
        client: Client,
        bounds: Bounds = BOUNDS,
        clock: Callable[[], float] = time.monotonic,
        shelf: Shelf | None = None,
        count: Callable[[str], None] = lambda result: None,
    ) -> None:
        """Read from `shelf` while it is kept up, else with `client`; `clock` counts seconds and never goes back.

        `count` is told of each look-up how it ended: hit, miss, stale, unknown.
        """
        self._count = count
        self._client = client
        self._shelf = shelf
        self._known = float("-inf")
        self._kept_for = bounds.kept
        self._clock = clock
        self._cache: Cache[str, Object] = Cache(bounds, clock, client.waits)

    def get(self, name: str, timeout: float) -> Mapping[str, Any]:
        """Return the Namespace `name` within `timeout` seconds.

        While the watch goes on, as it tells; without one, at most 30 s old while the API server answers.

        Raises Unknown where the API server errs and nothing is known, and where it has no such namespace:
        it may not have arrived there yet, so its absence proves nothing about its labels.
        """
        if not _NAME.match(name):
            raise Unknown(f"{name!r} is no name of a namespace")
        if (found := self._told(name)) is not None:
            self._count("hit")
            return found
        former: list[Object] = []
        try:
            found, how = self._cache.look(name, lambda seconds: self._fetched(name, seconds, former), timeout)
            self._count("stale" if former else how)
            return found
        except Unknown as error:
            self._count("unknown")
            raise Unknown(f"namespace {name}: {error}") from error

    def _told(self, name: str) -> Object | None:
        """Return what the watch says; None where there is none, or where it has not seen the namespace (yet)."""
        return self._read(name) if self._trusted() else None

    def _trusted(self) -> bool:
        """Say whether the watch goes on, by the newest word of it, which is looked for as soon as the known one is old.

        So all workers of a pod are of one mind at each moment. One that noticed a second later would ask for itself,
        know a label before the others, and say of the next change what it had asked for then.
        """
        if self._clock() - self._known >= TRUSTED:
            self._known = self._seen()
        return self._clock() - self._known < TRUSTED

    def _seen(self) -> float:
        seen = self._shelf.get(SEEN) if self._shelf else None
        return float("-inf") if seen is None else float(seen)

    def _read(self, name: str) -> Object | None:
        data = self._shelf.get(f"{FOLDER}/{name}") if self._shelf else None
        found: Object | None = None if data is None else orjson.loads(data)
        return found

    def _fetched(self, name: str, timeout: float, told: list[Object]) -> tuple[Object, int] | None:
        """Fetch it; where the API server errs, what the watch said last serves, if that is not too long ago.

        It is put into `told` then.
        """
        try:
            return self._fetch(name, timeout)
        except Unknown:
            former = self._read(name) if self._clock() - self._seen() < self._kept_for else None
            if former is None:
                raise
            told.append(former)
            return former, weight(former)

    def _fetch(self, name: str, timeout: float) -> tuple[Object, int] | None:
        deadline = self._clock() + timeout
        found = self._ask(name, timeout)
        if found is None and (left := deadline - self._clock() - AGAIN) > 0:
            time.sleep(AGAIN)
            found = self._ask(name, left)
        if found is None:
            return None
        (found.get("metadata") or {}).pop("managedFields", None)
        return found, weight(found)

    def _ask(self, name: str, timeout: float) -> Object | None:
        try:
            return self._client.get(f"/api/v1/namespaces/{name}", timeout)
        except ApiError as error:
            if error.status == 404:
                return None
            raise Unknown(str(error)) from error
