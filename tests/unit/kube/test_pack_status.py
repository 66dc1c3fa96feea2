"""What is written of packs: by one replica, for a difference, seldom; and what is read of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from webhook.kube import packs as places
from webhook.kube.client import ApiError
from webhook.kube.watch import Watch
from webhook.packs.compile import ruleset
from webhook.packs.served import rulepack
from webhook.shelf import Shelf
from webhook.upkeep.packs import Packs
from webhook.upkeep.standing import Status

STATUS = f"{places.RULEPACKS}/acme/status"
EVENTS = "/api/v1/namespaces/default/events"
RULE = {"name": "r", "expression": "object.metadata.name != 'x'", "action": "deny"}


def pack(action: str = "deny", generation: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "plimsoll.dev/v1",
        "kind": "RulePack",
        "metadata": {"name": "acme", "uid": "u", "generation": generation},
        "spec": {"version": "1", "rules": [{**RULE, "action": action}]},
        **more,
    }


class Lab:
    """The status of one pack, against a server that takes everything."""

    def __init__(self, api: Any, clock: Any, directory: Path) -> None:
        self.api = api
        self.clock = clock
        self.counts: dict[tuple[str, str, str], int] = {}
        self.packs = Packs(Shelf(directory / "shelf"), ruleset, list, 5)
        self.packs.begin([pack()])
        self.held = True
        self.status = self.replica()
        api.answers |= {STATUS: (200, {}), EVENTS: (201, {})}

    def replica(self) -> Status:
        def rules() -> Any:
            return ruleset([rulepack(pack())])

        now = datetime(2026, 11, 27, tzinfo=UTC)
        return Status(
            self.api.client(),
            self.packs,
            rules,
            lambda: self.held,
            "pod-0",
            lambda: self.counts,
            self.clock,
            lambda: now,
        )

    def stored(self, obj: dict[str, Any]) -> None:
        """Have the cluster hold this pack, and have it looked at."""
        self.packs._packs.replace([obj])
        self.packs._look()

    def echo(self, obj: dict[str, Any]) -> None:
        """Have the cluster hold what was written last."""
        [*_, written] = [body for body in self.api.bodies if body and "status" in body]
        self.stored({**obj, **written})

    def attempt(self, seconds: float = 0.0) -> list[str]:
        """Let some time pass, write what is to be written, and return the calls."""
        self.clock.now += seconds
        before = len(self.api.calls)
        self.status.attempt()
        return self.api.calls[before:]


def reasons(lab: Lab) -> list[str]:
    """Return the reasons of all Events that were written."""
    return [body["reason"] for body in lab.api.bodies if body and body.get("kind") == "Event"]


@pytest.fixture
def lab(api: Any, clock: Any, tmp_path: Path) -> Lab:
    return Lab(api, clock, tmp_path)


def test_a_status_is_written_once_and_not_again_while_it_says_the_same(lab: Lab) -> None:
    assert lab.attempt() == [f"PATCH {STATUS}"]
    assert lab.api.bodies[-1]["status"]["conditions"][0]["status"] == "True"
    lab.echo(pack())
    assert [lab.attempt(60) for _ in range(5)] == [[]] * 5


def test_somebody_who_writes_it_otherwise_is_answered_once_in_30_seconds(lab: Lab) -> None:
    lab.attempt()
    calls = []
    for _ in range(60):
        lab.stored(pack(status={"rules": 99}))
        calls += lab.attempt(1)
    assert calls == [f"PATCH {STATUS}"] * 2


def test_counts_are_written_once_in_30_seconds(lab: Lab) -> None:
    calls = lab.attempt()
    for number in range(90):
        lab.counts = {("acme", "r", "deny"): number}
        lab.echo(pack())
        calls += lab.attempt(1)
    assert 3 <= len(calls) <= 4
    assert lab.api.bodies[-1]["status"]["findings"]["rules"][0]["denied"] >= 59


def test_a_broken_pack_has_an_event_and_another_when_it_is_mended(lab: Lab) -> None:
    lab.attempt()
    lab.echo(pack())
    lab.stored(pack("block", 2, status=lab.api.bodies[-1]["status"]))
    assert lab.attempt(1) == [f"PATCH {STATUS}", f"POST {EVENTS}"]
    event = lab.api.bodies[-1]
    assert (event["type"], event["reason"], event["involvedObject"]["uid"]) == ("Warning", "NotLoaded", "u")
    assert "spec.rules[0].action: 'block' is not allowed" in event["message"]
    lab.echo(pack("block", 2))
    assert lab.attempt(60) == []
    lab.stored(pack("warn", 3, status=lab.api.bodies[-2]["status"]))
    lab.attempt(1)
    assert reasons(lab) == ["NotLoaded", "Loaded"]


def test_a_pack_made_anew_is_another_however_soon_it_comes(lab: Lab) -> None:
    lab.stored(pack("block"))
    lab.attempt()
    anew = pack("block")
    anew["metadata"]["uid"] = "another"
    lab.stored(anew)
    assert lab.attempt(0.5) == [f"PATCH {STATUS}", f"POST {EVENTS}"]
    assert lab.api.bodies[-1]["involvedObject"]["uid"] == "another"


def test_an_event_that_would_come_too_soon_comes_later(lab: Lab) -> None:
    lab.stored(pack("block", 2))
    lab.attempt()
    lab.echo(pack("block", 2))
    lab.stored(pack("forbid", 3, status=lab.api.bodies[0]["status"]))
    assert lab.attempt(2) == [f"PATCH {STATUS}"]
    lab.stored(pack("forbid", 3, status={**lab.api.bodies[0]["status"], **lab.api.bodies[-1]["status"]}))
    assert lab.attempt(9) == [f"POST {EVENTS}"]
    assert "'forbid' is not allowed" in lab.api.bodies[-1]["message"]
    assert lab.attempt(60) == []


def test_an_event_that_could_not_be_written_is_written_later(lab: Lab) -> None:
    lab.stored(pack("block", 2))
    lab.api.answers[EVENTS] = (500, {"kind": "Status", "message": "etcdserver: request timed out"})
    with pytest.raises(ApiError):
        lab.attempt()
    lab.echo(pack("block", 2))
    lab.api.answers[EVENTS] = (201, {})
    assert lab.attempt(1) == []
    assert lab.attempt(9) == [f"POST {EVENTS}"]
    assert lab.attempt(60) == []


def test_one_object_that_nothing_can_be_written_of_keeps_no_other_waiting(lab: Lab) -> None:
    other = pack("block")
    other["metadata"] |= {"name": "other", "uid": "v"}
    lab.packs._packs.replace([pack(), other])
    lab.packs._look()
    lab.api.answers[STATUS] = (422, {"kind": "Status", "message": "is too large"})
    place = f"{places.RULEPACKS}/other/status"
    lab.api.answers[place] = (200, {})
    with pytest.raises(ApiError, match="is too large"):
        lab.attempt()
    assert lab.api.calls[-3:] == [f"PATCH {STATUS}", f"PATCH {place}", f"POST {EVENTS}"]


def test_a_status_that_was_written_though_nobody_said_so_has_its_event(lab: Lab) -> None:
    lab.stored(pack("block", 2))
    lab.api.answers[STATUS] = (504, {"kind": "Status", "message": "the server was unable to return a response"})
    with pytest.raises(ApiError):
        lab.attempt()
    lab.echo(pack("block", 2))
    assert lab.attempt(1) == [f"POST {EVENTS}"]


def configmap(action: str) -> dict[str, Any]:
    other = {**pack(action), "metadata": {"name": "other"}}
    meta = {"name": "m", "namespace": "home", "uid": "m", "labels": {"plimsoll.dev/rule-packs": "true"}}
    return {"metadata": meta, "data": {"a.yaml": json.dumps(other)}}


def test_a_configmap_has_its_events_later_too(lab: Lab) -> None:
    place = "/api/v1/namespaces/home/events"
    lab.attempt()
    lab.echo(pack())
    lab.api.answers[place] = (500, {})
    lab.packs._maps.replace([configmap("block")])
    lab.packs._look()
    with pytest.raises(ApiError):
        lab.attempt(1)
    lab.api.answers[place] = (201, {})
    assert lab.attempt(10) == [f"POST {place}"]
    assert lab.attempt(60) == []
    lab.packs._maps.replace([configmap("deny")])
    lab.packs._look()
    assert lab.attempt(1) == [f"POST {place}"]
    assert reasons(lab) == ["NotLoaded", "NotLoaded", "Loaded"]


def test_a_replica_that_takes_over_repeats_nothing(lab: Lab) -> None:
    lab.stored(pack("block", 2))
    assert lab.attempt() == [f"PATCH {STATUS}", f"POST {EVENTS}"]
    lab.echo(pack("block", 2))
    lab.status = lab.replica()
    assert lab.attempt(1) == []


def test_a_pack_that_was_deleted_meanwhile_is_no_error(lab: Lab) -> None:
    del lab.api.answers[STATUS]
    assert lab.attempt() == [f"PATCH {STATUS}"]


def test_who_does_not_hold_the_lease_writes_nothing(lab: Lab) -> None:
    stop, asked = threading.Event(), []

    def held() -> bool:
        asked.append(True)
        if len(asked) == 2:
            stop.set()
        return False

    lab.status._held = held
    lab.status.run(stop)
    assert (len(asked), lab.api.calls) == (2, [])


class Sink:
    """Knows what it was told."""

    def __init__(self, then: Callable[[], None]) -> None:
        self.told: list[Any] = []
        self.then = then

    def replace(self, objects: list[Any]) -> None:
        self.told.append(objects)
        self.then()

    def put(self, obj: Any) -> None: ...

    def drop(self, obj: Any) -> None: ...


def test_a_kind_that_is_not_installed_has_no_objects_and_is_looked_for_again(api: Any) -> None:
    stop = threading.Event()
    sink = Sink(stop.set)
    watch = Watch(api.client(), places.RULEPACKS, sink)
    watch.run(stop)
    assert sink.told == [[]]
    assert watch.quiet is not None


def test_a_listing_without_the_kind_has_the_configmaps_alone(api: Any) -> None:
    found = {"metadata": {"name": "x"}}
    api.answers[places.configmaps("home")] = (200, {"items": [found]})
    assert places.listing(api.client(), "home") == ([], [found])
    assert "labelSelector=plimsoll.dev%2Frule-packs%3Dtrue" in api.calls[-1]


def test_the_last_good_text_is_written_once_and_taken_away_when_the_pack_is_mended(lab: Lab) -> None:
    lab.attempt()
    lab.echo(pack())
    lab.stored(pack("block", 2, status=lab.api.bodies[-1]["status"]))
    lab.attempt(1)
    written = lab.api.bodies[-2]["status"]
    assert written["lastGood"] == rulepack(pack())[1]
    lab.stored(pack("block", 2, status=written))
    lab.counts = {("acme", "r", "deny"): 1}
    assert lab.attempt(60) == [f"PATCH {STATUS}"]
    assert "lastGood" not in lab.api.bodies[-1]["status"]
    lab.stored(pack("deny", 3, status=written))
    lab.attempt(60)
    [*_, mended] = [body["status"] for body in lab.api.bodies if body and "status" in body]
    assert mended["lastGood"] is None
