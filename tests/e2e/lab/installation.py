"""Plimsoll as its chart installs it, in a control plane of its own, with its replicas as processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import chart
import yaml

from lab import controlplane
from lab.controlplane import ControlPlane
from lab.kubectl import Kubectl, Object
from lab.process import eventually
from lab.replicas import Fleet

NAMESPACE = "plimsoll"
USER = f"system:serviceaccount:{NAMESPACE}:plimsoll"
VALUES: Object = {
    "dryRun": False,
    "replicas": 2,
    "image": {"repository": "registry.example/platform/plimsoll"},
    "packs": {"shipped": []},
    "events": {"enabled": True},
}
OVERRIDES = ("--workers=1", "--drain=3", "--certificate-grace=3")
"""What differs from the chart: two cores carry the cluster, too, and nobody wants to wait here."""


def rendered(directory: Path, values: Object) -> list[Object]:
    """Return what the chart gives."""
    (directory / "values.yaml").write_text(yaml.safe_dump(values))
    where = ("--namespace", NAMESPACE, "-f", directory / "values.yaml")
    done = chart.get("helm4")("template", "plimsoll", chart.CHART, *where)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def install(admin: Kubectl, objects: list[Object]) -> None:
    """Apply what the chart gives, as `kubectl apply` does, in the order that Helm has it in."""
    admin("create", "namespace", NAMESPACE).must()
    admin("label", "namespace", NAMESPACE, "app.kubernetes.io/name=plimsoll").must()
    crds = [each for each in objects if each["kind"] == "CustomResourceDefinition"]
    admin.apply(*crds).must()
    admin("wait", "--for=condition=Established", "crd/rulepacks.plimsoll.dev", "--timeout=30s").must()
    others = [each for each in objects if each not in crds]
    for namespace in ("default", NAMESPACE):  # where a Role for Events is, and all else
        here = [each for each in others if each["metadata"].get("namespace", NAMESPACE) == namespace]
        admin.within(namespace).apply(*here).must()


def arguments(objects: list[Object]) -> tuple[str, ...]:
    """Return the server's arguments as the chart's Deployment has them, without files that only a pod has."""
    (deployment,) = [each for each in objects if each["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    command, *args = container["args"]
    assert command == "serve"
    kept = [arg for arg in args if not arg.startswith(("--policies=/", "--port", "--health-port", "--log-format"))]
    return (*kept, *OVERRIDES)


@contextmanager
def installed(directory: Path, programs: dict[str, Path], values: Object = VALUES) -> Iterator[Fleet]:
    """Keep a cluster with Plimsoll in it, whose replicas the caller starts."""
    plane = controlplane.launch(directory, programs)
    try:
        objects = rendered(directory, values)
        install(plane.admin, objects)
        account = plane.account(NAMESPACE, "plimsoll")
        fleet = Fleet(plane, directory, NAMESPACE, "plimsoll", account, arguments(objects))
        try:
            yield fleet
        finally:
            fleet.close()
    finally:
        plane.stop()


def called(admin: Kubectl) -> bool:
    """Say whether the API server calls Plimsoll about Pods."""
    found = admin.get("validatingwebhookconfiguration/plimsoll")["webhooks"]
    named = {name for hook in found for rule in hook.get("rules", ()) for name in rule["resources"]}
    return "pods" in named


Right = tuple[str, str, str, str, str]


def granted(objects: list[Object]) -> set[Right]:
    """Return (namespace, group, resource, name, verb) of every right of the server; '' stands for any."""
    roles: dict[tuple[str, str, str], list[Object]] = {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each["rules"]
        for each in objects
        if each["kind"] in ("Role", "ClusterRole")
    }
    found: set[Right] = set()
    for each in objects:
        if not each["kind"].endswith("RoleBinding") or each["subjects"][0]["name"] != "plimsoll":
            continue
        namespace = each["metadata"].get("namespace", NAMESPACE) if each["kind"] == "RoleBinding" else ""
        kind = each["roleRef"]["kind"]
        held = {name: rules for (k, _, name), rules in roles.items() if k == kind}
        for rule in held[each["roleRef"]["name"]]:
            for one in product(rule["apiGroups"], rule["resources"], rule.get("resourceNames", [""]), rule["verbs"]):
                found.add((namespace, *one))
    return found


def asked(plane: ControlPlane) -> list[dict[str, Any]]:
    """Return the audit events of everything that the server asked for."""
    return plane.audit(lambda event: event["user"]["username"] == USER)


def uses(right: Right, event: dict[str, Any]) -> bool:
    """Say whether an audited request needed a right."""
    namespace, group, resource, name, verb = right
    ref = event.get("objectRef") or {}
    kind = ref.get("resource", "") + (f"/{ref['subresource']}" if ref.get("subresource") else "")
    if (ref.get("apiGroup", ""), kind, event["verb"]) != (group, resource, verb):
        return False
    if namespace and ref.get("namespace") != namespace:
        return False
    # a list or watch of one name has it in a field selector
    return not name or ref.get("name") == name or f"metadata.name%3D{name}" in event["requestURI"]


def settled(fleet: Fleet) -> None:
    """Wait until the API server calls Plimsoll."""
    eventually(lambda: called(fleet.plane.admin), 40, "that the API server is told whom to call, and about what")
