"""A server holds no more memory than serving takes: one heap for all threads, and no library for certificates."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from webhook.web.heap import RESERVE

ARENA = 64 * 2**20
"""Bytes of addresses that glibc takes for the heap of a thread (HEAP_MAX_SIZE), at a multiple of that."""


def maps(pid: int) -> Iterator[tuple[int, int, str]]:
    for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines():
        addresses, _, rest = line.partition(" ")
        begin, end = (int(address, 16) for address in addresses.split("-"))
        yield begin, end, rest


def arenas(pid: int) -> list[int]:
    """Return where the heaps of threads begin: writable at first, and kept free behind that."""
    found = list(maps(pid))
    return [
        first[0]
        for first, second in zip(found, found[1:], strict=False)
        if first[0] % ARENA == 0 and first[1] == second[0] and second[1] == first[0] + ARENA and "---p" in second[2]
    ]


def heap(pid: int) -> int:
    """Return the bytes of C's heap."""
    return sum(end - begin for begin, end, rest in maps(pid) if "[heap]" in rest)


def test_the_threads_of_a_worker_allocate_in_one_heap(start: Callable[..., Any], post: Callable[..., Any]) -> None:
    server = start(workers=1)
    clients = [server.client() for _ in range(12)]
    for client in clients:
        assert post(client).status == 200
    (worker,) = server.workers()
    assert len(os.listdir(f"/proc/{worker}/task")) > len(clients), "each connection has a thread"  # noqa: PTH208
    assert arenas(worker) == []


def test_a_worker_sets_memory_aside_before_its_first_review(start: Callable[..., Any]) -> None:
    server = start(workers=1)
    (worker,) = server.workers()
    aside = heap(worker) - heap(server.pid)
    assert aside >= RESERVE // 2, "of C's heap, behind what it had when it was forked; gaps took the rest"


def test_no_process_of_a_server_with_files_loads_what_makes_certificates(start: Callable[..., Any]) -> None:
    server = start(workers=1)
    server.wait(lambda: len(server.children()) >= 2)
    for pid in (server.pid, *server.children()):
        assert not [rest for _, _, rest in maps(pid) if "/cryptography/" in rest]
