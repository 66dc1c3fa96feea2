"""The load generator, as a process that takes orders."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.bodies import UID
from bench.servers import Server, cpu_time


@dataclass(frozen=True, slots=True)
class Burst:
    """What one order gave: CPU a review of the server and of the load generator and latencies in µs, reviews a second.

    `late` is p99 of what the generator itself was late.
    """

    reviews: int
    cpu: float
    load: float
    p50: float
    p99: float
    late: float
    rate: float


class Load:
    """Kept connections to one server, over which one body goes again and again."""

    def __init__(self, program: Path, server: Server, body: Path, connections: int, answer: str) -> None:
        """Connect; `answer` is what each answer must contain."""
        self.server = server
        command = [program, "-url", server.url, "-ca", server.ca, "-body", body, "-uid", UID]
        command += ["-connections", str(connections), "-answer", answer]
        self._process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self._line() != "connected":
            raise SystemExit(f"bench: no connection to {server.process.name}:\n{server.process.tail()}")

    def burst(self, reviews: int, rate: float = 0.0) -> Burst:
        """Send so many reviews, at most `rate` a second; raises SystemExit where an answer is not the right one."""
        before, own = self.server.cpu(), cpu_time(self._process.pid)
        assert self._process.stdin is not None
        self._process.stdin.write(f"{reviews} {rate}\n")
        self._process.stdin.flush()
        told = json.loads(self._line())
        cpu, own = self.server.cpu() - before, cpu_time(self._process.pid) - own
        if told["wrong"]:
            raise SystemExit(f"bench: {self.server.process.name}: {told['wrong']} wrong answers: {told['example']}")
        latencies = told["p50_us"], told["p99_us"], told["late_us"]
        return Burst(reviews, cpu / reviews * 1e6, own / reviews * 1e6, *latencies, reviews / told["seconds"])

    def spent(self) -> float:
        """Return the seconds of CPU that the server and the generator have taken."""
        return self.server.cpu() + cpu_time(self._process.pid)

    def close(self) -> None:
        """End the generator."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
