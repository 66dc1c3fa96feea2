"""Packs that are objects of the cluster: applied, changed, broken, deleted, and in force everywhere at once."""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from lab import crds, packs, plimsoll, webhooks, workloads
from lab.controlplane import ControlPlane
from lab.kubectl import Kubectl, Object
from lab.plimsoll import Server
from lab.process import Process, eventually, start

ROOT = Path(__file__).resolve().parents[2]
TEN = ROOT / "tests" / "golden" / "packs" / "ten-mistakes.yaml"
HOME = "plimsoll-home"
"""The namespace that the server calls its own."""
BAD = workloads.deployment(spec=workloads.pod_spec(workloads.container(resources=workloads.UNEQUAL)))
GOOD = workloads.deployment("good")
DRY = ("--dry-run=server",)
LABEL = {"plimsoll.dev/rule-packs": "true"}
RIGHTS = list(
    yaml.safe_load_all(
        """
{apiVersion: v1, kind: ServiceAccount, metadata: {name: plimsoll, namespace: plimsoll-home}}
---
{apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: {name: plimsoll, namespace: plimsoll-home}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: plimsoll-packs}
rules:
  - {apiGroups: [""], resources: [namespaces], verbs: [get, list, watch]}
  - {apiGroups: [plimsoll.dev], resources: [rulepacks], verbs: [get, list, watch]}
  - {apiGroups: [plimsoll.dev], resources: [rulepacks/status], verbs: [patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: plimsoll-packs}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: plimsoll-packs}
subjects: [{kind: ServiceAccount, name: plimsoll, namespace: plimsoll-home}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: plimsoll-packs, namespace: plimsoll-home}
rules:
  - {apiGroups: [""], resources: [configmaps], verbs: [list, watch]}
  - {apiGroups: [""], resources: [events], verbs: [create]}
  - {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [plimsoll], verbs: [get, update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: plimsoll-packs, namespace: plimsoll-home}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: plimsoll-packs}
subjects: [{kind: ServiceAccount, name: plimsoll, namespace: plimsoll-home}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: plimsoll-packs, namespace: default}
rules:
  - {apiGroups: [""], resources: [events], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: plimsoll-packs, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: plimsoll-packs}
subjects: [{kind: ServiceAccount, name: plimsoll, namespace: plimsoll-home}]
"""
    )
)


@pytest.fixture(scope="module")
def installed(cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of Plimsoll's service account, in a cluster that knows RulePacks."""
    admin = cluster.admin
    crds.install(admin, "plimsoll")
    conditions = admin.get("crd/rulepacks.plimsoll.dev")["status"]["conditions"]
    assert "NonStructuralSchema" not in {each["type"] for each in conditions if each["status"] == "True"}
    admin("create", "namespace", HOME).must()
    for right in RIGHTS:
        admin.within(right["metadata"].get("namespace", "default")).apply(right).must()
    token = admin("-n", HOME, "create", "token", "plimsoll", "--duration=2h").must().out.strip()
    config = yaml.safe_load(cluster.kubeconfig("admin", "system:masters").read_text())
    config["users"][0]["user"] = {"token": token}
    config["contexts"][0]["context"]["namespace"] = HOME
    path = tmp_path_factory.mktemp("packs") / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    yield path
    crds.remove(admin, "plimsoll")


@pytest.fixture(scope="module")
def server(installed: Path, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Server]:
    """A server of two workers that has its packs from the cluster."""
    options = ("--kubeconfig", str(installed), "--watch-packs", "--workers", "2")
    server = plimsoll.serve(tmp_path_factory.mktemp("server"), [], *options)
    yield server
    server.process.stop()


@pytest.fixture
def admin(cluster: ControlPlane) -> Iterator[Kubectl]:
    """The administrator's kubectl; packs are taken away after the test."""
    yield cluster.admin
    cluster.admin("delete", "rulepacks", "--all", "--wait=true").must()
    cluster.admin("-n", HOME, "delete", "configmaps", "-l", "plimsoll.dev/rule-packs=true").must()


@pytest.fixture
def vetted(cluster: ControlPlane, server: Server) -> Iterator[None]:
    """Packs are shown to Plimsoll before they are stored."""
    with webhooks.installed(cluster.admin, vetting(server)):
        yield


def vetting(server: Server) -> Object:
    """Return the configuration that sends packs to /packs, as the chart has it."""
    made = webhooks.configuration("packs", "validate", f"{server.url}", server.bundle, {}, failure="Ignore")
    webhook, probe = made["webhooks"]
    webhook["name"] = "packs.plimsoll.dev"
    webhook["clientConfig"]["url"] = f"{server.url}/packs"
    rule = {"apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"]}
    webhook["rules"] = [
        {**rule, "apiGroups": ["plimsoll.dev"], "resources": ["rulepacks"]},
        {**rule, "apiGroups": [""], "resources": ["configmaps"]},
    ]
    webhook["matchConditions"] = [
        {
            "name": "packs",
            "expression": "request.kind.kind == 'RulePack' || (has(object.metadata.labels) && "
            "'plimsoll.dev/rule-packs' in object.metadata.labels)",
        }
    ]
    return {**made, "webhooks": [webhook, probe]}


