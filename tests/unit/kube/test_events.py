"""Events: added up, written rarely, hung on what people look at; a failure hurts nobody."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from webhook.kube.owners import Owners
from webhook.observe import tell
from webhook.upkeep import events as room
from webhook.upkeep.events import AGAIN, BURST, Events

PATH = "/api/v1/namespaces/shop/events"
WEB = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "namespace": "shop", "uid": "d-1"}
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


class Desk:
    """The task with its socket, an API server that keeps Events, and a clock that moves when told."""

    def __init__(self, api: Any, clock: Any, ends: tuple[socket.socket, socket.socket]) -> None:
        self.api, self.clock, self.near = api, clock, ends[0]
        self.counted: Counter[str] = Counter()
        self.stored: dict[str, dict[str, Any]] = {}
        self.refuse = 0
        self.writes = 0
        client = api.client()
        self.task = Events(
            client,
            ends[1],
            Owners(client),
            "plimsoll-0",
            lambda result, count: self.counted.update({result: count}),
            clock,
            lambda: NOW + timedelta(seconds=clock.now - 1000),
        )
        api.answers[PATH] = self.post

    def post(self, handler: Any) -> tuple[int, Any]:
        self.writes += 1
        if self.refuse:
            return self.refuse, {"message": "no", "reason": "Forbidden"}
        event = self.api.bodies[-1]
        name = event["metadata"]["name"]
        self.stored[name] = event
        self.api.answers[f"{PATH}/{name}"] = self.patch
        return 201, event

    def patch(self, handler: Any) -> tuple[int, Any]:
        self.writes += 1
        name = handler.path.rpartition("/")[2]
        if name not in self.stored:
            return 404, {"message": "gone"}
        assert handler.headers["Content-Type"] == "application/merge-patch+json"
        self.stored[name] |= self.api.bodies[-1]
        return 200, self.stored[name]

    def tell(self, obj: dict[str, Any] = WEB, rule: str = "acme/never", times: int = 1) -> None:
        for _ in range(times):
            self.near.send(orjson.dumps({"object": obj, "rules": [rule], "message": f"refused: {rule}"}))
            self.task.read()

    def tick(self, seconds: float = 0.0) -> None:
        self.clock.now += seconds
        self.task.write(lambda: False)

    @property
    def only(self) -> dict[str, Any]:
        (event,) = self.stored.values()
        return event


@pytest.fixture
def desk(api: Any, clock: Any) -> Iterator[Desk]:
    ends = tell.pair()
    yield Desk(api, clock, ends)
    for end in ends:
        end.close()


def test_an_event_says_what_describe_shows(desk: Desk) -> None:
    desk.tell()
    desk.tick()
    event = desk.only
    assert event["involvedObject"] == WEB
    assert event["metadata"]["name"].startswith("web.") and event["metadata"]["namespace"] == "shop"
    assert {key: event[key] for key in ("type", "reason", "message", "count")} == {
        "type": "Warning",
        "reason": "PolicyViolation",
        "message": "refused: acme/never",
        "count": 1,
    }
    assert event["source"] == {"component": "plimsoll"}
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-11-27T12:00:00Z"
    assert event["reportingInstance"] == "plimsoll-0"
    assert desk.counted == {"written": 1}


def test_the_same_is_counted_and_written_once_a_minute(desk: Desk) -> None:
    desk.tell()
    desk.tick()
    desk.tell(times=99)
    desk.tick(1)
    assert desk.only["count"] == 1
    desk.tick(AGAIN)
    assert (desk.only["count"], desk.writes) == (100, 2)
    assert desk.only["lastTimestamp"] == "2026-11-27T12:00:00Z"
    assert desk.only["firstTimestamp"] == "2026-11-27T12:00:00Z"
    desk.tick(AGAIN)
    assert desk.writes == 2, "nothing new is nothing to write"
    assert desk.counted == {"written": 1, "repeated": 99}


def test_another_rule_or_object_is_another_event(desk: Desk) -> None:
    desk.tell()
    desk.tell(rule="acme/other")
    desk.tell({**WEB, "uid": "d-2"})
    desk.tick()
    assert len(desk.stored) == 3


def test_a_flood_is_written_slowly_and_no_more_is_known_than_there_is_room_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST", 100)
    for number in range(500):
        desk.tell({**WEB, "name": f"web-{number}"})
    desk.tick()
    assert desk.writes == BURST
    assert desk.counted == {"dropped": 400, "written": BURST}
    desk.tick(10)
    assert desk.writes == BURST + 10
    desk.tick(3600)
    assert desk.writes == 2 * BURST + 10, "a quiet hour saves up no more than a burst"


def test_a_pod_is_told_at_the_deployment_of_its_replica_set(desk: Desk) -> None:
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d-1", "controller": True}
    found = {"metadata": {"name": "web-7d4f", "uid": "r-1", "ownerReferences": [owner]}}
    desk.api.answers["/apis/apps/v1/namespaces/shop/replicasets/web-7d4f"] = 200, found
    replica_set = {**WEB, "kind": "ReplicaSet", "name": "web-7d4f", "uid": "r-1"}
    desk.tell(replica_set)
    desk.tell(replica_set, rule="acme/other")
    desk.tick()
    assert [event["involvedObject"] for event in desk.stored.values()] == [WEB, WEB]
    assert desk.api.calls.count("GET /apis/apps/v1/namespaces/shop/replicasets/web-7d4f") == 1


@pytest.mark.parametrize("answer", [(403, {}), (200, {"metadata": {"name": "web", "uid": "another"}}), (404, {})])
def test_where_the_deployment_is_not_known_the_replica_set_is_told(desk: Desk, answer: Any) -> None:
    desk.api.answers["/apis/apps/v1/namespaces/shop/replicasets/web"] = answer
    replica_set = {**WEB, "kind": "ReplicaSet", "uid": "r-1"}
    desk.tell(replica_set)
    desk.tick()
    assert desk.only["involvedObject"] == replica_set


def test_what_lies_in_no_namespace_is_told_in_default(desk: Desk) -> None:
    desk.api.answers["/api/v1/namespaces/default/events"] = desk.post
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "system:Acme", "namespace": ""}
    desk.tell(role)
    desk.tick()
    assert desk.only["metadata"]["namespace"] == "default"
    assert desk.only["metadata"]["name"].startswith("system-acme.")


@pytest.mark.parametrize(
    "namespace", ["../../../apis/plimsoll.dev/v1/rulepacks?x=", "shop/pods/web/log?x=", "Shop", "a%2Fb"]
)
def test_what_is_no_namespace_leads_to_no_other_path(desk: Desk, namespace: str) -> None:
    desk.tell({**WEB, "namespace": namespace})
    desk.tick()
    assert desk.api.calls == []
    assert desk.counted == {"dropped": 1}


def test_an_event_that_is_gone_is_written_anew(desk: Desk) -> None:
    desk.tell()
    desk.tick()
    desk.stored.clear()
    desk.tell()
    desk.tick(AGAIN)
    assert desk.only["count"] == 2


def test_a_refusal_is_said_once_counted_and_not_tried_again_by_itself(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.refuse = 403
    desk.tell(times=3)
    desk.tell(rule="acme/other")
    desk.tick()
    desk.tick(AGAIN)
    assert (desk.writes, desk.counted) == (2, {"failed": 4})
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == f"an Event can't be written: POST {PATH}: 403: no; such are counted, and not said again"
    desk.refuse = 0
    desk.tell()
    desk.tick()
    assert desk.only["count"] == 4


def test_an_api_server_that_is_away_is_no_reason_for_workers_to_find_no_room(desk: Desk) -> None:
    desk.refuse = 503
    for number in range(20):
        desk.tell({**WEB, "name": f"web-{number}"})
    for _ in range(40):
        desk.near.send(orjson.dumps({"object": WEB, "rules": ["acme/x"], "message": "x"}))
    desk.tick()
    with pytest.raises(BlockingIOError):
        desk.task._source.recv(1)


def test_a_task_writes_what_it_was_told_until_it_is_stopped(desk: Desk) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=desk.task.run, args=(stop,))
    thread.start()
    desk.near.send(orjson.dumps({"object": WEB, "rules": ["acme/x"], "message": "x"}))
    _until(lambda: desk.stored)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def _until(true: Callable[[], object]) -> None:
    waiting = threading.Event()
    for _ in range(1000):
        if true():
            return
        waiting.wait(0.01)
    pytest.fail("not in time")
