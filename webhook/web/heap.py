"""Memory of processes that are forked from one: what they can share, and where their threads allocate."""

from __future__ import annotations

import contextlib
import ctypes
import gc

YOUNG = 20_000
"""New objects at which the garbage collector looks for cycles. A review makes some hundred, and no cycles; Python's
own 700 has nearly each review pay for a collection."""
_M_ARENA_MAX = -8  # mallopt(3)


def share() -> None:
    """Have the processes that are forked from now on share what is loaded; called once, when all of it is there.

    Packs and modules live as long as the processes. Out of the collector's sight they cost no review a walk over them,
    and their pages stay shared after the fork, since a collection writes to all that it looks at.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)
    _one_arena()


def _one_arena() -> None:
    """Have all threads allocate from one heap.

    glibc gives each of a worker's threads a heap of its own, up to eight for each CPU of the node, so that they don't
    wait for each other's lock; each keeps what its busiest review took. Ours take turns at reviews, and at the
    interpreter, so they would hardly meet there. Elsewhere than with glibc nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
