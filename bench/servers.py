"""Servers under test, as processes: how they are started, and what CPU time and memory they have taken."""

from __future__ import annotations

import struct
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from lab import plimsoll
from lab.process import Process, free_ports, start

from bench import ROOT

READY_WITHIN = 60.0
MIB = 2**20
PAGE = 4096
PRESENT, FRAME = 1 << 63, (1 << 55) - 1
"""Of an entry of /proc/<pid>/pagemap: whether the page is in memory, and the number of its frame."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is ready; `seconds` is how long that took from its start."""

    process: Process
    url: str
    ca: Path
    seconds: float

    def pids(self) -> list[int]:
        """Return the ids of all its processes."""
        return descent(self.process.popen.pid)

    def cpu(self) -> float:
        """Return the seconds of CPU, user and system, that all its processes have taken."""
        return sum(map(cpu_time, self.pids()))

    def pss(self) -> float:
        """Return the memory of all its processes in MiB; of what others map, too, the part of these does not count."""
        return sum(map(pss, self.pids()))

    def alone(self) -> float:
        """Return its PSS as if nobody else mapped the same libraries, as on a node with no other Python, in MiB.

        It is what all its page frames come to, of which the kernel tells the numbers to root alone (Documentation/
        admin-guide/mm/pagemap.rst); 0 for everybody else.
        """
        return len(set().union(*map(frames, self.pids()))) * PAGE / MIB


def cpu_time(pid: int) -> float:
    """Return the seconds of CPU, user and system, that a process has taken."""
    # clock_getcpuclockid(3) of another process, which Python has for threads only: in nanoseconds, where
    # /proc/<pid>/stat counts hundredths of a second
    return time.clock_gettime((~pid << 3) | 2)


def descent(pid: int) -> list[int]:
    """Return a process and all that it has started."""
    found = [pid]
    for one in found:
        found += [int(word) for word in Path(f"/proc/{one}/task/{one}/children").read_text().split()]
    return found


def pss(pid: int) -> float:
    """Return the memory of a process in MiB, of what it shares its part (proc(5), smaps_rollup)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / MIB


def frames(pid: int) -> set[int]:
    """Return the numbers of the page frames that a process has in memory; {} for whoever may not see them."""
    found = set()
    with Path(f"/proc/{pid}/pagemap").open("rb") as pages:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            first, last = (int(word, 16) // PAGE for word in line.split(None, 1)[0].split("-"))
            pages.seek(first * 8)
            entries = struct.unpack(f"<{last - first}Q", pages.read((last - first) * 8)) if not _kernels(line) else ()
            found.update(entry & FRAME for entry in entries if entry & PRESENT)
    return found - {0}


def _kernels(line: str) -> bool:
    """Say whether a mapping is the kernel's own, the same in every process."""
    return line.split()[-1].startswith("[v")  # [vdso], [vvar], [vsyscall]


def certificates(directory: Path) -> Path:
    """Make certificates for all servers and return where they are."""
    made = plimsoll.run("certs", str(directory / "certs"))
    if made.returncode != 0:
        raise SystemExit(made.stderr.decode())
    return directory / "certs"


def go(program: Path, certs: Path, rules: str) -> Server:
    """Start G with its four rules or its twenty expressions."""
    log = certs.parent / f"g-{rules}.log"
    log.unlink(missing_ok=True)  # it begins with the address, and one that was started before had another
    begun = time.monotonic()
    command = [str(program), "-certificate", str(certs / "tls.crt"), "-key", str(certs / "tls.key"), "-rules", rules]
    process = start(f"g-{rules}", command, log)
    process.wait_until(lambda: log.stat().st_size > 0, READY_WITHIN)
    address = log.read_text().split()[0]
    return Server(process, f"https://{address}/validate", certs / "ca.crt", time.monotonic() - begun)


def ours(name: str, certs: Path, *policies: Path, workers: int = 1, mode: str = "", constant: bool = False) -> Server:
    """Start Plimsoll with packs (the shipped ones where none are named), or the constant application on its worker."""
    port, health = free_ports(2)
    settings = {
        "BIND": "127.0.0.1",
        "PORT": port,
        "HEALTH_PORT": health,
        "CERTIFICATE": certs / "tls.crt",
        "KEY": certs / "tls.key",
        "WORKERS": workers,
        "DRAIN": 0,
        "MODE": mode,
        "POLICIES": ",".join(str(path) for path in policies),
    }
    chosen = {f"PLIMSOLL_{key}": str(value) for key, value in settings.items() if value != ""}
    command = [sys.executable, "-m", "bench.constant"] if constant else [*plimsoll.COMMAND, "serve"]
    begun = time.monotonic()
    process = start(name, command, certs.parent / f"{name}.log", {**plimsoll.environment(), **chosen}, cwd=ROOT)
    process.wait_until(lambda: _ready(health, workers), READY_WITHIN)
    return Server(process, f"https://127.0.0.1:{port}/validate", certs / "ca.crt", time.monotonic() - begun)


def _ready(port: int, workers: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return f"{workers} worker" in answer.read().decode()
    except (urllib.error.URLError, OSError):
        return False
