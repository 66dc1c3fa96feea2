"""Processes of the lab: started on free ports, tied to this process, ended by id, with their output kept."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
TETHER = Path(__file__).with_name("tether.py")
POLL = 0.05


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Return so many different ports of an address of this machine that nobody listens on at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind((host, 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@dataclass(frozen=True, slots=True)
class Process:
    """A running program, the file that holds its output, and its name in messages."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    def tail(self, lines: int = 40) -> str:
        """Return the last lines that the program wrote, without those that the lab's own probes cause."""
        written = self.log.read_text(errors="replace").splitlines()
        return "\n".join([line for line in written if "probe.plimsoll.dev" not in line][-lines:])

    def stop(self, patience: float = 10.0) -> int:
        """End the program: SIGTERM, after `patience` seconds SIGKILL; returns its exit status."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                return self.popen.wait(patience)
            except subprocess.TimeoutExpired:
                return self.kill()
        return self.popen.returncode

    def kill(self) -> int:
        """End the program at once, as a crash would."""
        self.popen.kill()
        return self.popen.wait()

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return once `ready` holds; fails where the program stops or the time is over."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.popen.poll() is not None:
                raise Ended(f"{self.name} ended with status {self.popen.returncode}; {self.log}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name} is not ready after {seconds} s; {self.log}:\n{self.tail()}")
            time.sleep(POLL)


class Ended(AssertionError):
    """A program stopped while it was expected to start, for example because somebody took its port."""


def start(
    name: str,
    command: list[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Process:
    """Start a program that dies with this process; its output is appended to `log`."""
    tethered = [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *command]
    with log.open("ab") as output:
        popen = subprocess.Popen(
            tethered,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(os.environ if environment is None else environment),
            cwd=cwd,
            start_new_session=True,  # Ctrl-C is for pytest, which then ends its children in order
        )
    return Process(name, popen, log)


def eventually(look: Callable[[], T], seconds: float = 20.0, what: str = "") -> T:
    """Return the first true value of `look`; fails with its last value once the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what or look}; last seen {value!r}")
        time.sleep(0.1)


def until_none(look: Callable[[], Collection[object]], seconds: float, what: str) -> None:
    """Wait until `look` finds nothing; fails with what it found last once the time is over."""
    deadline = time.monotonic() + seconds
    while left := look():
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s there still are {what}: {left}")
        time.sleep(0.1)
