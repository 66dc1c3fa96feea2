"""Work spread over processes: in order, without losing an error, and ended by Ctrl-C."""

from __future__ import annotations

import copyreg
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from webhook.errors import ConfigError, Problem

T = TypeVar("T")
R = TypeVar("R")

FEW = 64
"""Pieces for which nobody is called: to start a process costs as much as to judge some ten objects."""
PIECES = 25
"""Pieces that a process takes at a time."""


def _parts_of(problem: Problem) -> tuple[type[Problem], tuple[str, int, str, str]]:
    return Problem, (problem.source, problem.line, problem.path, problem.text)


# as pickle would have it, an object is made without arguments and filled then, which what is compiled refuses
copyreg.pickle(Problem, _parts_of)


def hands(wanted: int | None, pieces: int) -> int:
    """Return how many processes to use: as many as wanted; if nobody says, one for each processor, for many pieces.

    Processes are forked, which shares what is loaded already. Only Linux does that without surprises.
    """
    if sys.platform != "linux":
        return 1
    able = len(os.sched_getaffinity(0)) if wanted is None else wanted
    return 1 if wanted is None and pieces < FEW else max(1, min(able, pieces))


def parts(pieces: int) -> int:
    """Return into how many parts `spread` cuts so many pieces."""
    return -(-pieces // PIECES)


def spread(work: Callable[[Sequence[T]], R], pieces: Sequence[T], processes: int) -> Iterator[R]:
    """Yield what `work` makes of some pieces after the other, in their order.

    What `work` raises is raised here. Raises ConfigError where a process is killed from outside.
    """
    cut = [pieces[start : start + PIECES] for start in range(0, len(pieces), PIECES)]
    if processes < 2:
        yield from map(work, cut)
        return
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    gc.freeze()  # a collection in a child would write to, and so copy, every page that it shares
    # what a worker needs is there when it is forked, and never goes through a pipe; only pieces and results do
    crew = ProcessPoolExecutor(processes, get_context("fork"), _begin, (work,))
    # Ctrl-C goes to all of them, and the first ends the others: they are born deaf to it
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        made = crew.map(_do, cut)
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)
        yield from made
    except BrokenProcessPool:
        text = "a process of it was killed, perhaps since memory ran out; try fewer by --jobs"
        raise ConfigError([Problem("plimsoll check", 0, "", text)]) from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)
        crew.shutdown(cancel_futures=True)
        gc.unfreeze()


_task: list[Callable[[Any], Any]] = []
"""What a worker is for, put here once, when it begins; the first process never has any."""


def _begin(work: Callable[[Any], Any]) -> None:
    # whatever ends the first process, nobody is left behind to wait for work (prctl(2), PR_SET_PDEATHSIG)
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    _task[:] = [work]


def _do(part: Any) -> Any:
    return _task[0](part)
