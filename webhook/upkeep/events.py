"""Writes denials down as Events, so that `kubectl describe` of a workload says why its Pods don't come.

What is the same is one Event, whose count grows, written once a minute at most; and a pod writes one Event a second at
most, 25 at once, as client-go does. What can't be kept is counted and let go: no denial ever waits for an Event.
kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1, pkg.go.dev/k8s.io/client-go/tools/record
"""

from __future__ import annotations

import logging
import re
import select
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from webhook.kube import events as places
from webhook.kube.client import ApiError, Client, Object
from webhook.kube.events import Event
from webhook.kube.owners import Owners
from webhook.observe.tell import LONGEST, MESSAGE
from webhook.ports import Unknown

LOG = logging.getLogger(__name__)
REASON = "PolicyViolation"
AGAIN = 60.0
"""Seconds between two writes of one Event."""
RATE, BURST = 1.0, 25
"""Events a second, and at once after a quiet time: client-go's recorder has 25 for each object, and we for all."""
MOST = 2000
"""Events that are known at once; whoever was not told of longest is forgotten first. Some KB each."""
TICK = 1.0
CALL = 3.0
CLIMB = 1.0
"""Seconds for looking up whose ReplicaSet it is."""
AT_ONCE = 200
"""Denials that are read before what is due is written."""
_NAMESPACE = re.compile(r"([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?\Z")
"""Whoever reaches the port says what it is: it is never any other part of a path."""
Key = tuple[str, ...]


@dataclass(slots=True)
class _Series:
    """One Event: whose, what it says, how often that was so, and how much of it is written."""

    object: Object
    message: str
    first: datetime
    last: datetime
    count: int = 1
    written: int = 0
    name: str = ""
    due: float = field(default=0.0)


class Events:
    """A task: reads what the workers tell (`observe/tell.py`), and writes Events."""

    name = "events"

    def __init__(
        self,
        client: Client,
        source: socket.socket,
        owners: Owners,
        instance: str,
        count: Callable[[str, int], None] = lambda result, count: None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Read from `source`; `owners` tell whose a ReplicaSet is, `instance` is this replica's name.

        `count` is told how many denials were `written`, `repeated` (a part of an Event that is there already),
        `dropped` (no room) and `failed` (the API server refused). `clock` counts seconds and never goes back.
        """
        self._client = client
        self._source = source
        self._owners = owners
        self._instance = instance
        self._count = count
        self._clock = clock
        self._now = now
        self._series: OrderedDict[Key, _Series] = OrderedDict()
        self._tokens, self._filled = float(BURST), clock()
        self._said = ""

    def run(self, stop: threading.Event) -> None:
        """Read and write until `stop` is set; then write what is due, as far as that may be."""
        while not stop.is_set():
            if self._readable(TICK):
                self.read()
            self.write(stop.is_set)
        self.read()
        self.write(lambda: False)

    def _readable(self, seconds: float) -> bool:
        return bool(select.select([self._source], [], [], seconds)[0])

    def read(self) -> None:
        """Take in what workers told, up to `AT_ONCE` denials."""
        for _ in range(AT_ONCE):
            try:
                data = self._source.recv(LONGEST)
            except BlockingIOError:
                return
            self._take(orjson.loads(data))

    def _take(self, told: dict[str, Any]) -> None:
        obj = told["object"]
        if not _NAMESPACE.match(obj.get("namespace") or ""):
            self._count("dropped", 1)
            return
        key = (*(str(obj.get(part, "")) for part in ("namespace", "kind", "name", "uid")), *told["rules"])
        now = self._now()
        series = self._series.get(key)
        if series is None:
            if len(self._series) >= MOST:
                _, gone = self._series.popitem(last=False)
                if gone.count > gone.written:
                    self._count("dropped", gone.count - gone.written)
            self._series[key] = _Series(obj, told["message"][:MESSAGE], now, now)
            return
        self._series.move_to_end(key)
        series.count += 1
        series.last = now
        series.message = told["message"][:MESSAGE]

    def write(self, stopped: Callable[[], bool]) -> None:
        """Write what is due, as far as the rate allows, whoever has waited longest first."""
        now = self._clock()
        self._tokens = min(float(BURST), self._tokens + (now - self._filled) * RATE)
        self._filled = now
        due = [series for series in self._series.values() if series.count > series.written and series.due <= now]
        for series in due:
            if self._tokens < 1 or stopped():
                return
            self._tokens -= 1
            self._put(series)
            series.due = self._clock() + AGAIN
            if self._readable(0):
                self.read()  # a slow API server is no reason to have workers find no room

    def _put(self, series: _Series) -> None:
        left, count = series.count - series.written, series.count
        try:
            if not (series.name and places.repeat(self._client, series.name, self._told(series), CALL)):
                series.object = self._owner(series.object)
                series.name = places.write(self._client, self._told(series), CALL)
        except ApiError as error:
            self._count("failed", left)
            series.written = count  # once told is enough: it is the next denial that tries again
            self._say(error)
            return
        self._said = ""
        again = series.written > 0
        self._count("repeated" if again else "written", left if again else 1)
        if not again and left > 1:
            self._count("repeated", left - 1)
        series.written = count

    def _told(self, series: _Series) -> Event:
        said = (series.message, series.first, series.last, series.count)
        return Event(series.object, "Warning", REASON, *said, instance=self._instance)

    def _owner(self, obj: Object) -> Object:
        """Return the workload of a ReplicaSet, which is what people look at; the ReplicaSet where that isn't known."""
        if obj.get("kind") != "ReplicaSet" or not obj.get("uid"):
            return obj
        try:
            replica_set = self._owners.nearest(obj["namespace"], [{**obj, "controller": True}], CLIMB)
        except Unknown:
            return obj
        if replica_set is None:
            return obj
        held = (replica_set.object.get("metadata") or {}).get("ownerReferences") or ()
        found = next((each for each in held if each.get("controller") is True), None)
        if found is None:
            return obj
        return {**{key: found.get(key) for key in ("apiVersion", "kind", "name", "uid")}, "namespace": obj["namespace"]}

    def _say(self, error: ApiError) -> None:
        text = f"{error.status} {error.reason}"
        if text != self._said:  # once, and not for each of thousands
            self._said = text
            LOG.warning("an Event can't be written: %s; such are counted, and not said again", error)
