"""One deadline over a whole call, shared by its steps."""

from __future__ import annotations

import time


class Deadline:
    """When a call has to be over; `seconds` is what it was given, for messages."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def __str__(self) -> str:
        """Return what it was given, as people say it: `2.5 s`."""
        return f"{round(self.seconds, 2):g} s"

    def left(self) -> float:
        """Return the seconds that are left, never less than 0."""
        return max(0.0, self._end - time.monotonic())

    def share(self, parts: int) -> Deadline:
        """Return a deadline for the first of so many steps that have to find time in this one."""
        return self if parts == 1 else Deadline(self.left() / parts)
