"""`plimsoll impact` over a real audit log, a real cluster, and what a real API server asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from lab import packs, plimsoll, workloads
from lab.controlplane import ControlPlane
from lab.kubectl import Kubectl, Object
from lab.plimsoll import Server
from lab.process import eventually

BAD = workloads.pod_spec(workloads.container(image="nginx:1.29"))
WORSE = workloads.pod_spec(workloads.container(image="nginx:1.30"))
STOPS = packs.pack("acme", packs.OUR_IMAGES)
WARNS = packs.pack("acme", {**packs.OUR_IMAGES, "action": "warn"})


@pytest.fixture
def impact(tmp_path: Path) -> Callable[..., Any]:
    """Compare no pack, or one that warns, with one that denies, and return the report as JSON."""

    def run(*argv: str, old: Object | None = None, new: Object = STOPS) -> Any:
        for name, pack in (("old.yaml", old), ("new.yaml", new)):
            (tmp_path / name).write_text(yaml.safe_dump(pack))
        done = plimsoll.run("impact", "old.yaml" if old else "none", "new.yaml", *argv, "-o", "json", cwd=tmp_path)
        assert done.returncode in (0, 1), done.stderr.decode()
        return json.loads(done.stdout)

    return run


@pytest.fixture
def within(cluster: ControlPlane) -> Iterator[Callable[[str], Kubectl]]:
    """Make a namespace whose requests are audited at a level of their own; it ends with the test."""
    made = []

    def make(name: str) -> Kubectl:
        kubectl = cluster.admin.within(name)
        kubectl("create", "namespace", name).must()
        made.append(kubectl)
        return kubectl

    yield make
    for kubectl in made:
        kubectl("delete", "namespace", kubectl.namespace, "--wait=false").must()


def of(found: Any, namespace: str) -> dict[str, Any]:
    """Return the changes in a namespace by kind and name: other tests leave objects, too."""
    changes = [change for change in found["changes"] if change["namespace"] == namespace]
    return {f"{change['kind']}/{change['name']}": change for change in changes}


def test_an_audit_log_of_level_request_says_who_would_have_been_stopped(
    cluster: ControlPlane, within: Callable[[str], Kubectl], impact: Callable[..., Any]
) -> None:
    kubectl = within("asked")
    labelled = {"replicas": 0, "paused": True}
    kubectl.create(workloads.deployment("bad", BAD, **labelled)).must()
    kubectl.create(workloads.deployment("good", **labelled)).must()
    kubectl.create(workloads.deployment("tried", BAD, **labelled), options=("--dry-run=server",)).must()
    kubectl.patch("deployment/good", {"spec": {"template": {"spec": BAD}}}, "strategic").must()
    kubectl("replace", "-f", "-", stdin=yaml.safe_dump(workloads.deployment("bad", WORSE, **labelled))).must()
    found = impact("--audit-log", str(cluster.audit_log))
    assert {name: change["to"] for name, change in of(found, "asked").items()} == {"Deployment/bad": "deny"}
    change = of(found, "asked")["Deployment/bad"]
    assert change["gained"][0]["found"].startswith("nginx:1.30"), "the last that was sent"
    left = {each["what"].partition(" (")[0]: each["count"] for each in found["left"]}
    assert left["patches without their result"] >= 1
    assert left["dry runs"] >= 1
    assert left["events without an object"] >= 1, "all other namespaces are audited at level Metadata"


def test_an_audit_log_with_answers_has_patches_applies_and_scales(
    cluster: ControlPlane, within: Callable[[str], Kubectl], impact: Callable[..., Any]
) -> None:
    kubectl = within("answered")
    apply = ("--server-side",)
    kubectl.apply(workloads.deployment("applied", BAD, replicas=0, paused=True), options=apply).must()
    kubectl.create(workloads.deployment("patched", replicas=0, paused=True)).must()
    kubectl.patch("deployment/patched", {"spec": {"template": {"spec": BAD}}}, "strategic").must()
    kubectl("scale", "deployment/patched", "--replicas=0").must()
    kubectl("label", "namespace", "answered", "team=shop").must()
    found = impact("--audit-log", str(cluster.audit_log))
    changes = of(found, "answered")
    assert {name: change["to"] for name, change in changes.items()} == {
        "Deployment/applied": "deny",
        "Deployment/patched": "deny",
    }


def test_a_live_cluster_says_whom_a_pack_stops_and_whose_they_are(
    cluster: ControlPlane, kubectl: Kubectl, impact: Callable[..., Any]
) -> None:
    kubectl("label", "namespace", kubectl.namespace, "team=shop").must()
    kubectl.apply(workloads.deployment("bad", BAD), workloads.deployment("good")).must()
    eventually(lambda: len(kubectl.all("pods")) == 2, what="the pods")
    found = impact("--cluster", "--kubeconfig", str(cluster.kubeconfig("admin", "system:masters")))
    changes = of(found, kubectl.namespace)
    assert list(changes) == ["Deployment/bad"]
    change = changes["Deployment/bad"]
    assert (change["to"], change["updatable"], change["followers"]) == ("deny", True, 2)
    assert change["owner"] == {"name": "shop", "by": f"namespace {kubectl.namespace}, team"}


def test_what_a_server_recorded_is_what_the_next_pack_is_tried_on(
    kubectl: Kubectl,
    serve: Callable[..., Server],
    guard: Callable[..., None],
    impact: Callable[..., Any],
    tmp_path: Path,
) -> None:
    reviews = tmp_path / "reviews"
    server = serve(WARNS, options=("--record", str(reviews)))
    guard(kubectl, server, "validate", "mutate")
    secret = {"name": "DB_PASSWORD", "value": "hunter2"}
    spec = workloads.pod_spec(workloads.container(image="nginx:1.29", env=[secret]))
    kubectl.apply(workloads.deployment("web", spec, replicas=0)).must()
    kubectl.apply(workloads.deployment("dry", spec, replicas=0), options=("--dry-run=server",)).must()

    def recorded() -> str:
        return "".join(path.read_text() for path in reviews.iterdir())

    eventually(lambda: '"name":"web"' in recorded(), what="the recorded review")
    assert "hunter2" not in recorded()
    assert '"name":"dry"' not in recorded()
    found = impact("--reviews", str(reviews), old=WARNS)
    changes = of(found, kubectl.namespace)
    assert {name: (change["from"], change["to"]) for name, change in changes.items() if "Deployment" in name} == {
        "Deployment/web": ("warn", "deny")
    }
