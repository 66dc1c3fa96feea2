"""Keeps the certificate: what two Secrets hold goes onto the shelf, and who holds the Lease makes it good and new.

`NAME` has `tls.crt`, `tls.key`, and `ca.crt`, the authority that signed them. `NAME-ca` has `ca.crt` and `ca.key`, the
authority that signs, and `ca-bundle.crt`, all that callers have to know. What is to be done, `tls.rotate` says.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from operator import is_
from typing import Protocol

from webhook.kube import kept
from webhook.kube.client import ApiError, Client, Object
from webhook.kube.kept import Kept
from webhook.model.record import record
from webhook.shelf import Shelf
from webhook.tls import issue, rotate, store
from webhook.tls.issue import KeyPair
from webhook.tls.rotate import Held, Kind, Sight, Step, Terms

LOG = logging.getLogger("plimsoll")
RENEW = "plimsoll.dev/renew"
"""An annotation by which a person has a Secret's certificate made anew; its value says nothing."""
EVERY = 1.0
IDLE = 10.0
"""Seconds between two looks at what has not changed: only the time has."""
CHECK = 30.0
"""Seconds between two handshakes with ourselves."""
SETTLED = 5.0
"""Seconds after which workers serve what was put onto the shelf."""
REST = 5.0
"""Seconds before a write that failed is tried again."""
STEPS = 4
"""Taken at once: an authority, a certificate; whatever else there is to be done, the next turn does."""


class Figures(Protocol):
    """What is told how it goes (observe.metrics.Metrics)."""

    def renewed(self, step: str, result: str) -> None:
        """Count a step: done, failed, conflict."""
        ...

    def expect_renewals(self) -> None:
        """Show what may be counted."""
        ...

    def authority(self, secret: str, seconds: float) -> None:
        """Say how long the authority lasts."""
        ...

    def verified(self, *, well: bool) -> None:
        """Say whether callers can verify us."""
        ...

    def quiet(self, watch: str, seconds: float) -> None:
        """Say for how long a watch has been silent."""
        ...


@record(frozen=True, slots=True)
class Post:
    """Where this replica stands: the client, the namespace and the Secret's name, the shelf, the figures.

    `writes` says whether we may write for all now, `hindrance` what keeps us from finding out. `verify` says why
    callers that trust a bundle can't verify us, empty where they can, and raises OSError where that can't be told.
    """

    client: Client
    namespace: str
    secret: str
    shelf: Shelf
    figures: Figures
    writes: Callable[[], bool]
    hindrance: Callable[[], str] = lambda: ""
    verify: Callable[[bytes], str] = lambda bundle: ""


