"""What stands beside an object in the cluster, read with the rights that the chart gives and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import yaml
from lab import packs, webhooks, workloads
from lab.controlplane import ControlPlane
from lab.kubectl import Kubectl, Object
from lab.plimsoll import ROOT, Server

USER = "plimsoll-beside"
BESIDE = [
    {"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": [resource]}
    for group, resource in (("autoscaling", "horizontalpodautoscalers"), ("policy", "poddisruptionbudgets"))
]
BUDGET: Object = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "web"},
    "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "web"}}},
}
SCALER: Object = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "web"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 2,
        "maxReplicas": 5,
    },
}
BUDGETED = packs.pack("budgeted", {"name": "budget", "check": "disruption-budget", "action": "deny"})
SCALED = packs.pack("scaled", {"name": "scaling", "check": "autoscaling", "action": "deny"})
SHARED = packs.pack("shared", {"name": "state", "check": "no-local-state", "action": "deny"})
OWNED = packs.pack(
    "owned",
    {
        "name": "labels",
        "check": "required-labels",
        "params": {"labels": [{"name": "team", "places": ["workload", "template"], "fromNamespace": "team"}]},
        "action": "deny",
        "fix": True,
    },
)
Under = Callable[..., Kubectl]


@pytest.fixture(scope="module")
def reader(cluster: ControlPlane) -> str:
    """The kubeconfig of a user with the ClusterRole of the plain manifests."""
    documents = list(yaml.safe_load_all((ROOT / "charts" / "plain" / "plimsoll.yaml").read_text()))
    [role] = [document for document in documents if document["kind"] == "ClusterRole"]
    cluster.admin.apply({**role, "metadata": {"name": USER}}).must()
    cluster.admin("create", "clusterrolebinding", USER, f"--clusterrole={USER}", f"--user={USER}").must()
    return str(cluster.kubeconfig(USER))


@pytest.fixture
def under(cluster: ControlPlane, kubectl: Kubectl, reader: str, serve: Callable[..., Server]) -> Iterator[Under]:
    """Put the test's namespace, budgets and autoscalers too, under a pack; returns its kubectl."""
    with ExitStack() as stack:

        def begin(pack: Object, *endpoints: str) -> Kubectl:
            server = serve(pack, options=("--kubeconfig", reader))
            made = []
            for endpoint in endpoints or ("validate", "advise"):
                name, selector = f"{kubectl.namespace}-{endpoint}", webhooks.only(kubectl.namespace)
                one = webhooks.configuration(name, endpoint, server.url, server.bundle, selector)
                one["webhooks"][0]["rules"] += BESIDE
                made.append(one)
            stack.enter_context(webhooks.installed(cluster.admin, *made))
            return kubectl

        yield begin


def test_a_budget_that_was_sent_a_moment_before_is_seen_and_one_that_has_gone_is_not(under: Under) -> None:
    kubectl = under(BUDGETED)
    said = kubectl.apply(workloads.deployment(replicas=2)).refused()
    assert "2 replicas with app=web, which no budget selects" in said
    kubectl.apply(BUDGET, workloads.deployment(replicas=2)).must()
    kubectl("delete", "poddisruptionbudget", "web").must()
    kubectl.apply(workloads.stateful_set(replicas=2)).refused()


def test_a_budget_is_judged_by_the_workload_that_is_there(under: Under) -> None:
    kubectl = under(BUDGETED)
    kubectl.apply(BUDGET, workloads.deployment(replicas=2)).must()
    said = kubectl.patch("pdb/web", {"spec": {"maxUnavailable": None, "minAvailable": 2}}).refused()
    assert "minAvailable: 2, and Deployment web has 2 replicas" in said
    kubectl.patch("pdb/web", {"spec": {"maxUnavailable": None, "minAvailable": 1}}).must()


def test_what_is_there_already_is_warned_of_on_an_update(kubectl: Kubectl, under: Under) -> None:
    kubectl.apply(workloads.deployment(replicas=2)).must()
    under(BUDGETED)
    answer = kubectl.patch("deployment/web", {"spec": {"minReadySeconds": 3}}).must()
    assert "no disruption budget" in answer.err


@pytest.mark.parametrize("options", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_replicas_that_the_api_server_filled_in_pass_and_those_of_a_manifest_do_not(
    under: Under, options: tuple[str, ...]
) -> None:
    kubectl = under(SCALED)
    silent = workloads.deployment()
    del silent["spec"]["replicas"]
    kubectl.apply(silent, options=options).must()
    kubectl.apply(SCALER, options=options).must()
    assert (
        kubectl.apply({**silent, "metadata": {**silent["metadata"], "labels": {"a": "b"}}}, options=options).must().err
        == ""
    )
    said = kubectl.apply(workloads.deployment(replicas=3), options=options).refused()
    assert "replicas: 3, HorizontalPodAutoscaler web (2 to 5)" in said
    assert kubectl("scale", "deployment/web", "--replicas=4").must().err == ""


def test_an_autoscaler_is_judged_by_the_requests_of_its_workload(under: Under) -> None:
    kubectl = under(SCALED)
    silent = workloads.deployment(spec=workloads.pod_spec(workloads.container(resources={})))
    del silent["spec"]["replicas"]
    kubectl.apply(silent).must()
    said = kubectl.apply(SCALER).refused()
    assert "Deployment web: no requests of cpu in container app" in said


def test_a_claim_is_judged_by_its_access_modes(under: Under) -> None:
    kubectl = under(SHARED)
    for name, mode in (("alone", "ReadWriteOnce"), ("shared", "ReadWriteMany")):
        spec = {"accessModes": [mode], "storageClassName": "far", "resources": {"requests": {"storage": "1Gi"}}}
        head = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}}
        kubectl.apply({**head, "spec": spec}).must()

    def mounting(claim: str) -> Object:
        mounts = [{"name": "data", "mountPath": "/data"}]
        volume = {"name": "data", "persistentVolumeClaim": {"claimName": claim}}
        pod = workloads.pod_spec(workloads.container(volumeMounts=mounts), volumes=[volume])
        return workloads.deployment(claim, pod, replicas=2)

    assert "claim alone is ReadWriteOnce, with 2 replicas" in kubectl.apply(mounting("alone")).refused()
    kubectl.apply(mounting("shared")).must()


def test_a_workload_gets_the_label_of_its_namespace(under: Under) -> None:
    kubectl = under(OWNED, "mutate", "validate")
    kubectl("label", "namespace", kubectl.namespace, "team=shop").must()
    kubectl.apply(workloads.deployment()).must()
    made = kubectl.get("deployment/web")
    assert made["metadata"]["labels"] == {"team": "shop"}
    assert made["spec"]["template"]["metadata"]["labels"] == {"app": "web", "team": "shop"}
