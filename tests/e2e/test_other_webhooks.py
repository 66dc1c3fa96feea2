"""Beside webhooks of others: a mesh that injects sidecars, before us and after us."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from lab import packs, webhooks, workloads
from lab.controlplane import ControlPlane
from lab.endpoint import injector, serving
from lab.kubectl import Kubectl, Object
from lab.plimsoll import ROOT, Server
from lab.process import eventually

SIDECAR: Object = {"name": "mesh-proxy", "image": "mesh.example/proxy:1.0", "resources": workloads.UNEQUAL}
ISTIO: Object = {**SIDECAR, "name": "istio-proxy", "image": "registry.example/mesh/proxy:1.29.0"}
Mesh = Callable[..., None]
UNEQUAL = workloads.pod_spec(workloads.container(resources=workloads.UNEQUAL))
RAISED = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "100m", "memory": "128Mi"}}


@pytest.fixture
def mesh(cluster: ControlPlane) -> Iterator[Mesh]:
    """Have a mesh inject a sidecar into a namespace's pods; the mesh's name decides its place among webhooks."""
    bundle = cluster.ca.bundle.read_bytes()
    with ExitStack() as stack:

        def install(kubectl: Kubectl, name: str, sidecar: Object = SIDECAR) -> None:
            url = stack.enter_context(serving(cluster.ca, injector(sidecar)))
            cluster.admin.create(injecting(name, url, bundle, kubectl.namespace)).must()
            stack.callback(cluster.admin, "delete", "mutatingwebhookconfiguration", name)
            eventually(lambda: injects(kubectl, sidecar), what="the mesh to inject")

        yield install


def injects(kubectl: Kubectl, sidecar: Object) -> bool:
    """Say whether the mesh acts on a namespace's pods; what others say of its sidecar is a sign too."""
    answer = kubectl.create(workloads.pod("probe"), options=("--dry-run=server", "-o", "yaml"))
    return sidecar["name"] in answer.out + answer.err


def injecting(name: str, url: str, bundle: bytes, namespace: str) -> Object:
    """Return the mesh's configuration."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    webhook = {
        "name": "inject.mesh.example",
        "clientConfig": {"url": f"{url}/inject", "caBundle": base64.b64encode(bundle).decode()},
        "rules": [rule],
        "namespaceSelector": webhooks.only(namespace),
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [webhook],
    }


def containers(kubectl: Kubectl, pod: str) -> dict[str, Object]:
    """Return the containers of a stored pod by name."""
    return {each["name"]: each for each in kubectl.get(f"pod/{pod}")["spec"]["containers"]}


@pytest.mark.parametrize("place", ["aaa-mesh", "zzz-mesh"], ids=["before us", "after us"])
def test_an_injected_sidecar_is_scoped_out_by_its_name(
    kubectl: Kubectl,
    serve: Callable[..., Server],
    guard: Callable[..., None],
    mesh: Mesh,
    place: str,
) -> None:
    rule = {**packs.EQUAL_RESOURCES, "fix": True, "match": {"containers": ["app*"]}}
    guard(kubectl, serve(packs.pack("beside-a-mesh", rule)), "mutate", "validate")
    mesh(kubectl, f"{place}-{kubectl.namespace}")
    kubectl.apply(workloads.pod("web", UNEQUAL)).must()
    stored = containers(kubectl, "web")
    assert list(stored) == ["app", "mesh-proxy"]
    assert stored["app"]["resources"] == RAISED
    assert stored["mesh-proxy"]["resources"] == workloads.UNEQUAL


def test_a_sidecar_that_is_not_scoped_out_is_refused(strict: Callable[[], Kubectl], mesh: Mesh) -> None:
    kubectl = strict()
    mesh(kubectl, f"mesh-{kubectl.namespace}")
    said = kubectl.apply(workloads.pod("web")).refused()
    assert "mesh-proxy" in said
    assert "/spec/containers/1" in said
    assert "/spec/containers/0" not in said


def test_a_sidecar_injected_after_us_is_corrected_when_we_are_asked_again(
    kubectl: Kubectl,
    serve: Callable[..., Server],
    guard: Callable[..., None],
    mesh: Mesh,
) -> None:
    guard(kubectl, serve(packs.CORRECTING), "mutate", "validate", reinvocation="IfNeeded")
    mesh(kubectl, f"zzz-mesh-{kubectl.namespace}")
    kubectl.apply(workloads.pod("web", UNEQUAL)).must()
    assert [each["resources"] for each in containers(kubectl, "web").values()] == [RAISED, RAISED]


def test_without_being_asked_again_the_same_sidecar_is_refused(
    kubectl: Kubectl,
    serve: Callable[..., Server],
    guard: Callable[..., None],
    mesh: Mesh,
) -> None:
    guard(kubectl, serve(packs.CORRECTING), "mutate", "validate", reinvocation="Never")
    mesh(kubectl, f"zzz-mesh-{kubectl.namespace}")
    assert "mesh-proxy" in kubectl.apply(workloads.pod("web", UNEQUAL)).refused()


def test_what_was_corrected_once_is_left_as_it_is(
    kubectl: Kubectl, serve: Callable[..., Server], guard: Callable[..., None]
) -> None:
    guard(kubectl, serve(packs.CORRECTING), "mutate")
    options = ("--dry-run=server", "-o", "json")
    fixed = kubectl.create(workloads.pod("web", UNEQUAL), options=options).must()
    again = kubectl.create(json.loads(fixed.out), options=options).must()
    assert len(fixed.warnings) == 1
    assert again.warnings == []
    assert json.loads(again.out)["spec"] == json.loads(fixed.out)["spec"]


def logging_to_stdout(name: str) -> Object:
    """Return a pod that keeps every rule of the shipped pack."""
    return workloads.pod(name, annotations={"plimsoll.dev/logs": "stdout"})


def test_the_shipped_packs_exemption_lets_the_meshs_proxy_in_as_it_is(
    kubectl: Kubectl, serve: Callable[..., Server], guard: Callable[..., None], mesh: Mesh
) -> None:
    guard(kubectl, serve(ROOT / "policies"), "mutate", "validate")
    mesh(kubectl, f"zzz-mesh-{kubectl.namespace}", ISTIO)
    answer = kubectl.apply(logging_to_stdout("web")).must()
    assert answer.warnings == []
    stored = containers(kubectl, "web")
    assert list(stored) == ["app", "istio-proxy"]
    assert stored["istio-proxy"]["resources"] == workloads.UNEQUAL


def test_the_shipped_packs_exemption_needs_the_meshs_image_beside_its_name(
    kubectl: Kubectl, serve: Callable[..., Server], guard: Callable[..., None], mesh: Mesh
) -> None:
    guard(kubectl, serve(ROOT / "policies"), "validate")
    mesh(kubectl, f"zzz-mesh-{kubectl.namespace}", {**ISTIO, "image": "registry.example/shop/miner:1.0"})
    said = kubectl.apply(logging_to_stdout("web")).refused()
    assert "requests-equal-limits in istio-proxy" in said
