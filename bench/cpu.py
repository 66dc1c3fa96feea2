"""CPU time a review, of each server beside its yardstick, in turns: what the machine does else meets both alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from bench import servers
from bench.load import Burst, Load
from bench.results import Figure
from bench.servers import Server

CONNECTIONS = (1, 8)
WARM = 100


@dataclass(frozen=True, slots=True)
class Stream:
    """One body that goes to one server again and again."""

    server: str
    body: str
    answer: str = '"allowed":true'


@dataclass(frozen=True, slots=True)
class Case:
    """A stream beside its yardstick: `aim` is how many times its CPU a review may take."""

    name: str
    stream: Stream
    yardstick: Stream
    aim: float | None
    text: str


G, CORE = Stream("g", "small"), Stream("core", "small")
DENIED = '"allowed":false'
CASES = (
    Case("core", CORE, G, 1.0, "four core rules, allowed, to G"),
    Case("managed", Stream("core", "managed"), Stream("g", "managed"), None, "the same with managedFields, to G"),
    Case("large", Stream("core", "large"), Stream("g", "large"), 0.4, "the same on 82 KB, to G"),
    Case("denied", Stream("core", "broken", DENIED), Stream("g", "broken", DENIED), 1.3, "all four broken, to G"),
    Case("shipped", Stream("shipped", "small"), G, 2.0, "all shipped packs in force, to G"),
    Case("many", Stream("many", "small"), G, 2.5, "400 rules, of which a namespace sees 20, to G"),
    Case("twenty", Stream("twenty", "small"), Stream("g20", "small"), 2.0, "20 expressions, to G with the same 20"),
    Case("constant", CORE, Stream("constant", "small"), 1.3, "four core rules, to a constant answer on our worker"),
    Case("update", Stream("core", "update"), Stream("other", "update"), 1.2, "update that rules don't read, to none"),
)


@dataclass(frozen=True, slots=True)
class Bench:
    """What measuring needs: the programs, certificates, packs and bodies, and how long to go on."""

    programs: dict[str, Path]
    certs: Path
    packs: dict[str, Path]
    bodies: dict[str, Path]
    quick: bool

    @property
    def rounds(self) -> int:
        """How many turns each stream has."""
        return 9 if self.quick else 25

    @property
    def seconds(self) -> float:
        """How much CPU time a turn takes, about."""
        return 0.1 if self.quick else 0.15


def start(bench: Bench, name: str) -> Server:
    """Start the server that streams know by a name."""
    if name in ("g", "g20"):
        return servers.go(bench.programs["g"], bench.certs, "four" if name == "g" else "twenty")
    if name == "shipped":
        return servers.ours(name, bench.certs, mode="enforce")
    if name == "constant":
        return servers.ours(name, bench.certs, bench.packs["other"], constant=True)
    return servers.ours(name, bench.certs, bench.packs[name])


def measure(bench: Bench, cases: Sequence[Case]) -> Iterator[Figure]:
    """Yield the figures of these cases, at 1 and at 8 connections."""
    streams = list(dict.fromkeys(stream for case in cases for stream in (case.yardstick, case.stream)))
    with ExitStack() as stack:
        running: dict[str, Server] = {}
        for name in dict.fromkeys(stream.server for stream in streams):
            running[name] = start(bench, name)
            stack.callback(running[name].process.stop)
        for connections in CONNECTIONS:
            with ExitStack() as loads:
                opened = {}
                for stream in streams:
                    opened[stream] = _open(bench, running[stream.server], stream, connections)
                    loads.callback(opened[stream].close)
                rounds = _rounds(bench, opened)
                for case in cases:
                    yield from _figures(case, connections, rounds)


def _open(bench: Bench, server: Server, stream: Stream, connections: int) -> Load:
    return Load(bench.programs["load"], server, bench.bodies[stream.body], connections, stream.answer)


def _rounds(bench: Bench, opened: dict[Stream, Load]) -> list[dict[Stream, Burst]]:
    counts = {}
    for stream, load in opened.items():
        load.burst(WARM)
        counts[stream] = max(20, int(bench.seconds / (load.burst(WARM).cpu / 1e6)))
    rounds = []
    for number in range(bench.rounds):
        order = list(opened) if number % 2 == 0 else list(reversed(opened))
        rounds.append({stream: opened[stream].burst(counts[stream]) for stream in order})
    return rounds


def _figures(case: Case, connections: int, rounds: list[dict[Stream, Burst]]) -> Iterator[Figure]:
    mine, other = [turn[case.stream] for turn in rounds], [turn[case.yardstick] for turn in rounds]
    name = f"{case.name}/{connections}"
    cpu, yard = calm(burst.cpu for burst in mine), calm(burst.cpu for burst in other)
    yield Figure(f"{name}/ratio", cpu / yard, "x", case.aim, case.text, relative=True)
    yield Figure(f"{name}/cpu", cpu, "µs", None, "CPU a review")
    yield Figure(f"{name}/yardstick", yard, "µs", None, f"the same of {case.yardstick.server}", steady=False)
    for part in ("p50", "p99"):
        value = median(getattr(burst, part) for burst in mine)
        yield Figure(f"{name}/{part}", value, "µs", None, "latency", steady=False)
    if case.name == "core" and connections == 1:
        more = median(one.p99 - two.p99 for one, two in zip(mine, other, strict=True))
        yield Figure("latency/1/p99", more, "µs", 1000.0, "p99 beyond that of G, one connection", steady=False)


def calm(values: Iterable[float]) -> float:
    """Return the lower quartile: other work on the machine takes caches away and only ever adds CPU time."""
    return quantiles(values, n=4)[0]
