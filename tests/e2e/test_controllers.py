"""Objects that controllers make: good ones come, bad ones are refused where their owner can read why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from lab import workloads
from lab.kubectl import Kubectl, Object
from lab.process import eventually

Begin = Callable[[], Kubectl]

BAD = workloads.pod_spec(workloads.container(image="nginx"))
OWNERS: dict[str, Callable[[Object | None], Object]] = {
    "ReplicaSet": lambda spec: workloads.replica_set("web", spec),
    "StatefulSet": lambda spec: workloads.stateful_set("web", spec),
    "Job": lambda spec: workloads.job("web", spec),
}


def failures(kubectl: Kubectl, kind: str) -> str:
    """Return what the events say of the pods that a controller could not make."""
    events = kubectl.all("events", "--field-selector", f"reason=FailedCreate,involvedObject.kind={kind}")
    return "\n".join(event["message"] for event in events)


@pytest.mark.parametrize("kind", OWNERS)
def test_pods_of_a_good_owner_come(strict: Begin, kind: str) -> None:
    kubectl = strict()
    kubectl.apply(OWNERS[kind](None)).must()
    (pod,) = eventually(lambda: kubectl.all("pods"), what="the pod")
    assert pod["metadata"]["ownerReferences"][0]["kind"] == kind


@pytest.mark.parametrize("kind", OWNERS)
def test_pods_that_an_old_owner_made_before_stay(kubectl: Kubectl, strict: Begin, kind: str) -> None:
    kubectl.apply(OWNERS[kind](BAD)).must()
    (before,) = eventually(lambda: kubectl.all("pods"), what="the pod")
    strict()
    kubectl("label", "pods", "--all", "tier=front").must()
    (after,) = kubectl.all("pods")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


@pytest.mark.parametrize("kind", ["ReplicaSet", "StatefulSet"])
def test_a_new_pod_of_an_old_bad_owner_is_refused_and_its_events_say_why(
    kubectl: Kubectl, strict: Begin, kind: str
) -> None:
    manifest = OWNERS[kind](BAD)
    manifest["spec"]["replicas"] = 0
    kubectl.apply(manifest).must()
    strict()
    kubectl("scale", f"{kind}/web", "--replicas=1").must()
    said = eventually(lambda: failures(kubectl, kind), what="an event")
    assert "approved-image" in said
    assert kubectl.all("pods") == []


def test_a_cron_jobs_job_and_its_pod_come(strict: Begin) -> None:
    kubectl = strict()
    kubectl.apply(workloads.cron_job()).must()
    kubectl("create", "job", "manual", "--from=cronjob/nightly").must()
    assert owner(kubectl.get("job/manual")) == "CronJob"
    (pod,) = eventually(lambda: kubectl.all("pods"), what="the pod")
    assert owner(pod) == "Job"


def test_a_new_job_of_an_old_bad_cron_job_is_refused(kubectl: Kubectl, strict: Begin) -> None:
    kubectl.apply(workloads.cron_job(spec=BAD)).must()
    strict()
    said = kubectl("create", "job", "manual", "--from=cronjob/nightly").refused()
    assert "approved-image" in said
    assert "nginx" in said
    assert kubectl.all("jobs") == []


def test_a_deployment_that_its_controller_cannot_roll_out_says_why(kubectl: Kubectl, strict: Begin) -> None:
    kubectl.apply(workloads.deployment(spec=BAD, paused=True)).must()
    eventually(lambda: kubectl.get("deployment/web").get("status", {}).get("observedGeneration") == 1)
    strict()
    kubectl("rollout", "resume", "deployment/web").must()

    def failed() -> list[Any]:
        conditions = kubectl.get("deployment/web").get("status", {}).get("conditions", [])
        return [each for each in conditions if each.get("reason") == "ReplicaSetCreateError"]

    (condition,) = eventually(failed, what="a condition of the Deployment")
    assert "approved-image" in condition["message"]
    assert kubectl.all("replicasets") == []


def owner(found: Object) -> str:
    """Return the kind of an object's controller."""
    (reference,) = found["metadata"]["ownerReferences"]
    assert reference["controller"] is True
    return str(reference["kind"])
