"""`plimsoll serve --register`: a developer's cluster asks this server, isn't hurt by it, and forgets it."""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from lab import packs, plimsoll, workloads
from lab.controlplane import ControlPlane
from lab.kubectl import Kubectl, Object
from lab.plimsoll import Server
from lab.process import eventually

BAD = workloads.pod_spec(workloads.container(image="nginx"))
CONFIGURATIONS = "validatingwebhookconfigurations,mutatingwebhookconfigurations"
Register = Callable[..., Server]


@pytest.fixture
def register(cluster: ControlPlane, tmp_path: Path) -> Iterator[Register]:
    """Start servers that register with the cluster; they are ended with the test."""
    servers: list[Server] = []

    def start(*rules: Object) -> Server:
        directory = tmp_path / str(len(servers))
        directory.mkdir()
        paths = [directory / f"{pack['metadata']['name']}.yaml" for pack in rules]
        for path, pack in zip(paths, rules, strict=True):
            path.write_text(yaml.safe_dump(pack))
        kubeconfig = str(cluster.kubeconfig("admin", "system:masters"))
        server = plimsoll.serve(directory, paths, "--register", "--kubeconfig", kubeconfig)
        servers.append(server)
        eventually(lambda: of_this_server(cluster.admin, server), what="the configurations")
        return server

    yield start
    for server in servers:
        server.process.stop()
    cluster.admin("delete", CONFIGURATIONS, "--all").must()


def of_this_server(admin: Kubectl, server: Server) -> list[Object]:
    """Return the webhooks in the cluster that call this server."""
    found = [hook for each in admin.all(CONFIGURATIONS) for hook in each["webhooks"]]
    return [hook for hook in found if hook["clientConfig"].get("url", "").startswith(f"{server.url}/")]


def names(admin: Kubectl) -> list[str]:
    """Return the names of all webhook configurations in the cluster."""
    return sorted(each["metadata"]["name"] for each in admin.all(CONFIGURATIONS))


def test_an_apply_is_refused_through_it(kubectl: Kubectl, register: Register) -> None:
    register(packs.STRICT)
    bad = workloads.deployment(spec=BAD)
    eventually(lambda: kubectl.apply(bad, options=("--dry-run=server",)).code == 1, what="a refusal")
    assert "approved-image" in kubectl.apply(bad).refused()
    kubectl.apply(workloads.deployment()).must()


def test_what_it_registers_cannot_hurt(cluster: ControlPlane, register: Register) -> None:
    server = register(packs.STRICT, packs.CORRECTING)
    hooks = of_this_server(cluster.admin, server)
    assert {hook["name"] for hook in hooks} >= {"validate.plimsoll.dev", "mutate.plimsoll.dev"}
    assert all(name.endswith("-dev") for name in names(cluster.admin))
    for hook in hooks:
        assert hook["failurePolicy"] == "Ignore"
        assert hook["sideEffects"] == "None"
        assert hook["timeoutSeconds"] == (1 if hook["name"] == "mutate.plimsoll.dev" else 3)
        assert base64.b64decode(hook["clientConfig"]["caBundle"]).strip() == server.bundle.strip()
        (expression,) = hook["namespaceSelector"]["matchExpressions"]
        assert (expression["key"], expression["operator"]) == ("kubernetes.io/metadata.name", "NotIn")
        assert set(expression["values"]) >= {"kube-system", "kube-node-lease"}


def test_system_namespaces_never_ask_it(kubectl: Kubectl, register: Register) -> None:
    register(packs.STRICT)
    bad = workloads.pod("elsewhere", BAD)
    dry = ("--dry-run=server",)
    eventually(lambda: kubectl.apply(bad, options=dry).code == 1, what="a refusal")
    for namespace in ("kube-system", "kube-node-lease"):
        kubectl.within(namespace).apply(bad, options=dry).must()


