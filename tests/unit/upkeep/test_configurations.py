"""The task that keeps webhook configurations, begun again; all else of it is tried on a real API server."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from webhook.kube.client import Access, Client, Credential
from webhook.kube.entries import PAUSED, Terms
from webhook.kube.watch import Watch
from webhook.packs.compile import ruleset
from webhook.packs.rule import Ruleset
from webhook.shelf import Shelf
from webhook.upkeep.configurations import LATE, Around, Configurations
from webhook.upkeep.run import run

NOBODY = Access("http://127.0.0.1:9", lambda refused: Credential())
"""Where no API server is: who asks gets an error at once."""

PACK = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  version: "1"
  rules: [{name: a, expression: has(pod.spec.x), message: m, action: deny}]
"""


class Figures:
    def __init__(self) -> None:
        self.words: dict[str, dict[str, bool]] = {}

    def configuration(self, kind: str, **words: bool) -> None:
        self.words[kind] = words

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


def test_what_could_not_be_written_for_a_minute_is_said(tmp_path: Path, clock: Any) -> None:
    """The pack is in force and denies; the API server does not ask about it."""
    figures, rules = Figures(), ruleset([("acme.yaml", PACK)])
    around = Around(
        client=Client(NOBODY),
        shelf=Shelf(tmp_path / "shelf"),
        figures=figures,
        held=lambda: False,
        ruleset=lambda: rules,
        ready=lambda: True,
        ours=False,
    )
    task = Configurations(around, "plimsoll", Terms("plimsoll", "plimsoll"), clock)
    task._asked = True  # who we are
    task._copies[0].put({"metadata": {"name": "plimsoll"}, "webhooks": [{"name": "validate.plimsoll.dev"}]})
    task._copies[1].drop({})

    def behind() -> bool:
        task.look()
        return figures.words["ValidatingWebhookConfiguration"]["behind"]

    assert not behind()
    clock.now += LATE - 1
    assert not behind()
    clock.now += 1
    assert behind()
    task._copies[0].put({"metadata": {"annotations": {PAUSED: ""}}, "webhooks": []})
    behind()
    assert not behind(), "that is another word"
