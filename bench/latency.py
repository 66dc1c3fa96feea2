"""Latencies with 8 connections at 80 % of saturation, of four core rules and of G.

The server has one processor and the load generator another. Where they share both, the scheduler has them wait for
each other, and the tail is that of the machine.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import cpu
from bench.cpu import CORE, Bench, G, Stream
from bench.load import Burst, Load
from bench.results import Figure
from bench.servers import cpu_time

CONNECTIONS = 8
SHARE = 0.8
"""Of the rate at full speed."""

FULL = 4000
"""Reviews by which that rate is found."""

BUSY = 0.1
"""Of all processors: where other work takes more, a tail says what that does and nothing of a server."""


WINDOWS = 8
"""Bursts after each look at the full speed."""

SECONDS = 0.25
"""A burst takes. Short ones, since a machine that stands still some times a second hardly leaves a long one alone."""


@dataclass(frozen=True, slots=True)
class Try:
    """A burst, how many reviews a second were due, and the share of the time for which a processor stood still."""

    burst: Burst
    due: float
    still: float


class Watch:
    """Tells for how long the processors stood still: `go/watch`, on each. A user other than root sees nothing of it."""

    def __init__(self, program: Path, processors: Sequence[int]) -> None:
        """Begin to watch."""
        self._processes = []
        for processor in processors:
            with alone_on(processor):
                process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self._processes.append(process)
        if not all([_line(process) for process in self._processes]):
            self.close()
            self._processes = []

    def still(self) -> float:
        """Return for how many seconds they have stood still since this was asked last, added up."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        return sum(int(_line(process)) for process in self._processes) / 1e6

    def spent(self) -> float:
        """Return the seconds of CPU that watching has taken."""
        return sum(cpu_time(process.pid) for process in self._processes)

    def close(self) -> None:
        """End it."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(10)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def figures(bench: Bench) -> Iterator[Figure]:
    """Yield p99 in parts of the median, and what there is to know about it.

    SystemExit without two processors, or where other work takes part of them.
    """
    processors = sorted(os.sched_getaffinity(0))[:2]
    if len(processors) < 2:
        raise SystemExit("bench: latencies need two processors, one for the server and one for the load generator")
    with ExitStack() as stack:
        core, yardstick = (_open(bench, stream, processors, stack) for stream in (CORE, G))
        watch = Watch(bench.programs["watch"], processors)
        stack.callback(watch.close)
        tried: dict[str, list[Try]] = {"core": [], "g": [], "own": []}
        begun, own_begun = _processors(), _own(core, yardstick, watch)
        for _ in range(4 if bench.quick else 12):
            rate, own = _rate(core), _rate(yardstick)
            for _ in range(WINDOWS):
                for name, load, due in (("core", core, rate), ("g", yardstick, rate), ("own", yardstick, own)):
                    tried[name].append(_tried(load, due, watch))
        busy, all_ = (now - then for now, then in zip(_processors(), begun, strict=True))
        others = max(0.0, busy - (_own(core, yardstick, watch) - own_begun)) / all_
    if others > BUSY:
        raise SystemExit(f"bench: no latencies: other work took {others:.0%} of the processors; try when it has ended")
    yield Figure("latency/8/others", others * 100, "%", None, "of all processors other work took", steady=False)
    yield from _told(tried)


def _own(*parts: Load | Watch) -> float:
    return sum(part.spent() for part in parts) + time.process_time()


def _rate(load: Load) -> float:
    """Return a share of the rate at full speed as it is right now: machines are not always equally fast."""
    return SHARE * load.burst(FULL).rate


def _told(tried: dict[str, list[Try]]) -> Iterator[Figure]:
    calm = {name: calmest(tries) for name, tries in tried.items()}

    def middle(of: Callable[[Try], float], name: str = "core") -> float:
        return median(of(each) for each in calm[name])

    for name, value, unit, aim, text in (
        ("p99", middle(_times), "x", 3.0, "p99 to median at 80 % of saturation, 8 connections"),
        ("yardstick", middle(_times, "own"), "x", None, "the same of G, at 80 % of its own"),
        (
            "all",
            median(map(_times, tried["core"])),
            "x",
            None,
            "that of four rules, where it stood still, too",
        ),
        ("core", middle(lambda each: each.burst.p99), "µs", None, "p99 of four rules"),
        ("g", middle(lambda each: each.burst.p99, "g"), "µs", None, "G's at the same rate"),
        ("rate", middle(lambda each: each.due), "/s", None, "that rate"),
        ("late", middle(lambda each: each.burst.late), "µs", None, "p99 of what the load generator was late"),
        ("busy", middle(lambda each: each.burst.cpu * each.due / 1e4), "%", None, "of its processor the server takes"),
        (
            "load",
            middle(lambda each: each.burst.load * each.due / 1e4),
            "%",
            None,
            "of its own the generator takes",
        ),
        ("still", middle(lambda each: each.still * 100), "%", None, "of the time a processor stood still"),
        ("still/all", median(each.still * 100 for each in tried["core"]), "%", None, "the same of all bursts"),
    ):
        yield Figure(f"latency/8/{name}", value, unit, aim, text, steady=False)


def _times(each: Try) -> float:
    return each.burst.p99 / each.burst.p50


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
    """Return the half in which the machine stood still least: never chosen by the latencies themselves."""
    return sorted(tries, key=lambda each: each.still)[: (len(tries) + 1) // 2]


def _tried(load: Load, due: float, watch: Watch) -> Try:
    watch.still()
    burst = load.burst(int(due * SECONDS), due)
    return Try(burst, due, watch.still() / 2 * burst.rate / burst.reviews)


def _processors() -> tuple[float, float]:
    """Return the seconds for which all processors have been busy, and for which they have been there (proc(5))."""
    words = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
    user, nice, system, idle, waits, *others = (int(word) / os.sysconf("SC_CLK_TCK") for word in words)
    busy = user + nice + system + sum(others)
    return busy, busy + idle + waits
