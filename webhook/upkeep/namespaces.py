"""Namespaces as the cluster has them, on the shelf: one watch for the pod in place of calls by each worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import orjson

from webhook.kube.client import Client, Object
from webhook.kube.namespaces import FOLDER, SEEN
from webhook.kube.watch import SECONDS, Watch
from webhook.shelf import Shelf

BEAT = 5.0
QUIET = 150.0
"""Seconds of silence after which a watch is not believed: API servers send a bookmark each minute or so."""


class Namespaces:
    """A task: follows all namespaces. Its files are read by `kube.namespaces.Namespaces`, in the workers."""

    name = "namespaces"

    def __init__(
        self,
        client: Client,
        shelf: Shelf,
        stale: Callable[[str, float], None] = lambda what, seconds: None,
        clock: Callable[[], float] = time.monotonic,
        seconds: float = SECONDS,
    ) -> None:
        """Keep them on `shelf`; `stale` is told again and again how long the watch has been silent."""
        self._shelf = shelf
        self._stale = stale
        self._clock = clock
        self._watch = Watch(client, "/api/v1/namespaces", _Sink(shelf), seconds=seconds)

    def run(self, stop: threading.Event) -> None:
        """Follow until `stop` is set."""
        follower = threading.Thread(target=self._watch.run, args=(stop,), name="watch namespaces", daemon=True)
        follower.start()
        begun = self._clock()
        while follower.is_alive():
            self._beat(begun)
            if stop.wait(BEAT if self._watch.quiet is not None else BEAT / 50):
                return

    def _beat(self, begun: float) -> None:
        quiet = self._watch.quiet
        self._stale(self.name, self._clock() - begun if quiet is None else quiet)
        if quiet is not None and quiet < QUIET:
            # the monotonic clock is one for all processes
            self._shelf.put(SEEN, str(self._clock()).encode())


class _Sink:
    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def replace(self, objects: list[Object]) -> None:
        kept = {_name(obj) for obj in objects}
        for obj in objects:
            self.put(obj)
        for name in self._shelf.names(FOLDER):
            if name not in kept:
                self._shelf.drop(f"{FOLDER}/{name}")

    def put(self, obj: Object) -> None:
        (obj.get("metadata") or {}).pop("managedFields", None)
        # items of a list don't say what they are
        data = orjson.dumps({"apiVersion": "v1", "kind": "Namespace", **obj})
        self._shelf.put(f"{FOLDER}/{_name(obj)}", data)

    def drop(self, obj: Object) -> None:
        self._shelf.drop(f"{FOLDER}/{_name(obj)}")


def _name(obj: Object) -> str:
    return str((obj.get("metadata") or {}).get("name"))