class Certificates:
    """A task: keeps the certificate that the workers serve."""

    name = "certificates"

    def __init__(
        self,
        post: Post,
        terms: Terms,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Keep it as `terms` say; `clock` counts seconds, `now` is the wall clock, for a certificate's times."""
        self._post = post
        self._terms = terms
        self._clock = clock
        self._now = now
        self._wake = threading.Event()
        self._leaf = Kept(post.client, post.namespace, post.secret, self._wake.set)
        self._authority = Kept(post.client, post.namespace, f"{post.secret}-ca", self._wake.set)
        self._since: dict[str, tuple[bytes, float]] = {}
        self._said = ""
        self._again = self._check = clock()
        self._begun = clock()
        self._last: tuple[object, ...] = ()
        self._next = clock()

    def run(self, stop: threading.Event) -> None:
        """Keep it until `stop` is set."""
        over = threading.Event()
        self._post.figures.expect_renewals()
        for secret in (self._leaf, self._authority):
            name = f"watch {secret.name}"
            threading.Thread(target=secret.follow, args=(over,), name=name, daemon=True).start()
        try:
            while not stop.is_set():
                self.turn()
                self._wake.wait(EVERY)
                self._wake.clear()
        finally:
            over.set()

    def turn(self) -> None:
        """Look once at what is held, serve what is good, and mend what isn't if that is ours to do."""
        try:
            leaf, authority = self._leaf.seen(), self._authority.seen()
        except ApiError as error:
            self._lack(f"the Secrets {self._leaf.place} and {self._authority.place} can't be read: {error}")
            return
        if self._clock() < self._next and self._same(leaf, authority):
            return
        self._next = self._clock() + min(IDLE, self._terms.grace * rotate.TOLD)
        held = _held(leaf, authority)
        self._serve(held)
        step = rotate.plan(held, self._sight(held), self._terms, self._now())
        missing = [
            secret.place for secret, found in ((self._leaf, leaf), (self._authority, authority)) if found is None
        ]
        if step:
            self._take(step, missing)
        elif missing:
            self._say(_made(missing))
        self._report(held)

    def _same(self, *secrets: Object | None) -> bool:
        """Say whether all is as it was at the last call; to look into certificates takes some milliseconds."""
        shelf = self._post.shelf
        rest = (*map(shelf.stamp, (store.PAIR, store.BUNDLE, store.TOLD)), self._post.writes(), self._post.hindrance())
        before, self._last = self._last, (*secrets, rest)
        return len(before) == len(self._last) and before[-1] == rest and all(map(is_, before[:-1], secrets))

    def _serve(self, held: Held) -> None:
        """Put onto the shelf what is good of what is held; what was good before stays otherwise."""
        shelf, now = self._post.shelf, self._now()
        data = store.join(held.leaf)
        if shelf.get(store.PAIR) != data and rotate.serves(held, self._sight(held), self._terms, now):
            shelf.put(store.PAIR, data)
            self._check = self._clock() + SETTLED
            LOG.info("the certificate of %s is served", self._leaf.place)
        whole = rotate.whole(held, self._sight(held), self._terms, now)
        if whole and shelf.get(store.BUNDLE) != held.bundle:
            shelf.put(store.BUNDLE, held.bundle)
            self._check = self._clock() + SETTLED

    def _sight(self, held: Held) -> Sight:
        shelf = self._post.shelf
        return Sight(
            served=store.part(shelf.get(store.PAIR) or b""),
            trusted=shelf.get(store.BUNDLE) or b"",
            told=shelf.get(store.TOLD),
            bundle_age=self._age("bundle", held.bundle),
            leaf_age=self._age("leaf", held.leaf.certificate),
        )

    def _age(self, what: str, data: bytes) -> float:
        """Return for how many seconds we have seen this."""
        if self._since.get(what, (None, 0.0))[0] != data:
            self._since[what] = data, self._clock()
        return self._clock() - self._since[what][1]

    def _take(self, step: Step, missing: list[str]) -> None:
        wanted = f"{_WHAT[step.kind]} has to be made anew ({step.reason})"
        if missing:
            self._lack(f"{wanted}, but {_made(missing)}")
        elif not self._post.writes():
            who = self._post.hindrance() or "the replica that holds the Lease does it, which this one does not"
            self._lack(f"{wanted}; {who}", quiet=True)
        elif self._clock() >= self._again:
            try:
                self._write()
            except ApiError as error:
                if error.status == 409:
                    return  # somebody else was faster; the watch tells what came of it
                self._again = self._clock() + REST
                self._lack(f"{wanted}, but that can't be written: {_discreet(error)}")

    def _write(self) -> None:
        """Take the next steps, each on what the Secrets hold at that moment."""
        for _ in range(STEPS):
            leaf, authority = self._leaf.fresh(), self._authority.fresh()
            if leaf is None or authority is None or not self._post.writes():
                return
            held = _held(leaf, authority)
            sight = self._sight(held)
            step = rotate.plan(held, sight, self._terms, self._now())
            if step is None:
                return
            after = rotate.carry_out(step, held, sight, self._terms, self._now())
            try:
                if step.kind in ("authority", "bundle"):
                    self._authority.write(authority, _authority(after), _done(held, after, "authority"))
                else:
                    self._leaf.write(leaf, _leaf(after), _done(held, after, "leaf"))
            except ApiError as error:
                self._post.figures.renewed(step.kind, "conflict" if error.status == 409 else "failed")
                raise
            self._post.figures.renewed(step.kind, "done")
            LOG.warning("%s was made anew: %s", _WHAT[step.kind], step.reason)
            self._serve(after)

    def _report(self, held: Held) -> None:
        figures, shelf = self._post.figures, self._post.shelf
        for secret in (self._leaf, self._authority):
            quiet = secret.quiet
            figures.quiet(secret.name, self._clock() - self._begun if quiet is None else quiet)
        own = issue.split(held.authority.certificate)[:1]
        if own:
            seconds = issue.window(own[0])[2] - self._now()
            figures.authority(self._authority.name, seconds.total_seconds())
        bundle = shelf.get(store.TOLD) if self._terms.tells else shelf.get(store.BUNDLE)
        if bundle is not None and shelf.get(store.PAIR) and self._clock() >= self._check:
            self._check = self._clock() + CHECK
            self._verify(bundle)

    def _verify(self, bundle: bytes) -> None:
        """Say whether callers can verify us; no more than that, since none of the other replicas would fare better."""
        try:
            problem = self._post.verify(bundle)
        except OSError as error:
            LOG.info("the certificate can't be tried on ourselves: %s", error)
            return
        self._post.figures.verified(well=not problem)
        if problem:
            LOG.error("API servers can't verify what we serve with the bundle that they were told: %s", problem)

    def _lack(self, text: str, *, quiet: bool = False) -> None:
        """Say what is wrong, to probes too while there is nothing to serve; `quiet` where it is another's to mend."""
        if not self._post.shelf.get(store.PAIR) and self._post.shelf.get(store.REASON) != text.encode():
            self._post.shelf.put(store.REASON, text.encode())
        if not quiet:
            self._say(text)

    def _say(self, text: str) -> None:
        if text != self._said:  # once, and not every second
            LOG.error("%s", text)
            self._said = text


_WHAT = {
    "authority": "the certificate's authority",
    "bundle": "the bundle of authorities",
    "leaf": "the certificate",
    "restore": "the Secret of the certificate",
}


def _held(leaf: Object | None, authority: Object | None) -> Held:
    pairs: tuple[tuple[Object | None, Kind], ...] = ((leaf, "leaf"), (authority, "authority"))
    return Held(
        authority=KeyPair(kept.value(authority, "ca.crt"), kept.value(authority, "ca.key")),
        bundle=kept.value(authority, "ca-bundle.crt"),
        leaf=KeyPair(kept.value(leaf, "tls.crt"), kept.value(leaf, "tls.key")),
        issuer=kept.value(leaf, "ca.crt"),
        asked=frozenset(kind for found, kind in pairs if RENEW in kept.notes(found)),
    )


def _authority(held: Held) -> dict[str, bytes]:
    return {"ca.crt": held.authority.certificate, "ca.key": held.authority.key, "ca-bundle.crt": held.bundle}


def _leaf(held: Held) -> dict[str, bytes]:
    return {"tls.crt": held.leaf.certificate, "tls.key": held.leaf.key, "ca.crt": held.issuer}


def _done(before: Held, after: Held, kind: Kind) -> str | None:
    return RENEW if kind in before.asked - after.asked else None


def _made(missing: list[str]) -> str:
    """Say how to make what is missing, which we may not."""
    commands = [
        f"kubectl -n {namespace} create secret generic {name}"
        for namespace, _, name in (place.partition("/") for place in missing)
    ]
    verb = "there is no Secret " + " and none ".join(missing)
    return f"{verb}; make it, empty (Plimsoll fills it, but may not make it): {'; '.join(commands)}"


def _discreet(error: ApiError) -> str:
    """Return what the API server says of a write, unless it quotes what was written."""
    text = str(error)
    return "the answer quotes the Secret, so it is not shown" if "LS0tLS1" in text or "-----BEGIN" in text else text
