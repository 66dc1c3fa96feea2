"""What reviews leave behind in a process that answers many of them: blocks of Python's, bytes of C's heap in use.

Memory as the kernel counts it (`footprint`) grows by pages that are written for the first time, ever more seldom; this
tells whether anything that is written is kept. All shipped packs, four kinds of reviews, metrics, one thread.
"""

from __future__ import annotations

import ctypes
import gc
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from bench import ROOT, bodies
from bench.cpu import Bench
from bench.results import Figure
from webhook import service, sources
from webhook.observe import metrics
from webhook.packs.compile import ruleset
from webhook.web.app import create_app

KINDS = ("small", "broken", "managed", "update")
WARM, TOTAL = 20_000, 100_000


_FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class Heap(ctypes.Structure):
    """What mallinfo2(3) returns: bytes in use are `uordblks`, and `hblkhd` of those that have mappings of their own."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in _FIELDS)


def figures(bench: Bench) -> Iterator[Figure]:
    """Yield how many blocks and bytes more are in use after many reviews than after some, for 1,000 of them."""
    warm, total = (500, 2_500) if bench.quick else (WARM, TOTAL)
    command = [sys.executable, "-m", "bench.left", str(warm), str(total)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"bench: looking for what reviews leave behind failed:\n{done.stderr[-2000:]}")
    texts = {"blocks": "blocks of Python's", "heap": "bytes of C's heap"}
    for name, more in json.loads(done.stdout).items():
        text = f"{texts[name]} more in use after {total:,} reviews than after {warm:,}, for 1,000"
        yield Figure(f"left/{name}", more * 1000 / (total - warm), "", 0.5, text, steady=False)


def more(warm: int, total: int) -> dict[str, int]:
    """Answer so many reviews, and return by how much what is in use grew after the first of them."""
    directory = metrics.prepare()
    try:
        answer = _server()
        texts = [bodies.bodies()[name] for name in KINDS]
        _repeat(answer, texts, warm)
        before = _used()
        _repeat(answer, texts, total - warm)
        return {name: value - before[name] for name, value in _used().items()}
    finally:
        metrics.clear(directory)


def _server() -> Callable[[bytes], None]:
    packs = [(source.name, source.text) for source in sources.read([str(path) for path in sources.shipped()])]
    figures = metrics.Metrics()
    app = create_app(service.Service(lambda: ruleset(packs, "enforce"), recorder=figures))

    def answer(body: bytes) -> None:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/validate",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
        said = b"".join(app.wsgi_app(environ, lambda *_: None))
        if b'"allowed":' not in said:
            raise SystemExit(said.decode())
        figures.settle()

    return answer


def _repeat(answer: Callable[[bytes], None], texts: list[bytes], times: int) -> None:
    for number in range(times):
        answer(texts[number % len(texts)])


def _used() -> dict[str, int]:
    gc.collect()
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = Heap
    heap = libc.mallinfo2()
    return {"blocks": sys.getallocatedblocks(), "heap": heap.uordblks + heap.hblkhd}


if __name__ == "__main__":
    told = os.dup(1)
    os.dup2(2, 1)  # whatever is logged is none of the answer
    os.write(told, json.dumps(more(int(sys.argv[1]), int(sys.argv[2]))).encode())
