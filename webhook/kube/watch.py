"""Keeps a copy of what a list of the API server holds: read once in pages, then told of each change.

One stream for each list and pod. The API server is told how far we are (`resourceVersion`), says from time to time
that nothing changed (bookmarks), and has forgotten too much where it answers 410: then the list is read again.
kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from webhook.kube.client import PAGE, ApiError, Client, Object

LOG = logging.getLogger(__name__)
SECONDS = 300.0
"""How long one stream lasts, up to twice as long: as client-go's reflector has it, so that not all end at once."""
LISTING = 30.0
"""For each page of a list."""
RESTS = (0.5, 30.0)
"""Seconds between attempts while the API server errs: the first, and the most, doubled in between."""
GONE = 410
ABSENT = 404


class Sink(Protocol):
    """What is told of the list. Called from one thread."""

    def replace(self, objects: list[Object]) -> None:
        """Take all that the list holds now; whatever else was known is gone."""
        ...

    def put(self, obj: Object) -> None:
        """Take an object that is new or changed."""
        ...

    def drop(self, obj: Object) -> None:
        """Forget an object."""
        ...


class Watch:
    """One list, followed. `run` is a thread's whole work."""

    def __init__(
        self,
        client: Client,
        path: str,
        sink: Sink,
        query: Mapping[str, str] | None = None,
        *,
        seconds: float = SECONDS,
        page: int = PAGE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Follow the list at `path` (`/api/v1/namespaces`), narrowed by `query` (labelSelector, fieldSelector).

        It is read in pages of `page` objects, each of which has to fit into one answer.
        """
        self._client = client
        self._path = path
        self._sink = sink
        self._query = dict(query or {})
        self._seconds = seconds
        self._page = page
        self._clock = clock
        self._heard: float | None = None
        self._version = ""

    @property
    def quiet(self) -> float | None:
        """Seconds since the API server said something, if only that nothing changed; None before the first list."""
        return None if self._heard is None else self._clock() - self._heard

    def run(self, stop: threading.Event) -> None:
        """Follow until `stop` is set; errors are logged, and tried again after a rest."""
        rest = RESTS[0]
        while not stop.is_set():
            try:
                if not self._version:
                    self._list()
                self._follow(stop)
                rest = RESTS[0]
            except ApiError as error:
                if error.status == GONE:
                    self._version = ""
                    continue
                if error.status == ABSENT:  # its kind is not installed, so there are none; it may be some day
                    self._version = ""
                    self._sink.replace([])
                    self._heard = self._clock()
                LOG.warning("watching %s: %s; tried again", self._path, error)
                stop.wait(rest * random.uniform(0.8, 1.2))  # noqa: S311 - so that replicas don't come together
                rest = min(2 * rest, RESTS[1])

    def _list(self) -> None:
        objects: list[Object] = []
        again = version = ""
        while True:
            query = {**self._query, "limit": str(self._page), **({"continue": again} if again else {})}
            page = self._client.get(self._path, LISTING, query)
            objects += page.get("items") or []
            meta = page.get("metadata") or {}
            version = str(meta.get("resourceVersion") or "")
            again = str(meta.get("continue") or "")
            if not again:
                break
        self._sink.replace(objects)
        self._version = version
        self._heard = self._clock()

    def _follow(self, stop: threading.Event) -> None:
        seconds = self._seconds * random.uniform(1.0, 2.0)  # noqa: S311
        query = {
            **self._query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(int(seconds) or 1),
        }
        for event in self._client.stream(self._path, query, seconds):
            self._heard = self._clock()
            self._take(event)
            if stop.is_set():
                return

    def _take(self, event: Object) -> None:
        kind, obj = event.get("type"), event.get("object")
        if not isinstance(obj, dict):
            raise ApiError(f"GET {self._path}", 0, "", "an event of the watch has no object")
        if kind == "ERROR":
            raise ApiError(
                f"GET {self._path}", int(obj.get("code") or 0), str(obj.get("reason") or ""), str(obj.get("message"))
            )
        if kind in ("ADDED", "MODIFIED"):
            self._sink.put(obj)
        elif kind == "DELETED":
            self._sink.drop(obj)
        self._version = str((obj.get("metadata") or {}).get("resourceVersion") or self._version)
