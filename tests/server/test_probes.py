"""The port of probes and figures: it answers whatever the workers do, and adds up all of them."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def stopped() -> Iterator[Callable[[Any], None]]:
    """Stop a server's workers by SIGSTOP; they go on at the end of the test."""
    pids: list[int] = []

    def stop(server: Any) -> None:
        pids.extend(server.workers())
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)

    yield stop
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def test_probes_answer_when_every_worker_is_stopped(start: Callable[..., Any], stopped: Callable[[Any], None]) -> None:
    server = start()
    stopped(server)
    for path in ("/healthz", "/metrics"):
        begun = time.monotonic()
        assert server.probe(path, 1)[0] == 200
        assert time.monotonic() - begun < 0.5
    server.wait(lambda: server.probe("/readyz", 1) == (503, "not ready: no worker is live\n"), 8)


def test_probes_answer_when_every_worker_is_busy(start: Callable[..., Any], post: Callable[..., Any]) -> None:
    server = start(workers=1, requests=1)
    client = server.client()
    client.request("POST", "/validate", b"", {"Content-Type": "application/json"})
    client.getresponse().read()
    client.sock.sendall(b"POST /validate HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n")
    begun = time.monotonic()
    assert [server.probe(path, 1)[0] for path in ("/healthz", "/readyz", "/metrics")] == [200, 200, 200]
    assert time.monotonic() - begun < 1
    client.close()


def test_the_figures_of_all_workers_are_added_up_and_a_killed_one_keeps_its_count(
    start: Callable[..., Any], post: Callable[..., Any]
) -> None:
    server = start(workers=2)
    name = 'plimsoll_reviews_total{decision="allowed",endpoint="validate",operation="CREATE"}'
    for count in range(1, 41):
        client = server.client()
        assert post(client).status == 200
        client.close()
        server.wait(partial(lambda wanted: server.figure(name) == wanted, count))
    assert server.figure("plimsoll_packs_loaded") == 1
    assert server.figure("plimsoll_build_info") == 1
    assert server.figure("plimsoll_certificate_expiry_seconds") > 86400
    # Both had a share, or there would be nothing to add up. (40 of 40 to one: once in 5 * 10^11 runs.)
    workers = server.workers()
    os.kill(workers[0], signal.SIGKILL)
    server.wait(lambda: server.workers() != workers and len(server.workers()) == 2)
    assert server.figure(name) == 40


def test_figures_that_are_gone_decide_no_review(start: Callable[..., Any], post: Callable[..., Any]) -> None:
    server = start(workers=1)
    maps = Path(f"/proc/{server.workers()[0]}/maps").read_text(encoding="utf-8").splitlines()
    (directory,) = {Path(line.split()[-1]).parent for line in maps if line.endswith(".db")}
    shutil.rmtree(directory)
    assert '"allowed":true' in post(server.client()).text
    server.wait(lambda: server.said("figures can't be kept"))
    assert server.probe("/metrics")[0] == 503
    assert server.probe("/readyz")[0] == 200


def test_open_connections_are_counted(start: Callable[..., Any]) -> None:
    server = start(workers=2)
    held = [server.secure() for _ in range(5)]
    server.wait(lambda: server.figure("plimsoll_connections") == 5)
    for sock in held:
        sock.close()
    server.wait(lambda: server.figure("plimsoll_connections") == 0)


def test_a_health_process_that_is_killed_is_started_again(start: Callable[..., Any], post: Callable[..., Any]) -> None:
    server = start()
    (health,) = set(server.children()) - set(server.workers())
    client = server.client()
    assert post(client).status == 200
    os.kill(health, signal.SIGKILL)
    server.wait(lambda: health not in server.children() and server.ready(), 5)
    assert post(client).status == 200, "admission went on"
    client.close()


def test_the_health_process_holds_no_admission_socket_and_workers_no_probe_socket(
    start: Callable[..., Any],
) -> None:
    server = start()
    (health,) = set(server.children()) - set(server.workers())
    os.kill(health, signal.SIGKILL)
    server.wait(lambda: health not in server.children() and server.ready(), 5)
    assert len(server.workers()) == 2, "the new health process was forked beside open TLS sockets"


def test_reviews_are_not_served_on_the_probes_port_nor_probes_on_the_other(
    server: Any, post: Callable[..., Any]
) -> None:
    assert server.probe("/validate")[0] == 404
    client = server.client()
    assert post(client, path="/metrics").status == 404
    client.close()
