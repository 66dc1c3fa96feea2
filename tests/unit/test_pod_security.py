"""The packs pod-security-* say of every pod what Kubernetes' own Pod Security Admission says of it.

The golden table has pods and the controls that forbid them, as `source` in it says: every fixture of that version,
and pods made by chance from what the controls read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook.packs.compile import ruleset
from webhook.packs.rule import Ruleset

ROOT = Path(__file__).parents[2]
TABLE = json.loads((ROOT / "tests" / "golden" / "pod-security.json").read_text())
ROWS = {row["from"]: row for row in TABLE["rows"]}
LEVELS = ("baseline", "restricted")
# The rules by the names that pod-security-admission gives the controls (policy/check_*.go, `ID`).
RULES = {
    "allowPrivilegeEscalation": "privilege-escalation",
    "appArmorProfile": "app-armor-profile",
    "capabilities_baseline": "capabilities",
    "capabilities_restricted": "capabilities",
    "hostNamespaces": "host-namespaces",
    "hostPathVolumes": "host-path-volumes",
    "hostPorts": "host-ports",
    "hostProbesAndHostLifecycle": "host-probes-and-lifecycle",
    "privileged": "privileged",
    "procMount": "proc-mount",
    "procMount_restricted": "proc-mount",
    "restrictedVolumes": "volume-types",
    "runAsNonRoot": "run-as-non-root",
    "runAsUser": "run-as-user",
    "seLinuxOptions": "se-linux-options",
    "seccompProfile_baseline": "seccomp-profile",
    "seccompProfile_restricted": "seccomp-profile",
    "sysctls": "sysctls",
    "windowsHostProcess": "windows-host-process",
}
# Controls of the baseline whose place a stricter one takes in restricted (`OverrideCheckIDs`).
OVERRIDDEN = {"capabilities_baseline", "hostPathVolumes", "procMount", "seccompProfile_baseline"}


def text(level: str) -> str:
    return (ROOT / "policies" / f"pod-security-{level}.yaml").read_text()


def rules(level: str) -> dict[str, dict[str, Any]]:
    return {rule["name"]: rule for rule in yaml.safe_load(text(level))["spec"]["rules"]}


@pytest.fixture(scope="module")
def packs() -> dict[str, Ruleset]:
    return {level: ruleset([(f"{level}.yaml", text(level))], mode="enforce") for level in LEVELS}


def as_pod(pod: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {**pod.get("metadata", {}), "name": "web", "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]}


def as_deployment(pod: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": pod},
    }


@pytest.mark.parametrize("wrap", [as_pod, as_deployment])
@pytest.mark.parametrize("level", LEVELS)
def test_every_pod_gets_the_verdict_of_pod_security_admission(
    judge: Callable[..., Any], packs: dict[str, Ruleset], level: str, wrap: Callable[..., Any]
) -> None:
    wrong = []
    for name, row in ROWS.items():
        decision = judge(packs[level], wrap(row["pod"]))
        found = sorted(finding.rule for finding in decision.findings)
        wanted = sorted(RULES[control] for control in row[level])
        if (found, decision.allowed, decision.errors) != (wanted, not wanted, ()):
            wrong.append((name, found, wanted, decision.errors))
    assert wrong == []


@pytest.mark.parametrize("level", LEVELS)
def test_the_table_has_pods_that_each_control_forbids_and_pods_that_none_does(level: str) -> None:
    seen = {control for row in ROWS.values() for control in row[level]}
    assert {RULES[control] for control in seen} == set(rules(level))
    assert sum(not row[level] for row in ROWS.values()) >= 50


def test_restricted_is_the_baseline_to_the_word_but_for_what_is_stricter_there() -> None:
    baseline, restricted = rules("baseline"), rules("restricted")
    stricter = {RULES[control] for control in OVERRIDDEN}
    shared = baseline.keys() - stricter
    assert {name: restricted[name] for name in shared} == {name: baseline[name] for name in shared}
    assert len(shared) == 8
    assert all(restricted[name] != baseline[name] for name in stricter & restricted.keys())


def test_each_pack_judges_whether_the_other_is_loaded_or_not(
    judge: Callable[..., Any], deployment: Callable[..., Any]
) -> None:
    both = ruleset([(f"{level}.yaml", text(level)) for level in LEVELS])
    decision = judge(both, deployment(pod={"hostPID": True}))
    assert decision.allowed
    assert [finding.pack for finding in decision.findings if finding.rule == "host-namespaces"] == [
        "pod-security-baseline",
        "pod-security-restricted",
    ]


BAD = {"privileged": True, "allowPrivilegeEscalation": True, "capabilities": {"add": ["SYS_ADMIN"]}, "runAsUser": 0}
FOUND = {
    "app-armor-profile": "pod: Unconfined; container.apparmor.security.beta.kubernetes.io/web: unconfined",
    "capabilities": (
        "container web: does not drop ALL; container debug: does not drop ALL; container web: adds SYS_ADMIN"
    ),
    "host-namespaces": "hostIPC: true, hostNetwork: true",
    "host-ports": "container web: 80, 443",
    "host-probes-and-lifecycle": "container web: db.example, 10.0.0.1",
    "privilege-escalation": "container web: true; container debug: not set",
    "privileged": "container web: privileged: true",
    "proc-mount": "container debug: Unmasked",
    "run-as-non-root": "pod: false; container web: not set; container debug: not set",
    "run-as-user": "container web: 0",
    "se-linux-options": "pod: type spc_t, role system_r",
    "seccomp-profile": "pod: Unconfined; container web: Unconfined; container debug: not set",
    "sysctls": "kernel.msgmax, net.core.somaxconn",
    "volume-types": "volume node: hostPath; volume share: nfs",
    "windows-host-process": "pod: hostProcess: true",
}


def test_a_finding_names_the_containers_and_what_they_say(judge: Callable[..., Any], packs: dict[str, Ruleset]) -> None:
    web = {
        "name": "web",
        "securityContext": {**BAD, "seccompProfile": {"type": "Unconfined"}},
        "ports": [{"containerPort": 80, "hostPort": 80}, {"containerPort": 443, "hostPort": 443}, {"containerPort": 1}],
        "livenessProbe": {"httpGet": {"host": "db.example"}},
        "lifecycle": {"preStop": {"tcpSocket": {"host": "10.0.0.1"}}, "postStart": {"exec": {"command": ["true"]}}},
    }
    spec = {
        "hostNetwork": True,
        "hostIPC": True,
        "securityContext": {
            "runAsNonRoot": False,
            "appArmorProfile": {"type": "Unconfined"},
            "seccompProfile": {"type": "Unconfined"},
            "seLinuxOptions": {"type": "spc_t", "role": "system_r"},
            "sysctls": [{"name": "kernel.msgmax"}, {"name": "net.core.somaxconn"}],
            "windowsOptions": {"hostProcess": True},
        },
        "containers": [web],
        "ephemeralContainers": [{"name": "debug", "securityContext": {"procMount": "Unmasked"}}],
        "volumes": [{"name": "node", "hostPath": {"path": "/"}}, {"name": "share", "nfs": {"server": "nas.example"}}],
    }
    annotations = {"container.apparmor.security.beta.kubernetes.io/web": "unconfined"}
    decision = judge(packs["restricted"], as_deployment({"metadata": {"annotations": annotations}, "spec": spec}))
    assert {finding.rule: finding.violation.found for finding in decision.findings} == FOUND


def test_an_update_is_warned_of_what_was_there_and_refused_for_what_is_new(
    judge: Callable[..., Any], packs: dict[str, Ruleset]
) -> None:
    def having(*capabilities: str, image: str = "a") -> dict[str, Any]:
        added = {"capabilities": {"add": list(capabilities)}}
        return as_deployment({"spec": {"containers": [{"name": "web", "image": image, "securityContext": added}]}})

    old = having("SYS_PTRACE")
    assert judge(packs["baseline"], having("SYS_PTRACE", "KILL", image="b"), old=old).allowed
    assert not judge(packs["baseline"], having("SYS_PTRACE", "SYS_ADMIN"), old=old).allowed


def test_a_pod_within_a_wrapper_is_judged_where_it_stands(
    judge: Callable[..., Any], packs: dict[str, Ruleset], deployment: Callable[..., Any]
) -> None:
    work = {
        "apiVersion": "work.open-cluster-management.io/v1",
        "kind": "ManifestWork",
        "metadata": {"name": "shop", "namespace": "cluster1"},
        "spec": {"workload": {"manifests": [deployment(pod={"hostPID": True})]}},
    }
    (finding,) = judge(packs["baseline"], work).findings
    assert (finding.rule, finding.violation.pointer) == ("host-namespaces", "/spec/workload/manifests/0/spec/template")


def test_null_and_empty_are_not_set(judge: Callable[..., Any], packs: dict[str, Ruleset]) -> None:
    container = {"name": "web", "securityContext": None, "ports": None, "lifecycle": {"preStop": None}}
    empty: dict[str, Any] = {
        "securityContext": {"seLinuxOptions": {}, "windowsOptions": {}, "sysctls": []},
        "volumes": None,
    }
    assert judge(packs["baseline"], as_pod({"spec": {"hostNetwork": None, "containers": [container]}})).findings == ()
    assert judge(packs["baseline"], as_pod({"spec": {**empty, "containers": [{"name": "web"}]}})).findings == ()
    # a profile without a type is one that is not allowed: the API server writes type: "" for it
    blank = {"name": "web", "securityContext": {"seccompProfile": {}, "appArmorProfile": {}}}
    decision = judge(packs["baseline"], as_pod({"spec": {"containers": [blank]}}))
    assert {finding.rule for finding in decision.findings} == {"app-armor-profile", "seccomp-profile"}
