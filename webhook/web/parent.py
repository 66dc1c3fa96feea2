"""Ties a process to its parent's life."""

from __future__ import annotations

import contextlib
import ctypes

_PR_SET_PDEATHSIG = 1  # prctl(2)


def follow(number: int) -> None:
    """Have the kernel send this process signal `number` when its parent ends, in whatever way.

    Linux only; elsewhere nothing happens, and callers look at `os.getppid` from time to time as well.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
