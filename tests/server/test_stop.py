"""The end and the reload: SIGTERM loses no request, SIGHUP closes nothing, and no process stays behind."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()[0] == b"Z"
    except OSError:
        return True


def figures_of(server: Any) -> set[Path]:
    """Return the directories of the figures that a server's workers keep open."""
    maps = Path(f"/proc/{server.workers()[0]}/maps").read_text(encoding="utf-8").splitlines()
    return {Path(line.split()[-1]).parent for line in maps if line.endswith(".db")}


def load(server: Any, post: Callable[..., Any], until: Callable[[], bool], results: list[str]) -> None:
    """Send reviews one after the other, as an API server does, until told; note each one's fate."""
    client = server.client()
    while not until():
        try:
            answer = post(client, "slow-0.02")
            results.append(str(answer.status))
            if answer.getheader("Connection") == "close":
                client.close()
        except OSError as error:
            results.append(type(error).__name__)
            client.close()
            client = server.client()
        time.sleep(0.005)
    client.close()


def test_sigterm_is_not_ready_at_once_and_loses_no_request(start: Callable[..., Any], post: Callable[..., Any]) -> None:
    server = start(drain=1.5)
    results: list[list[str]] = [[] for _ in range(6)]
    asked = time.monotonic() + 0.5
    # The endpoint is taken out of the Service meanwhile, so calls end before the drain does.
    threads = [
        threading.Thread(target=load, args=(server, post, lambda: time.monotonic() > asked + 1.2, found))
        for found in results
    ]
    for thread in threads:
        thread.start()
    time.sleep(max(0.0, asked - time.monotonic()))
    server.process.send_signal(signal.SIGTERM)
    server.wait(lambda: server.probe("/readyz")[0] == 503, 0.5)
    assert "draining" in server.probe("/readyz")[1]
    assert server.probe("/healthz")[0] == 200
    for thread in threads:
        thread.join()
    assert {fate for found in results for fate in found} == {"200"}
    assert min(len(found) for found in results) > 20
    assert server.process.wait(10) == 0


def test_answers_while_draining_close_their_connection(start: Callable[..., Any], post: Callable[..., Any]) -> None:
    server = start(drain=2)
    client = server.client()
    assert post(client).getheader("Connection") == "keep-alive"
    server.process.send_signal(signal.SIGTERM)
    server.wait(lambda: server.probe("/readyz")[0] == 503)
    time.sleep(0.2)  # the master has told the workers by then
    assert post(client).getheader("Connection") == "close"
    client.close()
    new = server.client()
    answer = post(new)
    assert (answer.status, answer.getheader("Connection")) == (200, "close")
    new.close()


def test_a_request_that_is_in_work_at_the_end_of_the_drain_is_answered(
    start: Callable[..., Any], post: Callable[..., Any]
) -> None:
    server = start(drain=0.2)
    answers: list[int] = []

    def ask() -> None:
        client = server.client()
        answers.append(post(client, "slow-1.5").status)
        client.close()

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.3)
    server.process.send_signal(signal.SIGTERM)
    thread.join()
    assert answers == [200]
    assert server.process.wait(10) == 0


def test_after_a_stop_nothing_is_left(start: Callable[..., Any]) -> None:
    server = start(drain=0.1)
    children = server.children()
    assert len(children) == 3, "two workers and the health process"
    figures = [Path(entry) for entry in Path(f"/proc/{server.pid}/environ").read_text().split("\0") if "/" in entry]
    assert figures
    assert server.stop() == 0
    assert all(gone(pid) for pid in children)


def test_when_the_master_is_killed_everything_ends(start: Callable[..., Any]) -> None:
    server = start()
    children, (figures,) = server.children(), figures_of(server)
    os.kill(server.pid, signal.SIGKILL)
    server.process.wait()
    server.wait(lambda: all(gone(pid) for pid in children) and not figures.exists(), 3)


def test_sighup_looks_at_the_packs_in_place(start: Callable[..., Any], post: Callable[..., Any]) -> None:
    server = start(poll=3600)
    client, workers = server.client(), server.workers()
    assert post(client).status == 200
    (server.directory / "fail").touch()
    server.process.send_signal(signal.SIGHUP)
    server.wait(lambda: server.figure("plimsoll_pack_load_failed") == 1)
    (server.directory / "fail").unlink()
    server.process.send_signal(signal.SIGHUP)
    server.wait(lambda: server.figure("plimsoll_pack_load_failed") == 0)
    assert post(client).status == 200, "over the connection made before"
    assert server.workers() == workers
    client.close()


def test_a_storm_of_sighup_stops_no_worker(start: Callable[..., Any], post: Callable[..., Any]) -> None:
    server = start(poll=3600)
    workers = server.workers()
    for _ in range(3000):
        for pid in workers:
            os.kill(pid, signal.SIGHUP)
    (server.directory / "fail").touch()
    server.process.send_signal(signal.SIGHUP)
    server.wait(lambda: server.figure("plimsoll_pack_load_failed") == 1)
    assert server.stop() == 0
    assert not server.said("SIGKILL"), "each worker ended by itself"


def test_reloads_under_load_lose_no_request(start: Callable[..., Any], post: Callable[..., Any]) -> None:
    server = start()
    done = threading.Event()
    results: list[list[str]] = [[] for _ in range(4)]
    threads = [threading.Thread(target=load, args=(server, post, done.is_set, found)) for found in results]
    for thread in threads:
        thread.start()
    for _ in range(10):
        server.process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
    done.set()
    for thread in threads:
        thread.join()
    assert {fate for found in results for fate in found} == {"200"}


def test_a_worker_that_is_killed_is_replaced(start: Callable[..., Any], post: Callable[..., Any]) -> None:
    server = start()
    before = server.workers()
    os.kill(before[0], signal.SIGKILL)
    server.wait(lambda: len(server.workers()) == 2 and server.workers() != before)
    for _ in range(4):
        client = server.client()
        with contextlib.closing(client):
            assert post(client).status == 200
