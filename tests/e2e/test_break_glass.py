"""The page for the worst day: every command on it is run, in a cluster whose webhooks call a server that is gone.

The webhooks are those of the plain manifests, `Fail` and filled in; nobody answers at their Service.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from lab import controlplane, crds, packs, plimsoll, workloads
from lab.controlplane import ControlPlane
from lab.kubectl import Kubectl, Object
from lab.plimsoll import ROOT
from lab.process import eventually
from lab.webhooks import WATCHED, all_but_system

DOCS = ROOT / "docs"
DRY = ("--dry-run=server",)
CONFIGURATIONS = "validatingwebhookconfigurations,mutatingwebhookconfigurations"
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", (DOCS / "break-glass.md").read_text(), re.MULTILINE | re.DOTALL)
BLOCKS = [[line for line in text.splitlines() if line] for language, text in FENCED if not language]
[EXTENSION] = [yaml.safe_load(text) for language, text in FENCED if language == "yaml"]
"""The pack by which one that came with Plimsoll is put on trial."""
RULES: list[Object] = [
    {"apiGroups": [group], "apiVersions": [version], "operations": ["CREATE", "UPDATE"], "resources": names}
    for (group, version), names in WATCHED.items()
]
STEPS = {
    "delete": ("kubectl delete validatingwebhook",),
    "unbind": ("kubectl delete validatingadmissionpolicybinding",),
    "show": ("plimsoll uninstall --dry-run",),
    "uninstall": ("plimsoll uninstall --yes",),
    "registered": ("kubectl get validating",),
    "pods": ("get pods",),
    "events": ("kubectl get events",),
    "metrics": ("kubectl get --raw /metrics",),
    "pack on trial": ("kubectl patch rulepack", "dry-run"),
    "server on trial": ("set env", "PLIMSOLL_DRY_RUN=true"),
    "ignore": ("kubectl patch validating", "Ignore"),
    "pause": ("kubectl annotate", "paused=true"),
    "status": ("rollout status",),
    "apply": ("kubectl apply",),
    "pack in force": ("kubectl patch rulepack", "enforce"),
    "extension away": ("kubectl delete rulepack",),
    "server in force": ("set env", "PLIMSOLL_DRY_RUN-"),
    "fail": ("kubectl patch validating", "Fail"),
    "resume": ("kubectl annotate", "paused-"),
}
"""What each command on the page is called here, and words by which it is found."""


@pytest.fixture(scope="module")
def plane(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A cluster of its own: what is tried here concerns every namespace."""
    plane = controlplane.launch(tmp_path_factory.mktemp("glass"), programs)
    try:
        admin = plane.admin
        crds.install(admin, "plimsoll")
        admin.create({**packs.STRICT, "metadata": {"name": "acme"}}).must()
        for name in ("plimsoll", "shop"):
            admin("create", "namespace", name).must()
            eventually(lambda name=name: admin.within(name)("get", "serviceaccount", "default").code == 0)
        yield plane
    finally:
        plane.stop()


@pytest.fixture
def admin(plane: ControlPlane, tmp_path: Path) -> Iterator[Kubectl]:
    """The administrator; Plimsoll is installed as on the page, dead, and its webhooks are in force."""
    admin = plane.admin
    plain = tmp_path / "charts" / "plain" / "plimsoll.yaml"
    plain.parent.mkdir(parents=True)
    plain.write_text(yaml.safe_dump_all(webhooks(plane)))
    admin.within("plimsoll").apply(*installed()).must()
    admin("apply", "--server-side", "-f", str(plain)).must()
    admin.patch("rulepack/acme", {"spec": {"mode": "enforce"}}).must()
    eventually(lambda: refused(admin), what="the dead webhook to refuse Pods")
    yield admin
    admin("delete", CONFIGURATIONS, "--all").must()
    admin.within("shop")("delete", "pods", "--all", "--force").must()


def documents() -> list[Object]:
    """Return the plain manifests, as the page that says how to install has them."""
    return list(yaml.safe_load_all((DOCS.parent / "charts" / "plain" / "plimsoll.yaml").read_text()))


