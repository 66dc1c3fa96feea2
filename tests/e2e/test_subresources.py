"""What reaches a pod after it was made: debug containers and new sizes, subresources of their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from lab import workloads
from lab.kubectl import Answer, Kubectl

Begin = Callable[[], Kubectl]

OURS = "registry.example/tools/debug:1"
BAD = workloads.pod_spec(workloads.container(image="nginx", resources=workloads.UNEQUAL))


def debug(kubectl: Kubectl, image: str) -> Answer:
    """`kubectl debug` of the pod `web` with an image, not attached."""
    return kubectl("debug", "web", f"--image={image}", "--container=debugger")


def ephemeral(kubectl: Kubectl) -> list[str]:
    """Return the images of the pod's ephemeral containers."""
    found = kubectl.get("pod/web")["spec"].get("ephemeralContainers", [])
    return [container["image"] for container in found]


def resize(kubectl: Kubectl, memory: dict[str, str]) -> Answer:
    """Ask for other memory requests and limits of the pod's container."""
    resources = {key: {"cpu": "100m", "memory": value} for key, value in memory.items()}
    patch = {"spec": {"containers": [{"name": "app", "resources": resources}]}}
    return kubectl.patch("pod/web", patch, kind="strategic", options=("--subresource=resize",))


def test_debugging_with_an_approved_image_is_let_in(strict: Begin) -> None:
    """An ephemeral container has no resources by the API's own rule, so none can be asked of it."""
    kubectl = strict()
    kubectl.apply(workloads.pod("web")).must()
    assert debug(kubectl, OURS).must().warnings == []
    assert ephemeral(kubectl) == [OURS]


def test_debugging_with_a_foreign_image_is_refused(strict: Begin) -> None:
    kubectl = strict()
    kubectl.apply(workloads.pod("web")).must()
    said = debug(kubectl, "busybox").refused()
    assert "approved-image" in said
    assert "debugger" in said
    assert "/spec/ephemeralContainers/0" in said
    assert ephemeral(kubectl) == []


def test_a_pod_older_than_the_rule_can_be_debugged(kubectl: Kubectl, strict: Begin) -> None:
    kubectl.apply(workloads.pod("web", BAD)).must()
    strict()
    debug(kubectl, OURS).must()
    assert "busybox" in kubectl("debug", "web", "--image=busybox", "--container=other").refused()
    assert ephemeral(kubectl) == [OURS]


def test_a_copy_of_a_pod_made_for_debugging_is_a_new_pod(kubectl: Kubectl, strict: Begin) -> None:
    kubectl.apply(workloads.pod("web", BAD)).must()
    strict()
    copy = kubectl("debug", "web", f"--image={OURS}", "--copy-to=copy", "--container=debugger")
    assert "requests-equal-limits" in copy.refused()


def test_a_resize_that_keeps_requests_and_limits_equal_is_let_in(strict: Begin) -> None:
    kubectl = strict()
    kubectl.apply(workloads.pod("web")).must()
    resize(kubectl, {"requests": "128Mi", "limits": "128Mi"}).must()
    assert kubectl.get("pod/web")["spec"]["containers"][0]["resources"]["limits"]["memory"] == "128Mi"


def test_a_resize_that_sets_them_apart_is_refused(kubectl: Kubectl, strict: Begin) -> None:
    """Of a pod older than the rule: the API server itself lets none change its quality of service."""
    kubectl.apply(workloads.pod("web", workloads.pod_spec(workloads.container(resources=workloads.UNEQUAL)))).must()
    strict()
    said = resize(kubectl, {"requests": "64Mi", "limits": "256Mi"}).refused()
    assert "requests-equal-limits" in said
    assert "256Mi" in said
    resize(kubectl, {"requests": "32Mi", "limits": "128Mi"}).refused()
    assert kubectl.get("pod/web")["spec"]["containers"][0]["resources"] == workloads.UNEQUAL


@pytest.mark.parametrize("replicas", [0, 2, 7])
def test_a_rule_on_replicas_holds_for_kubectl_scale(
    kubectl: Kubectl, serve: Callable[..., object], guard: Callable[..., None], replicas: int
) -> None:
    guard(kubectl, serve(CAPPED), "validate")
    kubectl.apply(workloads.deployment(replicas=1)).must()
    answer = kubectl("scale", "deployment/web", f"--replicas={replicas}")
    if replicas > 5:
        assert "at most 5 replicas" in answer.refused()
    else:
        answer.must()


CAPPED = {
    "apiVersion": "plimsoll.dev/v1",
    "kind": "RulePack",
    "metadata": {"name": "capped"},
    "spec": {
        "version": "1",
        "rules": [
            {
                "name": "at-most-five",
                "expression": "object.spec.replicas <= 5",
                "message": "at most 5 replicas",
                "match": {"kinds": ["Deployment"]},
                "action": "deny",
            }
        ],
    },
}
