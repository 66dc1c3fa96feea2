"""Says of each pack where it stands how it is: the status of RulePacks, and Events."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from webhook.errors import Problem
from webhook.kube import events
from webhook.kube import packs as places
from webhook.kube.client import ApiError, Client, Object
from webhook.kube.events import Event
from webhook.packs import status as saying
from webhook.packs.parse import OBJECT
from webhook.packs.rule import Ruleset
from webhook.packs.served import LAST_GOOD
from webhook.packs.status import Counted
from webhook.upkeep.packs import Packs, Standing

LOG = logging.getLogger("plimsoll")
EVERY = 0.5
REST = 30.0
"""Seconds between two writes of one status that say the same but for counts, and after a write that failed."""
SOON = 1.0
"""Seconds between two writes of one status in any case: the watch has told of the first by then."""
EVENTS = 10.0
"""Seconds between two Events of one reason on one object."""


class Status:
    """A task: keeps the status of RulePacks, as long as this replica is the one that writes."""

    name = "status"

    def __init__(
        self,
        client: Client,
        packs: Packs,
        ruleset: Callable[[], Ruleset],
        held: Callable[[], bool],
        pod: str,
        counts: Callable[[], Mapping[tuple[str, str, str], int]],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Write what `packs` found, for all replicas while `held()`; `counts` are the findings of this pod."""
        self._client = client
        self._packs = packs
        self._ruleset = ruleset
        self._held = held
        self._pod = pod
        self._counts = counts
        self._clock = clock
        self._now = now
        self._since = now()
        self._wrote: dict[str, tuple[float, object]] = {}
        self._evented: dict[str, dict[str, float]] = {}
        self._told: dict[str, tuple[Problem, ...]] = {}
        self._said = ""
        self._counted: tuple[float, Counted | None] = (float("-inf"), None)

    def run(self, stop: threading.Event) -> None:
        """Do so until `stop` is set."""
        while not stop.wait(EVERY):
            if self._held():
                try:
                    self.attempt()
                    self._said = ""
                except ApiError as error:
                    if str(error) != self._said:  # once, and not twice a second
                        LOG.warning("what becomes of packs can't be said in the cluster: %s", error)
                        self._said = str(error)
                    stop.wait(SOON)

    def attempt(self) -> None:
        """Write what is to be written now. Raises ApiError for the first write that fails."""
        standing = self._packs.standing
        for source, obj in standing.objects.items():
            if not source.startswith(OBJECT):
                self._of_map(source, obj, standing)
                continue
            problems = standing.problems.get(source, ())
            wanted = saying.status(
                obj,
                source,
                standing.good,
                problems,
                self._ruleset(),
                self._now(),
                self._counts_now(),
                standing.kept.get(source, ""),
            )
            if self._due(source, obj, wanted):
                self._write(source, obj, wanted)
        known: dict[str, Any]
        for known in (self._wrote, self._evented, self._told):
            for source in known.keys() - standing.objects.keys():
                del known[source]

    def _counts_now(self) -> Counted | None:
        asked, counted = self._counted
        if self._clock() - asked >= REST:
            counted = Counted(self._pod, self._since, self._counts())
            self._counted = self._clock(), counted
        return counted

    def _due(self, source: str, obj: Object, wanted: Mapping[str, Any]) -> bool:
        differs = saying.differs(obj, wanted)
        counts = (obj.get("status") or {}).get("findings") or {}
        recounted = "findings" in wanted and {**counts, "since": ""} != {**wanted["findings"], "since": ""}
        if not differs and not recounted:
            return False
        last, said = self._wrote.get(source, (float("-inf"), None))
        # whoever else writes this status is answered as seldom as a count is told
        return self._clock() - last >= (SOON if differs and said != _core(wanted) else REST)

    def _write(self, source: str, obj: Object, wanted: dict[str, Any]) -> None:
        self._wrote[source] = self._clock(), _core(wanted)
        name = obj["metadata"]["name"]
        try:
            places.write_status(self._client, name, saying.change(obj, wanted))
        except ApiError as error:
            if error.status != places.NOT_FOUND:  # deleted meanwhile
                raise
            return
        before, [after] = saying.condition(obj), wanted["conditions"]
        if (before.get("status"), before.get("message")) == (after["status"], after["message"]):
            return
        if after["status"] == "False":
            self._event(source, obj, "Warning", "NotLoaded", after["message"])
        elif before.get("status") == "False":
            self._event(source, obj, "Normal", "Loaded", after["message"])

    def _of_map(self, source: str, obj: Object, standing: Standing) -> None:
        """Write an Event on a ConfigMap, which has no status."""
        found = {name: problems for name, problems in standing.problems.items() if name.startswith(source)}
        problems = tuple(problem for name in sorted(found) for problem in found[name])
        before = self._told.get(source, ())
        if problems == before:
            return
        self._told[source] = problems
        if problems:
            stays = "the last good text stays in force" if found.keys() <= standing.good else "not all is in force"
            self._event(source, obj, "Warning", "NotLoaded", saying.told(problems, stays, saying.EVENT))
        else:
            self._event(source, obj, "Normal", "Loaded", "in force as it is written")

    def _event(self, source: str, obj: Object, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        last = self._evented.setdefault(source, {})
        if self._clock() - last.get(reason, float("-inf")) < EVENTS:
            return
        last[reason] = self._clock()
        meta = obj["metadata"]
        about = {
            "apiVersion": obj.get("apiVersion") or "v1",
            "kind": obj.get("kind") or "ConfigMap",  # items of a list of these don't say what they are
            "name": meta["name"],
            "uid": meta.get("uid"),
            **({"namespace": meta["namespace"]} if meta.get("namespace") else {}),
        }
        if len(message) > saying.EVENT:
            message = message[: saying.EVENT - 30].rpartition("\n")[0] + "\n... the status has all"
        now = self._now()
        events.write(self._client, Event(about, kind, reason, message, now, now, instance=self._pod), places.CALL)


def _core(wanted: Mapping[str, Any]) -> object:
    """Return what a status says, counts and times aside."""
    [condition] = wanted["conditions"]
    return (
        wanted["observedGeneration"],
        condition["status"],
        condition["reason"],
        condition["message"],
        wanted["version"],
        wanted["rules"],
        wanted.get(LAST_GOOD),
    )