def installed() -> list[Object]:
    """Return the server as the page has it, but without Pods: there is no node for them here."""
    ours = [one for one in documents() if one["kind"] not in ("CustomResourceDefinition", "Namespace")]
    ours = [one for one in ours if one["metadata"].get("namespace") != "default"]
    for one in ours:
        if one["kind"] == "Deployment":
            one["spec"]["replicas"] = 0
    return [one for one in ours if "webhooks" not in one]


def webhooks(plane: ControlPlane) -> list[Object]:
    """Return the webhook configurations, enforcing and filled in as the server does it; nobody answers there."""
    found = [one for one in documents() if "webhooks" in one]
    for hook in (hook for one in found for hook in one["webhooks"]):
        hook["clientConfig"]["caBundle"] = base64.b64encode(plane.ca.bundle.read_bytes()).decode()
        if hook["name"] == "validate.plimsoll.dev":
            hook["failurePolicy"] = "Fail"
        if hook["name"] != "packs.plimsoll.dev":
            hook["rules"] = RULES
            hook["namespaceSelector"] = all_but_system()
    return found


def refused(admin: Kubectl, name: str = "probe") -> str:
    """Return why a Pod is not let in; empty where it is."""
    answer = admin.within("shop").create(workloads.pod(name), options=DRY)
    return "" if answer.code == 0 else answer.err


def command(step: str) -> str:
    """Return the one command on the page that has the words of a step."""
    [found] = {line for lines in BLOCKS for line in lines if all(word in line for word in STEPS[step])}
    return found


