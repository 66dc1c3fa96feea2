"""The task that says which packs are in force: told by signals, and begun again without a trace."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from webhook.kube.client import Access, Client, Credential
from webhook.kube.watch import Watch
from webhook.packs import compile as packs
from webhook.packs.rule import Ruleset
from webhook.shelf import PACKS, Shelf
from webhook.upkeep.packs import Packs
from webhook.upkeep.run import run

NOBODY = Access("http://127.0.0.1:9", lambda refused: Credential())
"""Where no API server is: who asks gets an error at once."""
PACK = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  version: "%d"
  rules: [{name: a, expression: "true", message: m, action: warn}]
"""


def compiled(texts: Any) -> Ruleset:
    """Compile as the server does."""
    return packs.ruleset(list(texts))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


def test_a_signal_that_comes_on_top_of_another_waits_for_nothing(shelf: Shelf) -> None:
    task = Packs(shelf, compiled, list, 3600)
    # as the handler of the first signal was interrupted: what it holds, nobody lets go before the second has ended
    with task.stir._cond:  # type: ignore[attr-defined]
        second = threading.Thread(target=task.nudge, daemon=True)
        second.start()
        second.join(10)
        assert not second.is_alive()


def test_a_nudge_has_files_looked_at(shelf: Shelf) -> None:
    number = 1

    def files() -> list[tuple[str, str]]:
        return [("acme.yaml", PACK % number)]

    task = Packs(shelf, compiled, files, 3600)
    task.begin()
    stop, woken = threading.Event(), threading.Event()
    task.wake = woken.set
    thread = threading.Thread(target=task.run, args=(stop,))
    thread.start()
    number = 2
    task.nudge()
    assert woken.wait(30)
    assert b'version: \\"2\\"' in (shelf.get(PACKS) or b"")
    stop.set()
    thread.join()


def test_a_task_that_fails_leaves_no_watch_behind(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    following: list[threading.Event] = []
    monkeypatch.setattr(Watch, "run", lambda self, stop: following.append(stop))
    task = Packs(shelf, compiled, list, 3600, Client(NOBODY), "plimsoll")
    told: list[str] = []

    def fail(what: str, seconds: float) -> None:
        raise OSError("no room")

    task.stale = fail
    run([task], lambda: len(told) < 2, told.append, rest=0.01)
    assert len(following) >= 4
    assert all(stop.is_set() for stop in following[:4])
    assert following[0] is not following[2]  # each begins with its own, and ends it


def test_a_pack_on_which_we_fail_keeps_no_other_from_being_loaded_and_no_server_from_starting(shelf: Shelf) -> None:
    def attempt(texts: Any) -> Ruleset:
        if any("bad" in name for name, _ in texts):
            raise TypeError("a bug")
        return compiled(texts)

    bad: dict[str, Any] = {"metadata": {"name": "bad"}, "spec": {}}
    rule = {"name": "a", "expression": "true", "message": "m", "action": "warn"}
    good = {"metadata": {"name": "good"}, "spec": {"version": "1", "rules": [rule]}}
    task = Packs(shelf, attempt, list, 3600, Client(NOBODY), "plimsoll")
    task.begin([bad, good])
    assert task.standing.good == {"RulePack/good"}
    (problem,) = task.standing.problems["RulePack/bad"]
    assert "bug of its own" in str(problem)
