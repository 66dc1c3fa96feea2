"""Workloads older than the day from which a rule denies: what is drained comes back, and nothing else gets in by them.

Objects cannot be made in the past: the server's clock is two days ahead, and the rule denies from tomorrow on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from lab import packs, workloads
from lab.controlplane import ControlPlane
from lab.kubectl import Kubectl, Object
from lab.plimsoll import Server
from lab.process import eventually

BAD = workloads.pod_spec(workloads.container(resources=workloads.UNEQUAL))
OWNERS: dict[str, Object] = {
    "Deployment": workloads.deployment("web", BAD),
    "ReplicaSet": workloads.replica_set("web", BAD),
    "StatefulSet": workloads.stateful_set("web", BAD),
    "Job": workloads.job("web", BAD),
}
Begin = Callable[..., None]
REVISION = "deployment.kubernetes.io/revision"
VIOLATIONS = "validate.plimsoll.dev/violations"


@pytest.fixture
def under(cluster: ControlPlane, kubectl: Kubectl, serve: Callable[..., Server], guard: Callable[..., None]) -> Begin:
    """Put the test's namespace under a rule; the day is counted from that on which a workload of it was made."""

    def begin(what: str, days: int | None = 1, ahead: int = 2, *rules: Object, **more: str) -> None:
        role = ("create", "clusterrolebinding", "elder-reads", "--clusterrole=cluster-admin", "--user=elder")
        if kubectl("get", "clusterrolebinding", "elder-reads").code:
            kubectl(*role).must()
        made = date.fromisoformat(kubectl.get(f"{what}/web")["metadata"]["creationTimestamp"][:10])
        dated = {} if days is None else {"enforceFrom": (made + timedelta(days=days)).isoformat()}
        pack = packs.pack("late", {**packs.EQUAL_RESOURCES, **more}, *rules, **dated)
        options = ("--kubeconfig", str(cluster.kubeconfig("elder")))
        guard(kubectl, serve(pack, options=options, ahead=ahead), "validate")

    return begin


def drain(kubectl: Kubectl) -> str:
    """Take away the one Pod there is, as an eviction does, and return its uid."""
    (pod,) = eventually(lambda: kubectl.all("pods"), what="the pod")
    kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force").must()
    return str(pod["metadata"]["uid"])


def another(kubectl: Kubectl, gone: str) -> Object:
    """Return the Pod that came in the place of one."""

    def look() -> list[Object]:
        return [pod for pod in kubectl.all("pods") if pod["metadata"]["uid"] != gone]

    return eventually(look, what="another pod")[0]


def refusals(kubectl: Kubectl) -> str:
    """Return what the events say of what controllers could not make."""
    return "\n".join(event["message"] for event in kubectl.all("events", "--field-selector", "reason=FailedCreate"))


@pytest.mark.parametrize("kind", OWNERS)
def test_a_drained_pod_comes_back_and_the_audit_log_says_since_when(
    cluster: ControlPlane, kubectl: Kubectl, under: Begin, kind: str
) -> None:
    kubectl.apply(OWNERS[kind]).must()
    eventually(lambda: kubectl.all("pods"), what="the pod")
    under(kind)
    another(kubectl, drain(kubectl))

    def came(event: Object) -> bool:
        ref = event["objectRef"]  # without the name, which was made from generateName
        made = (event["verb"], ref.get("resource"), ref.get("namespace")) == ("create", "pods", kubectl.namespace)
        return made and VIOLATIONS in event.get("annotations", {})

    (item,) = json.loads(cluster.audit(came)[0]["annotations"][VIOLATIONS])
    assert item["existing"] is True
    assert item["validationActions"] == ["Warn"]
    assert item["owner"].startswith("ReplicaSet web" if kind == "Deployment" else f"{kind} web")
    assert item["since"] == kubectl.get(f"{kind}/web")["metadata"]["creationTimestamp"][:10]


def test_a_new_workload_with_the_same_finding_is_refused(kubectl: Kubectl, under: Begin) -> None:
    kubectl.apply(OWNERS["Deployment"]).must()
    under("Deployment")
    assert "requests-equal-limits" in kubectl.apply(workloads.deployment("new", BAD)).refused()


def test_an_old_deployment_is_restarted(kubectl: Kubectl, under: Begin) -> None:
    """A roll-out makes a new ReplicaSet; the Deployment above it is as old as before."""
    kubectl.apply(OWNERS["Deployment"]).must()
    eventually(lambda: kubectl.all("pods"), what="the pod")
    under("Deployment")
    assert kubectl("rollout", "restart", "deployment/web").must().warnings != []
    eventually(lambda: len(kubectl.all("replicasets")) == 2, what="the second ReplicaSet")
    (new,) = [each for each in kubectl.all("replicasets") if each["metadata"]["annotations"][REVISION] == "2"]

    def made() -> list[Object]:
        pods = kubectl.all("pods")
        return [pod for pod in pods if pod["metadata"]["ownerReferences"][0]["uid"] == new["metadata"]["uid"]]

    eventually(made, what="a pod of the new ReplicaSet")


def test_who_only_writes_an_old_owners_name_and_uid_is_refused(kubectl: Kubectl, under: Begin) -> None:
    kubectl.apply({**OWNERS["ReplicaSet"]}).must()
    uid = kubectl.get("replicaset/web")["metadata"]["uid"]
    under("ReplicaSet")
    claim = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": uid, "controller": True}
    kubectl.create(workloads.pod("impostor", BAD, ownerReferences=[claim])).refused()


def test_a_job_that_a_person_makes_of_an_old_cron_job_is_refused(kubectl: Kubectl, under: Begin) -> None:
    kubectl.apply({**workloads.cron_job("web", BAD)}).must()
    under("CronJob")
    kubectl("create", "job", "manual", "--from=cronjob/web").refused()


@pytest.mark.parametrize(
    ("days", "ahead", "more"),
    [(None, 0, {}), (0, 0, {}), (1, 2, {"existing": "deny"})],
    ids=["no day", "as young as the rule", "existing: deny"],
)
def test_without_its_age_a_workload_gets_no_new_pod_and_its_events_say_why(
    kubectl: Kubectl, under: Begin, days: int | None, ahead: int, more: dict[str, str]
) -> None:
    kubectl.apply(OWNERS["ReplicaSet"]).must()
    eventually(lambda: kubectl.all("pods"), what="the pod")
    under("ReplicaSet", days, ahead, **more)
    drain(kubectl)
    assert "requests-equal-limits" in eventually(lambda: refusals(kubectl), what="an event")
    assert kubectl.all("pods") == []