def pack(kubectl: Kubectl, name: str, action: str, *rules: Object, **spec: Any) -> Object:
    """Return a pack for the test's namespace alone."""
    rule = {**packs.EQUAL_RESOURCES, "action": action}
    return packs.pack(name, *(rules or (rule,)), match={"namespaces": [kubectl.namespace]}, **spec)


def verdict(kubectl: Kubectl) -> str:
    """Return what becomes of a workload that is not as it should be."""
    answer = kubectl.apply(BAD, options=DRY)
    return "denied" if answer.code else "warned" if answer.warnings else "allowed"


def becomes(kubectl: Kubectl, wanted: str) -> float:
    """Wait until the verdict is what is wanted, and return the seconds that it took."""
    begun = time.monotonic()
    eventually(lambda: verdict(kubectl) == wanted, what=f"the verdict to be {wanted}")
    return time.monotonic() - begun


def loaded(admin: Kubectl, name: str) -> Object:
    """Return the condition of a pack, once it is about its present generation."""

    def look() -> Object | None:
        obj = admin.get(f"rulepack/{name}")
        conditions = obj.get("status", {}).get("conditions", [])
        found: Object | None = next((each for each in conditions if each["type"] == "Loaded"), None)
        return found if found and found["observedGeneration"] == obj["metadata"]["generation"] else None

    found = eventually(look, 40, what="a condition of this generation")
    assert found is not None
    return found


