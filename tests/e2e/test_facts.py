"""Facts from the cluster: a server with a kubeconfig knows namespaces' labels and the owners of what it judges."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lab import packs, workloads
from lab.controlplane import ControlPlane
from lab.kubectl import Kubectl, Object
from lab.plimsoll import Server
from lab.process import eventually

BAD = workloads.pod_spec(workloads.container(resources=workloads.UNEQUAL))
Under = Callable[[Object], Kubectl]


@pytest.fixture
def under(cluster: ControlPlane, kubectl: Kubectl, serve: Callable[..., Server], guard: Callable[..., None]) -> Under:
    """Put the test's namespace under a pack, judged by a server that can ask the cluster; returns its kubectl."""

    def begin(pack: Object) -> Kubectl:
        kubeconfig = str(cluster.kubeconfig("plimsoll"))
        role = ("create", "clusterrolebinding", "plimsoll-reads", "--clusterrole=cluster-admin", "--user=plimsoll")
        if kubectl("get", "clusterrolebinding", "plimsoll-reads").code:
            kubectl(*role).must()
        server = serve(pack, options=("--kubeconfig", kubeconfig))
        guard(kubectl, server, "validate", "advise")
        return kubectl

    return begin


def test_a_namespace_that_the_selector_leaves_out_is_let_in(under: Under) -> None:
    kubectl = under(packs.pack("prod", packs.EQUAL_RESOURCES, match=SELECTING))
    assert kubectl.apply(workloads.deployment(spec=BAD), options=DRY).must().err == ""


SELECTING = {"namespaceSelector": {"matchLabels": {"stage": "prod"}}}
DRY = ("--dry-run=server",)


def test_a_namespace_made_and_labelled_a_moment_ago_is_selected(under: Under) -> None:
    """A cache that has not heard of a namespace yet must not take that for "no labels"."""
    kubectl = under(packs.pack("prod", packs.EQUAL_RESOURCES, match=SELECTING))
    kubectl("label", "namespace", kubectl.namespace, "stage=prod").must()
    assert "requests-equal-limits" in kubectl.apply(workloads.deployment(spec=BAD)).refused()


def test_a_namespace_asks_for_a_trial_where_the_pack_allows_it(under: Under) -> None:
    kubectl = under(packs.pack("lenient", packs.EQUAL_RESOURCES, allowNamespaceMode=["dry-run"]))
    kubectl("label", "namespace", kubectl.namespace, "plimsoll.dev/mode=dry-run").must()
    assert kubectl.apply(workloads.deployment(spec=BAD)).must().err == ""


def test_a_namespace_asks_in_vain_where_the_pack_does_not(under: Under) -> None:
    kubectl = under(packs.pack("firm", packs.EQUAL_RESOURCES))
    kubectl("label", "namespace", kubectl.namespace, "plimsoll.dev/mode=dry-run").must()
    kubectl.apply(workloads.deployment(spec=BAD)).refused()


def test_an_exemption_by_name_covers_what_the_owner_makes(under: Under) -> None:
    """From the Deployment through its ReplicaSet to the Pod, whose own names end in hashes."""
    kubectl = under(EXEMPTING)
    kubectl.apply(workloads.deployment("node-exporter", BAD)).must()
    (pod,) = eventually(lambda: kubectl.all("pods"), what="the pod")
    assert pod["metadata"]["name"].startswith("node-exporter-")
    kubectl.apply(workloads.deployment("other", BAD)).refused()


def test_a_pod_that_only_claims_an_exempt_owner_is_refused(under: Under) -> None:
    kubectl = under(EXEMPTING)
    claim = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "node-exporter", "uid": "1", "controller": True}
    kubectl.create(workloads.pod("impostor", BAD, ownerReferences=[claim])).refused()


OLD: dict[str, Object] = {
    "ReplicaSet": workloads.replica_set("web", BAD, replicas=0),
    "StatefulSet": workloads.stateful_set("web", BAD, replicas=0),
}


@pytest.mark.parametrize("kind", OLD)
def test_a_new_pod_of_an_old_workload_is_let_in(kubectl: Kubectl, under: Under, kind: str) -> None:
    """A node is drained at night: what ran before the rule must run after it. New workloads are judged themselves."""
    kubectl.apply(OLD[kind]).must()
    under(packs.pack("late", packs.EQUAL_RESOURCES))
    kubectl("scale", f"{kind}/web", "--replicas=1").must()
    (pod,) = eventually(lambda: kubectl.all("pods"), what="the pod")
    assert pod["metadata"]["ownerReferences"][0]["kind"] == kind


def test_an_old_deployment_is_rolled_out_by_its_controller(kubectl: Kubectl, under: Under) -> None:
    kubectl.apply(workloads.deployment(spec=BAD, paused=True)).must()
    eventually(lambda: kubectl.get("deployment/web").get("status", {}).get("observedGeneration") == 1)
    under(packs.pack("late", packs.EQUAL_RESOURCES))
    kubectl("rollout", "resume", "deployment/web").must()
    eventually(lambda: kubectl.all("pods"), what="the pod")
    assert len(kubectl.all("replicasets")) == 1


def test_a_job_of_an_old_cron_job_runs(kubectl: Kubectl, under: Under) -> None:
    kubectl.apply(workloads.cron_job(spec=BAD)).must()
    under(packs.pack("late", packs.EQUAL_RESOURCES))
    kubectl("create", "job", "manual", "--from=cronjob/nightly").must()
    eventually(lambda: kubectl.all("pods"), what="the pod")


def test_a_pod_that_is_worse_than_the_old_owner_it_names_is_refused(kubectl: Kubectl, under: Under) -> None:
    kubectl.apply(OLD["ReplicaSet"]).must()
    uid = kubectl.get("replicaset/web")["metadata"]["uid"]
    under(packs.pack("late", packs.EQUAL_RESOURCES, packs.OUR_IMAGES))
    claim = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": uid, "controller": True}
    worse = workloads.pod_spec(workloads.container(image="nginx:1.27", resources=workloads.UNEQUAL))
    said = kubectl.create(workloads.pod("impostor", worse, ownerReferences=[claim])).refused()
    assert "approved-image" in said
    assert "1. requests-equal-limits" not in said


EXEMPTING = packs.pack(
    "exempting",
    packs.EQUAL_RESOURCES,
    exemptions=[
        {
            "rules": ["requests-equal-limits"],
            "match": {"names": ["node-exporter"]},
            "reason": "sized by the node team",
            "owner": "observability team",
            "expires": "2999-12-31",
        }
    ],
)
