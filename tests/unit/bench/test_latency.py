"""Latencies count where the machine stands still least, and by nothing else."""

from __future__ import annotations

import os

from bench import latency
from bench.latency import Try
from bench.load import Burst


def _try(still: float, p99: float) -> Try:
    burst = Burst(reviews=100, cpu=250.0, load=150.0, p50=500.0, p99=p99, late=200.0, rate=2000.0)
    return Try(burst, 2000.0, still)


def test_the_half_of_the_bursts_counts_in_which_the_machine_stood_still_least_whatever_its_latencies() -> None:
    tries = [_try(0.30, 900.0), _try(0.01, 4000.0), _try(0.05, 700.0), _try(0.02, 800.0)]
    assert latency.calmest(tries) == [tries[1], tries[3]]


def test_an_odd_number_of_bursts_loses_the_smaller_part() -> None:
    tries = [_try(0.3, 900.0), _try(0.1, 4000.0), _try(0.2, 700.0)]
    assert latency.calmest(tries) == [tries[1], tries[2]]


def test_what_is_started_on_a_processor_has_that_one_alone_and_later_all_again() -> None:
    before = os.sched_getaffinity(0)
    with latency.alone_on(min(before)):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before
