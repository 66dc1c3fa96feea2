"""Calls that may hang are made elsewhere, and cost one wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from webhook.registry.aside import Aside


@pytest.fixture
def hung() -> Iterator[threading.Event]:
    """What the first call waits for."""
    event = threading.Event()
    yield event
    event.set()


def test_a_call_gives_what_it_returns() -> None:
    aside = Aside(60)
    assert (aside.call(lambda: 1, None), aside.call(lambda: 2, None)) == (1, 2)


def test_what_takes_too_long_is_given_up_and_undone_when_it_is_done(hung: threading.Event) -> None:
    aside, undone = Aside(0.02), threading.Event()
    assert aside.call(lambda: "late" if hung.wait() else "", "no", undo=undone.set) == "no"
    assert not undone.is_set()
    hung.set()
    assert undone.wait(60)


def test_while_a_call_hangs_no_other_is_made_but_what_was_posted_is_made_after_it(hung: threading.Event) -> None:
    aside, made, posted = Aside(0.02), [], threading.Event()
    aside.call(hung.wait, None)
    said = [aside.call(lambda: made.append("late"), "no", undo=lambda: made.append("undone")) for _ in range(20)]
    assert said == ["no"] * 20
    aside.post(posted.set)
    hung.set()
    assert posted.wait(60)
    assert made == []
    while aside.call(lambda: "again", "no") != "again":
        pass  # its thread has yet to say that nothing hangs


def test_a_call_that_waited_behind_one_that_hangs_is_not_made_late(hung: threading.Event) -> None:
    aside, made, begun = Aside(0.2), [], threading.Event()

    def hang() -> None:
        begun.set()
        hung.wait()

    first = threading.Thread(target=lambda: aside.call(hang, None))
    first.start()
    begun.wait(60)
    assert aside.call(lambda: made.append(1), "no") == "no"
    first.join()
    hung.set()
    done = threading.Event()
    aside.post(done.set)
    assert done.wait(60)
    assert made == []


def test_a_call_that_breaks_is_over_and_the_next_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[object] = []
    monkeypatch.setattr(threading, "excepthook", raised.append)
    aside = Aside(60)
    assert aside.call(lambda: 1 // 0, -1) == -1
    assert [aside.call(lambda: 1, 0) for _ in range(10)] == [1] * 10
    assert len(raised) == 1
