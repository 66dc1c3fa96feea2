"""Namespaces as the cluster has them, on the shelf: one watch for the pod in place of calls by each worker."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import orjson

from webhook.kube.client import Client, Object
from webhook.kube.namespaces import FOLDER, SEEN
from webhook.kube.watch import SECONDS, Watch
from webhook.shelf import Shelf

LOG = logging.getLogger(__name__)
BEAT = 5.0
"""Seconds between two words to the workers, who believe one for `kube.namespaces.TRUSTED`."""
QUIET = 150.0
"""Seconds of silence after which a watch is not believed: API servers send a bookmark each minute or so, and a stream
that has none is begun anew after `kube.client.SILENCE`."""
ROOM = 32 * 1024 * 1024
"""Bytes of memory for all namespaces. They share it with packs and figures, and a full /dev/shm ends whoever counts;
a namespace's annotations are its owner's to write, 256 KiB of them."""
LARGEST = 64 * 1024
"""Bytes of one: a namespace has 1 to 2 KB."""
PAGE = 4096
"""Bytes that the smallest file takes."""


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
        """Follow until `stop` is set. What the watch raises comes out here."""
        errors: list[BaseException] = []

        def follow() -> None:
            try:
                self._watch.run(stop)
            except Exception as error:
                errors.append(error)

        # a thread of its own, since it waits for the API server for minutes, whatever `stop` says
        follower = threading.Thread(target=follow, name="watch namespaces", daemon=True)
        follower.start()
        begun = self._clock()
        while follower.is_alive():
            self._beat(begun)
            if stop.wait(BEAT if self._watch.quiet is not None else BEAT / 50):
                return
        if errors:
            raise errors[0]

    def _beat(self, begun: float) -> None:
        quiet = self._watch.quiet
        self._stale(self.name, self._clock() - begun if quiet is None else quiet)
        if quiet is not None and quiet < QUIET:
            try:
                # the monotonic clock is one for all processes
                self._shelf.put(SEEN, str(self._clock()).encode())
            except OSError as error:
                # without it the workers ask for themselves; a second follower would be worse
                LOG.warning("the shelf can't be written, so that workers ask for themselves: %s", error.strerror)


class _Sink:
    """Puts namespaces on the shelf. Where there is no room they are left out, and workers ask for them."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._full = False
        self._sizes: dict[str, int] = {}
        self._taken = 0

    def replace(self, objects: list[Object]) -> None:
        kept = {_name(obj) for obj in objects}
        for name in self._shelf.names(FOLDER):
            if name not in kept:
                self._forget(f"{FOLDER}/{name}")
        self._full = False
        for obj in objects:
            self.put(obj)

    def put(self, obj: Object) -> None:
        name = f"{FOLDER}/{_name(obj)}"
        # items of a list don't say what they are
        data = orjson.dumps({"apiVersion": "v1", "kind": "Namespace", **obj})
        if not self._fits(name, len(data)):
            self._refuse(name, f"of {ROOM} bytes, and {LARGEST} for one")
            return
        if self._shelf.get(name) == data:
            return  # as most are where the list is read again
        try:
            self._shelf.put(name, data)
        except OSError as error:
            self._refuse(name, str(error.strerror))

    def _fits(self, name: str, size: int) -> bool:
        """Take the room for one, if there is."""
        pages = -(-size // PAGE) * PAGE
        taken = self._taken - self._sizes.get(name, 0) + pages
        if size > LARGEST or taken > ROOM:
            return False
        self._sizes[name], self._taken = pages, taken
        return True

    def _refuse(self, name: str, why: str) -> None:
        self._forget(name)  # what it was is no longer true
        if not self._full:  # once, and not for each of thousands
            LOG.warning("no room on the shelf for all namespaces; the rest is asked for: %s", why)
        self._full = True

    def _forget(self, name: str) -> None:
        self._taken -= self._sizes.pop(name, 0)
        self._shelf.drop(name)

    def drop(self, obj: Object) -> None:
        self._forget(f"{FOLDER}/{_name(obj)}")


def _name(obj: Object) -> str:
    return str((obj.get("metadata") or {}).get("name"))
