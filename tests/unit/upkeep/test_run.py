from __future__ import annotations

import threading

from webhook.upkeep.run import run


class Task:
    def __init__(self, name: str, *ends: Exception | None) -> None:
        self.name = name
        self.ends = list(ends)
        self.begun = 0
        self.stopped = threading.Event()

    def run(self, stop: threading.Event) -> None:
        self.begun += 1
        if self.ends:
            end = self.ends.pop(0)
            if end is not None:
                raise end
            return
        stop.wait(10)
        self.stopped.set()


def test_a_task_that_raises_is_told_of_and_begun_again_and_the_others_go_on() -> None:
    bad, good = Task("bad", ValueError("x"), ValueError("y")), Task("good")
    told: list[str] = []
    run([bad, good], lambda: bad.begun < 3, told.append, rest=0.01)
    assert told == ["bad", "bad"]
    assert (bad.begun, good.begun) == (3, 1)
    assert good.stopped.is_set()


def test_a_task_that_ends_too_early_is_begun_again() -> None:
    task = Task("short", None, None)
    run([task], lambda: task.begun < 3, rest=0.01)
    assert task.begun == 3
