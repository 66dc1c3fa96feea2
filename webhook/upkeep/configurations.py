"""Our webhook configurations: kept as the packs need them, by the replica that holds the Lease; all replicas look.

Patched on difference, never created. Hands stay off where an operator has weakened a failurePolicy, has paused one by
annotation, or has deleted it: metrics and the log say so. Every other edit is undone, less and less often where
somebody makes it again and again.
"""

from __future__ import annotations

import http.client
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from webhook.kube import entries, events
from webhook.kube.client import ApiError, Client, Object
from webhook.kube.entries import API, RESOURCES, Kept, Terms
from webhook.kube.events import Event
from webhook.kube.register import plural
from webhook.kube.watch import Watch
from webhook.model.record import record
from webhook.packs.needs import RESOURCES as PLURALS
from webhook.packs.needs import Kind, needs
from webhook.packs.rule import Ruleset
from webhook.shelf import Shelf

LOG = logging.getLogger("plimsoll")
BUNDLE = "ca-bundle"
"""On the shelf: PEM of what signed our certificates, written by who makes them."""
APPLIED = "ca-bundle.applied"
"""On the shelf: the caBundle that the API server knows in every entry by which it may call us."""
TICK = 1.0
CALL = 10.0
REST = 10.0
"""Seconds between attempts to write that the API server refuses."""
PACE = (1.0, 5.0, 15.0, 60.0)
"""Seconds to wait after each repair before the next: somebody who undoes them must not make us write without end."""
CALM = 600.0
"""Seconds without a repair after which the pace begins anew."""
DISCOVERY = 300.0
"""Seconds after which it is asked again which kinds the cluster has, of those that not every cluster has."""
AGAIN = 3600.0
"""Seconds after which the log says once more that hands are kept off."""
LATE = 60.0
"""Seconds for which one may differ from what the rules need before that is said: others may have to write it."""


class Figures(Protocol):
    """What is told how the configurations are."""

    def configuration(self, kind: str, **words: bool) -> None:
        """Hear what is the matter with one: `missing`, `paused`, `behind`, `weakened`."""
        ...

    def configuration_repaired(self, kind: str) -> None:
        """Hear that an edit was undone."""
        ...


@record(frozen=True, slots=True)
class Around:
    """What the task works with.

    `held` says whether we may write, `ruleset` gives the rules in force, `ready` says whether reviews are answered.
    `ours`: the certificate is made by ourselves, and so caBundle is ours to write.
    """

    client: Client
    shelf: Shelf
    figures: Figures
    held: Callable[[], bool]
    ruleset: Callable[[], Ruleset]
    ready: Callable[[], bool]
    ours: bool


@dataclass(slots=True)
class _Copy:
    """One configuration as last seen; `seen` says that the cluster was asked. Told by the watch's thread."""

    kind: str
    woken: threading.Event
    seen: bool = False
    object: Object | None = None
    settled: Any = None  # what it had to be when it last was that
    next: float = float("-inf")  # when it may be repaired
    repaired: tuple[int, float] = (0, float("-inf"))
    rest: float = float("-inf")
    differs: float = float("inf")  # since when, from what the rules in force need
    said: dict[str, float] = field(default_factory=dict)

    def replace(self, objects: list[Object]) -> None:
        self._take(objects[0] if objects else None)

    def put(self, obj: Object) -> None:
        self._take(obj)

    def drop(self, obj: Object) -> None:
        self._take(None)

    def _take(self, obj: Object | None) -> None:
        self.object, self.seen = obj, True
        self.woken.set()


