"""The probes: what they say of master, workers, certificate; and that nobody can keep them from answering."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from webhook.web.board import STALE, Board
from webhook.web.health import Loop, Page, alive, pages, respond


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> Board:
    board = Board(clock)
    board.open(os.getpid())
    return board


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


def test_ready_means_a_live_worker_with_packs_and_a_valid_certificate(board: Board) -> None:
    board.say(1, 100, True, expires=500.0)
    assert board.ready(499.0) == (True, "1 worker")
    board.say(2, 101, True, expires=500.0)
    assert board.ready(499.0) == (True, "2 workers")


def test_not_ready_without_a_worker(board: Board) -> None:
    assert board.ready(0.0) == (False, "no worker is live")


def test_not_ready_when_all_workers_fell_silent(board: Board, clock: Clock) -> None:
    board.say(1, 100, True, expires=500.0)
    clock.time += STALE + 0.1
    assert board.ready(0.0) == (False, "no worker is live")


def test_not_ready_before_a_worker_has_packs(board: Board) -> None:
    board.say(1, 100, False, expires=500.0)
    assert board.ready(0.0) == (False, "no worker has packs loaded")


def test_not_ready_with_an_expired_certificate(board: Board) -> None:
    board.say(1, 100, True, expires=500.0)
    assert board.ready(500.0) == (False, "the certificate has expired")


def test_without_a_certificate_it_is_not_ready_and_says_why(clock: Clock) -> None:
    board = Board(clock, lambda: "the Secret is empty")
    board.open(os.getpid())
    board.say(1, 100, True, expires=0.0)
    assert board.ready(500.0) == (False, "no certificate yet: the Secret is empty")
    assert board.expires() is None
    board.say(2, 101, True, expires=900.0)
    assert board.ready(500.0)[0]
    assert board.expires() == 900.0


def test_not_ready_while_draining(board: Board) -> None:
    board.say(1, 100, True, expires=500.0)
    board.drain()
    assert not board.ready(0.0)[0]


def test_a_worker_that_left_does_not_count(board: Board) -> None:
    board.say(1, 100, True, expires=500.0)
    board.leave(1, 100)
    assert board.workers() == ()


def test_a_late_farewell_does_not_take_down_the_next_worker_in_the_place(board: Board) -> None:
    board.say(1, 200, True, expires=500.0)
    board.leave(1, 100)
    assert [word.pid for word in board.workers()] == [200]


def test_the_certificate_that_ends_first_counts(board: Board) -> None:
    board.say(1, 100, True, expires=700.0)
    board.say(2, 101, True, expires=500.0)
    assert board.expires() == 500.0


def test_live_as_long_as_the_master_lives_even_without_workers(board: Board) -> None:
    found = pages(board, lambda: b"", lambda: 0.0, alive)
    assert found["/healthz"]().status == 200


def test_not_live_when_the_master_is_gone() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    board = Board()
    board.open(ended.pid)
    assert pages(board, lambda: b"", lambda: 0.0, alive)["/healthz"]().status == 503


def test_figures_that_cannot_be_read_are_a_503_and_no_end(board: Board) -> None:
    def broken() -> bytes:
        raise RuntimeError("corrupt")

    assert pages(board, broken, lambda: 0.0, alive)["/metrics"]().status == 503


@pytest.mark.parametrize(
    ("head", "wanted"),
    [
        (b"GET /healthz HTTP/1.1\r\n\r\n", 200),
        (b"GET /healthz?verbose HTTP/1.1\r\n\r\n", 200),
        (b"HEAD /healthz HTTP/1.0\r\n\r\n", 200),
        (b"POST /healthz HTTP/1.1\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 404),
        (b"\x16\x03\x01\x02\r\n\r\n", 400),
        (b"", 400),
        (b"PRI * HTTP/2.0\r\n\r\n", 400),
    ],
)
def test_each_request_has_its_status(head: bytes, wanted: int) -> None:
    assert status(respond(head, {"/healthz": lambda: Page(200, b"ok\n")})) == wanted


def test_head_has_the_length_and_no_body() -> None:
    answer = respond(b"HEAD /healthz HTTP/1.1\r\n\r\n", {"/healthz": lambda: Page(200, b"ok\n")})
    assert b"Content-Length: 3\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[str, int]]]:
    """Start loops, each with a page `/`, and give their addresses; ended with the test."""
    going = threading.Event()
    threads: list[threading.Thread] = []

    def start(**options: float) -> tuple[str, int]:
        listener = socket.create_server(("127.0.0.1", 0))
        loop = Loop([listener], {"/": lambda: Page(200, b"x" * 500_000)}, **options)  # type: ignore[arg-type]

        def run() -> None:
            loop.run(lambda: not going.is_set(), 0.05)
            loop.close()

        thread = threading.Thread(target=run)
        thread.start()
        threads.append(thread)
        return listener.getsockname()  # type: ignore[no-any-return]

    yield start
    going.set()
    for thread in threads:
        thread.join()


def ask(address: tuple[str, int], head: bytes = b"GET / HTTP/1.1\r\n\r\n") -> bytes:
    with socket.create_connection(address, timeout=5) as sock:
        sock.sendall(head)
        parts = []
        while part := sock.recv(65536):
            parts.append(part)
        return b"".join(parts)


def test_an_answer_larger_than_the_socket_takes_arrives_whole(
    serve: Callable[..., tuple[str, int]],
) -> None:
    assert len(ask(serve()).split(b"\r\n\r\n", 1)[1]) == 500_000


def test_a_visitor_that_drips_is_cut_at_the_total_deadline(serve: Callable[..., tuple[str, int]]) -> None:
    address = serve(deadline=0.5)
    started = time.monotonic()
    with socket.create_connection(address, timeout=5) as sock, pytest.raises(OSError):
        for _ in range(40):
            sock.sendall(b"G")
            time.sleep(0.1)
    assert time.monotonic() - started < 2


def test_more_visitors_than_places_keep_no_probe_from_its_answer(
    serve: Callable[..., tuple[str, int]],
) -> None:
    address = serve(most=4)
    silent = [socket.create_connection(address) for _ in range(20)]
    try:
        assert status(ask(address)) == 200
    finally:
        for sock in silent:
            sock.close()
