"""What a server takes beside CPU a review: memory after many reviews, and time until it is ready; and the commands."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from statistics import median

import yaml
from lab import plimsoll

from bench import bodies, manifests, servers
from bench.cpu import DENIED, Bench
from bench.load import Load
from bench.results import Figure

SAMPLES = 20
MOST = 90e6 / 2**20
"""MiB that are asked for: 90 MB."""
MIXED = (("small", '"allowed":true'), ("broken", DENIED), ("managed", '"allowed":true'), ("update", '"allowed":true'))


def memory(bench: Bench) -> Iterator[Figure]:
    """Yield PSS of all processes with two workers and all packs in force, after many reviews of four kinds."""
    total, more = (2_000, 2_000) if bench.quick else (100_000, 200_000)
    with ExitStack() as stack:
        server = servers.ours("memory", bench.certs, workers=2, mode="enforce")
        stack.callback(server.process.stop)
        yield Figure("memory/ready", server.pss(), "MiB", None, "PSS, two workers, all packs, before the first review")
        loads = []
        for body, answer in MIXED:
            loads.append(Load(bench.programs["load"], server, bench.bodies[body], 8, answer))
            stack.callback(loads[-1].close)
        _sampled(server, loads, total)
        yield Figure("memory/after", server.pss(), "MiB", MOST, f"the same after {total:,} reviews")
        yield Figure("memory/alone", server.alone(), "MiB", MOST, "the same where nobody else maps the libraries")
        # pages are written for the first time ever more seldom; what is kept would come as often later as sooner
        for name, text in (
            ("slope", "slope in {:,} more"),
            ("next", "in the {:,} after that"),
            ("later", "in {:,} later"),
        ):
            grown = _slope(_sampled(server, loads, more)) * 1024 / (more / SAMPLES / 1000)
            yield Figure(
                f"memory/{name}", grown, "KiB", 0.5, f"{text.format(more)}, KiB for 1,000 reviews", steady=False
            )


def _sampled(server: servers.Server, loads: Sequence[Load], reviews: int) -> list[float]:
    """Send so many reviews, a part by each load in turn, and return the memory after each turn.

    Where that can be told, as if nobody else mapped the same libraries: others come and go meanwhile.
    """
    seen = []
    for _ in range(SAMPLES):
        for load in loads:
            load.burst(reviews // SAMPLES // len(loads))
        seen.append(server.alone() or server.pss())
    return seen


def _slope(values: list[float]) -> float:
    """Return by how much values grow from one to the next: least squares."""
    count = len(values)
    x, y = (count - 1) / 2, sum(values) / count
    return sum((i - x) * (value - y) for i, value in enumerate(values)) / sum((i - x) ** 2 for i in range(count))


def begin(bench: Bench) -> Iterator[Figure]:
    """Yield how long a server with two workers and all packs takes from its start until it is ready."""
    seconds, cpu = [], []
    for _ in range(2 if bench.quick else 5):
        server = servers.ours("start", bench.certs, workers=2)
        cpu.append(server.cpu())
        seconds.append(server.seconds)
        server.process.stop()
    yield Figure("start/ready", median(seconds), "s", 1.5, "start to ready, two workers, all packs", steady=False)
    yield Figure("start/cpu", median(cpu), "s", None, "CPU until then, all processes")


def commands(bench: Bench) -> Iterator[Figure]:
    """Yield how long commands take, as a person waits for them, and their CPU."""
    count = 500 if bench.quick else 10_000
    one, many = bench.certs.parent / "one.yaml", bench.certs.parent / "manifests"
    one.write_text(yaml.safe_dump(bodies.bare()), encoding="utf-8")
    manifests.write(many, count)
    yield from _command("help", ["--help"], 0.3, "plimsoll --help", 5)
    yield from _command("check-one", ["check", str(one)], 0.3, "plimsoll check of one file", 3)
    aim = 20.0 * count / 10_000
    yield from _command(f"check-{count}", ["check", str(many)], aim, f"plimsoll check of {count:,} manifests", 1)
    yield Figure(f"commands/check-{count}/peak", _peak(["check", str(many)]), "MiB", 286.0, "its memory, all processes")


def _command(name: str, arguments: list[str], aim: float, text: str, times: int) -> Iterator[Figure]:
    wall, cpu = zip(*(_timed(arguments) for _ in range(times)), strict=True)
    yield Figure(f"commands/{name}", median(wall), "s", aim, text, steady=False)
    yield Figure(f"commands/{name}/cpu", median(cpu), "s", None, "CPU of that")


def _peak(arguments: list[str]) -> float:
    """Return the most memory that all processes of a command had at once, as far as looking often tells."""
    process = _started(arguments)
    most = 0.0
    while process.poll() is None:
        with suppress(OSError):  # one of them has ended meanwhile
            most = max(most, sum(map(servers.pss, servers.descent(process.pid))))
        time.sleep(0.05)
    return most


def _timed(arguments: list[str]) -> tuple[float, float]:
    """Return the seconds and the CPU seconds of a command; its children count once they have ended."""
    begun = time.monotonic()
    process = _started(arguments)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise SystemExit(f"bench: `plimsoll {arguments[0]}` ended with {process.returncode}")
    return time.monotonic() - begun, usage.ru_utime + usage.ru_stime


def _started(arguments: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*plimsoll.COMMAND, *arguments],
        env=plimsoll.environment(),
        cwd=Path(__file__).parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
