"""progressive-delivery beyond its cases: scales, and hostile objects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from webhook.checks import progressive_delivery
from webhook.model.decision import Decision, Violation
from webhook.model.pods import subjects

RULE = "rules:\n  - {name: gradual, check: progressive-delivery, action: deny}\n"


def found(strategy: Any) -> list[Violation]:
    check = progressive_delivery.build(progressive_delivery.DEFAULTS)
    obj = {"spec": {"strategy": strategy, "template": {"spec": {"containers": []}}}}
    assert check.subject is not None
    return [v for s in subjects(obj, "argoproj.io", "Rollout", "shop", "web") for v in check.subject(s)]


def scale(judge: Callable[..., Decision], group: str, resource: str, replicas: int, before: int) -> Decision:
    def sent(count: int) -> dict[str, Any]:
        spec = {"replicas": count} if count else {}  # 0 is left out on the wire
        return {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": spec}

    where = {"group": group, "version": "v1", "resource": resource}
    return judge(RULE, sent(replicas), old=sent(before), resource=where, subResource="scale")


def test_a_deployment_is_not_scaled_up_past_its_rollout(judge: Callable[..., Decision]) -> None:
    assert not scale(judge, "apps", "deployments", 3, before=0).allowed


def test_a_deployment_is_scaled_down_for_its_rollout_step_by_step(judge: Callable[..., Decision]) -> None:
    assert scale(judge, "apps", "deployments", 0, before=3).findings == ()
    assert scale(judge, "apps", "deployments", 2, before=3).allowed, "it ran pods before"


def test_a_rollout_and_a_statefulset_are_scaled(judge: Callable[..., Decision]) -> None:
    assert scale(judge, "argoproj.io", "rollouts", 9, before=1).findings == ()
    assert scale(judge, "apps", "statefulsets", 9, before=1).findings == ()


@pytest.mark.parametrize(
    ("pause", "waits"),
    [
        ({}, True),
        ({"duration": "10m"}, True),
        ({"duration": 60}, True),
        ({"duration": "1h"}, True),
        ({"duration": 0}, False),
        ({"duration": "0s"}, False),
        (None, False),
    ],
)
def test_a_pause_waits_for_a_person_or_for_some_time(pause: Any, waits: bool) -> None:
    assert (found({"canary": {"steps": [{"setWeight": 10}, {"pause": pause}]}}) == []) is waits


@pytest.mark.parametrize("value", [None, [], {}, "x", 7, True, [None], ["x"], {"a": 1}])
def test_nothing_hostile_makes_the_check_fail(value: Any) -> None:
    assert found(value)
    assert found({"canary": value})
    assert found({"canary": {"steps": value}})
    found({"blueGreen": value})
    for key in ("trafficRouting", "analysis"):
        found({"canary": {key: value, "steps": [{"setWeight": 10}]}})
    for key in ("setWeight", "pause", "analysis", "setHeaderRoute", "setMirrorRoute", "experiment", "plugin"):
        found({"canary": {"steps": [{key: value}, value]}})
