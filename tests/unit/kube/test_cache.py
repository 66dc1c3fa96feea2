"""The cache of facts: fresh, bounded, one question at a time, the last known value while there are errors."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from webhook.kube.cache import REST, Bounds, Cache
from webhook.ports import Unknown

BOUNDS = Bounds(entries=3, weight=100, fresh=30.0, kept=600.0)


class Source:
    """Counts questions; `value` None is "there is none", an exception is raised."""

    def __init__(self, value: Any = "v", weight: int = 1) -> None:
        self.value, self.weight, self.asked = value, weight, 0

    def __call__(self, seconds: float) -> tuple[Any, int] | None:
        self.asked += 1
        if isinstance(self.value, Exception):
            raise self.value
        return None if self.value is None else (self.value, self.weight)


def test_a_value_is_asked_for_once_while_it_is_fresh_and_again_after(clock: Any) -> None:
    cache: Cache[str, str] = Cache(BOUNDS, clock)
    source = Source("old")
    assert [cache.get("k", source, 1) for _ in range(3)] == ["old"] * 3
    clock.now += 29
    source.value = "new"
    assert (cache.get("k", source, 1), source.asked) == ("old", 1)
    clock.now += 1
    assert (cache.get("k", source, 1), source.asked) == ("new", 2)


def test_the_last_known_value_serves_while_there_are_errors_until_it_is_too_old(clock: Any) -> None:
    cache: Cache[str, str] = Cache(BOUNDS, clock)
    source = Source()
    cache.get("k", source, 1)
    clock.now += 599
    source.value = Unknown("down")
    assert cache.get("k", source, 1) == "v"
    clock.now += 1 + REST
    with pytest.raises(Unknown, match="down"):
        cache.get("k", source, 1)


def test_after_an_error_a_known_value_rests_so_that_not_every_review_waits(clock: Any) -> None:
    cache: Cache[str, str] = Cache(BOUNDS, clock)
    source = Source()
    cache.get("k", source, 1)
    clock.now += 31
    source.value = Unknown("down")
    assert [cache.get("k", source, 1) for _ in range(5)] == ["v"] * 5
    assert source.asked == 2
    clock.now += REST
    source.value = "back"
    assert cache.get("k", source, 1) == "back"


def test_what_is_there_no_more_is_forgotten(clock: Any) -> None:
    cache: Cache[str, str] = Cache(BOUNDS, clock)
    source = Source()
    cache.get("k", source, 1)
    clock.now += 31
    source.value = None
    with pytest.raises(Unknown, match="none of this name"):
        cache.get("k", source, 1)
    source.value = Unknown("down")
    with pytest.raises(Unknown, match="down"):
        cache.get("k", source, 1)


def test_an_error_is_not_kept(clock: Any) -> None:
    cache: Cache[str, str] = Cache(BOUNDS, clock)
    source = Source(Unknown("down"))
    with pytest.raises(Unknown):
        cache.get("k", source, 1)
    source.value = "v"
    assert cache.get("k", source, 1) == "v"


def test_the_entry_used_longest_ago_goes_first(clock: Any) -> None:
    cache: Cache[str, str] = Cache(BOUNDS, clock)
    for key in "abc":
        cache.get(key, Source(key), 1)
    cache.get("a", Source("other"), 1)
    cache.get("d", Source("d"), 1)
    assert len(cache) == 3
    assert cache.get("a", Source("other"), 1) == "a"
    assert cache.get("b", Source("other"), 1) == "other"


def test_bytes_are_bounded_too_and_what_is_too_large_alone_is_not_kept(clock: Any) -> None:
    cache: Cache[str, str] = Cache(BOUNDS, clock)
    cache.get("a", Source("a", 60), 1)
    cache.get("b", Source("b", 60), 1)
    assert len(cache) == 1
    assert cache.get("c", Source("c", 101), 1) == "c"
    assert len(cache) == 1
    for _ in range(5):
        clock.now += 31
        cache.get("b", Source("b", 60), 1)
    cache.get("d", Source("d", 40), 1)
    assert len(cache) == 2


def test_what_goes_wrong_in_a_question_is_raised_and_the_next_question_goes_out(clock: Any) -> None:
    cache: Cache[str, str] = Cache(BOUNDS, clock)
    with pytest.raises(ZeroDivisionError):
        cache.get("k", lambda seconds: (str(1 // 0), 1), 1)
    assert cache.get("k", Source(), 1) == "v"


def together(count: int, ask: Any) -> list[Any]:
    results: list[Any] = []
    begun = threading.Barrier(count)  # on a busy machine the last thread may start long after the first has ended

    def one() -> None:
        begun.wait()
        try:
            results.append(ask())
        except Unknown as error:
            results.append(error)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_twenty_who_ask_at_once_make_one_question() -> None:
    cache: Cache[str, str] = Cache(BOUNDS)
    asked = []

    def slow(seconds: float) -> tuple[str, int]:
        asked.append(seconds)
        time.sleep(0.1)
        return "v", 1

    assert together(20, lambda: cache.get("k", slow, 2)) == ["v"] * 20
    assert len(asked) == 1


def test_twenty_who_ask_in_vain_make_at_most_two_questions_and_all_are_told() -> None:
    cache: Cache[str, str] = Cache(BOUNDS)
    asked = []

    def slow(seconds: float) -> tuple[str, int]:
        asked.append(seconds)
        time.sleep(0.3)
        raise Unknown("down")

    results = together(20, lambda: cache.get("k", slow, 2))
    assert {str(result) for result in results} == {"down"}
    assert len(asked) <= 2


def test_one_key_does_not_wait_for_another() -> None:
    cache: Cache[str, str] = Cache(BOUNDS)
    release = threading.Event()

    def stuck(seconds: float) -> tuple[str, int]:
        release.wait(5)
        return "v", 1

    thread = threading.Thread(target=lambda: cache.get("slow", stuck, 5))
    thread.start()
    assert cache.get("quick", Source(), 1) == "v"
    with pytest.raises(Unknown, match="no answer in time"):
        cache.get("slow", Source(), 0.05)
    release.set()
    thread.join()


def test_who_waits_in_vain_gets_the_last_known_value() -> None:
    cache: Cache[str, str] = Cache(Bounds(entries=3, weight=100, fresh=0.0))
    cache.get("k", Source("old"), 1)
    asked, release = threading.Event(), threading.Event()

    def stuck(seconds: float) -> tuple[str, int]:
        asked.set()
        release.wait(5)
        return "new", 1

    thread = threading.Thread(target=lambda: cache.get("k", stuck, 5))
    thread.start()
    asked.wait(5)
    assert cache.get("k", Source("never"), 0.05) == "old"
    release.set()
    thread.join()


def test_who_waits_for_anothers_question_says_so_and_who_finds_a_value_does_not() -> None:
    said, asked, answered = threading.Event(), threading.Event(), threading.Event()
    cache: Cache[str, str] = Cache(BOUNDS, waits=said.set)

    def fetch(seconds: float) -> tuple[str, int]:
        asked.set()
        answered.wait(5)
        return "v", 1

    first = threading.Thread(target=cache.get, args=("k", fetch, 5))
    first.start()
    asked.wait(5)
    assert not said.is_set()
    second = threading.Thread(target=cache.get, args=("k", fetch, 5))
    second.start()
    assert said.wait(5)
    answered.set()
    first.join()
    second.join()
    said.clear()
    assert cache.get("k", fetch, 5) == "v"
    assert not said.is_set()
