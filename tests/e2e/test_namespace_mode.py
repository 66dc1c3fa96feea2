"""Who may write namespaces may not yet put one on trial: by the webhook, and by the policy of the docs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from lab import packs, webhooks
from lab.controlplane import ControlPlane
from lab.kubectl import Kubectl, Object
from lab.plimsoll import ROOT, Server
from lab.process import eventually

NAMESPACES = ["namespaces", "namespaces/finalize", "namespaces/status"]
ROLE = "plimsoll-namespace-mode"
LENIENT = packs.pack("trying", packs.EQUAL_RESOURCES, allowNamespaceMode=["dry-run"])
TRIAL = "plimsoll.dev/mode=dry-run"
EDITOR: Object = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "namespace-editor"},
    "rules": [
        {"apiGroups": [""], "resources": NAMESPACES, "verbs": ["*"]},
        {"apiGroups": ["*"], "resources": ["pods"], "verbs": ["*"]},
    ],
}


SERVER = "moderator"
"""The user that the server is."""


def documented(kind: str) -> list[Object]:
    """Return the objects of a kind that docs/cluster.md has."""
    page = (ROOT / "docs" / "cluster.md").read_text()
    found = [each for block in re.findall(r"```yaml\n(.*?)```", page, re.S) for each in yaml.safe_load_all(block)]
    return [each for each in found if each["kind"] == kind]


@pytest.fixture(scope="module")
def users(cluster: ControlPlane) -> Iterator[tuple[Kubectl, Kubectl]]:
    """Two users who may write namespaces; the second may set their mode, too."""
    admin = cluster.admin
    plain = yaml.safe_load_all((ROOT / "charts" / "plain" / "plimsoll.yaml").read_text())
    (rights,) = [each for each in plain if each["kind"] == "ClusterRole"]
    rights["metadata"]["name"] = "plimsoll-of-modes"  # others install their own
    admin.apply(EDITOR, rights, *documented("ClusterRole")).must()
    bound = (("jane", "namespace-editor"), ("pat", "namespace-editor"), ("pat", ROLE), (SERVER, "plimsoll-of-modes"))
    for user, role in bound:
        admin("create", "clusterrolebinding", f"{user}-{role}", f"--clusterrole={role}", f"--user={user}").must()
    yield cluster.user("jane", "dev"), cluster.user("pat", "dev")
    for user, role in bound:
        admin("delete", "clusterrolebinding", f"{user}-{role}").must()
        admin("delete", "clusterrole", role, "--ignore-not-found").must()


@pytest.fixture
def guarded(
    cluster: ControlPlane, kubectl: Kubectl, users: object, serve: Callable[..., Server]
) -> Iterator[Callable[..., None]]:
    """Send writes of the test's namespace to a server, which has the rights of the docs (or those of `user`)."""
    stack = []

    def begin(user: str = SERVER, url: str = "", failure: str = "Ignore") -> None:
        server = serve(LENIENT, options=("--kubeconfig", str(cluster.kubeconfig(user))))
        name = f"{kubectl.namespace}-namespaces"
        made = webhooks.configuration(
            name, "advise", url or server.url, server.bundle, webhooks.only(kubectl.namespace), failure=failure
        )
        made["webhooks"][0]["rules"] = [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": NAMESPACES}
        ]
        context = webhooks.installed(cluster.admin, made)
        context.__enter__()
        stack.append(context)

    yield begin
    for context in stack:
        context.__exit__(None, None, None)


def test_who_lacks_the_right_is_told_so_and_who_has_it_goes_on(
    users: tuple[Kubectl, Kubectl], kubectl: Kubectl, guarded: Callable[..., None]
) -> None:
    jane, pat = users
    guarded()
    name = kubectl.namespace
    said = jane("label", "namespace", name, TRIAL).refused()
    for part in ("user jane", f"set-mode on namespaces.plimsoll.dev {name}", ROLE):
        assert part in said
    jane("label", "namespace", name, "team=a").must()

    pat("label", "namespace", name, TRIAL).must()
    jane("label", "namespace", name, "team=b", "--overwrite").must()
    jane("label", "namespace", name, "plimsoll.dev/mode=enforce", "--overwrite").refused()
    jane("label", "namespace", name, "plimsoll.dev/mode-").must()
    assert "plimsoll.dev/mode" not in kubectl.get(f"namespace/{name}")["metadata"]["labels"]


