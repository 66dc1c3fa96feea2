"""Connections that stall, drip or only stay: they are cut at total deadlines and stop nobody."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

HEAD = b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def open_one_byte(server: Any) -> socket.socket:
    sock: socket.socket = server.plain()
    sock.sendall(b"\x16")
    return sock


def open_half_head(server: Any) -> socket.socket:
    sock: ssl.SSLSocket = server.secure()
    sock.sendall(HEAD)
    return sock


def open_half_body(server: Any) -> socket.socket:
    sock: ssl.SSLSocket = server.secure()
    sock.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
    return sock


def open_half_chunk(server: Any) -> socket.socket:
    sock: ssl.SSLSocket = server.secure()
    sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n40\r\n{")
    return sock


OPENERS = [open_one_byte, open_half_head, open_half_body, open_half_chunk]


def ended(sock: socket.socket, seconds: float) -> bool:
    """Tell whether the server ends a connection within so many seconds."""
    sock.settimeout(seconds)
    try:
        while sock.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


@pytest.fixture
def crowd() -> Iterator[Callable[..., list[socket.socket]]]:
    """Open connections, closed with the test."""
    made: list[socket.socket] = []

    def opened(opener: Callable[[Any], socket.socket], server: Any, count: int = 20) -> list[socket.socket]:
        found = [opener(server) for _ in range(count)]
        made.extend(found)
        return found

    yield opened
    for sock in made:
        sock.close()


@pytest.mark.parametrize("opener", OPENERS)
def test_twenty_stalled_connections_stop_nobody_and_are_cut(
    server: Any,
    post: Callable[..., Any],
    crowd: Callable[..., list[socket.socket]],
    opener: Callable[[Any], socket.socket],
) -> None:
    stalled = crowd(opener, server)
    slowest = 0.0
    for _ in range(10):
        begun = time.monotonic()
        client = server.client(timeout=3)
        assert post(client).status == 200
        client.close()
        slowest = max(slowest, time.monotonic() - begun)
    assert slowest < 1, "the API server waits 1 s for /mutate"
    # A second for handshake, head or body; those that come in chunks may be large, and have 7 s more.
    seconds = 10 if opener is open_half_chunk else 3
    assert all(ended(sock, seconds) for sock in stalled)


@pytest.mark.parametrize("opener", [open_half_head, open_half_body])
def test_a_byte_now_and_then_wins_no_time(server: Any, opener: Callable[[Any], socket.socket]) -> None:
    with opener(server) as sock:
        begun = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - begun < 5:
                sock.sendall(b"x")
                time.sleep(0.1)
        assert 0.8 < time.monotonic() - begun < 3


def test_a_handshake_that_drips_wins_no_time(server: Any) -> None:
    # A record of 200 bytes is announced and comes one byte at a time.
    with server.plain() as sock:
        begun = time.monotonic()
        sock.sendall(b"\x16\x03\x01\x00\xc8")
        with contextlib.suppress(OSError):
            while time.monotonic() - begun < 5:
                sock.sendall(b"\x01")
                time.sleep(0.1)
        assert time.monotonic() - begun < 3


def test_an_answer_that_nobody_reads_is_given_up(start: Callable[..., Any], review: Callable[[str], bytes]) -> None:
    server = start(write=0.5, workers=1)
    body = review("web")
    request = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with server.secure() as sock:
        sock.settimeout(0.5)
        with contextlib.suppress(OSError):
            for _ in range(100_000):  # answers pile up until the server's writes wait
                sock.sendall(request)
        server.wait(lambda: server.figure("plimsoll_connections") == 0)


def test_an_idle_connection_is_kept_and_used_again(server: Any, post: Callable[..., Any]) -> None:
    # The shared server's deadlines for handshake, head and body are a second: idle time is none of them.
    client = server.client()
    first = post(client)
    port = client.sock.getsockname()[1]
    time.sleep(3)
    second = post(client)
    assert (first.status, second.status) == (200, 200)
    assert client.sock.getsockname()[1] == port, "the same connection"
    client.close()


def test_a_connection_that_never_asked_is_kept_too(server: Any) -> None:
    # Go's client dials one more than it then needs and keeps it for the next call.
    with server.secure() as sock:
        assert not ended(sock, 2)


def test_the_idle_time_is_the_settings(start: Callable[..., Any], post: Callable[..., Any]) -> None:
    server = start(keep_alive=1, workers=1)
    client = server.client()
    assert post(client).getheader("Connection") == "keep-alive"
    begun = time.monotonic()
    assert ended(client.sock, 5)
    assert 0.8 < time.monotonic() - begun < 2
    client.close()


def test_a_request_is_cut_at_no_deadline_while_it_is_in_work(server: Any, post: Callable[..., Any]) -> None:
    client = server.client()
    assert post(client, "slow-1.5").status == 200
    client.close()


def test_two_requests_sent_at_once_are_both_answered(server: Any, review: Callable[[str], bytes]) -> None:
    body = review("web")
    request = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with server.secure() as sock:
        sock.sendall(request + request)
        sock.settimeout(3)
        found = b""
        while found.count(b"HTTP/1.1 200") < 2:
            part = sock.recv(65536)
            assert part
            found += part


def test_a_review_that_takes_long_stops_nobody(start: Callable[..., Any], post: Callable[..., Any]) -> None:
    server = start(workers=1)
    clients = [server.client() for _ in range(3)]
    assert [post(client).status for client in clients] == [200, 200, 200]
    begun = time.monotonic()
    long = threading.Thread(target=post, args=(clients[0], "busy-3"))
    long.start()
    time.sleep(0.1)
    for client in clients[1:]:
        assert [post(client).status for _ in range(5)] == [200] * 5
    assert time.monotonic() - begun < 2.5, "before that review is done"
    long.join()
    assert post(clients[0]).status == 200
    for client in clients:
        client.close()
