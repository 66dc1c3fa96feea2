"""The process beside the workers: kept up, and never in the way of reviews or of the end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HOST = Path(__file__).with_name("host.py")


@pytest.fixture
def begin(start: Callable[..., Any], tmp_path: Path) -> Callable[[], Any]:
    """Start a server with a process beside the workers, which fails while `tmp_path / "fail"` is there."""

    def make() -> Any:
        return start(command=[sys.executable, str(HOST), "/nonexistent", str(tmp_path / "fail")], workers=1)

    return make


def upkeep(server: Any) -> int:
    """Return the id of the process: of the children, that which holds no port."""
    held = {server.port, server.health_port}
    children = set(server.children())
    (pid,) = children - {pid for pid in children if server.ports(pid) & held} or {0}
    return int(pid)


def test_it_holds_no_port_and_is_started_again_while_reviews_go_on(begin: Any, post: Any) -> None:
    server = begin()
    server.wait(lambda: server.said("upkeep"))
    first = upkeep(server)
    os.kill(first, signal.SIGKILL)
    assert post(server.client()).status == 200
    server.wait(lambda: upkeep(server) not in (0, first))
    assert server.said(f"the upkeep process ({first}) ended; starting another")
    assert post(server.client()).status == 200
    children = server.children()
    assert server.stop() == 0
    assert not any(alive(pid) for pid in children)


def test_one_that_fails_says_where_and_a_stop_meanwhile_ends_well(begin: Any, post: Any, tmp_path: Path) -> None:
    """It once had the master send SIGTERM to process 0, which is everybody in its group."""
    (tmp_path / "fail").touch()
    server = begin()
    server.wait(lambda: server.said("a process beside the workers failed"))
    (line,) = [line for line in server.lines if "beside the workers failed" in str(line.get("message"))][:1]
    assert line["error"].startswith("ZeroDivisionError at host.py")
    server.wait(lambda: server.said("ended; starting another"))
    assert post(server.client()).status == 200
    assert server.stop() == 0
    assert not server.said("secret")


def test_one_that_hangs_does_not_hold_up_the_end_for_ever(begin: Any) -> None:
    server = begin()
    server.wait(lambda: server.said("upkeep"))
    pid = upkeep(server)
    os.kill(pid, signal.SIGSTOP)
    try:
        assert server.stop() == 0
        assert server.said(f"process {pid} does not end, and is killed")
    finally:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def test_it_ends_with_the_master_however_that_ends(begin: Any) -> None:
    server = begin()
    server.wait(lambda: server.said("upkeep"))
    pid = upkeep(server)
    os.kill(server.pid, signal.SIGKILL)
    server.process.wait()
    server.wait(lambda: not alive(pid) or _zombie(pid))


def _zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
