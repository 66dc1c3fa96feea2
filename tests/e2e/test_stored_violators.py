"""Objects older than their standard: they can be cared for, scaled, freed and removed; not made worse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lab import workloads
from lab.kubectl import Kubectl, Object
from lab.process import eventually

Begin = Callable[[], Kubectl]

BAD = workloads.pod_spec(workloads.container(image="nginx", resources=workloads.UNEQUAL))
KINDS: dict[str, Object] = {
    "pod": workloads.pod("web", BAD),
    "replicaset": workloads.replica_set("web", BAD, replicas=0),
    "deployment": workloads.deployment("web", BAD, replicas=0),
    "statefulset": workloads.stateful_set("web", BAD, replicas=0),
    "daemonset": workloads.daemon_set("web", BAD),
    "job": workloads.job("web", BAD),
    "cronjob": workloads.cron_job("web", BAD),
    "podtemplate": {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"name": "web"},
        "template": workloads.template(BAD),
    },
    "replicationcontroller": {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": {"name": "web"},
        "spec": {"replicas": 0, "selector": {"app": "rc"}, "template": workloads.template(BAD, "rc")},
    },
}
EVERY_KIND = ",".join(KINDS)
HOLD = "example.com/hold"


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_one_is_refused(strict: Begin, kind: str) -> None:
    kubectl = strict()
    said = kubectl.apply(KINDS[kind]).refused()
    assert "approved-image" in said
    assert "requests-equal-limits" in said
    assert kubectl.all(kind) == []


@pytest.fixture
def stored(kubectl: Kubectl, strict: Begin) -> Kubectl:
    """kubectl in a namespace with a violator of every kind, stored before the pack came."""
    kubectl.create(*KINDS.values()).must()
    return strict()


def test_it_can_be_labelled_and_annotated(stored: Kubectl) -> None:
    labelled = stored("label", EVERY_KIND, "web", "tier=front").must()
    annotated = stored("annotate", EVERY_KIND, "web", "note=kept").must()
    assert labelled.out.count(" labeled") == annotated.out.count(" annotated") == len(KINDS)


def test_it_can_be_applied_again_as_it_is(stored: Kubectl) -> None:
    stored.apply(*KINDS.values()).must()


@pytest.mark.parametrize("kind", ["deployment", "replicaset", "statefulset", "replicationcontroller"])
def test_it_can_be_scaled(stored: Kubectl, kind: str) -> None:
    for replicas in (2, 0):
        stored("scale", kind, "web", f"--replicas={replicas}").must()
        assert stored.get(f"{kind}/web")["spec"]["replicas"] == replicas


def test_a_finalizer_can_be_taken_off_while_it_is_being_deleted(kubectl: Kubectl, strict: Begin) -> None:
    held = [{**each, "metadata": {"name": "web", "finalizers": [HOLD]}} for each in KINDS.values()]
    kubectl.create(*held).must()
    strict()
    kubectl("delete", EVERY_KIND, "web", "--wait=false").must()
    for kind in KINDS:
        deleted = kubectl.get(f"{kind}/web")["metadata"]
        assert "deletionTimestamp" in deleted
        others = [each for each in deleted["finalizers"] if each != HOLD]
        kubectl.patch(f"{kind}/web", {"metadata": {"finalizers": others or None}}).must()
    eventually(lambda: kubectl("get", EVERY_KIND, "-o", "name").must().out == "", what="all of them to be gone")


def test_being_deleted_is_no_exemption(kubectl: Kubectl, strict: Begin) -> None:
    """CVE-2023-34091: a finalizer keeps an object alive for as long as its owner likes."""
    held = workloads.deployment(replicas=0)
    held["metadata"]["finalizers"] = [HOLD]
    strict().apply(held).must()
    kubectl("delete", "deployment/web", "--wait=false").must()
    assert "approved-image" in kubectl("set", "image", "deployment/web", "app=nginx").refused()
    kubectl.patch("deployment/web", {"metadata": {"finalizers": None}}).must()


def test_it_can_be_deleted_with_its_namespace(stored: Kubectl) -> None:
    stored("delete", "namespace", stored.namespace, "--wait=false").must()
    eventually(lambda: stored("get", "namespace", stored.namespace).code == 1, 40, "the namespace to be gone")


def test_a_change_that_keeps_what_was_found_is_let_in_with_a_warning(stored: Kubectl) -> None:
    answer = stored("set", "env", "deployment/web", "COLOUR=blue").must()
    assert any("approved-image" in warning for warning in answer.warnings)
    assert any("requests-equal-limits" in warning for warning in answer.warnings)


def test_a_change_that_finds_something_new_is_refused_for_that_alone(stored: Kubectl) -> None:
    said = stored("set", "image", "deployment/web", "app=httpd").refused()
    denial = "\n".join(line for line in said.splitlines() if not line.startswith("Warning: "))
    assert "httpd" in denial
    assert "128Mi" not in denial


def test_a_container_added_with_an_old_fault_is_new(stored: Kubectl) -> None:
    added = {
        "op": "add",
        "path": "/spec/template/spec/containers/-",
        "value": {**BAD["containers"][0], "name": "two"},
    }
    assert "two" in stored.patch("deployment/web", [added], kind="json").refused()


def test_a_change_for_the_better_is_let_in(stored: Kubectl) -> None:
    answer = stored("set", "image", "deployment/web", "app=registry.example/shop/app:1.2.3").must()
    assert not any("approved-image" in warning for warning in answer.warnings)
    stored("set", "resources", "deployment/web", "--requests=cpu=100m,memory=128Mi").must()


def test_a_restart_of_an_old_deployment_is_let_in(stored: Kubectl) -> None:
    stored("rollout", "restart", "deployment/web").must()
