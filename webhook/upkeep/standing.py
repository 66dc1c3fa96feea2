"""Says of each pack where it stands how it is: the status of RulePacks, and Events."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

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
        self._done: dict[tuple[str, str], _Done] = {}
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
            else:
                self._done.clear()  # another replica goes on, and the objects say how far it came

    def attempt(self) -> None:
        """Write what is to be written now. What fails is owed: raises ApiError for the first that did, when all others
        are written, or at once where there was no answer at all.
        """
        standing = self._packs.standing
        present = {(source, str(obj["metadata"].get("uid"))): obj for source, obj in standing.objects.items()}
        # one that was deleted and made anew is another, however soon it came
        self._done = {key: self._done.get(key) or _Done(_state(obj)) for key, obj in present.items()}
        failed: ApiError | None = None
        for (source, _), done in self._done.items():
            try:
                self._say(source, standing.objects[source], standing, done)
            except ApiError as error:
                if not error.status:
                    raise
                failed = failed or error
        if failed is not None:
            raise failed

    def _say(self, source: str, obj: Object, standing: Standing, done: _Done) -> None:
        if not source.startswith(OBJECT):
            self._of_map(source, obj, standing, done)
            return
        problems, kept = standing.problems.get(source, ()), standing.kept.get(source, "")
        counts = self._counts_now()
        wanted = saying.status(obj, source, standing.good, problems, self._ruleset(), self._now(), counts, kept)
        if not self._due(obj, wanted, done) or self._write(obj, wanted, done):
            self._of_pack(obj, wanted, done)

    def _counts_now(self) -> Counted | None:
        asked, counted = self._counted
        if self._clock() - asked >= REST:
            counted = Counted(self._pod, self._since, self._counts())
            self._counted = self._clock(), counted
        return counted

    def _due(self, obj: Object, wanted: Mapping[str, Any], done: _Done) -> bool:
        differs = saying.differs(obj, wanted)
        counts = (obj.get("status") or {}).get("findings") or {}
        recounted = "findings" in wanted and {**counts, "since": ""} != {**wanted["findings"], "since": ""}
        if not differs and not recounted:
            return False
        last, said = done.wrote
        # whoever else writes this status is answered as seldom as a count is told
        return self._clock() - last >= (SOON if differs and said != _core(wanted) else REST)

    def _write(self, obj: Object, wanted: dict[str, Any], done: _Done) -> bool:
        """Write the status; False where the pack was deleted meanwhile."""
        done.wrote = self._clock(), _core(wanted)
        try:
            places.write_status(self._client, obj["metadata"]["name"], saying.change(obj, wanted))
        except ApiError as error:
            if error.status != places.NOT_FOUND:
                raise
            return False
        return True

    def _of_pack(self, obj: Object, wanted: Mapping[str, Any], done: _Done) -> None:
        """Write an Event on a RulePack where there is something new to say."""
        [condition] = wanted["conditions"]
        if condition["status"] in ("True", "False"):  # else it is being loaded, and there is nothing to say yet
            self._tell(obj, (condition["status"], condition["message"]), condition["message"], done)

    def _of_map(self, source: str, obj: Object, standing: Standing, done: _Done) -> None:
        """Write an Event on a ConfigMap, which has no status."""
        found = {name: problems for name, problems in standing.problems.items() if name.startswith(source)}
        problems = tuple(problem for name in sorted(found) for problem in found[name])
        after = ("False" if problems else "True", problems)
        if done.told == after:
            return
        stays = "the last good text stays in force" if found.keys() <= standing.good else "not all is in force"
        message = saying.told(problems, stays, saying.EVENT) if problems else "in force as it is written"
        self._tell(obj, after, message, done)

    def _tell(self, obj: Object, after: tuple[str, object], message: str, done: _Done) -> None:
        """Write an Event, so that `after` is told; later where it can't be now, or one was a moment ago.

        That an object is in force is said where an Event said that it was not.
        """
        if done.told == after:
            return
        broken = after[0] == "False"
        if not broken and done.told[0] != "False":
            done.told = after
            return
        kind: Literal["Normal", "Warning"] = "Warning" if broken else "Normal"
        reason = "NotLoaded" if broken else "Loaded"
        if self._clock() - done.events.get(reason, float("-inf")) < EVENTS:
            return
        done.events[reason] = self._clock()
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
        done.told = after


class _Done:
    """What was done for an object so far: its status as it was written last, and what Events told of it."""

    def __init__(self, told: tuple[str, object]) -> None:
        self.wrote: tuple[float, object] = (float("-inf"), None)
        self.told = told
        self.events: dict[str, float] = {}
        """When one was written last, or tried, by its reason."""


def _state(obj: Object) -> tuple[str, object]:
    """Return what a RulePack says of itself: whoever wrote that wrote the Event too."""
    before = saying.condition(obj)
    return str(before.get("status") or ""), before.get("message")


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
