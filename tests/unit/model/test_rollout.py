"""How many pods are missing during a rollout, counted as each controller counts."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.model.pods import Subject
from webhook.model.rollout import ROLLING, Count, Rollout, count, rollout


def of(kind: str, spec: dict[str, Any], group: str = "apps") -> Rollout:
    found = rollout(Subject({"spec": spec}, group, kind, "shop", "web", "", ()))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (0, Count(0, False)),
        (3, Count(3, False)),
        ("25%", Count(25, True)),
        ("0%", Count(0, True)),
        (-1, None),
        (True, None),
        ("3", None),
        ("%", None),
        ("-5%", None),
        ("1000%", None),
        (None, None),
    ],
)
def test_a_count_is_a_number_of_pods_or_a_percentage(value: object, wanted: Count | None) -> None:
    assert count(value) == wanted


def test_a_percentage_is_rounded_as_is_asked() -> None:
    assert Count(25, True).of(3, up=False) == 0
    assert Count(25, True).of(3, up=True) == 1
    assert Count(2, False).of(3, up=True) == 2


@pytest.mark.parametrize(
    ("kind", "group", "spec", "missing"),
    [
        ("Deployment", "apps", {"replicas": 3}, 0),
        ("Deployment", "apps", {"replicas": 4}, 1),
        ("Deployment", "apps", {}, 0),
        ("Deployment", "apps", {"replicas": 3, "strategy": {"rollingUpdate": {"maxSurge": 0}}}, 1),
        ("Deployment", "apps", {"replicas": 10, "strategy": {"rollingUpdate": {"maxUnavailable": "30%"}}}, 3),
        ("Deployment", "apps", {"strategy": {"rollingUpdate": {"maxUnavailable": "some"}}}, None),
        ("Deployment", "apps", {"replicas": "three"}, None),
        ("StatefulSet", "apps", {"replicas": 3}, 1),
        ("CloneSet", "apps.kruise.io", {"replicas": 6}, 2),
        ("CloneSet", "apps.kruise.io", {"replicas": 6, "updateStrategy": {"maxSurge": 1}}, 1),
        ("Rollout", "argoproj.io", {"replicas": 8, "strategy": {"canary": {}}}, 2),
    ],
)
def test_each_controller_counts_its_own_way(kind: str, group: str, spec: dict[str, Any], missing: int | None) -> None:
    assert of(kind, spec, group).missing == missing


def test_a_rollout_with_traffic_routing_or_by_hand_takes_no_pods_away() -> None:
    assert of("Rollout", {"strategy": {"canary": {}}}, "argoproj.io").rolls
    assert not of("Rollout", {"strategy": {"canary": {"trafficRouting": {"nginx": {}}}}}, "argoproj.io").rolls
    assert not of("Rollout", {"strategy": {"blueGreen": {}}}, "argoproj.io").rolls
    assert not of("StatefulSet", {"updateStrategy": {"type": "OnDelete"}}).rolls


def test_a_deployment_rolls_unless_it_says_otherwise() -> None:
    assert of("Deployment", {}).kind == "RollingUpdate"
    assert of("Deployment", {"strategy": {"type": "Recreate"}}).kind == "Recreate"
    assert of("StatefulSet", {"strategy": {"type": "Recreate"}}).kind == "RollingUpdate"


def test_openkruise_keeps_min_ready_seconds_in_the_strategy() -> None:
    spec = {"minReadySeconds": 5, "updateStrategy": {"rollingUpdate": {"minReadySeconds": 7}}}
    assert of("StatefulSet", spec).min_ready == 5
    assert of("StatefulSet", spec, "apps.kruise.io").min_ready == 7
    assert of("StatefulSet", {}).min_ready == 0
    assert of("StatefulSet", {"minReadySeconds": "5"}).min_ready is None


def test_a_strategy_that_is_no_object_cannot_be_written_into() -> None:
    assert of("Deployment", {}).open
    assert not of("Deployment", {"strategy": "RollingUpdate"}).open


def test_nobody_rolls_out_jobs_and_bare_pods() -> None:
    for kind in ("Pod", "Job", "CronJob", "ReplicaSet"):
        assert ("", kind) not in ROLLING
        assert rollout(Subject({}, "", kind, "shop", "web", "", ())) is None


def test_a_field_is_pointed_at_from_the_root_of_the_review() -> None:
    found = rollout(Subject({}, "apps", "Deployment", "shop", "web", "/spec/workload/manifests/0", ()))
    assert found is not None
    assert found.pointer("maxSurge") == "/spec/workload/manifests/0/spec/strategy/rollingUpdate/maxSurge"
