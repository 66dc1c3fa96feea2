"""Runs the tasks of the process beside the workers, each in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

LOG = logging.getLogger("plimsoll")
REST = 5.0
"""Seconds before a task that failed is begun again."""
EVERY = 0.25
GRACE = 5.0
"""Seconds that all tasks together have to end."""


class Task(Protocol):
    """Something that is kept up for as long as the pod lives."""

    @property
    def name(self) -> str:
        """What log and metric call it."""
        ...

    def run(self, stop: threading.Event) -> None:
        """Do it until `stop` is set. What a call to others may raise is the task's own affair."""
        ...


def run(
    tasks: Sequence[Task],
    go_on: Callable[[], bool],
    failed: Callable[[str], None] = lambda name: None,
    rest: float = REST,
) -> None:
    """Run all tasks until `go_on()` is false, and wait some seconds for them to end.

    One that raises, or ends too early, is told of by its name to `failed`, and begun again after `rest` seconds: no
    task takes another down, and none the process.
    """
    stop = threading.Event()
    threads = [
        threading.Thread(target=_keep, args=(task, stop, failed, rest), name=task.name, daemon=True) for task in tasks
    ]
    for thread in threads:
        thread.start()
    while go_on():
        stop.wait(EVERY)
    stop.set()
    for thread in threads:
        thread.join(GRACE / len(threads))


def _keep(task: Task, stop: threading.Event, failed: Callable[[str], None], rest: float) -> None:
    while not stop.is_set():
        try:
            task.run(stop)
        except Exception:  # a bug of ours in one task; the others, and all admission, go on
            LOG.exception("%s failed, which is a bug of Plimsoll's own; it is begun again", task.name)
            failed(task.name)
        stop.wait(rest)