class Configurations:
    """A task: keeps the webhook configurations of one name."""

    name = "webhooks"

    def __init__(
        self,
        around: Around,
        name: str,
        terms: Terms,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Keep the configurations called `name`; `terms` say who we are, but for our user, who is asked for."""
        self._around = around
        self._name = name
        self._terms = terms
        self._clock = clock
        self._now = now
        self._woken = threading.Event()
        self._copies = [_Copy(kind, self._woken) for kind in RESOURCES]
        self._known: tuple[Ruleset | None, Mapping[Kind, str], bool] = (None, {}, True)
        self._entries: Mapping[str, Mapping[str, Object]] = {}
        self._unwritten: Ruleset | None = None
        self._plurals: tuple[frozenset[Kind], float, Mapping[Kind, str]] = (frozenset(), float("-inf"), {})
        self._applied: bytes | None = b""
        self._said = ""
        self._asked = False

    def run(self, stop: threading.Event) -> None:
        """Keep them until `stop` is set."""
        over = threading.Event()
        followers = []
        for copy in self._copies:
            query = {"fieldSelector": f"metadata.name={self._name}"}
            watch = Watch(self._around.client, f"{API}/{RESOURCES[copy.kind]}", copy, query)
            follower = threading.Thread(target=watch.run, args=(over,), name=f"watch {copy.kind}", daemon=True)
            follower.start()
            followers.append(follower)
        try:
            while not stop.is_set() and all(follower.is_alive() for follower in followers):
                self.look()
                self._woken.wait(TICK)
                self._woken.clear()
        finally:
            over.set()  # whoever begins this task again begins watches of its own

    def look(self) -> None:
        """Look once at both configurations, and write what differs and may be written."""
        around = self._around
        for copy in self._copies:
            if copy.seen:
                self._alarm(copy)
        self._apply()
        if not self._derive():
            return
        bundle = around.shelf.get(BUNDLE) if around.ours else None
        if around.ours and bundle is None:
            return  # nobody could verify us yet
        for copy in self._copies:
            if copy.object is None or entries.paused(copy.object):
                copy.settled, copy.differs = None, float("inf")
                continue
            self._keep(copy, copy.object, bundle)

    def _keep(self, copy: _Copy, held: Object, bundle: bytes | None) -> None:
        wanted, now = self._entries[copy.kind], self._clock()
        found = self._wished(held, wanted, bundle, fill=True)
        copy.differs = min(copy.differs, now) if found.differences else float("inf")
        if not found.differences and not found.annotations:
            copy.settled = (wanted, bundle)
            return
        repair = copy.settled == (wanted, bundle)
        if not self._around.held() or now < copy.rest or (repair and now < copy.next):
            return
        try:
            written = self._write(copy, wanted, bundle)
        except ApiError as error:
            self._refused(copy, error)
            return
        self._said = ""
        if written is None:
            return
        LOG.info("%s %s is written: %s", copy.kind, self._name, "; ".join(written.differences))
        if repair:
            number = copy.repaired[0] if now - copy.repaired[1] < CALM else 0
            copy.next = now + PACE[min(number, len(PACE) - 1)]
            copy.repaired = (number + 1, now)
            self._around.figures.configuration_repaired(copy.kind)

    def _wished(self, held: Object, wanted: Mapping[str, Object], bundle: bytes | None, *, fill: bool) -> Kept:
        return entries.kept(held, wanted, bundle, fill=fill, dry_run=self._around.ruleset().dry_run)

    def _write(self, copy: _Copy, wanted: Mapping[str, Object], bundle: bytes | None) -> Kept | None:
        """Write what differs from what the API server holds now; return what, None where nothing did."""
        client, path = self._around.client, f"{API}/{RESOURCES[copy.kind]}/{self._name}"
        held = client.get(path, CALL)
        found = self._wished(held, wanted, bundle, fill=True)
        fill = True
        if _first(held, wanted) and not self._around.ready():
            fill, found = False, self._wished(held, wanted, bundle, fill=False)
        if entries.paused(held) or not (found.differences or found.annotations):
            copy.object = held
            return None
        metadata: Object = {"resourceVersion": held["metadata"]["resourceVersion"]}
        if found.annotations:
            metadata["annotations"] = dict(found.annotations)
        # with the version that was read: what another has written meanwhile is not lost, but read first
        answer = client.call("PATCH", path, CALL, {"metadata": metadata, "webhooks": found.webhooks})
        copy.object = answer
        if fill:
            copy.settled = (wanted, bundle)
        return found

    def _refused(self, copy: _Copy, error: ApiError) -> None:
        if error.status in (404, 409):
            return  # the watch will tell
        copy.rest = self._clock() + REST
        if error.status in (400, 422) and self._known[2]:
            self._unwritten = self._known[0]
            copy.rest = float("-inf")
            LOG.warning("%s; written again without the matchConditions of packs, which then are Plimsoll's", error)
        elif str(error) != self._said:
            self._said = str(error)
            LOG.error("%s %s can't be kept: %s", copy.kind, self._name, error)

    def _derive(self) -> bool:
        """Have the entries that the rules in force need at hand; say whether they are."""
        if not self._asked:
            try:
                self._terms = _introduced(self._around.client, self._terms)
            except ApiError as error:
                LOG.warning("who we are is not known yet: %s", error)
                return False
            self._asked = True
        ruleset = self._around.ruleset()
        plurals = self._resources(ruleset)
        written = self._unwritten is not ruleset
        known = self._known
        if known[0] is not ruleset or known[1] != plurals or known[2] != written:
            made = entries.wanted(ruleset, plurals, self._terms, written=written)
            self._entries, self._known = made, (ruleset, plurals, written)
        return all(copy.seen for copy in self._copies)

    def _resources(self, ruleset: Ruleset) -> Mapping[Kind, str]:
        """Return the plurals of kinds, "" for those that this cluster does not have."""
        if ruleset is self._known[0] and self._clock() < self._plurals[1] + DISCOVERY:
            return self._plurals[2]
        known = {**PLURALS, **{kind: row.resource for kind, row in ruleset.kinds.items()}}
        concerned = {kind for kinds in needs(ruleset).values() for kind in kinds}
        # a wrapper that the cluster does not have would keep selectors from being pushed down
        asked = frozenset(
            kind for kind in concerned if kind not in known or (kind in ruleset.kinds and ruleset.kinds[kind].wraps)
        )
        if asked != self._plurals[0] or self._clock() >= self._plurals[1] + DISCOVERY:
            now = self._clock()
            try:
                found = {kind: plural(self._around.client, *kind, CALL) for kind in sorted(asked)}
            except ApiError as error:
                LOG.warning("which kinds the cluster has is not known yet: %s", error)
                found = {kind: self._plurals[2].get(kind, known.get(kind, "")) for kind in asked}
                now += REST - DISCOVERY
            self._plurals = (asked, now, {**known, **found})
        else:
            self._plurals = (*self._plurals[:2], {**known, **{kind: self._plurals[2][kind] for kind in asked}})
        return self._plurals[2]

    def _apply(self) -> None:
        """Say on the shelf by which bundle the API server verifies us, where that is the same in all entries."""
        if not all(copy.seen for copy in self._copies):
            return
        found = {bundle for copy in self._copies if copy.object for bundle in entries.bundles(copy.object)}
        applied = self._around.shelf.get(BUNDLE) if not found else found.pop() if len(found) == 1 else None
        if applied != self._applied:
            if applied:
                self._around.shelf.put(APPLIED, applied)
            else:
                self._around.shelf.drop(APPLIED)
            self._applied = applied

    def _alarm(self, copy: _Copy) -> None:
        held = copy.object
        # a server that stops nobody is not weakened by an API server that doesn't either
        weak = [] if held is None or self._around.ruleset().dry_run else entries.weakened(held)
        words = {
            "missing": "" if held is not None else "it was deleted, and is not made again: nobody asks Plimsoll",
            "paused": ""
            if held is None or not entries.paused(held)
            else f"it is left alone, its caBundle too, until its annotation {entries.PAUSED} is taken away",
            "behind": ""
            if self._clock() < copy.differs + LATE
            else "it is not what the rules in force need, so that the API server may not ask about all they judge; "
            "the log of the replica that holds the Lease says why it could not be written",
            "weakened": ""
            if not weak
            else f"{', '.join(weak)}: failurePolicy is Ignore where Fail is meant, so that requests go through "
            "unjudged while Plimsoll is away; it is left so until somebody sets it to Fail",
        }
        self._around.figures.configuration(copy.kind, **{word: bool(text) for word, text in words.items()})
        for word, text in words.items():
            if not text:
                copy.said.pop(word, None)
            elif self._around.held() and self._clock() >= copy.said.get(word, float("-inf")) + AGAIN:
                copy.said[word] = self._clock()
                LOG.warning("%s %s: %s", copy.kind, self._name, text)
                if held is not None:
                    self._event(copy.kind, held, word.capitalize(), text)

    def _event(self, kind: str, held: Object, reason: str, text: str) -> None:
        now, metadata = self._now(), held["metadata"]
        about = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind}
        about |= {"name": metadata["name"], "uid": metadata["uid"]}
        try:
            events.write(self._around.client, Event(about, "Warning", reason, text, now, now), CALL)
        except ApiError as error:
            LOG.info("no Event says so: %s", error)


def _first(held: Object, wanted: Mapping[str, Object]) -> bool:
    """Say whether an entry gets its first rules: from then on the API server calls."""
    called = {hook.get("name") for hook in entries.listing(held) if hook.get("rules")}
    return not set(wanted) <= called


def _introduced(client: Client, terms: Terms) -> Terms:
    """Return the terms with our user name, as the API server knows us. Raises ApiError where it does not answer."""
    body: Object = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = client.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", CALL, body)
    except ApiError as error:
        if error.status in (403, 404):
            return terms
        raise
    name = ((answer.get("status") or {}).get("userInfo") or {}).get("username")
    return replace(terms, ourselves=name or None)


def readiness(addresses: tuple[str, ...], port: int) -> Callable[[], bool]:
    """Return what asks our own `/readyz`, on the first address that answers; it says yes where no port is known."""

    def ready() -> bool:
        for address in addresses if port else ():
            here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
            connection = http.client.HTTPConnection(here, port, timeout=2)
            try:
                connection.request("GET", "/readyz")
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                continue
            finally:
                connection.close()
        return not port

    return ready
