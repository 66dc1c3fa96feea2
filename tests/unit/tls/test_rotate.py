"""What is done next with an authority and a certificate: each state they can be in, with time as an argument."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from webhook.tls import issue, rotate
from webhook.tls.issue import KeyPair
from webhook.tls.rotate import Held, Sight, Step, Terms

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
NAMES = ("127.0.0.1", "plimsoll", "plimsoll.ns.svc")
TERMS = Terms(NAMES, grace=600.0, tells=True)
ALONE = Terms(NAMES, grace=600.0, tells=False)
EMPTY = Held(KeyPair(b"", b""), b"", KeyPair(b"", b""), b"")


def leaf(ca: KeyPair, now: datetime = NOW, names: tuple[str, ...] = NAMES, days: int = 90) -> KeyPair:
    return issue.server(ca, *issue.sort(names), now, days)


def settled(now: datetime = NOW) -> Held:
    """Return what is held when all is well."""
    ca = issue.authority(now, 365)
    return Held(ca, ca.certificate, leaf(ca, now), ca.certificate)


def with_(held: Held, **fields: object) -> Held:
    names = ("authority", "bundle", "leaf", "issuer", "asked")
    return Held(**{**{name: getattr(held, name) for name in names}, **fields})  # type: ignore[arg-type]


def sight(**fields: object) -> Sight:
    return Sight(**fields)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def well() -> Held:
    return settled()


def kind(step: Step | None) -> str | None:
    return step.kind if step else None


def run(
    held: Held, terms: Terms = TERMS, now: datetime = NOW, look: Callable[[Held], Sight] = lambda held: Sight()
) -> tuple[list[str], Held]:
    """Take steps until there is none, and return their kinds and what is held then."""
    taken: list[str] = []
    while step := rotate.plan(held, look(held), terms, now):
        taken.append(step.kind)
        held = rotate.carry_out(step, held, look(held), terms, now)
        assert len(taken) < 10, taken
    return taken, held


def serves(held: Held, bundle: bytes, now: datetime = NOW) -> bool:
    return not issue.state(held.leaf.certificate, held.leaf.key, now, NAMES, bundle)


def test_what_is_well_is_left_alone(well: Held) -> None:
    assert rotate.plan(well, Sight(), TERMS, NOW) is None
    assert rotate.serves(well, Sight(), TERMS, NOW)


def test_empty_secrets_get_an_authority_and_a_certificate() -> None:
    taken, held = run(EMPTY)
    assert taken == ["authority", "leaf"]
    assert held.bundle == held.authority.certificate == held.issuer
    assert serves(held, held.bundle)


def spoilt(well: Held) -> dict[str, Held]:
    other = settled()
    return {
        "missing": with_(well, leaf=KeyPair(b"", b"")),
        "empty": with_(well, leaf=KeyPair(b"\n", b" ")),
        "expired": with_(well, leaf=leaf(well.authority, NOW - 200 * DAY)),
        "early": with_(well, leaf=leaf(well.authority, NOW + 2 * DAY)),
        "name": with_(well, leaf=leaf(well.authority, names=("elsewhere.example",))),
        "key": with_(well, leaf=KeyPair(well.leaf.certificate, other.leaf.key)),
        "authority": with_(well, leaf=other.leaf),
        "garbage": with_(well, leaf=KeyPair(b"\x00\xff", b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----")),
    }


@pytest.mark.parametrize("state", ["missing", "empty", "expired", "early", "name", "key", "authority", "garbage"])
def test_a_bad_certificate_is_made_anew_at_once_and_the_authority_stays(well: Held, state: str) -> None:
    bad = spoilt(well)[state]
    assert not rotate.serves(bad, Sight(), TERMS, NOW)
    taken, held = run(bad)
    assert taken == ["leaf"]
    assert (held.authority, held.bundle) == (well.authority, well.bundle)
    assert serves(held, well.bundle)


@pytest.mark.parametrize("bundle", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_bad_bundle_is_put_together_again_and_the_certificate_goes_on(well: Held, bundle: bytes) -> None:
    bad = with_(well, bundle=bundle)
    assert rotate.serves(bad, Sight(), TERMS, NOW), "its authority stands beside it"
    taken, held = run(bad)
    assert taken == ["bundle"]
    assert held == well


def bad_authorities(well: Held) -> dict[str, KeyPair]:
    other = issue.authority(NOW, 365)
    return {
        "empty": KeyPair(b"", b""),
        "garbage": KeyPair(b"x", b"y"),
        "key": KeyPair(well.authority.certificate, other.key),
        "expired": issue.authority(NOW - 400 * DAY, 365),
        "early": issue.authority(NOW + 2 * DAY, 365),
        "server": well.leaf,
    }


@pytest.mark.parametrize("state", ["empty", "garbage", "key", "expired", "early", "server"])
def test_a_bad_authority_is_made_anew_and_what_is_served_stays_verified(well: Held, state: str) -> None:
    bad = with_(well, authority=bad_authorities(well)[state], bundle=b"")
    taken, held = run(bad)
    assert taken == ["authority"], "the certificate waits until callers know the new authority"
    assert held.leaf == well.leaf
    assert serves(held, held.bundle)
    assert issue.split(held.authority.certificate)[0] in issue.split(held.bundle)


def test_both_secrets_lost_under_load_get_back_what_is_served(well: Held) -> None:
    seen = sight(served=well.leaf, trusted=well.bundle)
    taken, held = run(EMPTY, look=lambda held: seen)
    assert taken == ["authority", "restore"]
    assert (held.leaf, held.issuer) == (well.leaf, well.issuer)
    assert serves(held, held.bundle)


def test_a_certificate_lost_under_load_is_the_served_one_again(well: Held) -> None:
    seen = sight(served=well.leaf, trusted=well.bundle)
    taken, held = run(with_(well, leaf=KeyPair(b"", b"")), look=lambda held: seen)
    assert taken == ["restore"]
    assert held == well


def test_what_is_served_is_not_put_back_when_it_is_due(well: Held) -> None:
    late = NOW + 61 * DAY
    seen = sight(served=well.leaf, trusted=well.bundle)
    assert kind(rotate.plan(with_(well, leaf=KeyPair(b"", b"")), seen, TERMS, late)) == "leaf"


@pytest.mark.parametrize(("days", "wanted"), [(59, None), (60, "leaf"), (89, "leaf"), (200, "leaf")])
def test_a_certificate_is_renewed_from_two_thirds_of_its_life_on_and_when_it_is_over(
    well: Held, days: int, wanted: str | None
) -> None:
    held = well
    assert kind(rotate.plan(held, Sight(), TERMS, NOW + days * DAY)) == wanted
    if wanted:
        after = rotate.carry_out(Step("leaf", ""), held, Sight(), TERMS, NOW + days * DAY)
        assert (after.authority, after.bundle) == (held.authority, held.bundle), "callers have to be told nothing"
        assert issue.window(after.leaf.certificate)[0] == NOW + days * DAY - timedelta(hours=1)


def test_an_authority_changes_in_three_steps_none_of_which_leaves_a_caller_behind(well: Held) -> None:
    now = NOW + 244 * DAY
    held = with_(well, leaf=leaf(well.authority, now))
    seen = sight(told=well.bundle, bundle_age=9999.0, leaf_age=9999.0)
    step = rotate.plan(held, seen, TERMS, now)
    assert kind(step) == "authority" and step and "two thirds" in step.reason
    between = rotate.carry_out(step, held, seen, TERMS, now)
    assert len(issue.split(between.bundle)) == 2
    assert between.leaf == held.leaf and serves(between, between.bundle, now)
    # not before the configurations have it, however long that takes
    assert rotate.plan(between, seen, TERMS, now) is None
    # and not at once, since API servers have to hear of it
    assert rotate.plan(between, sight(told=between.bundle, bundle_age=59.0), TERMS, now) is None
    step = rotate.plan(between, sight(told=between.bundle, bundle_age=60.0), TERMS, now)
    assert kind(step) == "leaf" and step
    after = rotate.carry_out(step, between, Sight(), TERMS, now)
    assert serves(after, after.authority.certificate, now) and not serves(after, well.bundle, now)
    assert serves(after, between.bundle, now)
    # not before the other replicas serve it
    assert rotate.plan(after, sight(leaf_age=599.0), TERMS, now) is None
    step = rotate.plan(after, sight(leaf_age=600.0), TERMS, now)
    assert kind(step) == "bundle" and step
    last = rotate.carry_out(step, after, Sight(), TERMS, now)
    assert last.bundle == last.authority.certificate
    assert rotate.plan(last, sight(leaf_age=600.0), TERMS, now) is None


def test_where_nobody_tells_callers_an_authority_is_changed_only_when_asked_and_after_the_grace(well: Held) -> None:
    assert rotate.plan(with_(well, leaf=leaf(well.authority, NOW + 300 * DAY)), Sight(), ALONE, NOW + 300 * DAY) is None
    asked = with_(well, asked=frozenset({"authority"}))
    step = rotate.plan(asked, Sight(), ALONE, NOW)
    assert kind(step) == "authority" and step
    between = rotate.carry_out(step, asked, Sight(), ALONE, NOW)
    assert between.asked == frozenset()
    assert issue.window(between.authority.certificate)[2] - NOW == 3650 * DAY
    assert rotate.plan(between, sight(bundle_age=599.0), ALONE, NOW) is None
    assert kind(rotate.plan(between, sight(bundle_age=600.0), ALONE, NOW)) == "leaf"


def test_a_certificate_that_is_asked_for_is_made_once(well: Held) -> None:
    asked = with_(well, asked=frozenset({"leaf"}))
    taken, held = run(asked)
    assert taken == ["leaf"]
    assert held.asked == frozenset() and held.leaf != well.leaf


def test_an_authority_that_is_asked_for_in_the_middle_of_a_change_waits_for_its_end(well: Held) -> None:
    between = rotate.carry_out(Step("authority", ""), well, Sight(), TERMS, NOW)
    asked = with_(between, asked=frozenset({"authority"}))
    assert rotate.plan(asked, Sight(), TERMS, NOW) is None


def test_a_certificate_that_ends_in_the_middle_of_a_change_is_replaced_even_so(well: Held) -> None:
    between = rotate.carry_out(Step("authority", ""), well, Sight(), TERMS, NOW)
    assert kind(rotate.plan(between, Sight(), TERMS, NOW + 91 * DAY)) == "leaf"


def test_a_bundle_keeps_no_authority_that_is_over_and_not_more_than_some(well: Held) -> None:
    crowd = [issue.authority(NOW, 365).certificate for _ in range(12)] + [
        issue.authority(NOW - 400 * DAY, 365).certificate
    ]
    bad = with_(well, authority=KeyPair(b"", b""), bundle=b"".join(reversed(crowd)))
    held = rotate.carry_out(Step("authority", ""), bad, Sight(), TERMS, NOW)
    assert len(issue.split(held.bundle)) == rotate.MOST
    assert crowd[-1] not in issue.split(held.bundle)
    assert serves(held, held.bundle)


@pytest.mark.parametrize("minutes", [-10, 10])
def test_clocks_may_differ_by_ten_minutes(minutes: int) -> None:
    issued = settled(NOW + timedelta(minutes=minutes))
    assert rotate.plan(issued, Sight(), TERMS, NOW) is None
    assert rotate.serves(issued, Sight(), TERMS, NOW)


def test_a_foreign_certificate_that_is_written_while_a_good_one_is_served_is_not_served(well: Held) -> None:
    other = settled()
    foreign = with_(well, leaf=other.leaf, issuer=other.issuer)
    seen = sight(served=well.leaf, trusted=well.bundle, bundle_age=9999.0)
    assert not rotate.serves(foreign, seen, TERMS, NOW)
    taken, held = run(foreign, look=lambda held: seen)
    assert (taken, held) == (["restore"], well)


def test_a_foreign_certificate_is_served_where_there_is_nothing_else_to_go_by(well: Held) -> None:
    alone = with_(EMPTY, leaf=well.leaf, issuer=well.issuer)
    assert rotate.serves(alone, Sight(), TERMS, NOW)
    taken, held = run(alone)
    assert taken == ["authority"] and serves(held, held.bundle)


@pytest.mark.parametrize(
    ("terms", "fields", "wanted"),
    [
        (TERMS, {"bundle_age": 299.0}, False),
        (TERMS, {"bundle_age": 300.0}, True),
        (ALONE, {"bundle_age": 59.0}, False),
        (ALONE, {"bundle_age": 60.0}, True),
    ],
)
def test_another_authority_and_its_certificate_written_together_wait_for_the_callers(
    well: Held, terms: Terms, fields: dict[str, float], wanted: bool
) -> None:
    other = settled()
    seen = sight(served=well.leaf, trusted=well.bundle, told=well.bundle, **fields)
    step = rotate.plan(other, seen, terms, NOW)
    assert kind(step) == "bundle" and step
    both = rotate.carry_out(step, other, seen, terms, NOW)
    assert serves(both, both.bundle) and not issue.state(*pair_of(well), NOW, NAMES, both.bundle)
    assert rotate.serves(both, seen, terms, NOW) is wanted
    assert rotate.serves(both, sight(served=well.leaf, trusted=both.bundle, told=both.bundle), TERMS, NOW)


def pair_of(held: Held) -> tuple[bytes, bytes]:
    return held.leaf.certificate, held.leaf.key


def test_no_key_stands_in_what_is_printed(well: Held) -> None:
    seen = sight(served=well.leaf)
    assert b"PRIVATE" not in repr((well, seen)).encode()
