"""A mapping within bounds: what was used longest ago goes first."""

from __future__ import annotations

from webhook.model.lru import Lru


def test_the_entry_used_longest_ago_goes_first() -> None:
    held: Lru[str, int] = Lru(2, 100)
    held.put("a", 1)
    held.put("b", 2)
    assert held.get("a") == 1
    held.put("c", 3)
    assert [held.get(key) for key in "abc"] == [1, None, 3]


def test_weights_together_are_bounded_and_what_is_too_heavy_alone_is_not_kept() -> None:
    held: Lru[str, int] = Lru(10, 100)
    held.put("a", 1, 60)
    held.put("b", 2, 60)
    assert [held.get(key) for key in "ab"] == [None, 2]
    held.put("c", 3, 101)
    assert [held.get(key) for key in "bc"] == [2, None]


def test_a_value_in_the_place_of_another_and_one_forgotten_weigh_no_more() -> None:
    held: Lru[str, int] = Lru(10, 100)
    for _ in range(5):
        held.put("a", 1, 60)
    held.put("b", 2, 40)
    assert len(held) == 2
    held.drop("a")
    held.drop("never")
    held.put("c", 3, 60)
    assert [held.get(key) for key in "abc"] == [None, 2, 3]


def test_what_is_too_heavy_does_not_leave_the_old_value_in_its_place() -> None:
    held: Lru[str, int] = Lru(10, 100)
    held.put("a", 1, 10)
    held.put("a", 2, 101)
    assert held.get("a") is None
