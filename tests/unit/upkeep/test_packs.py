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
from webhook.packs.served import restore, rulepack
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


def stored(name: str, action: str, last: str = "", **spec: Any) -> dict[str, Any]:
    """Return a RulePack as a cluster has it; with `last` its status keeps a text whose rule has this action."""
    rules = [{"name": "a", "expression": "true", "message": "m", "action": action}]
    made = {"metadata": {"name": name}, "spec": {"version": "1", "rules": rules, **spec}}
    return {**made, "status": {"lastGood": rulepack(stored(name, last, **spec))[1]}} if last else made


def begun(shelf: Shelf, *objects: dict[str, Any]) -> Packs:
    task = Packs(shelf, compiled, list, 3600, Client(NOBODY), "plimsoll")
    task.begin(objects)
    return task


def actions(shelf: Shelf) -> dict[str, str]:
    return {rule.about.pack: rule.about.action for rule in compiled(restore(shelf.get(PACKS))).rules}


def test_a_server_that_starts_while_a_pack_is_broken_has_the_text_that_the_cluster_keeps(shelf: Shelf) -> None:
    task = begun(shelf, stored("acme", "block", last="deny"), stored("other", "warn"))
    assert actions(shelf) == {"acme": "deny", "other": "warn"}
    assert task.standing.problems.keys() == {"RulePack/acme"}
    assert task.standing.kept == {"RulePack/acme": rulepack(stored("acme", "deny"))[1]}


def test_what_is_written_counts_wherever_it_can_be_loaded(shelf: Shelf) -> None:
    task = begun(shelf, stored("acme", "warn", last="deny"))
    assert actions(shelf) == {"acme": "warn"}
    assert not task.standing.problems


def test_a_kept_text_that_is_no_longer_good_brings_nothing_in_force_and_holds_up_no_other(shelf: Shelf) -> None:
    task = begun(shelf, stored("acme", "block", last="dney"), stored("other", "warn"))
    assert actions(shelf) == {"other": "warn"}
    assert task.standing.problems.keys() == {"RulePack/acme"}


def test_a_base_that_was_broken_for_those_that_extend_it_is_recalled_with_them(shelf: Shelf) -> None:
    own = stored("own", "deny", extends="base")
    task = begun(shelf, own, stored("base", "block", last="warn"))
    assert actions(shelf) == {"own": "deny"}
    assert task.standing.good == {"RulePack/own", "RulePack/base"}
