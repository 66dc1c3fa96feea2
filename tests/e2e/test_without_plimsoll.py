"""Plimsoll is dead and its webhooks are installed with Fail: the cluster heals itself, and can be freed.

Incidents of the field: an upgraded control plane that never became ready, nodes recreated without end, leader
leases lost. A control plane of its own, since it is killed here.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from lab import controlplane, webhooks, workloads
from lab.controlplane import ControlPlane
from lab.kubectl import Kubectl, Object
from lab.process import eventually


@pytest.fixture(scope="module")
def orphaned(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that was killed and started again while its webhooks' server was gone for good."""
    plane = controlplane.launch(tmp_path_factory.mktemp("orphaned"), programs, controllers=False)
    try:
        admin = plane.admin
        admin("create", "namespace", "shop").must()
        for namespace in ("kube-system", "kube-node-lease", "shop", "default"):
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
            admin.within(namespace).create(account).must()
        admin.within("shop").create(workloads.pod("unbound"), workloads.deployment()).must()
        admin.create(*dead(plane)).must()
        eventually(lambda: admin.within("shop").create(workloads.pod("probe"), options=DRY).code == 1)
        plane.stop_apiserver()
        plane.start_apiserver()
        plane.start_controllers()
        yield plane
    finally:
        plane.stop()


DRY = ("--dry-run=server",)


def dead(plane: ControlPlane) -> list[Object]:
    """Return the configurations for a server that is not there."""
    bundle = plane.ca.bundle.read_bytes()
    return [
        webhooks.configuration(f"plimsoll-{endpoint}", endpoint, webhooks.NOWHERE, bundle, webhooks.all_but_system())
        for endpoint in ("validate", "mutate")
    ]


@pytest.fixture
def admin(orphaned: ControlPlane) -> Kubectl:
    """The administrator's kubectl of the orphaned cluster."""
    return orphaned.admin


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"thing-{uuid.uuid4().hex[:8]}"


def test_the_api_server_becomes_ready(orphaned: ControlPlane, admin: Kubectl) -> None:
    assert orphaned.answers("/readyz")
    assert "[+]poststarthook/start-apiextensions-controllers ok" in admin("get", "--raw", "/readyz?verbose").must().out


def test_ordinary_workloads_are_refused_so_the_webhook_is_in_force(admin: Kubectl, name: str) -> None:
    said = admin.within("shop").create(workloads.pod(name)).refused()
    assert "failed calling webhook" in said
    assert "plimsoll.dev" in said


@pytest.mark.parametrize(
    "manifest",
    [workloads.pod("web"), workloads.deployment(), workloads.daemon_set(), workloads.job()],
    ids=lambda manifest: manifest["kind"],
)
@pytest.mark.parametrize("namespace", webhooks.SYSTEM_NAMESPACES[:2])
def test_system_workloads_are_made(admin: Kubectl, namespace: str, manifest: Object, name: str) -> None:
    made = {**manifest, "metadata": {"name": name}}
    admin.within(namespace).create(made).must()


def test_plimsolls_own_pods_are_made(admin: Kubectl, orphaned: ControlPlane) -> None:
    admin("create", "namespace", "plimsoll").must()
    own = admin.within("plimsoll")
    own.create(workloads.deployment("plimsoll")).must()
    (pod,) = eventually(lambda: own.all("pods"), 40, "the pod of Plimsoll's own Deployment")
    assert pod["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet"


def test_a_node_joins_and_keeps_its_lease(admin: Kubectl, orphaned: ControlPlane, name: str) -> None:
    kubelet = orphaned.user(f"system:node:{name}", "system:nodes")
    kubelet.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}).must()
    admin.patch(f"node/{name}", STATUS, options=("--subresource=status",)).must()
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": 40},
    }
    leases = kubelet.within("kube-node-lease")
    leases.create(lease).must()
    leases.patch(f"lease/{name}", {"spec": {"leaseDurationSeconds": 41}}).must()


STATUS = {"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}]}}


def test_the_lease_of_a_leader_is_taken_and_kept(admin: Kubectl, name: str) -> None:
    system = admin.within("kube-system")
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}}
    system.create({**lease, "spec": {"holderIdentity": "one"}}).must()
    system.patch(f"lease/{name}", {"spec": {"holderIdentity": "two"}}).must()


def test_a_certificate_is_requested_approved_and_issued(admin: Kubectl, name: str) -> None:
    request = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": base64.b64encode(signing_request(name)).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
        },
    }
    admin.create(request).must()
    admin("certificate", "approve", name).must()
    assert eventually(lambda: admin.get(f"csr/{name}").get("status", {}).get("certificate"), what="the certificate")


def signing_request(name: str) -> bytes:
    """Return a PEM request for a client certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def test_a_pod_that_waits_is_bound_to_a_node(admin: Kubectl, name: str) -> None:
    admin.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}).must()
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "unbound", "namespace": "shop"},
        "target": {"apiVersion": "v1", "kind": "Node", "name": name},
    }
    path = "/api/v1/namespaces/shop/pods/unbound/binding"
    admin("create", "--raw", path, "-f", "-", stdin=json.dumps(binding)).must()
    assert admin.within("shop").get("pod/unbound")["spec"]["nodeName"] == name


def test_what_has_no_pod_template_is_written(admin: Kubectl, name: str) -> None:
    shop = admin.within("shop")
    shop("create", "configmap", name, "--from-literal=a=b").must()
    shop("create", "secret", "generic", name).must()
    shop("create", "service", "clusterip", name, "--tcp=80").must()
    shop("create", "serviceaccount", name).must()
    shop("create", "namespace", name).must()


def test_old_workloads_are_deleted(admin: Kubectl, name: str) -> None:
    shop = admin.within("shop")
    shop("delete", "deployment/web", "--wait=false").must()
    eventually(lambda: shop("get", "deployment/web").code == 1, what="the Deployment to be gone")


def test_deleting_the_webhook_configurations_sets_the_cluster_free(
    orphaned: ControlPlane, admin: Kubectl, name: str
) -> None:
    shop = admin.within("shop")
    shop.create(workloads.pod(name)).refused()
    try:
        for kind in (
            "validatingwebhookconfiguration/plimsoll-validate",
            "mutatingwebhookconfiguration/plimsoll-mutate",
        ):
            admin("delete", kind).must()
        eventually(lambda: shop.create(workloads.pod(name)).code == 0, 5, "the cluster to be free")
    finally:
        admin.apply(*dead(orphaned)).must()
        eventually(lambda: shop.create(workloads.pod("probe"), options=DRY).code == 1)