def run(admin: Kubectl, directory: Path, *steps: str) -> str:
    """Run commands of the page as a person would, in a shell; return what they wrote. Fails where one fails."""
    path = directory / "bin"
    path.mkdir(exist_ok=True)
    (path / "plimsoll").write_text(f'#!/bin/sh\nexec {sys.executable} -m webhook.main "$@"\n')
    (path / "plimsoll").chmod(0o755)
    kubectl = path / "kubectl"
    if not kubectl.exists():
        kubectl.symlink_to(admin.program)
    environment = {**plimsoll.environment(), "PATH": f"{path}:{os.environ['PATH']}", "HOME": str(directory)}
    said = ""
    for line in map(command, steps):
        done = subprocess.run(
            ["/bin/bash", "-o", "pipefail", "-c", line],
            cwd=directory,
            env={**environment, "KUBECONFIG": str(admin.kubeconfig)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        said += done.stdout
    return said


def free(admin: Kubectl) -> bool:
    return not refused(admin)


def test_the_one_command_sets_the_cluster_free_and_the_way_back_leads_back(admin: Kubectl, tmp_path: Path) -> None:
    said = admin.within("shop").create(workloads.pod("web")).refused()
    assert 'failed calling webhook "validate.plimsoll.dev"' in said
    assert BLOCKS[0] == [command("delete")]  # it stands at the top, alone
    run(admin, tmp_path, "delete")
    eventually(lambda: free(admin), what="the cluster to be free")
    admin.within("shop").create(workloads.pod("web")).must()
    assert admin.all(CONFIGURATIONS) == []
    run(admin, tmp_path, "status", "apply")
    eventually(lambda: refused(admin), what="the webhooks to be in force again")


def test_plimsoll_uninstall_does_the_same_and_twice_is_as_good_as_once(admin: Kubectl, tmp_path: Path) -> None:
    shown = run(admin, tmp_path, "show")
    assert (
        "ValidatingWebhookConfiguration plimsoll: to be taken away "
        "(validate.plimsoll.dev, advise.plimsoll.dev, packs.plimsoll.dev)" in shown
    )
    assert len(admin.all(CONFIGURATIONS)) == 2
    said = run(admin, tmp_path, "uninstall")
    assert "MutatingWebhookConfiguration plimsoll: taken away" in said
    eventually(lambda: free(admin), what="the cluster to be free")
    admin.within("shop").create(workloads.pod("web")).must()
    assert run(admin, tmp_path, "uninstall") == "no webhook configuration of Plimsoll's is there\n"
    assert admin.within("plimsoll").get("deployment/plimsoll")  # only the webhooks


def test_who_has_the_rights_for_it_and_no_others_gets_rid_of_the_webhooks(
    admin: Kubectl, plane: ControlPlane, tmp_path: Path
) -> None:
    config = ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"]
    rules = [{"apiGroups": ["admissionregistration.k8s.io"], "resources": config, "verbs": ["list", "delete"]}]
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole"}
    admin.apply({**kind, "metadata": {"name": "glass"}, "rules": rules}).must()
    user = plane.user("on-call")
    options = ("--yes", "--kubeconfig", str(user.kubeconfig), "--context", "lab")
    refused = plimsoll.run("uninstall", *options)
    assert refused.returncode == 2
    assert refused.stderr.decode().count("cannot be looked for") == 2
    assert len(admin.all(CONFIGURATIONS)) == 2
    admin("create", "clusterrolebinding", "glass", "--clusterrole=glass", "--user=on-call").must()
    try:
        eventually(lambda: user("get", CONFIGURATIONS).code == 0, what="the right")
        done = plimsoll.run("uninstall", *options)
        assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
        assert admin.all(CONFIGURATIONS) == []
        run(admin, tmp_path, "apply")
        run(user, tmp_path, "delete")
        assert admin.all(CONFIGURATIONS) == []
    finally:
        admin("delete", "clusterrolebinding/glass", "clusterrole/glass").must()


def test_only_what_is_ours_goes(admin: Kubectl, plane: ControlPlane) -> None:
    mixed = next(one for one in webhooks(plane) if one["kind"].startswith("Mutating"))
    foreign = {**mixed["webhooks"][0], "name": "mutate.other.example"}
    mixed = {**mixed, "metadata": {**mixed["metadata"], "name": "mixed"}, "webhooks": [*mixed["webhooks"], foreign]}
    bare = next(one for one in webhooks(plane) if one["kind"].startswith("Validating"))
    others = {
        **bare,
        "metadata": {"name": "other"},
        "webhooks": [{**bare["webhooks"][1], "name": "check.other.example"}],
    }
    bare = {**bare, "metadata": {"name": "unlabelled"}}
    admin.apply(mixed, bare, others).must()
    done = plimsoll.run("uninstall", "--yes", "--kubeconfig", str(admin.kubeconfig))
    assert done.returncode == 1
    said = done.stdout.decode()
    assert "mixed: stays: also holds mutate.other.example" in said
    assert (
        "unlabelled: stays: calls validate.plimsoll.dev, advise.plimsoll.dev, packs.plimsoll.dev, without the label"
        in said
    )
    assert "other: " not in said
    assert "asks Plimsoll no more" not in said
    assert sorted(each["metadata"]["name"] for each in admin.all(CONFIGURATIONS)) == ["mixed", "other", "unlabelled"]


def test_all_takes_the_server_and_its_rights_and_packs_only_on_demand(admin: Kubectl, plane: ControlPlane) -> None:
    kubeconfig = str(admin.kubeconfig)
    done = plimsoll.run("uninstall", "--all", "--yes", "--kubeconfig", kubeconfig)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
    lines = [line for line in done.stdout.decode().splitlines() if line.endswith(": taken away")]
    assert lines[0].startswith("ValidatingWebhookConfiguration")
    assert lines[1].startswith("MutatingWebhookConfiguration")
    assert lines[-1].startswith("ServiceAccount")
    label = "--selector=app.kubernetes.io/name=plimsoll"
    for kind in sorted({one["kind"] for one in installed()} - {"Secret"}):  # they are never listed, and stay
        eventually(lambda kind=kind: admin.all(kind, "--all-namespaces", label) == [], what=f"{kind} to be gone")
    assert admin.get("rulepack/acme")
    assert admin.get("namespace/plimsoll")
    nothing = plimsoll.run("uninstall", "--all", "--yes", "--kubeconfig", kubeconfig)
    assert (nothing.returncode, nothing.stdout) == (0, b"nothing of Plimsoll's is there\n")
    shown = plimsoll.run("uninstall", "--packs", "--dry-run", "--kubeconfig", kubeconfig).stdout.decode()
    assert "CustomResourceDefinition rulepacks.plimsoll.dev: to be taken away (with 1 RulePack in it)" in shown
    try:
        assert plimsoll.run("uninstall", "--packs", "--yes", "--kubeconfig", kubeconfig).returncode == 0
        eventually(lambda: admin("get", "crd", "rulepacks.plimsoll.dev").code == 1, what="the kind to be gone")
    finally:
        crds.install(admin, "plimsoll")
        admin.apply({**packs.STRICT, "metadata": {"name": "acme"}}).must()


def test_exported_policies_go_by_a_command_of_their_own(admin: Kubectl, tmp_path: Path) -> None:
    (tmp_path / "pack.yaml").write_text(yaml.safe_dump(packs.STRICT))
    exported = plimsoll.run("export", "vap", "--existing", "deny", "--policies", str(tmp_path / "pack.yaml"))
    admin("apply", "-f", "-", stdin=exported.stdout.decode()).must()
    run(admin, tmp_path, "delete")
    bad = workloads.pod("bad", workloads.pod_spec(workloads.container(image="nginx")))
    shop = admin.within("shop")
    said = eventually(lambda: _policy(shop.create(bad, options=DRY).err), what="the policy to refuse")
    assert "denied request" in said
    run(admin, tmp_path, "unbind")
    eventually(lambda: shop.create(bad, options=DRY).code == 0, what="the cluster to be free")
    admin("delete", "validatingadmissionpolicy", "--all").must()


def _policy(said: str) -> str:
    return said if "ValidatingAdmissionPolicy" in said else ""


def test_the_page_shows_how_to_see_that_plimsoll_is_the_cause(admin: Kubectl, tmp_path: Path) -> None:
    page = (DOCS / "break-glass.md").read_text()
    said = refused(admin)
    assert 'failed calling webhook "validate.plimsoll.dev"' in said
    assert 'failed calling webhook "validate.plimsoll.dev"' in page
    run(admin, tmp_path, "registered", "pods", "events")
    counted = run(admin, tmp_path, "metrics")
    assert re.search(r'error_type="calling_webhook_error",name="validate.plimsoll.dev"', counted), counted


def test_a_failure_policy_of_ignore_lets_requests_through_and_only_that_changes(admin: Kubectl, tmp_path: Path) -> None:
    before = admin.get("validatingwebhookconfiguration/plimsoll")["webhooks"]
    run(admin, tmp_path, "ignore")
    eventually(lambda: free(admin), what="the cluster to be free")
    after = admin.get("validatingwebhookconfiguration/plimsoll")["webhooks"]
    assert [hook["failurePolicy"] for hook in after] == ["Ignore"] * 3
    assert [{**hook, "failurePolicy": ""} for hook in after] == [{**hook, "failurePolicy": ""} for hook in before]
    run(admin, tmp_path, "fail")
    eventually(lambda: refused(admin), what="the webhook to be in force again")
    assert admin.get("validatingwebhookconfiguration/plimsoll")["webhooks"] == before


def test_the_gentle_steps_are_done_and_undone(admin: Kubectl, tmp_path: Path) -> None:
    def arguments() -> list[Object]:
        spec = admin.within("plimsoll").get("deployment/plimsoll")["spec"]["template"]["spec"]
        return list(spec["containers"][0].get("env", []))

    def paused() -> list[object]:
        return [
            (one["metadata"].get("annotations") or {}).get("plimsoll.dev/paused") for one in admin.all(CONFIGURATIONS)
        ]

    admin.apply(EXTENSION).must()
    run(admin, tmp_path, "pack on trial", "server on trial", "pause")
    assert admin.get("rulepack/acme")["spec"]["mode"] == "dry-run"
    assert arguments() == [{"name": "PLIMSOLL_DRY_RUN", "value": "true"}]
    assert paused() == ["true", "true"]
    run(admin, tmp_path, "pack in force", "extension away", "server in force", "resume")
    assert admin.get("rulepack/acme")["spec"]["mode"] == "enforce"
    assert admin("get", f"rulepack/{EXTENSION['metadata']['name']}").code == 1
    assert arguments() == []
    assert paused() == [None, None]


def test_every_command_on_the_page_is_run_here() -> None:
    assert sorted(map(command, STEPS)) == sorted({line for lines in BLOCKS for line in lines})
    tests = Path(__file__).read_text().partition("def test_")[2]
    assert [step for step in STEPS if f'"{step}"' not in tests] == []
