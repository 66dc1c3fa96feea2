"""Says what to do next with an authority and a certificate that several replicas share. Pure: time comes in.

The order in which an authority changes, so that no caller ever meets a certificate that it can't verify:

1. the new authority and a bundle with old *and* new are published; the certificate stays;
2. when all callers have the bundle, a certificate by the new authority follows;
3. when all replicas serve that, the old authority leaves the bundle.

A certificate that is renewed under the same authority touches neither. Whoever writes takes one step, looks again, and
takes the next: each step may be the last for a while, if the writer dies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from webhook.model.record import record
from webhook.tls import issue
from webhook.tls.issue import Fault, KeyPair

Kind = Literal["authority", "bundle", "leaf", "restore"]
LEAF_DAYS = 90
AUTHORITY_DAYS = 365
"""Of an authority whose successor we tell all callers of by ourselves: a change that is made every eight months is one
that works."""
ALONE_DAYS = 3650
"""Of an authority that people have to tell the callers of."""
TOLD = 0.1
"""The part of the time of grace that callers have after the bundle was put into the configurations."""
HEARD = 0.5
"""The part of it after which a replica that is told nothing of configurations believes the one that writes."""
MOST = 8
"""Certificates in a bundle."""


@record(frozen=True, slots=True)
class Held:
    """What the Secrets hold: bytes of any kind, empty where there are none.

    `issuer` is the certificate of the authority that signed `leaf`, kept beside it; so a certificate can be served on
    when the authority's Secret is lost. `asked` are the kinds that a person wants made anew.
    """

    authority: KeyPair
    bundle: bytes
    leaf: KeyPair
    issuer: bytes
    asked: frozenset[Kind] = frozenset()


@record(frozen=True, slots=True)
class Sight:
    """What a replica knows besides.

    `served` is the pair that it serves, `trusted` the last bundle that was whole, `told` the bundle that all webhook
    configurations have (None: nobody says). `bundle_age` and `leaf_age` are seconds for which this replica has seen
    those that the Secrets hold now: nobody's wall clock counts.
    """

    served: KeyPair | None = None
    trusted: bytes = b""
    told: bytes | None = None
    bundle_age: float = 0.0
    leaf_age: float = 0.0


@record(frozen=True, slots=True)
class Terms:
    """What a certificate has to be: its names; seconds of `grace`; whether we tell callers of a bundle ourselves."""

    names: tuple[str, ...]
    grace: float
    tells: bool


@record(frozen=True, slots=True)
class Step:
    """One thing to do, and why, as part of a sentence."""

    kind: Kind
    reason: str


def serves(held: Held, sight: Sight, terms: Terms, now: datetime) -> bool:
    """Say whether the certificate that is held is to be served now, in place of what is.

    Nothing good is given up for a certificate whose authority callers have not heard of, whoever wrote that.
    """
    before = sight.served and _signer(sight.served, (held.bundle, sight.trusted), terms, now)
    if not before:
        return _signer(held.leaf, (held.bundle, held.issuer), terms, now) is not None
    after = _signer(held.leaf, (held.bundle, sight.trusted), terms, now)
    return after is not None and (after == before or _heard(after, sight, terms))


def whole(held: Held, sight: Sight, terms: Terms, now: datetime) -> bool:
    """Say whether the bundle that is held verifies what is served, and what will be."""
    authority = issue.split(held.authority.certificate)[:1]
    needed = {*authority, *_issuers(held, sight, terms, now)}
    return bool(authority) and needed <= set(issue.split(held.bundle))


def plan(held: Held, sight: Sight, terms: Terms, now: datetime) -> Step | None:
    """Return the next step, None where all is well or something has to be waited for."""
    reason = _unfit(held.authority, now)
    if reason:
        return Step("authority", reason)
    if not whole(held, sight, terms, now):
        return Step("bundle", "it is not whole" if held.bundle.strip() else "it is empty")
    leaf = held.leaf
    found = issue.state(leaf.certificate, leaf.key, now, terms.names, held.bundle)
    if found:
        if sight.served and not _faulty(sight.served, held.bundle, terms, now) and not _due(sight.served, now):
            return Step("restore", _text(found))
        return Step("leaf", _text(found))
    authority = held.authority.certificate
    if issue.issuer(leaf.certificate, authority) is None:
        return Step("leaf", "the authority changed") if _known(held, sight, terms) else None
    if "leaf" in held.asked:
        return Step("leaf", "somebody asked for it")
    if _due(leaf, now):
        return Step("leaf", _over(leaf))
    if set(issue.split(held.bundle)) != set(issue.split(authority)[:1]):
        return Step("bundle", "an old authority is needed no more") if sight.leaf_age >= terms.grace else None
    if "authority" in held.asked:
        return Step("authority", "somebody asked for it")
    if terms.tells and _due(held.authority, now):
        return Step("authority", _over(held.authority))
    return None


def carry_out(step: Step, held: Held, sight: Sight, terms: Terms, now: datetime) -> Held:
    """Return what has to be held once `step` is taken. `authority` and `bundle` change those two, the others the
    leaf and its issuer; `asked` loses what was done."""
    if step.kind == "authority":
        made = issue.authority(now, AUTHORITY_DAYS if terms.tells else ALONE_DAYS)
        known = (made.certificate, *_issuers(held, sight, terms, now), *issue.split(held.bundle))
        return _with(held, done="authority", authority=made, bundle=_bundle(known, now))
    own = issue.split(held.authority.certificate)[0]
    if step.kind == "bundle":
        complete = whole(held, sight, terms, now)
        known = (own,) if complete else (own, *_issuers(held, sight, terms, now), *issue.split(held.bundle))
        return _with(held, bundle=_bundle(known, now))
    if step.kind == "restore" and sight.served:
        return _with(held, leaf=sight.served, issuer=issue.issuer(sight.served.certificate, held.bundle) or b"")
    names, addresses = issue.sort(terms.names)
    leaf = issue.server(held.authority, names, addresses, now, LEAF_DAYS)
    return _with(held, done="leaf", leaf=leaf, issuer=own)


def _with(
    held: Held,
    *,
    done: Kind | None = None,
    authority: KeyPair | None = None,
    bundle: bytes | None = None,
    leaf: KeyPair | None = None,
    issuer: bytes | None = None,
) -> Held:
    return Held(
        authority=authority or held.authority,
        bundle=held.bundle if bundle is None else bundle,
        leaf=leaf or held.leaf,
        issuer=held.issuer if issuer is None else issuer,
        asked=held.asked - {done} if done else held.asked,
    )


def _issuers(held: Held, sight: Sight, terms: Terms, now: datetime) -> tuple[bytes, ...]:
    """Return the authorities that callers need for what is served now, or held to be served."""
    known = (held.bundle, sight.trusted)
    served = sight.served and _signer(sight.served, known, terms, now)
    # what stands beside a certificate counts where there is nothing better: it is as good as whoever wrote it
    leaf = _signer(held.leaf, known if served else (*known, held.issuer), terms, now)
    return tuple(each for each in (leaf, served) if each)


def _signer(pair: KeyPair, bundles: Iterable[bytes], terms: Terms, now: datetime) -> bytes | None:
    """Return the authority by which a pair can be served, from the first of several bundles that has one."""
    # one by one: a bundle that is garbage must not hide those that are not
    return next((issue.issuer(pair.certificate, each) for each in bundles if not _faulty(pair, each, terms, now)), None)


def _heard(authority: bytes, sight: Sight, terms: Terms) -> bool:
    """Say whether callers know of an authority, as far as a replica can tell that doesn't write."""
    if terms.tells:
        return authority in issue.split(sight.told or b"") or sight.bundle_age >= terms.grace * HEARD
    # shorter than the writer's own time, which was longer ago for others than for one that has just started
    return sight.bundle_age >= terms.grace * TOLD


