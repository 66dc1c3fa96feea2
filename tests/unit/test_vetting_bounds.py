"""What somebody applies is judged before it is stored, and never at the cost of those who are deployed meanwhile."""

from __future__ import annotations

import itertools
import threading
from typing import Any

from webhook.model import workloads
from webhook.model.review import Review, parse
from webhook.packs import compile as packs
from webhook.packs.rule import Ruleset
from webhook.packs.served import Text
from webhook.vetting import ASKS, LATE, WAITING, Vetter


def review(name: str, **spec: Any) -> Review:
    """Return a review of a RulePack that somebody creates."""
    rule = {"name": "a", "expression": "true", "message": "m", "action": "warn"}
    return parse(
        {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "1",
                "kind": {"group": "plimsoll.dev", "version": "v1", "kind": "RulePack"},
                "resource": {"group": "plimsoll.dev", "version": "v1", "resource": "rulepacks"},
                "operation": "CREATE",
                "name": name,
                "userInfo": {"username": "ann"},
                "object": {"metadata": {"name": name}, "spec": {"version": "1", "rules": [rule], **spec}},
            },
        }
    )


def compiled(texts: Any) -> Ruleset:
    """Compile as the server does."""
    return packs.ruleset(texts, None, False, workloads.table({}))


def test_mistakes_are_told_while_somebody_waits() -> None:
    problems, _ = Vetter(list, compiled, [])(review("acme", mood="bad"), None)
    assert len(problems) == 1
    assert "spec.mood" in problems[0]


def test_what_takes_longer_than_anyone_waits_is_given_up_and_let_in_with_a_word() -> None:
    clock = itertools.count().__next__
    vetter = Vetter(list, compiled, [], clock=lambda: clock() / 100)
    assert vetter(review("acme", mood="bad"), 0.5) == ([], [LATE])
    assert vetter(review("acme", mood="bad"))[1] == [LATE]  # nobody said how long they wait
    assert Vetter(list, compiled, [])(review("acme"))[1] != [LATE]  # and this thread is free again


def test_nobody_waits_behind_another_for_longer_than_they_said() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def attempt(texts: Any) -> Ruleset:
        begun.set()
        go_on.wait(30)
        return compiled(texts)

    vetter = Vetter(list, attempt, [], clock=lambda: 0.0)
    first = threading.Thread(target=vetter, args=(review("acme"),))
    first.start()
    assert begun.wait(30)
    assert vetter(review("other"), 0.0) == ([], [LATE])
    go_on.set()
    first.join()


def test_few_wait_at_once_so_that_there_are_places_for_reviews() -> None:
    go_on, placed = threading.Event(), threading.Condition()
    seen: set[int] = set()

    def clock() -> float:
        """Who has a place asks for the time."""
        with placed:
            seen.add(threading.get_ident())
            placed.notify()
        return 0.0

    def attempt(texts: Any) -> Ruleset:
        go_on.wait(30)
        return compiled(texts)

    vetter = Vetter(list, attempt, [], clock=clock)
    threads = [threading.Thread(target=vetter, args=(review("acme"), 30.0)) for _ in range(WAITING)]
    for thread in threads:
        thread.start()
    with placed:
        assert placed.wait_for(lambda: len(seen) == WAITING, 30)
    assert vetter(review("other"), 30.0) == ([], [LATE])
    assert threading.get_ident() not in seen
    go_on.set()
    for thread in threads:
        thread.join()


def test_the_api_server_is_asked_for_few_bases_however_many_one_names() -> None:
    asked: list[str] = []

    def stored(name: str) -> dict[str, Any] | None:
        asked.append(name)
        return None

    def of(count: int) -> Text:
        return (
            "ConfigMap/packs/a.yaml",
            "---\n".join(
                f"apiVersion: plimsoll.dev/v1\nkind: RulePack\nmetadata: {{name: p{i}}}\nspec: {{extends: b{i}}}\n"
                for i in range(count)
            ),
        )

    vetter = Vetter(lambda: [of(ASKS)], compiled, [], stored=stored)
    vetter(review("acme"))
    assert len(asked) == ASKS
    vetter = Vetter(lambda: [of(ASKS + 1)], compiled, [], stored=stored)
    assert vetter(review("acme")) == ([], [LATE])
    assert len(asked) == ASKS
