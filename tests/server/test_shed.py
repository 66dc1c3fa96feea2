"""Too many connections or requests: who can, makes room; the rest is told to come again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


def ask_in_background(
    server: Any, post: Callable[..., Any], name: str, count: int
) -> tuple[list[threading.Thread], list[int]]:
    """Send `count` reviews at once; return the threads and the list that their statuses come into."""
    answers: list[int] = []

    def ask() -> None:
        client = server.client()
        answers.append(post(client, name).status)
        client.close()

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, answers


def test_more_requests_than_places_are_a_503_that_api_servers_try_again(
    start: Callable[..., Any], post: Callable[..., Any]
) -> None:
    server = start(workers=1, requests=2)
    threads, answers = ask_in_background(server, post, "slow-1", 2)
    time.sleep(0.5)
    client = server.client()
    begun = time.monotonic()
    shed = post(client)
    assert time.monotonic() - begun < 0.4
    assert (shed.status, shed.getheader("Retry-After"), shed.getheader("Connection")) == (503, "1", "close")
    for thread in threads:
        thread.join()
    assert answers == [200, 200]
    assert post(server.client()).status == 200, "a second later there is room"
    assert server.figure('plimsoll_shed_total{reason="requests"}') == 1
    client.close()


def test_more_connections_than_places_are_a_503_when_all_are_busy(
    start: Callable[..., Any], post: Callable[..., Any]
) -> None:
    server = start(workers=1, connections=3)
    threads, answers = ask_in_background(server, post, "slow-1", 3)
    time.sleep(0.5)
    client = server.client()
    shed = post(client)
    assert (shed.status, shed.getheader("Retry-After"), shed.getheader("Connection")) == (503, "1", "close")
    for thread in threads:
        thread.join()
    assert answers == [200, 200, 200]
    assert server.figure('plimsoll_shed_total{reason="connections"}') == 1
    client.close()


def test_the_connection_that_is_idle_longest_makes_room(start: Callable[..., Any], post: Callable[..., Any]) -> None:
    server = start(workers=1, connections=3)
    kept = [server.client() for _ in range(3)]
    for client in kept:
        assert post(client).status == 200
    assert post(kept[0]).status == 200, "so that the second is idle longest"
    new = server.client()
    assert post(new).status == 200
    kept[1].sock.settimeout(2)
    assert kept[1].sock.recv(1) == b""
    for client in (kept[0], kept[2], new):
        assert post(client).status == 200
        client.close()
    kept[1].close()


def test_a_connection_that_says_nothing_makes_room_before_an_idle_one(
    start: Callable[..., Any], post: Callable[..., Any]
) -> None:
    server = start(workers=1, connections=2)
    idle = server.client()
    assert post(idle).status == 200
    with server.plain() as silent:
        time.sleep(0.7)
        new = server.client()
        assert post(new).status == 200
        silent.settimeout(2)
        assert silent.recv(1) == b""
    assert post(idle).status == 200
    idle.close()
    new.close()


def test_a_request_that_comes_slowly_makes_room(start: Callable[..., Any], post: Callable[..., Any]) -> None:
    server = start(workers=1, connections=2)
    slow = [server.secure() for _ in range(2)]
    for sock in slow:
        sock.sendall(b"POST /validate HTTP/1.1\r\n")
    time.sleep(2.2)
    assert post(server.client()).status == 200, "long before the head's deadline of 10 s"


def test_few_large_bodies_are_taken_at_once_and_small_ones_always(
    start: Callable[..., Any], post: Callable[..., Any]
) -> None:
    server = start(workers=1)
    head = b"POST /validate HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 3000000\r\n\r\n"
    for _ in range(8):
        server.secure().sendall(head + b"{")
    time.sleep(0.3)
    with server.secure() as ninth:
        ninth.sendall(head + b" " * 3000000)
        assert b"503 Service Unavailable" in ninth.recv(4096)
    assert post(server.client()).status == 200
    assert server.figure('plimsoll_shed_total{reason="large"}') == 1


def test_a_flood_of_silent_connections_stops_nobody(start: Callable[..., Any], post: Callable[..., Any]) -> None:
    server = start(workers=2, connections=16)
    flood = [server.plain() for _ in range(200)]
    time.sleep(0.6)
    client = server.client()
    assert post(client).status == 200
    client.close()
    for sock in flood:
        sock.close()
