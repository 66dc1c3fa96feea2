"""lossless-release beyond its cases: parameters, hooks, counting, whole reviews, hostile objects."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook.checks import lossless_release
from webhook.checks.check import ParamError
from webhook.engine.evaluate import evaluate
from webhook.engine.facts import Facts
from webhook.model import patch
from webhook.model.decision import Decision, Violation
from webhook.model.pods import group_of, subjects
from webhook.packs.compile import ruleset

ROOT = Path(__file__).parent.parent.parent.parent
RULE = "rules:\n  - {name: lossless, check: lossless-release, action: deny, fix: true}\n"


def found(obj: dict[str, Any], **params: Any) -> list[Violation]:
    check = lossless_release.build({**lossless_release.DEFAULTS, **params})
    assert check.subject is not None
    return [v for s in subjects(obj, group_of(obj["apiVersion"]), obj["kind"], "shop", "x") for v in check.subject(s)]


def serving(**more: Any) -> dict[str, Any]:
    """Return a container that serves and keeps the standard, with some keys changed."""
    return {
        "name": "web",
        "image": "registry.example/shop/web:1.4.2",
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"tcpSocket": {"port": 8080}},
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        **more,
    }


def workload(kind: str = "Deployment", pod: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    template = {"spec": {"containers": [serving()], **(pod or {})}}
    group = {"Rollout": "argoproj.io/v1alpha1", "CloneSet": "apps.kruise.io/v1alpha1"}.get(kind, "apps/v1")
    return {
        "apiVersion": group,
        "kind": kind,
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"template": template, **spec},
    }


@pytest.mark.parametrize("value", ["10", "x%", "-1%", "%", 1.5, True, "1000%"])
def test_a_count_that_is_none_is_refused_with_its_place(value: Any) -> None:
    with pytest.raises(ParamError) as error:
        lossless_release.build({**lossless_release.DEFAULTS, "maxUnavailable": value})
    assert [path for path, _ in error.value.problems] == [("maxUnavailable",)]


def test_statefulsets_and_daemonsets_cannot_do_with_none_missing() -> None:
    with pytest.raises(ParamError) as error:
        lossless_release.build({**lossless_release.DEFAULTS, "maxUnavailableWithoutSurge": 0})
    assert "1 or more" in str(error.value)


def test_a_pattern_that_matches_no_image_is_refused_with_its_place() -> None:
    with pytest.raises(ParamError) as error:
        lossless_release.build({**lossless_release.DEFAULTS, "selfDraining": ["registry.example/a", "a b"]})
    assert [path for path, _ in error.value.problems] == [("selfDraining", 1)]


@pytest.mark.parametrize(
    ("command", "short"),
    [
        (["sleep", "4"], True),
        (["/usr/bin/sleep", "4s"], True),
        (["sleep", "5"], False),
        (["sleep", "1m"], False),
        (["sleep", "0.5"], False),
        (["/bin/sh", "-c", "sleep 3"], True),
        (["bash", "-c", "sleep 3; nginx -s quit"], True),
        (["bash", "-c", "sleep 3&& nginx -s quit"], True),
        (["sh", "-c", "sleep 3 & wait-for-drain"], False),
        (["sh", "-c", "drain; sleep 1"], False),
        (["sh", "-c", "sleep $DRAIN"], False),
        (["sh", "-c", ""], False),
        (["sh", "-c"], False),
        (["/wait-shutdown"], False),
        (["nosleep", "1"], False),
        ([], False),
    ],
)
def test_a_hook_that_runs_a_command_is_too_short_only_where_its_first_sleep_says_so(
    command: list[str], short: bool
) -> None:
    obj = workload(pod={"containers": [serving(lifecycle={"preStop": {"exec": {"command": command}}})]})
    kept = [v.reason for v in found(obj) if v.reason != "killed before it can finish"]
    assert kept == (["preStop hook too short"] if short else [])


@pytest.mark.parametrize(
    ("replicas", "rolling", "missing"),
    [
        (3, {}, False),
        (4, {}, True),
        (4, {"maxUnavailable": "24%"}, False),
        (4, {"maxUnavailable": "0%"}, False),
        (1, {"maxUnavailable": 1}, True),
        (2, {"maxUnavailable": 0, "maxSurge": 1}, False),
        (2, {"maxUnavailable": "10%", "maxSurge": 0}, True),
        (0, {"maxUnavailable": 1}, False),
        (None, {}, False),
        ("three", {"maxUnavailable": 1}, False),
        (4, {"maxUnavailable": "two"}, False),
    ],
)
def test_percentages_of_a_deployment_are_rounded_as_its_controller_does(
    replicas: Any, rolling: dict[str, Any], missing: bool
) -> None:
    obj = workload(replicas=replicas, strategy={"rollingUpdate": rolling})
    assert [v.reason for v in found(obj)] == (["pods end before new ones are ready"] if missing else [])


@pytest.mark.parametrize(
    ("kind", "strategy", "missing"),
    [
        ("StatefulSet", {"rollingUpdate": {"maxUnavailable": "10%"}}, False),
        ("StatefulSet", {"rollingUpdate": {"maxUnavailable": 2}}, True),
        ("StatefulSet", {"type": "OnDelete", "rollingUpdate": {"maxUnavailable": 2}}, False),
        ("DaemonSet", {}, False),
        ("DaemonSet", {"rollingUpdate": {"maxUnavailable": 2}}, True),
        ("DaemonSet", {"rollingUpdate": {"maxUnavailable": "99%"}}, False),
        ("DaemonSet", {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}, False),
        ("CloneSet", {"maxUnavailable": "20%", "maxSurge": 1}, True),
        ("CloneSet", {"maxUnavailable": "10%", "maxSurge": 1}, False),
        ("CloneSet", {"maxUnavailable": 0, "maxSurge": 1}, False),
    ],
)
def test_every_controller_is_judged_as_it_replaces_pods(kind: str, strategy: dict[str, Any], missing: bool) -> None:
    obj = workload(kind, replicas=5, updateStrategy=strategy)
    assert [v.reason for v in found(obj)] == (["pods end before new ones are ready"] if missing else [])


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_openkruises_namesakes_are_judged_like_the_kinds_of_kubernetes(kind: str) -> None:
    for strategy in (
        {},
        {"rollingUpdate": {"maxUnavailable": 2}},
        {"rollingUpdate": {"maxUnavailable": "20%"}},
        {"rollingUpdate": {"maxUnavailable": "100%"}},
        {"type": "OnDelete", "rollingUpdate": {"maxUnavailable": 2}},
    ):
        own = workload(kind, replicas=10, updateStrategy=strategy)
        assert found({**own, "apiVersion": "apps.kruise.io/v1beta1"}) == found(own), strategy


@pytest.mark.parametrize(
    ("kind", "group", "path"),
    [
        ("Deployment", "apps/v1", ("minReadySeconds",)),
        ("StatefulSet", "apps/v1", ("minReadySeconds",)),
        ("DaemonSet", "apps/v1", ("minReadySeconds",)),
        ("Rollout", "argoproj.io/v1alpha1", ("minReadySeconds",)),
        ("CloneSet", "apps.kruise.io/v1beta1", ("minReadySeconds",)),
        ("DaemonSet", "apps.kruise.io/v1beta1", ("minReadySeconds",)),
        ("StatefulSet", "apps.kruise.io/v1beta1", ("updateStrategy", "rollingUpdate", "minReadySeconds")),
    ],
)
def test_every_kind_waits_by_its_own_min_ready_seconds(kind: str, group: str, path: tuple[str, ...]) -> None:
    obj = {**workload(kind, replicas=1), "apiVersion": group}
    assert [v.pointer for v in found(obj, minReadySeconds=10) if "minReady" in v.found] == ["/spec/" + "/".join(path)]
    written: Any = 10
    for key in reversed(path):
        written = {key: written}
    obj["spec"] |= written
    assert not [v for v in found(obj, minReadySeconds=10) if "minReady" in v.found]


def test_nothing_hostile_makes_the_check_fail() -> None:
    wrong: tuple[Any, ...] = (None, [], {}, "x", 7, True, [None], {"a": 1})
    for value in wrong:
        for key in ("ports", "lifecycle", "readinessProbe", "image"):
            found(workload(pod={"containers": [serving(**{key: value})]}))
        for hook in ({"sleep": value}, {"exec": value}, {"exec": {"command": value}}, value):
            found(workload(pod={"containers": [serving(lifecycle={"preStop": hook})]}))
        found(workload(pod={"terminationGracePeriodSeconds": value}))
        for key in ("replicas", "strategy", "updateStrategy", "minReadySeconds"):
            for kind in ("Deployment", "StatefulSet", "Rollout", "CloneSet"):
                found(workload(kind, **{key: value}))


@pytest.mark.parametrize("strategy", [[], "x", {"rollingUpdate": 7}, {"type": "Recreate"}])
def test_a_strategy_that_cannot_be_mended_is_left_alone(strategy: Any, judge: Callable[..., Decision]) -> None:
    decision = judge(RULE, workload(replicas=8, strategy=strategy), endpoint="mutate")
    assert decision.errors == ()
    assert decision.patch == ()


def test_what_the_controller_of_a_workload_made_is_not_judged(judge: Callable[..., Decision]) -> None:
    owner = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u-9", "controller": True}]
    made = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web-1", "namespace": "shop", "ownerReferences": owner},
        "spec": {"template": {"spec": {"containers": [serving(lifecycle=None)]}}},
    }
    assert judge(RULE, made).findings == ()
    assert judge(RULE, made, endpoint="mutate").patch == ()


def test_a_scale_is_not_refused(judge: Callable[..., Decision]) -> None:
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 9}}
    where = {"group": "apps", "version": "v1", "resource": "deployments"}
    assert judge(RULE, scale, old=scale, resource=where, subResource="scale").findings == ()


def test_on_an_update_of_the_image_the_pod_is_mended_and_the_strategy_is_not(judge: Callable[..., Decision]) -> None:
    old = workload(pod={"containers": [serving(lifecycle=None, image="a:1")]}, replicas=8)
    new = workload(pod={"containers": [serving(lifecycle=None, image="a:2")]}, replicas=8)
    patched = patch.apply(new, list(judge(RULE, new, old=old, endpoint="mutate").patch))
    assert patched["spec"]["template"]["spec"]["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert "strategy" not in patched["spec"]
    assert judge(RULE, patched, old=old).allowed, "the strategy is as before"


def test_the_fix_of_the_sample_makes_all_that_can_be_mended_go_away(review: Callable[..., Any], now: Any) -> None:
    text = (ROOT / "policies" / "release.yaml").read_text()
    rules = ruleset([("release.yaml", text.replace("mode: dry-run", "mode: enforce", 1))])
    sample = yaml.safe_load((ROOT / "samples" / "release.yaml").read_text())
    before = copy.deepcopy(sample)
    mended = evaluate(rules, review(sample), Facts(), now, "mutate")
    assert sample == before
    stored = patch.apply(sample, list(mended.patch))
    assert evaluate(rules, review(stored), Facts(), now, "mutate").patch == ()
    reasons = [f.violation.reason for f in evaluate(rules, review(stored), Facts(), now, "all").findings]
    assert sorted(reasons) == ["everybody gets a release at once", "no readiness probe"]
