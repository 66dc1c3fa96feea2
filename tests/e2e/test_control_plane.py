"""The lab itself: without a webhook, objects are stored and controllers act on them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import build
from lab import workloads
from lab.controlplane import ControlPlane
from lab.kubectl import Kubectl
from lab.process import eventually


def test_a_deployment_gets_its_replica_set_and_pods(kubectl: Kubectl) -> None:
    kubectl.apply(workloads.deployment(replicas=2)).must()
    assert len(eventually(lambda: kubectl.all("replicasets"))) == 1
    eventually(lambda: len(kubectl.all("pods")) == 2, what="two pods")
    assert {pod["metadata"]["ownerReferences"][0]["kind"] for pod in kubectl.all("pods")} == {"ReplicaSet"}


def test_what_was_built_is_of_the_version_that_the_module_names(programs: dict[str, Path]) -> None:
    wanted = build.module_version("k8s.io/kubernetes")
    for name in ("kube-apiserver", "kube-controller-manager", "kubectl"):
        if programs[name].parent == build.home():  # and not of KUBEBUILDER_ASSETS
            said = subprocess.run([programs[name], *build.starts(name)], capture_output=True, text=True, check=True)
            assert wanted in said.stdout


def test_every_write_leaves_an_audit_event(cluster: ControlPlane, kubectl: Kubectl) -> None:
    kubectl.apply(workloads.pod("seen")).must()
    event, *_ = cluster.audit(
        lambda event: (
            event["objectRef"].get("namespace") == kubectl.namespace and event["objectRef"].get("name") == "seen"
        )
    )
    assert (event["verb"], event["responseStatus"]["code"]) == ("create", 201)


def test_a_user_without_a_role_may_do_nothing(cluster: ControlPlane) -> None:
    assert "forbidden" in cluster.user("mallory")("get", "pods").refused().lower()
