"""Fixes: what is stored keeps the standard, once; no fix causes a rollout that nobody asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from lab import packs, workloads
from lab.kubectl import Kubectl, Object
from lab.plimsoll import Server
from lab.process import eventually

UNEQUAL = workloads.pod_spec(workloads.container(resources=workloads.UNEQUAL))
RAISED = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "100m", "memory": "128Mi"}}


@pytest.fixture
def correct(kubectl: Kubectl, serve: Callable[..., Server], guard: Callable[..., None]) -> Callable[[], Kubectl]:
    """The test's kubectl; calling the fixture puts its namespace under the pack `correcting` from then on."""

    def begin() -> Kubectl:
        guard(kubectl, serve(packs.CORRECTING), "mutate", "validate")
        return kubectl

    return begin


def resources(pod_spec: Object) -> list[Object]:
    """Return the resources of a pod spec's containers."""
    return [container["resources"] for container in pod_spec["containers"]]


def replica_sets(kubectl: Kubectl) -> list[Object]:
    """Return the ReplicaSets, oldest first, once their controller had the time to make what it wants to make.

    Every Pod that it wants must be there, and a label put on the Deployment must have reached the controller:
    what it does about a Deployment, it has done by then.
    """
    eventually(lambda: settled(kubectl), what="the Deployment's controller to be done")
    return sorted(kubectl.all("replicasets"), key=lambda each: int(each["metadata"]["resourceVersion"]))


def settled(kubectl: Kubectl) -> bool:
    """Say whether the controllers have seen the last Deployment and have nothing left to make."""
    deployment = kubectl.get("deployment/web")
    status = deployment.get("status", {})
    sets = kubectl.all("replicasets")
    wanted = sum(each["spec"]["replicas"] for each in sets)
    return bool(
        status.get("observedGeneration") == deployment["metadata"]["generation"]
        and all(each["status"].get("observedGeneration") == each["metadata"]["generation"] for each in sets)
        and status.get("updatedReplicas", 0) == deployment["spec"]["replicas"]
        and len(kubectl.all("pods")) == wanted
    )


def written(kubectl: Kubectl) -> dict[str, Any]:
    """Return the Deployment without what its controller writes when it likes: the status, and its trace."""
    found = kubectl.get("deployment/web")
    del found["status"], found["metadata"]["resourceVersion"]
    return found


def test_a_fixable_deployment_is_stored_corrected_with_a_warning(correct: Callable[[], Kubectl]) -> None:
    kubectl = correct()
    answer = kubectl.apply(workloads.deployment(spec=UNEQUAL)).must()
    assert answer.out == "deployment.apps/web created\n"
    assert len(answer.warnings) == 1
    assert "requests-equal-limits" in answer.warnings[0]
    assert resources(kubectl.get("deployment/web")["spec"]["template"]["spec"]) == [RAISED]


def test_applying_it_again_changes_nothing(correct: Callable[[], Kubectl]) -> None:
    kubectl = correct()
    kubectl.apply(workloads.deployment(spec=UNEQUAL, replicas=0)).must()
    rolled_out = "deployment.kubernetes.io/revision"
    eventually(lambda: rolled_out in kubectl.get("deployment/web")["metadata"]["annotations"])
    stored = written(kubectl)
    for options in ((), ("--dry-run=server",), ()):
        again = kubectl.apply(workloads.deployment(spec=UNEQUAL, replicas=0), options=options).must()
        assert "created" not in again.out
    assert written(kubectl) == stored


def test_a_server_side_dry_run_shows_the_correction_and_stores_nothing(
    correct: Callable[[], Kubectl],
) -> None:
    kubectl = correct()
    answer = kubectl.apply(workloads.deployment(spec=UNEQUAL), options=("--dry-run=server", "-o", "json")).must()
    assert resources(json.loads(answer.out)["spec"]["template"]["spec"]) == [RAISED]
    assert kubectl.all("deployments") == []