def _known(held: Held, sight: Sight, terms: Terms) -> bool:
    """Say whether callers have had the time to learn of the authority."""
    if not terms.tells:
        return sight.bundle_age >= terms.grace
    own = issue.split(held.authority.certificate)[:1]
    return set(own) <= set(issue.split(sight.told or b"")) and sight.bundle_age >= terms.grace * TOLD


def _unfit(authority: KeyPair, now: datetime) -> str:
    # An authority is its own issuer; a server's certificate put in its place would not verify as one.
    found = issue.state(authority.certificate, authority.key, now, (), authority.certificate)
    if found:
        return _text(found).replace("the certificate", "the authority's certificate")
    return "" if issue.signs(authority) else "its key is of a kind that can't sign here"


def _faulty(pair: KeyPair, ca: bytes, terms: Terms, now: datetime) -> bool:
    return bool(issue.state(pair.certificate, pair.key, now, terms.names, ca))


def _due(pair: KeyPair, now: datetime) -> bool:
    return now >= issue.window(pair.certificate)[1]


def _over(pair: KeyPair) -> str:
    return f"two thirds of its life are over, it would end on {issue.window(pair.certificate)[2]:%Y-%m-%d}"


def _bundle(known: Iterable[bytes], now: datetime) -> bytes:
    alive = [each for each in dict.fromkeys(known) if issue.window(each)[2] > now]
    return b"".join(alive[:MOST])


def _text(found: Sequence[Fault]) -> str:
    return "; ".join(fault.text for fault in found)
