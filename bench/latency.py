"""Latencies with 8 connections at 80 % of saturation, of four core rules and of G.

The server has one processor and the load generator another. Where they share both, the scheduler has them wait for
each other, and the tail is that of the machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from bench import cpu
from bench.cpu import CORE, Bench, G, Stream
from bench.load import Burst, Load
from bench.results import Figure

CONNECTIONS = 8
SHARE = 0.8
"""Of the rate at full speed."""

FULL = 4000
"""Reviews by which that rate is found."""

BUSY = 0.1
"""Of all processors: where other work takes more, a tail says what that does and nothing of a server."""


@dataclass(frozen=True, slots=True)
class Try:
    """A burst, what share of all processors other work took meanwhile, and how many reviews a second were due."""

    burst: Burst
    others: float
    due: float


def figures(bench: Bench) -> Iterator[Figure]:
    """Yield p99 in parts of the median, and what there is to know about it.

    SystemExit without two processors, or where other work takes part of them.
    """
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2:
        raise SystemExit("bench: latencies need two processors, one for the server and one for the load generator")
    rounds, seconds = (4, 1.0) if bench.quick else (12, 2.0)
    with ExitStack() as stack:
        core, yardstick = (_open(bench, stream, processors, stack) for stream in (CORE, G))
        tried: dict[str, list[Try]] = {"core": [], "g": [], "own": []}
        for _ in range(rounds):
            rate, own = _rate(core), _rate(yardstick)
            for name, load, due in (("core", core, rate), ("g", yardstick, rate), ("own", yardstick, own)):
                tried[name].append(_tried(partial(load.burst, int(due * seconds), due), due))
    others = max(each.others for tries in tried.values() for each in calmest(tries))
    if others > BUSY:
        raise SystemExit(f"bench: no latencies: other work took {others:.0%} of the processors; try when it has ended")
    yield from _told({name: calmest(tries) for name, tries in tried.items()})


def _rate(load: Load) -> float:
    """Return a share of the rate at full speed as it is right now: machines are not always equally fast."""
    return SHARE * load.burst(FULL).rate


def _told(found: dict[str, list[Try]]) -> Iterator[Figure]:
    def middle(name: str, of: Callable[[Try], float]) -> float:
        return median(of(each) for each in found[name])

    def times(each: Try) -> float:
        return each.burst.p99 / each.burst.p50

    for name, value, unit, aim, text in (
        ("p99", middle("core", times), "x", 3.0, "p99 to median at 80 % of saturation, 8 connections"),
        ("yardstick", middle("own", times), "x", None, "the same of G, at 80 % of its own"),
        ("core", middle("core", lambda each: each.burst.p99), "µs", None, "that p99"),
        ("g", middle("g", lambda each: each.burst.p99), "µs", None, "G's at the same rate"),
        ("rate", middle("core", lambda each: each.due), "/s", None, "that rate"),
        ("late", middle("core", lambda each: each.burst.late), "µs", None, "p99 of what the load generator was late"),
        ("load", middle("core", lambda each: each.burst.load * each.due / 1e4), "%", None, "of its processor it takes"),
        ("others", middle("core", lambda each: each.others * 100), "%", None, "of all processors other work took"),
    ):
        yield Figure(f"latency/8/{name}", value, unit, aim, text, steady=False)


def _open(bench: Bench, stream: Stream, processors: Sequence[int], stack: ExitStack) -> Load:
    with alone_on(processors[0]):
        server = cpu.start(bench, stream.server)
    stack.callback(server.process.stop)
    with alone_on(processors[1]):
        load = Load(bench.programs["load"], server, bench.bodies[stream.body], CONNECTIONS, stream.answer)
    stack.callback(load.close)
    load.burst(cpu.WARM)
    return load


@contextmanager
def alone_on(processor: int) -> Iterator[None]:
    """Let what is started meanwhile have this processor alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def calmest(tries: Sequence[Try]) -> list[Try]:
    """Return the half that other work disturbed least: never chosen by the latencies themselves."""
    return sorted(tries, key=lambda each: each.others)[: (len(tries) + 1) // 2]


def _tried(order: Callable[[], Burst], due: float) -> Try:
    busy, all_ = _processors()
    burst = order()
    later, all_later = _processors()
    own = burst.reviews * (burst.cpu + burst.load) / 1e6
    return Try(burst, max(0.0, later - busy - own) / (all_later - all_), due)


def _processors() -> tuple[float, float]:
    """Return the seconds for which all processors have been busy, and for which they have been there (proc(5))."""
    words = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
    user, nice, system, idle, waits, *others = (int(word) / os.sysconf("SC_CLK_TCK") for word in words)
    busy = user + nice + system + sum(others)
    return busy, busy + idle + waits
