"""What workers tell of denials: whose they are, what to say, and never a wait."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from webhook.model.decision import Decision
from webhook.observe import tell
from webhook.observe.tell import MESSAGE, Teller, message, target

DENY = """
rules:
  - {name: never, expression: "containers.all(c, c.name == 'x')", message: containers are called x, action: deny}
  - {name: noted, expression: "false", message: noted, action: audit}
"""


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = tell.pair()
    yield near, far
    near.close()
    far.close()


def owned(obj: dict[str, Any], kind: str = "ReplicaSet") -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": kind, "name": "web-7d4f", "uid": "r-1", "controller": True}
    obj["metadata"]["ownerReferences"] = [{"kind": "Other"}, reference]
    return obj


def test_a_denial_is_told_with_its_rules_and_what_the_answer_says(judge: Any, review: Any, pod: Any, ends: Any) -> None:
    decision = judge(DENY, pod())
    Teller(ends[0], [].append).record("validate", review(pod()), decision, 0.0)
    told = orjson.loads(ends[1].recv(9000))
    assert told["rules"] == ["pack/never"]
    assert told["message"] == "refused Pod shop/web: never: containers are called x"


def test_nothing_is_told_of_what_is_allowed_or_a_dry_run(judge: Any, review: Any, pod: Any, ends: Any) -> None:
    teller = Teller(ends[0], [].append)
    teller.record("validate", review(pod()), Decision(), 0.0)
    teller.record("validate", review(pod(), dryRun=True), judge(DENY, pod()), 0.0)
    with pytest.raises(BlockingIOError):
        ends[1].recv(9000)


def test_a_reader_that_does_not_come_costs_a_count_and_no_wait(judge: Any, review: Any, pod: Any, ends: Any) -> None:
    counted: list[str] = []
    teller = Teller(ends[0], counted.append)
    asked, denied = review(pod()), judge(DENY, pod())
    for _ in range(5000):
        teller.record("validate", asked, denied, 0.0)
    assert set(counted) == {"dropped"}
    held = 5000 - len(counted)
    assert held > 50, "more than the ten that a socket with a name holds"
    for _ in range(held):
        ends[1].recv(9000)
    teller.record("validate", asked, denied, 0.0)
    assert ends[1].recv(9000)


def test_a_pod_of_a_controller_is_told_at_its_controller(review: Any, pod: Any) -> None:
    assert target(review(owned(pod("")))) == {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "web-7d4f",
        "uid": "r-1",
        "namespace": "shop",
    }


def test_an_update_is_told_at_the_object_that_is_there(review: Any, deployment: Any) -> None:
    old = deployment(metadata={"uid": "d-1"})
    found = target(review(deployment(), old))
    assert found == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "namespace": "shop", "uid": "d-1"}


def test_what_is_not_there_is_told_by_its_name(review: Any, deployment: Any, pod: Any) -> None:
    assert target(review(deployment(metadata={"uid": "forged"}))) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "web",
        "namespace": "shop",
    }
    nameless = pod("")
    nameless["metadata"]["generateName"] = "batch-"
    found = target(review(nameless))
    assert found is not None and found["name"] == "batch"


@pytest.mark.parametrize("reference", [{"controller": True}, {"controller": True, "kind": 1}, None, "x"])
def test_a_reference_that_is_none_leads_to_nothing_strange(reference: Any, review: Any, pod: Any) -> None:
    obj = pod()
    obj["metadata"]["ownerReferences"] = [reference]
    found = target(review(obj))
    assert found is not None and (found["kind"], found["name"]) == ("Pod", "web")


@pytest.mark.parametrize("count", [1, 5, 40])
def test_a_message_is_never_too_long_and_says_what_is_left_out(
    count: int, load: Callable[..., Any], judge: Any, review: Any, pod: Any
) -> None:
    rules = "rules:\n" + "".join(
        f'  - {{name: rule-{number}, expression: "false", message: "{"é" * 150}", action: deny}}\n'
        for number in range(count)
    )
    said = message(review(pod("w" * 200)), judge(rules, pod("w" * 200)))
    assert len(said) <= MESSAGE
    assert count < 40 or said.endswith(f"; and {count - said.count('rule-')} more")


def test_a_telling_that_is_too_large_is_dropped(judge: Any, review: Any, pod: Any, ends: Any) -> None:
    counted: list[str] = []
    obj = owned(pod(""), kind="K" * 9000)
    Teller(ends[0], counted.append).record("validate", review(obj), judge(DENY, obj), 0.0)
    assert counted == ["dropped"]
