"""The turn: one thread looks at all idle connections and goes on with it, until it waits or takes too long."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from webhook.web.turn import Turn

SOON = 5.0
"""Seconds within which what must happen has happened, however busy the machine."""


class Pair:
    """A connection: the server's end, and the peer's."""

    def __init__(self) -> None:
        self.mine, self.peer = socket.socketpair()

    def fileno(self) -> int:
        return self.mine.fileno()

    def close(self) -> None:
        self.mine.close()
        self.peer.close()


@pytest.fixture(params=["epoll", "what other systems have"])
def turn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Turn[str]:
    if request.param != "epoll":
        monkeypatch.delattr(select, "epoll")
    made: Turn[str] = Turn()
    made.open(60.0)
    return made


@pytest.fixture
def pairs() -> Iterator[Callable[[], Pair]]:
    made: list[Pair] = []

    def make() -> Pair:
        made.append(Pair())
        return made[-1]

    yield make
    for pair in made:
        pair.close()


def follow(turn: Turn[str]) -> tuple[threading.Thread, list[str]]:
    """Start a thread that waits for one turn; what it is given comes into the list."""
    given: list[str] = []

    def take() -> None:
        given.append(turn.next())
        turn.leave()

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    return thread, given


def test_what_is_ready_is_given_out_and_what_is_not_waits(turn: Turn[str], pairs: Callable[[], Pair]) -> None:
    one, two = pairs(), pairs()
    turn.wait(one, "one")
    turn.wait(two, "two")
    two.peer.send(b"x")
    assert turn.next() == "two"
    two.mine.recv(1)
    turn.wait(two, "two")
    one.peer.send(b"x")
    assert turn.next() == "one"
    turn.leave()


def test_the_leader_goes_on_and_others_wait_until_it_leaves(turn: Turn[str], pairs: Callable[[], Pair]) -> None:
    one, two = pairs(), pairs()
    turn.wait(one, "one")
    turn.wait(two, "two")
    one.peer.send(b"x")
    assert turn.next() == "one"
    two.peer.send(b"x")
    thread, given = follow(turn)
    thread.join(0.2)
    assert given == []
    turn.leave()
    thread.join(SOON)
    assert given == ["two"]


def test_a_connection_that_is_worked_for_is_given_to_nobody_else(turn: Turn[str], pairs: Callable[[], Pair]) -> None:
    one = pairs()
    turn.wait(one, "one")
    one.peer.send(b"x")
    assert turn.next() == "one"
    turn.leave()  # and the byte is still there
    thread, given = follow(turn)
    thread.join(0.2)
    assert given == []
    turn.wait(one, "one")
    thread.join(SOON)
    assert given == ["one"]


def test_who_works_for_too_long_is_relieved_and_leaves_no_turn_of_another(
    turn: Turn[str], pairs: Callable[[], Pair]
) -> None:
    one, two, three = pairs(), pairs(), pairs()
    for name, pair in (("one", one), ("two", two), ("three", three)):
        turn.wait(pair, name)
    one.peer.send(b"x")
    assert turn.next() == "one"
    turn.relieve(60.0)
    two.peer.send(b"x")
    working, release = threading.Event(), threading.Event()
    given: list[str] = []

    def work() -> None:
        given.append(turn.next())
        working.set()
        release.wait(SOON)
        turn.leave()

    other = threading.Thread(target=work, daemon=True)
    other.start()
    assert not working.wait(0.2)
    turn.relieve(0.0)
    assert working.wait(SOON)
    assert given == ["two"]
    turn.leave()  # has none any more, and so takes none away
    three.peer.send(b"x")
    thread, last = follow(turn)
    thread.join(0.2)
    assert last == []
    release.set()
    thread.join(SOON)
    assert last == ["three"]
    other.join(SOON)


def test_who_only_waits_for_a_request_is_not_relieved(turn: Turn[str], pairs: Callable[[], Pair]) -> None:
    one = pairs()
    turn.wait(one, "one")
    thread, given = follow(turn)
    time.sleep(0.1)
    turn.relieve(0.0)
    one.peer.send(b"x")
    thread.join(SOON)
    assert given == ["one"]


def test_what_is_idle_for_too_long_is_given_out_too(pairs: Callable[[], Pair]) -> None:
    turn: Turn[str] = Turn()
    turn.open(0.1)
    turn.wait(pairs(), "one")
    assert turn.next() == "one"
    turn.leave()


def test_a_peer_that_is_gone_is_given_out_once(turn: Turn[str], pairs: Callable[[], Pair]) -> None:
    one, two = pairs(), pairs()
    turn.wait(one, "one")
    turn.wait(two, "two")
    one.peer.close()
    assert turn.next() == "one"
    turn.leave()
    one.mine.close()
    two.peer.send(b"x")
    assert turn.next() == "two"
    turn.leave()
