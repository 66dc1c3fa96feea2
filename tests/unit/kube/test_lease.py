"""The Lease: one writer at most at every moment, whatever becomes of the others and of the API server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from webhook.kube.client import Object
from webhook.kube.lease import DURATION, RENEWED, Lease

PATH = "/apis/coordination.k8s.io/v1/namespaces/plimsoll/leases/plimsoll"


class Store:
    """A Lease as an API server keeps it: a write with an old version is a conflict."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self.version = 1
        self.spec: Object | None = {}
        self.down = 0
        self.between: Callable[[], None] = lambda: None
        self.lost = False
        self.lock = threading.Lock()
        api.answers[PATH] = self.answer

    def answer(self, handler: Any) -> tuple[int, Any]:
        if self.down:
            return self.down, {"message": "no"}
        if self.spec is None:
            return 404, {"reason": "NotFound", "message": 'leases "plimsoll" not found'}
        if handler.command == "GET":
            return 200, self.object()
        self.between()
        body = self.api.bodies[-1]
        with self.lock:
            if body["metadata"]["resourceVersion"] != str(self.version):
                return 409, {"reason": "Conflict", "message": "the object has been modified"}
            self.version += 1
            self.spec = body["spec"]
        return (500, {"message": "lost on the way"}) if self.lost else (200, self.object())

    def object(self) -> Object:
        return {"metadata": {"name": "plimsoll", "resourceVersion": str(self.version)}, "spec": self.spec}

    @property
    def holder(self) -> str:
        return str((self.spec or {}).get("holderIdentity", ""))


@pytest.fixture
def store(api: Any) -> Store:
    return Store(api)


@pytest.fixture
def replica(api: Any, clock: Any) -> Callable[..., Lease]:
    def make(name: str, **more: Any) -> Lease:
        return Lease(api.client(), "plimsoll", "plimsoll", name, **{"clock": clock, **more})

    return make


Replica = Callable[..., Lease]


def test_one_takes_it_and_the_other_waits(store: Store, replica: Replica) -> None:
    first, second = replica("a"), replica("b")
    assert first.attempt()
    assert not second.attempt()
    assert (first.held(), second.held(), store.holder) == (True, False, "a")


def test_who_holds_it_renews_it_and_counts_no_transition(store: Store, replica: Replica, clock: Any) -> None:
    now = datetime(2026, 11, 27, tzinfo=UTC)
    first = replica("a", now=lambda: now + timedelta(seconds=clock.now))
    first.attempt()
    taken = store.spec or {}
    clock.now += 5
    assert first.attempt()
    renewed = store.spec or {}
    assert renewed["renewTime"] > taken["renewTime"]
    assert {key: renewed[key] for key in ("acquireTime", "leaseTransitions", "holderIdentity")} == {
        key: taken[key] for key in ("acquireTime", "leaseTransitions", "holderIdentity")
    }
    assert renewed["leaseTransitions"] == 1
    assert renewed["renewTime"].endswith("Z") and len(renewed["renewTime"]) == len("2026-11-27T00:00:00.000000Z")


def test_a_holder_that_says_nothing_counts_as_gone_after_its_time_and_not_before(
    store: Store, replica: Replica, clock: Any
) -> None:
    first, second = replica("a"), replica("b")
    first.attempt()
    second.attempt()  # sees it from now on
    clock.now += DURATION
    assert not second.attempt()
    clock.now += 0.01
    assert second.attempt()
    assert (store.spec or {})["leaseTransitions"] == 2


def test_a_holder_that_stalls_loses_it_before_another_can_have_it(store: Store, replica: Replica, clock: Any) -> None:
    first, second = replica("a"), replica("b")
    first.attempt()
    second.attempt()
    while not second.attempt():
        assert not (first.held() and second.held())
        clock.now += 0.1
    assert not first.held()
    assert DURATION - RENEWED >= 5, "seconds without a writer, for clocks that don't go alike"
    assert not first.attempt(), "and it learns who has it now"


def test_a_renewal_that_takes_long_counts_from_when_it_was_asked_for(
    store: Store, replica: Replica, clock: Any
) -> None:
    def slow() -> None:
        clock.now += 6

    store.between = slow
    first = replica("a")
    first.attempt()
    clock.now += RENEWED - 6 + 0.01
    assert not first.held()


def test_clocks_of_others_are_not_believed(store: Store, replica: Replica, clock: Any) -> None:
    """A time of renewal of last year is another's clock, no sign of death."""
    first = replica("a", now=lambda: datetime(2025, 1, 1, tzinfo=UTC))
    second = replica("b", now=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    first.attempt()
    assert not second.attempt()
    for _ in range(10):
        clock.now += 5
        assert first.attempt()
        assert not second.attempt()


def test_of_two_that_take_it_at_once_one_has_it(store: Store, replica: Replica) -> None:
    first, second = replica("a"), replica("b")

    def meanwhile() -> None:
        store.between = lambda: None
        assert second.attempt()

    store.between = meanwhile
    assert not first.attempt()
    assert (first.held(), second.held(), store.holder) == (False, True, "b")


def test_a_write_whose_answer_is_lost_is_none_until_it_is_seen(store: Store, replica: Replica) -> None:
    first = replica("a")
    store.lost = True
    assert not first.attempt()
    store.lost = False
    assert first.attempt()


@pytest.mark.parametrize("status", [403, 500, 503])
def test_who_can_not_renew_it_keeps_it_for_a_while_and_says_so_once(
    status: int, store: Store, replica: Replica, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    first = replica("a")
    first.attempt()
    store.down = status
    clock.now += RENEWED - 1
    assert first.attempt()
    clock.now += 2
    assert not first.attempt()
    assert not first.held()
    assert len([record for record in caplog.records if "can't be had" in record.getMessage()]) == 1


def test_it_is_let_go_at_the_end_so_that_another_has_it_at_once(store: Store, replica: Replica) -> None:
    first, second = replica("a"), replica("b")
    first.attempt()
    assert not second.attempt()
    first.release()
    assert not first.held()
    assert store.holder == ""
    assert second.attempt()


def test_what_another_holds_is_not_let_go(store: Store, replica: Replica, clock: Any) -> None:
    first, second = replica("a"), replica("b")
    first.attempt()
    second.attempt()
    clock.now += RENEWED + 0.1
    first.release()
    assert store.holder == "a", "it can't be sure any more, and leaves it"
    clock.now += DURATION
    second.attempt()
    first.release()
    assert store.holder == "b"


def test_a_lease_that_nobody_made_is_told_of_once(
    store: Store, replica: Replica, caplog: pytest.LogCaptureFixture
) -> None:
    store.spec = None
    first = replica("a")
    for _ in range(5):
        assert not first.attempt()
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == f'the lease can\'t be had: GET {PATH}: 404: leases "plimsoll" not found'


def test_a_task_takes_part_until_it_is_stopped_and_lets_go(
    store: Store, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webhook.kube.lease.EVERY", 0.01)
    first, stop = replica("a"), threading.Event()
    thread = threading.Thread(target=first.run, args=(stop,))
    thread.start()
    while not first.held():
        stop.wait(0.01)
    stop.set()
    thread.join(10)
    assert (store.holder, first.held()) == ("", False)