def test_it_takes_its_configurations_away_when_it_ends(cluster: ControlPlane, register: Register) -> None:
    server = register(packs.STRICT, packs.CORRECTING)
    assert len(names(cluster.admin)) == 2
    assert server.process.stop() == 0, server.process.tail()
    assert names(cluster.admin) == []


def test_what_a_killed_server_left_stops_nobody_and_goes_with_the_next_start(
    cluster: ControlPlane, kubectl: Kubectl, register: Register
) -> None:
    killed = register(packs.STRICT, packs.CORRECTING)
    assert killed.process.kill() == -signal.SIGKILL
    eventually(lambda: not killed.ready(), what="the killed server's workers to be gone")
    assert len(names(cluster.admin)) == 2
    kubectl.apply(workloads.deployment(spec=BAD)).must()
    alive = register(packs.STRICT)
    assert len(names(cluster.admin)) == 2
    assert of_this_server(cluster.admin, killed) == []
    assert of_this_server(cluster.admin, alive) != []


def test_an_api_server_that_is_not_on_this_machine_needs_a_word_of_consent(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    content = yaml.safe_load(cluster.kubeconfig("admin", "system:masters").read_text())
    content["clusters"][0]["cluster"]["server"] = "https://192.0.2.1:6443"
    kubeconfig = tmp_path / "elsewhere.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(content))
    assert plimsoll.run("certs", str(tmp_path / "certs")).returncode == 0
    said = plimsoll.run("serve", "--register", "--kubeconfig", str(kubeconfig), cwd=tmp_path)
    assert said.returncode == 2
    assert b"192.0.2.1" in said.stderr
    assert b"--yes" in said.stderr


LEFT_OUT = {
    "pods": {"attach", "binding", "eviction", "exec", "log", "portforward", "proxy", "status"},
    "replicationcontrollers": {"status"},
    "deployments": {"status"},
    "replicasets": {"status"},
    "statefulsets": {"status"},
    "daemonsets": {"status"},
    "jobs": {"status"},
    "cronjobs": {"status"},
    "podtemplates": set[str](),
}
"""Subresources through which no container, image or size can come; `binding` must never be in the way."""


def test_every_subresource_of_a_workload_is_registered_or_left_out_on_purpose(
    cluster: ControlPlane, register: Register
) -> None:
    """The bypasses of the last years were subresources that were new: one that this list lacks fails here."""
    server = register(packs.STRICT)
    (hook,) = [each for each in of_this_server(cluster.admin, server) if each["name"] == "validate.plimsoll.dev"]
    watched = {resource for rule in hook["rules"] for resource in rule["resources"]}
    found: set[str] = set()
    for path in ("/api/v1", "/apis/apps/v1", "/apis/batch/v1"):
        resources = json.loads(cluster.admin("get", "--raw", path).must().out)["resources"]
        found |= {each["name"] for each in resources if each["name"].partition("/")[0] in LEFT_OUT}
    left_out = {f"{resource}/{each}" for resource, names in LEFT_OUT.items() for each in names}
    assert found - watched == left_out


def test_a_pack_that_is_edited_to_enforce_denies_without_a_new_start(kubectl: Kubectl, tmp_path: Path) -> None:
    pack = tmp_path / "packs" / "strict.yaml"
    pack.parent.mkdir()
    pack.write_text(yaml.safe_dump({**packs.STRICT, "spec": {**packs.STRICT["spec"], "mode": "dry-run"}}))
    kubeconfig = kubectl.kubeconfig
    options = ("--register", "--kubeconfig", str(kubeconfig), "--poll", "0.2")
    server = plimsoll.serve(tmp_path, [pack], *options)
    try:
        dry = ("--dry-run=server",)
        kubectl.apply(workloads.deployment(spec=BAD), options=dry).must()
        pack.write_text(yaml.safe_dump(packs.STRICT))
        eventually(lambda: kubectl.apply(workloads.deployment(spec=BAD), options=dry).code == 1, what="a denial")
    finally:
        server.process.stop()
