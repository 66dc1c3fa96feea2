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
from contextlib import closing
from typing import Protocol

from webhook.kube.client import PAGE, SILENCE, ApiError, Client, Object

LOG = logging.getLogger(__name__)
SECONDS = 300.0
"""How long one stream lasts, up to twice as long: as client-go's reflector has it, so that not all end at once."""
LISTING = 30.0
"""For each page of a list."""
RESTS = (0.5, 30.0)
"""Seconds between attempts while the API server errs: the first, and the most, doubled in between."""
HELD = 5.0
"""Seconds that a stream lasts which went well: one that ends sooner is not begun again without a rest."""
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
        self._said = ""

    @property
    def quiet(self) -> float | None:
        """Seconds since the API server said something, if only that it will tell; None before it was first followed.

        A list alone counts for nothing: who may list and not watch would go on with what was true once.
        """
        heard = self._heard
        return None if heard is None else self._clock() - heard

    def run(self, stop: threading.Event) -> None:
        """Follow until `stop` is set; errors are logged, once each, and tried again after a rest.

        What the sink raises comes out here, and `run` may then be called anew.
        """
        rest = RESTS[0]
        while not stop.is_set():
            begun = self._clock()
            try:
                if not self._version:
                    self._list()
                self._follow(stop)
            except ApiError as error:
                if error.status == GONE:
                    self._version = ""
                else:
                    if error.status == ABSENT:
                        self._absent()
                    self._say(error)
            if self._clock() - begun >= HELD:
                rest = RESTS[0]
            stop.wait(rest * random.uniform(0.8, 1.2))  # noqa: S311 - so that replicas don't come together
            rest = min(2 * rest, RESTS[1])

    def _absent(self) -> None:
        """Take it that the kind is not installed, so that there are none; it may be some day.

        What was known stays: where a kind is taken away, each of its objects is said to be deleted first, and a 404 may
        be the word of something that stands before the API server.
        """
        self._version = ""
        if self._heard is None:
            self._sink.replace([])
            self._heard = self._clock()

    def _say(self, error: ApiError) -> None:
        # once, and not again and again for hours; numbers (ports, versions) may differ each time
        text = f"{error.status} {error.reason}"
        if text != self._said:
            self._said = text
            LOG.warning("watching %s: %s; tried again, which is not said again", self._path, error)

    def _list(self) -> None:
        objects: list[Object] = []
        again = version = ""
        while True:
            query = {**self._query, "limit": str(self._page), **({"continue": again} if again else {})}
            page = self._client.get(self._path, LISTING, query)
            objects += map(_slim, page.get("items") or [])
            meta = page.get("metadata") or {}
            version = str(meta.get("resourceVersion") or "")
            again = str(meta.get("continue") or "")
            if not again:
                break
        self._sink.replace(objects)
        self._version = version

    def _follow(self, stop: threading.Event) -> None:
        seconds = self._seconds * random.uniform(1.0, 2.0)  # noqa: S311
        query = {
            **self._query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(int(seconds) or 1),
        }
        with closing(self._client.stream(self._path, query, seconds, SILENCE)) as events:
            if self._said:
                self._said = ""
                LOG.info("watching %s again", self._path)
            self._heard = self._clock()
            for event in events:
                self._take(event)
                self._heard = self._clock()
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
            self._sink.put(_slim(obj))
        elif kind == "DELETED":
            self._sink.drop(obj)
        self._version = str((obj.get("metadata") or {}).get("resourceVersion") or self._version)


def _slim(obj: Object) -> Object:
    """Take away what nobody reads and is half of many objects: who manages which field."""
    (obj.get("metadata") or {}).pop("managedFields", None)
    return obj
