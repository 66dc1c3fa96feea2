"""The task that keeps webhook configurations, begun again; all else of it is tried on a real API server."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from webhook.kube.client import Access, Client, Credential
from webhook.kube.entries import Terms
from webhook.kube.watch import Watch
from webhook.packs.rule import Ruleset
from webhook.shelf import Shelf
from webhook.upkeep.configurations import Around, Configurations
from webhook.upkeep.run import run

NOBODY = Access("http://127.0.0.1:9", lambda refused: Credential())
"""Where no API server is: who asks gets an error at once."""


class Figures:
    def configuration(self, kind: str, **words: bool) -> None: ...

    def configuration_repaired(self, kind: str) -> None: ...


def test_a_task_that_fails_leaves_no_watch_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    following: list[threading.Event] = []

    def follow(self: Watch, stop: threading.Event) -> None:
        following.append(stop)
        stop.wait(30)

    monkeypatch.setattr(Watch, "run", follow)
    around = Around(
        client=Client(NOBODY),
        shelf=Shelf(tmp_path / "shelf"),
        figures=Figures(),
        held=lambda: False,
        ruleset=Ruleset,
        ready=lambda: True,
        ours=True,
    )
    task = Configurations(around, "plimsoll", Terms("plimsoll", "plimsoll"))
    told: list[str] = []

    def fail() -> None:
        raise OSError("no room")

    monkeypatch.setattr(task, "look", fail)
    run([task], lambda: len(told) < 2, told.append, rest=0.01)
    assert len(following) >= 4
    assert all(stop.is_set() for stop in following[:4])
    assert following[0] is not following[2], "each begins with its own, and ends it"