@pytest.mark.parametrize("subresource", ["status", "finalize"])
def test_no_subresource_is_a_way_around(
    users: tuple[Kubectl, Kubectl], kubectl: Kubectl, guarded: Callable[..., None], tmp_path: Path, subresource: str
) -> None:
    jane, pat = users
    guarded()
    name = kubectl.namespace
    held = kubectl.get(f"namespace/{name}")
    held["metadata"]["labels"]["plimsoll.dev/mode"] = "dry-run"
    file = tmp_path / "namespace.json"
    file.write_text(json.dumps(held))
    written = ("replace", "--raw", f"/api/v1/namespaces/{name}/{subresource}", "-f", str(file))
    assert ROLE in jane(*written).refused()
    pat(*written).must()
    assert kubectl.get(f"namespace/{name}")["metadata"]["labels"]["plimsoll.dev/mode"] == "dry-run"


def test_a_role_of_all_rights_within_the_namespace_does_not_give_it(
    users: tuple[Kubectl, Kubectl], kubectl: Kubectl, guarded: Callable[..., None]
) -> None:
    jane, _ = users
    guarded()
    kubectl("create", "rolebinding", "owner", "--clusterrole=cluster-admin", "--user=jane").must()
    assert ROLE in jane("label", "namespace", kubectl.namespace, TRIAL).refused()


def test_a_namespace_is_made_with_it_by_whoever_may(
    users: tuple[Kubectl, Kubectl], kubectl: Kubectl, guarded: Callable[..., None]
) -> None:
    jane, pat = users
    guarded()
    label = {"plimsoll.dev/mode": "dry-run"}
    made: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": kubectl.namespace, "labels": label}}
    dry = ("--dry-run=server",)
    assert ROLE in jane.create(made, options=dry).refused()
    # the name is taken, which is all that the API server has against it
    assert "already exists" in pat.create(made, options=dry).refused()


def test_a_server_that_may_not_ask_lets_nobody_set_it_and_everything_else_pass(
    users: tuple[Kubectl, Kubectl], kubectl: Kubectl, guarded: Callable[..., None]
) -> None:
    jane, pat = users
    guarded(user="stranger")
    said = pat("label", "namespace", kubectl.namespace, TRIAL).refused()
    assert "create on subjectaccessreviews" in said
    jane("label", "namespace", kubectl.namespace, "team=a").must()


@contextmanager
def policy(cluster: ControlPlane, kubectl: Kubectl) -> Iterator[None]:
    """Keep the policy of docs/cluster.md in force for one namespace."""
    (made,) = documented("ValidatingAdmissionPolicy")
    (binding,) = documented("ValidatingAdmissionPolicyBinding")
    binding["spec"]["matchResources"] = {"namespaceSelector": webhooks.only(kubectl.namespace)}
    cluster.admin.apply(made, binding).must()
    try:
        yield
    finally:
        cluster.admin(
            "delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", made["metadata"]["name"]
        ).must()


def test_the_policy_of_the_docs_asks_for_the_same_right_without_plimsoll(
    cluster: ControlPlane, users: tuple[Kubectl, Kubectl], kubectl: Kubectl
) -> None:
    jane, pat = users
    name = kubectl.namespace

    def refused() -> str:
        answer = jane("label", "namespace", name, TRIAL, "--dry-run=server")
        return answer.err if answer.code else ""

    with policy(cluster, kubectl):
        said = eventually(refused, what="the policy to act")
        assert "user jane needs the verb set-mode on namespaces.plimsoll.dev" in said
        assert ROLE in said
        jane("label", "namespace", name, "team=a").must()
        pat("label", "namespace", name, TRIAL).must()
        jane("label", "namespace", name, "team=b", "--overwrite").must()
        jane("label", "namespace", name, "plimsoll.dev/mode=enforce", "--overwrite").refused()
        jane("label", "namespace", name, "plimsoll.dev/mode-").must()
