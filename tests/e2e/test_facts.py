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
