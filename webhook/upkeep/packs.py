"""Which packs are in force: looked for in files and in the cluster, proven here, and put where all workers see them.

One process of the pod looks, so that there is one list of packs and one watch of each kind for all workers, and so that
they all get the same packs: one value on the shelf, put in one step. Workers only compile it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from webhook.errors import ConfigError, Problem
from webhook.kube import packs as places
from webhook.kube.client import Client, Object
from webhook.kube.watch import SECONDS, Watch
from webhook.model.record import record
from webhook.packs import served
from webhook.packs.keep import Text, keep
from webhook.packs.rule import Ruleset
from webhook.shelf import PACKS, PACKS_TOLD, Shelf

LOG = logging.getLogger("plimsoll")
GATHER = 0.05
"""Seconds for which a change waits for others that come with it."""
EVERY = 0.25
SHOWN = 20
"""Problems of one source that a line of the log has."""
MOST = 1000
"""Packs of which figures tell."""


@record(frozen=True, slots=True)
class Standing:
    """How packs stand: the sources in force, what keeps others out by source, and the objects that were looked at."""

    good: frozenset[str]
    problems: Mapping[str, tuple[Problem, ...]]
    objects: Mapping[str, Object]
    """By source: RulePacks by their own, ConfigMaps by what the names of their sources begin with."""
    kept: Mapping[str, str]
    """By source the texts in force of those that have problems: their last good ones."""


class Packs:
    """A task: looks whether packs changed, whenever it is told and every some seconds."""

    name = "packs"

    def __init__(
        self,
        shelf: Shelf,
        attempt: Callable[[Sequence[Text]], Ruleset],
        files: Callable[[], Sequence[Text]],
        seconds: float,
        client: Client | None = None,
        namespace: str = "",
        clock: Callable[[], float] = time.time,
        watched: float = SECONDS,
    ) -> None:
        """Look at `files` every `seconds`, and with `client` at the cluster's packs.

        `attempt` compiles sources or raises ConfigError. What is in force is on the shelf: `begin` puts it there.
        """
        self.stir = threading.Event()
        self.adopt: Callable[[], None] = _nothing
        """Has this process take what is on the shelf."""
        self.wake: Callable[[], None] = _nothing
        """Has every worker do so, now."""
        self.stale: Callable[[str, float], None] = lambda what, seconds: None
        self.failed: Callable[[bool], None] = lambda any_: None
        """Is told whether anything is not in force as it is written."""
        self._shelf = shelf
        self._attempt = partial(_attempted, attempt)
        self._read = files
        self._seconds = seconds
        self._clock = clock
        self._files: list[Text] = []
        self._unread: tuple[Problem, ...] = ()
        self._next = 0.0
        self._seen: object = None
        self._given: tuple[object, ...] = ()
        self._begun = 0.0
        self.standing = Standing(frozenset(), {}, {}, {})
        self._nudged = False
        self._client = client
        self._namespace = namespace
        self._watched = watched
        self._watches: dict[str, Watch] = {}
        self._follow()

    def _follow(self) -> None:
        """Begin anew to know what the cluster holds: nobody who followed it before can still tell us anything."""
        self._packs = _Objects(lambda obj: served.rulepack(obj)[0], self.stir)
        self._maps = _Objects(lambda obj: served.configmap_name(str(obj["metadata"]["name"])), self.stir)
        if self._client is not None:
            client, seconds, path = self._client, self._watched, places.configmaps(self._namespace)
            page = int(places.PAGE["limit"])
            self._watches = {
                "rulepacks": Watch(client, places.RULEPACKS, self._packs, seconds=seconds, page=page),
                "configmaps": Watch(client, path, self._maps, places.LABELLED, seconds=seconds, page=page),
            }

    def begin(self, packs: Sequence[Object] | None = None, configmaps: Sequence[Object] = ()) -> None:
        """Put on the shelf what is in force from the start.

        Without a cluster (`packs` is None) all files have to be good, else ConfigError is raised. With one, what can't
        be loaded is left out and said: nobody's mistake keeps a server from starting.
        """
        self._files = list(self._read())
        if packs is None:
            self._attempt(self._files)
        else:
            self._packs.replace(list(packs))
            self._maps.replace(list(configmaps))
            self._recall()
        self._look()

    def _recall(self) -> None:
        """Have in force before anything else what the cluster keeps of packs that were broken: it was good before.

        Where it is not any more, the pack is as one that never was good.
        """
        recalled = dict(found for obj in self._packs.all().values() if (found := served.last_good(obj)))
        if recalled:
            before = [
                (name, recalled.get(name, text)) for name, text in self._wanted(self._packs.all(), self._maps.all())
            ]
            self._shelf.put(PACKS, served.dump(keep((), before, self._attempt).good))

    def run(self, stop: threading.Event) -> None:
        """Look until `stop` is set."""
        self._begun = time.monotonic()
        # The master, from which this process was forked, may know what was in force long ago.
        self._seen, self._given = None, ()
        self.adopt()
        self._follow()
        over = threading.Event()
        for what, watch in self._watches.items():
            threading.Thread(target=watch.run, args=(over,), name=f"watch {what}", daemon=True).start()
        try:
            while not stop.is_set():
                self._turn(stop)
        finally:
            over.set()  # whoever begins this task again begins watches of its own

    def _turn(self, stop: threading.Event) -> None:
        told = self.stir.wait(EVERY) or self._nudged
        if told and not stop.wait(GATHER):
            self.stir.clear()
            self._nudged = False
        if told or time.monotonic() >= self._next:
            self._next = time.monotonic() + self._seconds
            self._look_at_files()
        self._tell_quiet()
        # what the master listed before the fork may be old by now
        if all(watch.quiet is not None for watch in self._watches.values()):
            self._look()

    def nudge(self) -> None:
        """Have it look soon. Takes no lock: a handler of signals may come on top of itself, and would wait for ever."""
        self._nudged = True

    def _tell_quiet(self) -> None:
        for what, watch in self._watches.items():
            quiet = watch.quiet
            self.stale(what, time.monotonic() - self._begun if quiet is None else quiet)

    def _look_at_files(self) -> None:
        try:
            self._files, self._unread = list(self._read()), ()
        except ConfigError as error:
            self._unread = error.problems  # the files as they were read last stay

    def _look(self) -> None:
        """Have in force what is wanted now, as far as it can be."""
        packs, maps = self._packs.all(), self._maps.all()
        given = packs, maps, self._files, self._unread
        if all(one is before for one, before in zip(given, self._given, strict=False)) and self._given:
            return  # as nearly always
        self._given = given
        objects = {**packs, **maps}
        wanted = self._wanted(packs, maps)
        seen = wanted, self._unread
        if seen == self._seen:
            self.standing = replace(self.standing, objects=objects)
            return
        on_shelf = self._shelf.get(PACKS)
        good = served.restore(on_shelf)
        kept = keep(good, wanted, self._attempt)
        problems = dict(kept.problems)
        for problem in self._unread:
            problems[problem.source] = (*problems.get(problem.source, ()), problem)
        changed = on_shelf is None or list(kept.good) != good
        if changed:
            self._shelf.put(PACKS, served.dump(kept.good))
        last = {name: text for name, text in kept.good if name in problems}
        standing = Standing(frozenset(name for name, _ in kept.good), problems, objects, last)
        self._tell_figures(self._attempt(kept.good), dict(good), dict(kept.good), standing)
        self._log(self.standing.problems, standing, changed)
        if changed:
            self.adopt()
            self.wake()
        self._seen, self.standing = seen, standing
        self.failed(bool(problems))

    def _wanted(self, packs: Mapping[str, Object], maps: Mapping[str, Object]) -> list[Text]:
        wanted = list(self._files)
        wanted += [served.rulepack(obj) for _, obj in sorted(packs.items())]
        return wanted + [text for _, obj in sorted(maps.items()) for text in served.configmap(obj)]

    def _log(self, before: Mapping[str, tuple[Problem, ...]], now: Standing, changed: bool) -> None:
        for source, problems in now.problems.items():
            if before.get(source) == problems:
                continue
            stays = "its last good text stays" if source in now.good else "it is not in force"
            fields: dict[str, Any] = {"source": source, "problems": [str(problem) for problem in problems[:SHOWN]]}
            if len(problems) > SHOWN:
                fields["more"] = len(problems) - SHOWN
            LOG.error("%s can't be used: %s", source, stays, extra={"fields": fields})
        for source in sorted(before.keys() - now.problems.keys()):
            LOG.info("%s has no mistakes any more", source)
        if changed and not now.good:
            LOG.warning("no pack is in force: everything is let in until there is one")
        if changed and self._begun:
            LOG.info("packs changed", extra={"fields": {"in_force": sorted(now.good)}})

    def _tell_figures(
        self, ruleset: Ruleset, before: Mapping[str, str], after: Mapping[str, str], now: Standing
    ) -> None:
        """Put what /metrics says of packs on the shelf: name and version, since when, which sources are broken."""
        said: dict[str, Any] = orjson.loads(self._shelf.get(PACKS_TOLD) or b"{}")
        since: dict[str, float] = said.get("loaded", {})
        packs = ruleset.packs[:MOST]
        same = {name for name, text in after.items() if before.get(name) == text}
        told = {
            "info": [[pack.name, pack.version] for pack in packs],
            "loaded": {
                pack.name: since[pack.name] if pack.name in since and pack.source in same else self._clock()
                for pack in packs
            },
            "broken": {source: source in now.problems for source in sorted({*after, *now.problems})[:MOST]},
        }
        self._shelf.put(PACKS_TOLD, orjson.dumps(told))


class _Objects:
    """A sink of a watch: the objects as they are now."""

    def __init__(self, name: Callable[[Object], str], stir: threading.Event) -> None:
        self._name = name
        self._stir = stir
        self._held: Mapping[str, Object] = {}

    def all(self) -> Mapping[str, Object]:
        return self._held

    def replace(self, objects: list[Object]) -> None:
        self._held = {self._name(obj): obj for obj in objects}
        self._stir.set()

    def put(self, obj: Object) -> None:
        self._held = {**self._held, self._name(obj): obj}
        self._stir.set()

    def drop(self, obj: Object) -> None:
        gone = self._name(obj)
        self._held = {name: held for name, held in self._held.items() if name != gone}
        self._stir.set()


def _attempted(attempt: Callable[[Sequence[Text]], Ruleset], texts: Sequence[Text]) -> Ruleset:
    """Compile texts. What fails by a bug of ours can't be loaded, either, and keeps no other pack from being."""
    try:
        return attempt(texts)
    except ConfigError:
        raise
    except Exception as error:
        LOG.exception("a pack can't be compiled, which is a bug of Plimsoll's own")
        text = f"Plimsoll fails on it, which is a bug of its own; its log has the place ({type(error).__name__})"
        raise ConfigError([Problem("", 0, "", text)]) from error


def _nothing() -> None:
    """Do nothing."""
