"""Memory of processes forked from one: what they can share, where their threads allocate, what they set aside."""

from __future__ import annotations

import contextlib
import ctypes
import gc

YOUNG = 20_000
"""New objects at which the garbage collector looks for cycles. A review makes some hundred, and no cycles; Python's
own 700 has nearly each review pay for a collection."""
RESERVE = 1 << 20
"""Bytes that a worker sets aside of C's heap, and as many of Python's own: what some reviews of small pods take that
are in hand at once."""
_M_ARENA_MAX = -8  # mallopt(3)
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_MAPPED = 4 << 20
"""Bytes from which malloc maps a block by itself, and unmaps it when it is freed, so that its pages are taken anew the
next time. To read a body orjson takes twelve times its size for a moment: those of up to 340 KB stay below."""
_BLOCK = 96 * 1024  # below what malloc maps by itself, and larger than most gaps
_SMALL = 450  # bytes of text: with what Python adds, below what it leaves to malloc
_ARENA = 1 << 20
_FRAMES = 60  # of Python, on a page of their own for each thread; a review has less than half

_kept: list[bytes] = []


def share() -> None:
    """Have the processes that are forked from now on share what is loaded; called once, when all of it is there.

    Packs and modules live as long as the processes. Out of the collector's sight they cost no review a walk over them,
    and their pages stay shared after the fork, since a collection writes to all that it looks at.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)
    _one_arena()


def reserve() -> None:
    """Have this process take now, and keep, the memory that busy moments would have it take one after the other.

    How much reviews need depends on how many are in hand at once, and pages are touched for the first time ever more
    seldom, for days: a worker would look as if it leaked, and a limit that was enough today would not be tomorrow. What
    is set aside here is given back to the allocators, not to the system.
    """
    with contextlib.suppress(OSError, AttributeError):  # elsewhere than with glibc
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        # either of them ends that glibc moves both by itself, and leaves them wherever loading happened to
        libc.mallopt(_M_MMAP_THRESHOLD, _MAPPED)
        libc.mallopt(_M_TRIM_THRESHOLD, 2 * _MAPPED)
        blocks = [libc.malloc(ctypes.c_size_t(_BLOCK)) for _ in range(RESERVE // _BLOCK)]
        for block in filter(None, blocks):
            ctypes.memset(block, 0, _BLOCK)
        for block in reversed(blocks):
            libc.free(ctypes.c_void_p(block))
    texts = [bytes(_SMALL) for _ in range(RESERVE // _SMALL)]
    # Python unmaps an arena in which nothing is left, so something stays in each
    _kept.extend(texts[:: _ARENA // 4 // _SMALL])


def deepen(frames: int = _FRAMES) -> None:
    """Have the calling thread touch as much of its stack of Python's frames as it will ever need."""
    if frames:
        deepen(frames - 1)


def _one_arena() -> None:
    """Have all threads allocate from one heap.

    glibc gives each of a worker's threads a heap of its own, up to eight for each CPU of the node, so that they don't
    wait for each other's lock; each keeps what its busiest review took. Ours take turns at reviews, and at the
    interpreter, so they would hardly meet there. Elsewhere than with glibc nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
