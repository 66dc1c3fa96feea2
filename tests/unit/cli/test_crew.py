"""Work spread over processes: what comes back, and what does when something goes wrong."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import pytest

from webhook.cli import crew
from webhook.errors import ConfigError, ReviewError


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_what_is_made_comes_in_the_order_of_the_pieces(processes: int) -> None:
    pieces = range(10 * crew.PIECES + 7)

    made = list(crew.spread(lambda part: [number * 2 for number in part], pieces, processes))

    assert [number for part in made for number in part] == [number * 2 for number in pieces]


def test_several_processes_work_and_the_first_does_not() -> None:
    assert os.getpid() not in set(crew.spread(lambda part: os.getpid(), range(4 * crew.PIECES), 2))
    assert set(crew.spread(lambda part: os.getpid(), range(4 * crew.PIECES), 1)) == {os.getpid()}


@pytest.mark.parametrize("processes", [1, 2])
def test_what_one_raises_is_raised(processes: int) -> None:
    def work(part: Sequence[int]) -> int:
        if crew.PIECES in part:
            raise ReviewError("not this one")
        return part[0]

    made = crew.spread(work, range(3 * crew.PIECES), processes)

    assert next(made) == 0
    with pytest.raises(ReviewError, match="not this one"):
        next(made)


def test_a_process_that_is_killed_is_said_and_nobody_waits_for_it() -> None:
    def work(part: Sequence[int]) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ConfigError, match="a process of it was killed"):
        list(crew.spread(work, range(2 * crew.PIECES), 2))


@pytest.mark.parametrize(
    ("wanted", "pieces", "processes"), [(None, crew.FEW - 1, 1), (1, 10_000, 1), (3, 10_000, 3), (3, 2, 2), (3, 0, 1)]
)
def test_few_pieces_are_done_at_once_unless_more_processes_are_asked_for(
    wanted: int | None, pieces: int, processes: int
) -> None:
    assert crew.hands(wanted, pieces) == processes


def test_there_is_a_process_for_each_processor() -> None:
    assert crew.hands(None, 10_000) == len(os.sched_getaffinity(0))
