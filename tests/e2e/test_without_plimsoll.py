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
from lab import installation, packs, webhooks, workloads
from lab.controlplane import ControlPlane
from lab.kubectl import Kubectl, Object
from lab.process import eventually

DRY = ("--dry-run=server",)
CONFIGURATIONS = "validatingwebhookconfiguration/plimsoll", "mutatingwebhookconfiguration/plimsoll"
VALUES: Object = {"dryRun": False, "image": {"repository": "registry.example/platform/plimsoll"}}
"""All shipped packs; what the server makes of them in the webhook configurations is what the cluster starts with."""


@pytest.fixture(scope="module")
def orphaned(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that was killed and started again while Plimsoll, installed by its chart, was gone for good."""
    with installation.installed(tmp_path_factory.mktemp("orphaned"), programs, VALUES) as fleet:
        admin = fleet.plane.admin
        admin("create", "namespace", "shop").must()
        shop = admin.within("shop")
        eventually(lambda: shop("get", "serviceaccount", "default").code == 0, what="the service account")
        shop.create(workloads.pod("unbound"), workloads.deployment()).must()
        admin.apply(packs.STRICT).must()
        fleet.start()
        installation.settled(fleet)
        fleet.close()
        eventually(lambda: "failed calling webhook" in shop.create(workloads.pod("probe"), options=DRY).err)
        fleet.plane.stop_apiserver()
        fleet.plane.start_apiserver()
        eventually(lambda: shop.create(workloads.pod("probe"), options=DRY).code == 1)
        yield fleet.plane


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
    own = admin.within("plimsoll")
    before = len(own.all("pods"))
    own("scale", "deployment/plimsoll", "--replicas=4").must()
    own("rollout", "restart", "deployment/plimsoll").must()
    eventually(lambda: len(own.all("pods")) > before, 60, "pods of Plimsoll's own Deployment")


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
    kept = [admin.get(each) for each in CONFIGURATIONS]
    for each in kept:
        del each["metadata"]["resourceVersion"], each["metadata"]["uid"]
    try:
        admin("delete", *CONFIGURATIONS).must()
        eventually(lambda: shop.create(workloads.pod(name)).code == 0, 5, "the cluster to be free")
    finally:
        admin.create(*kept).must()
        eventually(lambda: shop.create(workloads.pod("probe"), options=DRY).code == 1)