def test_a_pack_that_is_applied_changes_verdicts_soon_and_says_so(
    kubectl: Kubectl, admin: Kubectl, server: Server, guard: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    guard(kubectl, server, "validate", "advise")
    assert verdict(kubectl) == "allowed"
    took = {}
    for action, wanted in (("warn", "warned"), ("deny", "denied"), ("audit", "allowed"), ("deny", "denied")):
        admin.apply(pack(kubectl, "acme", action)).must()
        took[f"{action} {len(took)}"] = round(becomes(kubectl, wanted), 2)
    with capsys.disabled():
        print(f"\n  seconds until a verdict changed, kubectl's own included: {took}")
    kubectl.apply(GOOD, options=DRY).must()
    condition = loaded(admin, "acme")
    assert (condition["status"], condition["reason"]) == ("True", "Loaded")
    head, row = admin("get", "rulepacks").must().out.splitlines()
    assert head.split() == ["NAME", "MODE", "VERSION", "RULES", "LOADED", "AGE"]
    assert row.split()[:4] == ["acme", "1", "1", "True"]
    figures = server.metrics()
    assert 'plimsoll_pack_info{pack="acme",version="1"} 1' in figures
    assert 'plimsoll_pack_broken{source="RulePack/acme"} 0' in figures
    findings = eventually(lambda: denied(admin), 60, what="the denials to be told")
    assert findings["rules"][0]["name"] == "requests-equal-limits"
    assert findings["observedBy"]
    admin("delete", "rulepack", "acme").must()
    becomes(kubectl, "allowed")
    assert 'pack="acme",version' not in server.metrics()


def denied(admin: Kubectl) -> Object:
    """Return what one replica counted of the pack, once that is anything that was denied."""
    findings: Object = admin.get("rulepack/acme").get("status", {}).get("findings", {})
    return findings if findings.get("denied") else {}


def test_a_wrong_pack_is_refused_with_every_mistake_and_changes_nothing(
    kubectl: Kubectl, admin: Kubectl, server: Server, guard: Callable[..., None], vetted: None
) -> None:
    guard(kubectl, server, "validate", "advise")
    admin.apply(pack(kubectl, "acme", "deny")).must()
    becomes(kubectl, "denied")
    said = admin("apply", "-f", str(TEN)).refused()
    mistakes = [line.removeprefix(f"{TEN}:").partition(": ")[2] for line in linted(TEN)]
    assert len(mistakes) == 10
    assert "RulePack ten-mistakes can't be loaded (10 mistakes)" in said
    # a number comes through JSON, and has lost how it was written
    mistakes = [mistake.replace("2026.10", "2026.1") for mistake in mistakes]
    assert [mistake for mistake in mistakes if f"RulePack/{TEN.stem}: {mistake}"[:390] not in said] == []
    broken = pack(kubectl, "acme", "block")
    assert "spec.rules[0].action: 'block' is not allowed" in admin.apply(broken).refused()
    assert verdict(kubectl) == "denied"


def linted(path: Path) -> list[str]:
    return [line for line in plimsoll.run("lint", str(path)).stderr.decode().splitlines() if line.startswith(str(path))]


def test_misspelt_keys_are_named_though_the_api_server_knows_them_not(
    kubectl: Kubectl, admin: Kubectl, vetted: None
) -> None:
    odd = pack(kubectl, "odd", "warn", {**packs.EQUAL_RESOURCES, "remedation": "x"}, contcat="x")
    for options in ((), ("--validate=false",)):
        said = admin.apply(odd, options=options).refused()
        assert "spec.contcat: unknown key; allowed: version, " in said
        assert "spec.rules[0].remedation: unknown key; did you mean remediation?" in said


def test_what_may_be_meant_otherwise_is_warned_of(kubectl: Kubectl, admin: Kubectl, vetted: None) -> None:
    answer = admin.apply(pack(kubectl, "acme", "deny", contact="me")).must()
    assert [line for line in answer.warnings if "spec.rules[0].remediation: is missing" in line]


def test_a_pack_may_come_together_with_the_one_that_it_extends(
    kubectl: Kubectl, admin: Kubectl, server: Server, guard: Callable[..., None], vetted: None
) -> None:
    guard(kubectl, server, "validate", "advise")
    base, own = pack(kubectl, "base", "warn"), packs.pack("own", extends="base")
    own["spec"] |= {"rules": [{"name": "requests-equal-limits", "action": "deny"}]}
    admin.apply(base, own).must()
    becomes(kubectl, "denied")
    eventually(lambda: loaded(admin, "base")["reason"] == "Extended")
    lone = packs.pack("lone", extends="bsae")
    lone["spec"].pop("rules")
    assert "no pack is named bsae; did you mean base?" in admin.apply(lone).refused()
    admin("delete", "rulepack", "base").must()  # nobody asks Plimsoll about that
    condition = loaded_as(admin, "own", "False")
    assert condition["reason"] == "LastGoodKept" and "no pack is named base" in condition["message"]
    assert verdict(kubectl) == "denied"


def loaded_as(admin: Kubectl, name: str, status: str) -> Object:
    """Return a pack's condition once it has a status."""
    return eventually(lambda: (found := loaded(admin, name))["status"] == status and found, 40)  # type: ignore[return-value]


def test_a_broken_pack_that_was_stored_leaves_its_last_good_text_in_force_and_all_others_go_on(
    kubectl: Kubectl, admin: Kubectl, server: Server, guard: Callable[..., None]
) -> None:
    guard(kubectl, server, "validate", "advise")
    admin.apply(pack(kubectl, "acme", "deny")).must()
    becomes(kubectl, "denied")
    admin.apply(pack(kubectl, "acme", "block", contcat="x"), options=("--validate=false",)).must()
    condition = loaded_as(admin, "acme", "False")
    assert condition["reason"] == "LastGoodKept"
    assert "RulePack/acme: spec.rules[0].action: 'block' is not allowed" in condition["message"]
    assert "RulePack/acme: spec.contcat: unknown key" in condition["message"]
    assert verdict(kubectl) == "denied"
    other = {**packs.OUR_IMAGES, "action": "warn", "params": {"repositories": ["nowhere.example/"]}}
    admin.apply(pack(kubectl, "other", "warn", other)).must()
    eventually(lambda: [line for line in kubectl.apply(GOOD, options=DRY).warnings if "approved-image" in line])
    assert verdict(kubectl) == "denied"
    figures = server.metrics()
    assert 'plimsoll_pack_broken{source="RulePack/acme"} 1' in figures
    assert 'plimsoll_pack_broken{source="RulePack/other"} 0' in figures
    assert re.search(r"^plimsoll_pack_load_failed 1", figures, re.MULTILINE)
    assert "RulePack/acme can't be used: its last good text stays" in server.process.log.read_text()
    event = eventually(lambda: events(admin, "acme", "NotLoaded"))[0]
    assert event["type"] == "Warning" and "spec.contcat: unknown key" in event["message"]
    admin.apply(pack(kubectl, "acme", "audit")).must()
    eventually(lambda: verdict(kubectl) != "denied")
    loaded_as(admin, "acme", "True")
    eventually(lambda: events(admin, "acme", "Loaded"))


def events(admin: Kubectl, name: str, reason: str) -> list[Object]:
    """Return the Events on a RulePack that have a reason; those on former packs of that name are still there."""
    uid = admin.get(f"rulepack/{name}")["metadata"]["uid"]
    return [
        each
        for each in admin.within("default").all("events")
        if (each["involvedObject"].get("uid"), each["reason"]) == (uid, reason)
    ]


def test_configmaps_with_the_label_hold_packs_too_and_a_name_is_in_force_once(
    kubectl: Kubectl, admin: Kubectl, server: Server, guard: Callable[..., None], vetted: None
) -> None:
    guard(kubectl, server, "validate", "advise")
    text = yaml.safe_dump_all([pack(kubectl, "one", "warn"), pack(kubectl, "two", "deny")])
    admin.within(HOME).apply(configmap("packs", {"acme.yaml": text, "readme.md": "none"})).must()
    becomes(kubectl, "denied")
    said = admin.apply(pack(kubectl, "two", "audit")).refused()
    assert "RulePack/two: metadata.name: the pack two is loaded twice" in said
    assert "ConfigMap/packs/acme.yaml:" in said
    broken = text.replace("action: deny", "action: dney")
    said = admin.within(HOME).apply(configmap("packs", {"acme.yaml": broken})).refused()
    assert re.search(r"ConfigMap/packs/acme\.yaml:\d+: spec\.rules\[0\]\.action: 'dney' is not allowed", said)
    admin.within(HOME).apply(configmap("packs", {"acme.yaml": text.replace("action: deny", "action: audit")})).must()
    becomes(kubectl, "warned")
    admin("-n", HOME, "label", "configmap", "packs", "plimsoll.dev/rule-packs-").must()
    becomes(kubectl, "allowed")
    admin("-n", HOME, "delete", "configmap", "packs").must()


def configmap(name: str, data: dict[str, str]) -> Object:
    """Return a labelled ConfigMap of the server's own namespace."""
    meta = {"name": name, "namespace": HOME, "labels": LABEL}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def test_two_rules_that_change_at_once_are_never_half(kubectl: Kubectl, admin: Kubectl, server: Server) -> None:
    """Every review of a stream meets the old pack whole or the new one."""

    def both(action: str) -> Object:
        rules = [{**packs.EQUAL_RESOURCES, "action": action}, {**packs.OUR_IMAGES, "action": action}]
        always = {"name": "always", "expression": "false", "message": "never", "action": "deny"}
        return pack(kubectl, "acme", action, always, *rules)

    old, new = ["audit", "audit", "deny"], ["deny", "deny", "deny"]
    admin.apply(both("audit")).must()
    eventually(lambda: seen(server, kubectl) == old)
    found: list[list[str]] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            found.append(seen(server, kubectl))

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            for action, wanted in (("deny", new), ("audit", old), ("deny", new)):
                admin.apply(both(action)).must()
                eventually(lambda wanted=wanted: all(seen(server, kubectl) == wanted for _ in range(20)))
        finally:
            done.set()
        for each in asking:
            each.result()
    assert {tuple(each) for each in found} == {tuple(old), tuple(new)}


def seen(server: Server, kubectl: Kubectl) -> list[str]:
    """Ask /validate itself, and return what becomes of each finding on a workload that breaks all rules, sorted."""
    name = {"name": "web", "namespace": kubectl.namespace}
    pod = workloads.pod("web", workloads.pod_spec(workloads.container(image="x/y:1", resources=workloads.UNEQUAL)))
    request = {
        "uid": "u",
        "operation": "CREATE",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "userInfo": {"username": "jane"},
        "object": {**pod, "metadata": name},
        **name,
    }
    notes = posted(server, "validate", request).get("auditAnnotations", {})
    items = [item for key in ("violations", "would-violate") for item in json.loads(notes.get(key, "[]"))]
    return sorted(action.lower() for item in items for action in item["validationActions"])


def posted(server: Server, endpoint: str, request: Object) -> Object:
    """Return the response to a review, over a connection of its own, so that any worker may have it."""
    body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()
    context = ssl.create_default_context(cadata=server.bundle.decode())
    asked = urllib.request.Request(f"{server.url}/{endpoint}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=20, context=context) as answer:
        found: Object = json.loads(answer.read())["response"]
    return found


def test_reviews_and_workers_ask_the_api_server_for_no_pack(kubectl: Kubectl, admin: Kubectl, server: Server) -> None:
    admin.apply(pack(kubectl, "acme", "deny")).must()
    eventually(lambda: all(seen(server, kubectl) == ["deny"] for _ in range(20)))
    loaded(admin, "acme")
    before = calls(admin)
    for _ in range(100):
        seen(server, kubectl)
    assert calls(admin) - before <= 2, "a stream may have ended and begun meanwhile, but no review asks"


def calls(admin: Kubectl) -> float:
    """Return how often packs were read so far, by the API server's own count; a watch counts when it ends."""
    text = admin("get", "--raw", "/metrics").must().out
    lines = [line for line in text.splitlines() if line.startswith("apiserver_request_total{")]
    reads = [line for line in lines if re.search(r'verb="(GET|LIST|WATCH)"', line) and 'resource="rulepacks"' in line]
    return sum(float(line.rpartition(" ")[2]) for line in reads)


def test_a_server_starts_with_what_is_good_and_says_what_is_not(
    kubectl: Kubectl, admin: Kubectl, server: Server, installed: Path, tmp_path: Path
) -> None:
    admin.apply(pack(kubectl, "acme", "deny"), pack(kubectl, "broken", "block"), options=("--validate=false",)).must()
    with another(tmp_path, installed) as late:
        assert seen(late, kubectl) == ["deny"]
        assert "RulePack/broken can't be used: it is not in force" in late.process.log.read_text()
        assert 'plimsoll_pack_broken{source="RulePack/broken"} 1' in late.metrics()
    assert loaded_as(admin, "broken", "False")["reason"] == "Invalid"


def test_a_server_that_starts_while_a_pack_is_broken_has_its_last_good_text(
    kubectl: Kubectl, admin: Kubectl, server: Server, installed: Path, tmp_path: Path
) -> None:
    """With no more rights than to write the status: the replica that had it in force has left it there."""
    admin.apply(pack(kubectl, "acme", "deny")).must()
    eventually(lambda: seen(server, kubectl) == ["deny"])
    assert loaded(admin, "acme")["reason"] == "Loaded"
    admin.apply(pack(kubectl, "acme", "block"), options=("--validate=false",)).must()
    assert loaded_as(admin, "acme", "False")["reason"] == "LastGoodKept"
    assert json.loads(admin.get("rulepack/acme")["status"]["lastGood"])["spec"]["rules"][0]["action"] == "deny"
    with another(tmp_path, installed) as late:
        assert seen(late, kubectl) == ["deny"]
        assert "RulePack/acme can't be used: its last good text stays" in late.process.log.read_text()
        admin.apply(pack(kubectl, "acme", "audit")).must()
        eventually(lambda: seen(late, kubectl) == [], what="a pack that only notes, which is at another endpoint")
    assert loaded_as(admin, "acme", "True")["reason"] == "Loaded"
    assert "lastGood" not in admin.get("rulepack/acme")["status"]


def test_who_may_not_write_the_status_brings_no_text_in_by_it(
    kubectl: Kubectl, admin: Kubectl, server: Server, installed: Path, tmp_path: Path
) -> None:
    """Whoever writes the pack itself writes no status, neither with a new pack nor with one that is there."""
    text = json.dumps(pack(kubectl, "acme", "deny"))
    for _ in range(2):
        given = {**pack(kubectl, "acme", "block"), "status": {"lastGood": text}}
        admin.apply(given, options=("--validate=false",)).must()
        assert loaded_as(admin, "acme", "False")["reason"] == "Invalid"
        assert "lastGood" not in admin.get("rulepack/acme")["status"]
    with another(tmp_path, installed) as late:
        assert seen(late, kubectl) == []


def test_the_shipped_packs_are_there_to_be_extended_and_not_in_force_by_themselves(
    kubectl: Kubectl, admin: Kubectl, server: Server
) -> None:
    assert seen(server, kubectl) == []
    own = packs.pack("own", extends="containerization", values={"registries": ["registry.example/"]})
    own["spec"].pop("rules")
    admin.apply(own).must()
    eventually(lambda: len(seen(server, kubectl)) > 1)


def test_every_shipped_pack_can_be_applied_as_it_is(admin: Kubectl, server: Server, vetted: None) -> None:
    files = [path for path in sorted((ROOT / "policies").glob("*.yaml")) if not path.name.endswith(".test.yaml")]
    for path in files:
        admin("apply", "-f", str(path)).must()
    for path in files:
        assert loaded_as(admin, path.stem, "True")["reason"] == "Loaded"
    for each in admin.all("rulepacks"):
        assert each["status"]["rules"] > 0, each["metadata"]["name"]


def test_without_an_api_server_nothing_is_decided_and_the_reason_is_said(installed: Path, tmp_path: Path) -> None:
    config = yaml.safe_load(installed.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    lost = tmp_path / "lost"
    lost.write_text(yaml.safe_dump(config))
    assert plimsoll.run("certs", str(tmp_path / "certs")).returncode == 0
    with started(tmp_path, "--kubeconfig", str(lost)) as process:
        log = eventually(lambda: "tried again" in (text := process.log.read_text()) and text)
        assert "the cluster's packs can't be read yet" in str(log)
        assert "listening" not in process.log.read_text()


@contextmanager
def started(directory: Path, *options: str) -> Iterator[Process]:
    """Start a server that may never be ready."""
    command = [*plimsoll.COMMAND, "serve", "--watch-packs", "--port", "0", "--health-port", "0", *options]
    process = start("plimsoll", command, directory / "plimsoll.log", plimsoll.environment(), cwd=directory)
    try:
        yield process
    finally:
        process.kill()


@contextmanager
def another(directory: Path, kubeconfig: Path) -> Iterator[Server]:
    """Start a second replica."""
    server = plimsoll.serve(directory, [], "--kubeconfig", str(kubeconfig), "--watch-packs")
    try:
        yield server
    finally:
        server.process.stop()
