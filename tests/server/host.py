"""Runs the real server (`webhook.hosting.host`) over a service that a test steers by the object's name.

`slow-<seconds>` waits so long, `busy-<seconds>` too, but without saying so; `bug` raises, `deny` denies; all else is
allowed. SIGHUP counts a load of packs that fails when the file in PACKS_FAIL exists.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from webhook import hosting, settings
from webhook.model.decision import Decision
from webhook.model.review import Review
from webhook.observe import log, metrics
from webhook.web.turn import Turn


class Service:
    """Decides by name."""

    def __init__(self, figures: metrics.Metrics, turn: Turn[Any]) -> None:
        """Count into `figures`; leave `turn` before waiting."""
        self.figures = figures
        self.turn = turn

    def decide(self, endpoint: str, review: Review, deadline: float | None) -> Decision:
        """Do what the name says."""
        if review.name.startswith("slow-"):
            self.turn.leave()
            time.sleep(float(review.name.removeprefix("slow-")))
        if review.name.startswith("busy-"):
            time.sleep(float(review.name.removeprefix("busy-")))
        if review.name == "bug":
            raise ZeroDivisionError(f"secret of {review.name}")
        decision = Decision(allowed=review.name != "deny")
        self.figures.record(endpoint, review, decision, 0.001)
        return decision

    def ready(self) -> tuple[bool, str]:
        """Say that packs are loaded."""
        return True, "ready"


def keep(go_on: Callable[[], bool]) -> None:
    """Be the process beside the workers; fail as long as the file named by the second argument is there."""
    if Path(sys.argv[2]).exists():
        raise ZeroDivisionError("secret")
    logging.getLogger("plimsoll").info("upkeep")
    while go_on():
        time.sleep(0.05)


def run() -> int:
    """Serve with the settings of the environment.

    The first argument is the file that makes loads fail; with a second there is a process beside the workers.
    """
    found = settings.read({})
    log.configure(found.log_level, found.log_format)
    directory = metrics.prepare()
    figures = metrics.Metrics()
    fails = Path(sys.argv[1])

    def look() -> None:
        if fails.exists():
            figures.load_failed()
        else:
            figures.loaded(1)

    try:
        turn: Turn[Any] = Turn()
        upkeep = keep if len(sys.argv) > 2 else None
        return hosting.host(found, directory, Service(figures, turn), figures, look, turn=turn, upkeep=upkeep)
    finally:
        metrics.clear(directory)


if __name__ == "__main__":
    sys.exit(run())
