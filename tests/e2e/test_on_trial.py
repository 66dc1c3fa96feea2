"""A pack in `mode: dry-run`: nobody notices it, and the audit log holds what it would have done."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from lab import packs, workloads
from lab.controlplane import ControlPlane
from lab.kubectl import Kubectl
from lab.plimsoll import Server

BAD = workloads.pod_spec(workloads.container(image="nginx:1.27", resources=workloads.UNEQUAL))


def noted_by(cluster: ControlPlane, kubectl: Kubectl, resource: str, name: str, webhook: str) -> dict[str, str]:
    """Return what a webhook noted in the audit event of a creation, by the annotation's short key."""

    def created(event: dict[str, Any]) -> bool:
        about = event["objectRef"]
        wanted = (resource, kubectl.namespace, name)
        found = (about["resource"], about.get("namespace"), about.get("name"))
        return event["verb"] == "create" and found == wanted

    event = cluster.audit(created)[-1]
    prefix = f"{webhook}.plimsoll.dev/"
    return {key.removeprefix(prefix): text for key, text in event["annotations"].items() if key.startswith(prefix)}


def test_it_lets_in_without_a_word_what_it_would_refuse(
    cluster: ControlPlane, kubectl: Kubectl, serve: Callable[..., Server], guard: Callable[..., None]
) -> None:
    guard(kubectl, serve(packs.WATCHING), "validate", "advise")
    answer = kubectl.apply(workloads.deployment(spec=BAD)).must()
    assert (answer.out, answer.err) == ("deployment.apps/web created\n", "")


def test_the_audit_log_holds_would_violate_with_the_findings(
    cluster: ControlPlane, kubectl: Kubectl, serve: Callable[..., Server], guard: Callable[..., None]
) -> None:
    guard(kubectl, serve(packs.WATCHING), "advise")
    kubectl.apply(workloads.deployment(spec=BAD)).must()
    noted = noted_by(cluster, kubectl, "deployments", "web", "advise")
    assert noted["enforced-pack"] == "watching:1"
    assert "violations" not in noted
    findings = json.loads(noted["would-violate"])
    text = json.dumps(findings)
    assert len(findings) == 2
    for wanted in (
        "approved-image",
        "requests-equal-limits",
        "nginx:1.27",
        "128Mi",
        "/spec/template/spec/containers/0",
    ):
        assert wanted in text


def test_a_refusal_is_in_the_audit_log_as_violations(cluster: ControlPlane, strict: Callable[[], Kubectl]) -> None:
    kubectl = strict()
    kubectl.apply(workloads.deployment(spec=BAD)).refused()
    noted = noted_by(cluster, kubectl, "deployments", "web", "validate")
    assert noted["enforced-pack"] == "strict:1"
    assert "would-violate" not in noted
    assert len(json.loads(noted["violations"])) == 2


def test_fixes_on_trial_are_noted_and_not_made(
    cluster: ControlPlane, kubectl: Kubectl, serve: Callable[..., Server], guard: Callable[..., None]
) -> None:
    trial = packs.pack("trial", {**packs.EQUAL_RESOURCES, "fix": True}, mode="dry-run")
    guard(kubectl, serve(trial), "mutate")
    spec = workloads.pod_spec(workloads.container(resources=workloads.UNEQUAL))
    assert kubectl.apply(workloads.deployment(spec=spec)).must().err == ""
    stored = kubectl.get("deployment/web")["spec"]["template"]["spec"]["containers"][0]
    assert stored["resources"] == workloads.UNEQUAL
    noted = noted_by(cluster, kubectl, "deployments", "web", "mutate")
    assert "patched" not in noted
    assert "requests-equal-limits" in noted["would-patch"]