@pytest.mark.parametrize(
    ("manifest", "path"),
    [
        (workloads.pod("web", UNEQUAL), ()),
        (workloads.replica_set(spec=UNEQUAL, replicas=0), ("spec", "template")),
        (workloads.stateful_set(spec=UNEQUAL, replicas=0), ("spec", "template")),
        (workloads.daemon_set(spec=UNEQUAL), ("spec", "template")),
        (workloads.job("web", UNEQUAL), ("spec", "template")),
        (workloads.cron_job("web", UNEQUAL), ("spec", "jobTemplate", "spec", "template")),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_every_kind_is_corrected_when_it_is_made(
    correct: Callable[[], Kubectl], manifest: Object, path: tuple[str, ...]
) -> None:
    kubectl = correct()
    kubectl.apply(manifest).must()
    found = kubectl.get(f"{manifest['kind']}/web")
    for key in path:
        found = found[key]
    assert resources(found["spec"]) == [RAISED]


def test_a_rolled_out_deployment_makes_one_replica_set_and_corrected_pods(
    correct: Callable[[], Kubectl],
) -> None:
    kubectl = correct()
    kubectl.apply(workloads.deployment(spec=UNEQUAL, replicas=2)).must()
    (made,) = replica_sets(kubectl)
    assert resources(made["spec"]["template"]["spec"]) == [RAISED]
    assert [resources(pod["spec"]) for pod in kubectl.all("pods")] == [[RAISED], [RAISED]]


def test_a_deployment_older_than_the_webhook_rolls_out_to_exactly_one_new_replica_set(
    kubectl: Kubectl, correct: Callable[[], Kubectl]
) -> None:
    kubectl.apply(workloads.deployment(spec=UNEQUAL)).must()
    (old,) = replica_sets(kubectl)
    correct()
    kubectl("rollout", "restart", "deployment/web").must()
    first, second = replica_sets(kubectl)
    assert first["metadata"]["uid"] == old["metadata"]["uid"]
    assert first["spec"]["template"] == old["spec"]["template"]
    assert resources(second["spec"]["template"]["spec"]) == [RAISED]
    stored = kubectl.get("deployment/web")["spec"]["template"]["spec"]
    assert resources(stored) == [RAISED]


def test_a_replica_set_that_its_deployment_makes_is_never_corrected_behind_its_back(
    kubectl: Kubectl, serve: Callable[..., Server], guard: Callable[..., None]
) -> None:
    """A template patched there is no longer its Deployment's, which then makes the next, without end."""
    kubectl.apply(workloads.deployment(spec=UNEQUAL, paused=True)).must()
    eventually(lambda: kubectl.get("deployment/web").get("status", {}).get("observedGeneration") == 1)
    assert kubectl.all("replicasets") == []
    lenient = packs.pack("lenient", {**packs.EQUAL_RESOURCES, "action": "warn", "fix": True})
    guard(kubectl, serve(lenient), "mutate", "advise")
    kubectl("rollout", "resume", "deployment/web").must()
    (made,) = replica_sets(kubectl)
    assert resources(made["spec"]["template"]["spec"]) == [workloads.UNEQUAL]
    assert [resources(pod["spec"]) for pod in kubectl.all("pods")] == [[RAISED]]
    assert resources(kubectl.get("deployment/web")["spec"]["template"]["spec"]) == [workloads.UNEQUAL]


def test_scaling_labelling_and_annotating_an_old_deployment_rolls_nothing_out(
    kubectl: Kubectl, correct: Callable[[], Kubectl]
) -> None:
    kubectl.apply(workloads.deployment(spec=UNEQUAL)).must()
    (old,) = replica_sets(kubectl)
    correct()
    kubectl("label", "deployment/web", "tier=front").must()
    kubectl("annotate", "deployment/web", "note=kept").must()
    kubectl("scale", "deployment/web", "--replicas=0").must()
    eventually(lambda: kubectl.all("pods") == [])
    (same,) = kubectl.all("replicasets")
    assert same["metadata"]["uid"] == old["metadata"]["uid"]
    assert same["spec"]["template"] == old["spec"]["template"]
    assert resources(kubectl.get("deployment/web")["spec"]["template"]["spec"]) == [workloads.UNEQUAL]


def test_the_job_of_a_cron_job_is_not_corrected_and_its_pod_is(
    kubectl: Kubectl, serve: Callable[..., Server], guard: Callable[..., None]
) -> None:
    kubectl.apply(workloads.cron_job(spec=UNEQUAL)).must()
    lenient = packs.pack("lenient", {**packs.EQUAL_RESOURCES, "action": "warn", "fix": True})
    guard(kubectl, serve(lenient), "mutate", "advise")
    kubectl("create", "job", "manual", "--from=cronjob/nightly").must()
    assert resources(kubectl.get("job/manual")["spec"]["template"]["spec"]) == [workloads.UNEQUAL]
    (pod,) = eventually(lambda: kubectl.all("pods"))
    assert resources(pod["spec"]) == [RAISED]
