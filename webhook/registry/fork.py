"""Starting anew in a forked process: threads don't come along, and a lock may have been held by one that didn't."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable


def afresh(begin: Callable[[], None]) -> None:
    """Call `begin`, a method, now and in each process that is forked from now on while its object lives."""
    begin()
    found = weakref.WeakMethod(begin)

    def child() -> None:
        method = found()
        if method is not None:
            method()

    os.register_at_fork(after_in_child=child)
