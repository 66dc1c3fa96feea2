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

from webhook.checks import pod_security, security_controls
from webhook.checks.check import ParamError
from webhook.errors import ConfigError
from webhook.model.pods import subjects
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
        found = {finding.rule for finding in decision.findings}
        wanted = {RULES[control] for control in row[level]}
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


@pytest.mark.parametrize(
    ("params", "told"),
    [
        (
            "level: baseline, controls: [privileged, run-as-non-root]",
            "run-as-non-root is no control of baseline; for it write level: restricted; wanted one of app",
        ),
        (
            "controls: [capabilities, volume-types]",  # without a level, which is baseline then
            "volume-types is no control of baseline; for it write level: restricted; wanted one of app",
        ),
        (
            "level: restricted, controls: [privileged, host-path-volumes]",
            "host-path-volumes is no control of restricted; volume-types is in its place; wanted one of app",
        ),
    ],
)
def test_who_names_a_control_that_the_level_has_not_is_told_where_it_is(params: str, told: str) -> None:
    head = "apiVersion: plimsoll.dev/v1\nkind: RulePack\nmetadata: {name: p}\nspec:\n  rules:\n"
    rule = f"    - {{name: r, check: pod-security, action: deny, params: {{{params}}}}}\n"
    with pytest.raises(ConfigError) as error:
        ruleset([("p.yaml", head + rule)])
    assert [problem.path for problem in error.value.problems] == ["spec.rules[0].params.controls[1]"]
    assert error.value.problems[-1].text.startswith(told)


def test_who_names_a_control_of_no_level_is_sent_to_no_other() -> None:
    with pytest.raises(ParamError, match="run-as-somebody is no control of baseline; wanted one of app"):
        pod_security.build({"level": "baseline", "controls": ["run-as-somebody"]})


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
CONTROLS = [(control.level, control.name) for control in security_controls.CONTROLS]
ALL = sum(bit for bit, _ in security_controls.NUMBERED)
POD, WEB, DEBUG = "/spec/template/spec", "/spec/template/spec/containers/0", "/spec/template/spec/ephemeralContainers/0"
ANNOTATIONS = "/spec/template/metadata/annotations"
FOUND = {
    "app-armor-profile": [
        (f"{ANNOTATIONS}/container.apparmor.security.beta.kubernetes.io~1web", "web", "Unconfined"),
        (f"{POD}/securityContext/appArmorProfile/type", None, "Unconfined"),
    ],
    "capabilities": [
        (f"{WEB}/securityContext/capabilities", "web", "does not drop ALL"),
        (f"{WEB}/securityContext/capabilities/add/0", "web", "adds SYS_ADMIN"),
        (f"{DEBUG}/securityContext", "debug", "does not drop ALL"),
    ],
    "host-namespaces": [
        (f"{POD}/hostIPC", None, "hostIPC: true"),
        (f"{POD}/hostNetwork", None, "hostNetwork: true"),
    ],
    "host-ports": [
        (f"{WEB}/ports/0/hostPort", "web", "80"),
        (f"{WEB}/ports/1/hostPort", "web", "443"),
        (f"{WEB}/ports/2/containerPort", "web", "1"),
    ],
    "host-probes-and-lifecycle": [
        (f"{WEB}/lifecycle/preStop/tcpSocket/host", "web", "10.0.0.1"),
        (f"{WEB}/livenessProbe/httpGet/host", "web", "db.example"),
    ],
    "privilege-escalation": [
        (f"{WEB}/securityContext/allowPrivilegeEscalation", "web", "allowPrivilegeEscalation: true"),
        (f"{DEBUG}/securityContext", "debug", "not set"),
    ],
    "privileged": [(f"{WEB}/securityContext/privileged", "web", "privileged: true")],
    "proc-mount": [(f"{DEBUG}/securityContext/procMount", "debug", "Unmasked")],
    "run-as-non-root": [
        (f"{WEB}/securityContext", "web", "not set"),
        (f"{DEBUG}/securityContext", "debug", "not set"),
        (f"{POD}/securityContext/runAsNonRoot", None, "runAsNonRoot: false"),
    ],
    "run-as-user": [(f"{WEB}/securityContext/runAsUser", "web", "runAsUser: 0")],
    "se-linux-options": [
        (f"{POD}/securityContext/seLinuxOptions/role", None, "role system_r"),
        (f"{POD}/securityContext/seLinuxOptions/type", None, "type spc_t"),
    ],
    "seccomp-profile": [
        (f"{WEB}/securityContext/seccompProfile/type", "web", "Unconfined"),
        (f"{DEBUG}/securityContext", "debug", "not set"),
        (f"{POD}/securityContext/seccompProfile/type", None, "Unconfined"),
    ],
    "sysctls": [
        (f"{POD}/securityContext/sysctls/0/name", None, "kernel.msgmax"),
        (f"{POD}/securityContext/sysctls/1/name", None, "net.core.somaxconn"),
    ],
    "volume-types": [(f"{POD}/volumes/0", "node", "hostPath /"), (f"{POD}/volumes/1", "share", "nfs /pub nas.example")],
    "windows-host-process": [(f"{POD}/securityContext/windowsOptions/hostProcess", None, "hostProcess: true")],
}


def test_a_finding_says_where_it_is_in_which_container_and_what_stands_there(
    judge: Callable[..., Any], packs: dict[str, Ruleset]
) -> None:
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
        "volumes": [
            {"name": "node", "hostPath": {"path": "/", "type": "Directory"}},
            {"name": "share", "nfs": {"server": "nas.example", "path": "/pub", "readOnly": True}},
        ],
    }
    annotations = {"container.apparmor.security.beta.kubernetes.io/web": "unconfined"}
    decision = judge(packs["restricted"], as_deployment({"metadata": {"annotations": annotations}, "spec": spec}))
    found: dict[str, list[tuple[str, str | None, str]]] = {}
    for one in decision.findings:
        found.setdefault(one.rule, []).append((one.violation.pointer, one.violation.container, one.violation.found))
    assert found == FOUND


def test_an_update_is_warned_of_what_was_there_and_refused_for_what_is_new(
    judge: Callable[..., Any], packs: dict[str, Ruleset]
) -> None:
    def having(*capabilities: str, image: str = "a") -> dict[str, Any]:
        added = {"capabilities": {"add": list(capabilities)}}
        return as_deployment({"spec": {"containers": [{"name": "web", "image": image, "securityContext": added}]}})

    old = having("SYS_PTRACE")
    assert judge(packs["baseline"], having("SYS_PTRACE", "KILL", image="b"), old=old).allowed
    assert not judge(packs["baseline"], having("SYS_PTRACE", "SYS_ADMIN"), old=old).allowed


# volumes whose other end is no text of its own
OTHERS = [
    ("rbd", {"image": "a", "monitors": ["10.0.0.1:6789"]}, {"image": "a", "monitors": ["10.0.0.9:6789"]}),
    ("fc", {"targetWWNs": ["50060e801049cfd1"], "lun": 0}, {"targetWWNs": ["50060e801049cfd1"], "lun": 1}),
    ("flexVolume", {"driver": "a/cifs", "options": {"share": "a"}}, {"driver": "a/cifs", "options": {"share": "b"}}),
]


def test_what_is_old_covers_no_other_path_port_or_address(judge: Callable[..., Any], packs: dict[str, Ruleset]) -> None:
    def volume(path: str) -> dict[str, Any]:
        volumes = [{"name": "node", "hostPath": {"path": path}}]
        return as_deployment({"spec": {"containers": [], "volumes": volumes}})

    def port(*ports: dict[str, Any]) -> dict[str, Any]:
        return as_deployment({"spec": {"containers": [{"name": "web", "ports": [*ports]}]}})

    def rules(level: str, obj: dict[str, Any], old: dict[str, Any]) -> list[tuple[str, bool]]:
        found = judge(packs[level], obj, old=old).findings
        return [(one.violation.found, one.existing) for one in found if one.rule in ("volume-types", "host-ports")]

    assert rules("restricted", volume("/"), volume("/var/log/app")) == [("hostPath /", False)]
    for kind, source, other in OTHERS:
        old, same, new = (
            as_deployment({"spec": {"containers": [{"name": name}], "volumes": [{"name": "x", kind: one}]}})
            for name, one in (("a", source), ("b", source), ("a", other))
        )
        assert [existing for _, existing in rules("restricted", same, old)] == [True], kind
        assert [existing for _, existing in rules("restricted", new, old)] == [False], kind
    tcp, udp = {"hostPort": 53}, {"hostPort": 53, "protocol": "UDP"}
    assert rules("baseline", port({**tcp, "protocol": "TCP"}, udp), port(tcp)) == [("53", True), ("53/UDP", False)]
    own = {**tcp, "hostIP": "127.0.0.1"}
    assert rules("baseline", port(tcp), port(own)) == [("53", False)]
    assert rules("baseline", port({**own, "name": "dns"}), port(own)) == [("127.0.0.1:53", True)]


def test_the_annotation_of_a_profile_and_its_field_are_one_finding(
    judge: Callable[..., Any], packs: dict[str, Ruleset]
) -> None:
    """The API server writes the field into pods whose template has the annotation: they had it before."""
    metadata = {"annotations": {"container.apparmor.security.beta.kubernetes.io/web": "unconfined"}}
    field = {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}
    old = as_deployment({"metadata": metadata, "spec": {"containers": [{"name": "web"}]}})
    new = as_deployment({"metadata": metadata, "spec": {"containers": [{"name": "web", **field}]}})
    decision = judge(packs["baseline"], new, old=old)
    assert [(one.rule, one.existing) for one in decision.findings] == [("app-armor-profile", True)] * 2
    assert decision.allowed


def test_a_port_in_the_network_of_the_node_is_one_of_the_node_in_the_template_as_in_its_pods(
    judge: Callable[..., Any], packs: dict[str, Ruleset]
) -> None:
    """The API server writes hostPort into pods alone: so a workload is told, and its pods had it before."""

    def ports(port: dict[str, Any]) -> dict[str, Any]:
        return as_deployment({"spec": {"hostNetwork": True, "containers": [{"name": "web", "ports": [port]}]}})

    template, filled = ports({"containerPort": 80}), ports({"containerPort": 80, "hostPort": 80, "protocol": "TCP"})
    assert [one.rule for one in judge(packs["baseline"], template).findings] == ["host-namespaces", "host-ports"]
    assert judge(packs["baseline"], filled, old=template).allowed


def test_an_empty_text_is_seen_in_what_is_said(judge: Callable[..., Any], packs: dict[str, Ruleset]) -> None:
    context = {"procMount": "", "capabilities": {"add": [""]}}
    spec = {"containers": [{"name": "web", "securityContext": context}], "securityContext": {"sysctls": [{"name": ""}]}}
    found = {one.rule: one.violation.found for one in judge(packs["baseline"], as_pod({"spec": spec})).findings}
    assert found == {"capabilities": '""', "proc-mount": '""', "sysctls": '""'}


def test_one_look_for_all_rules_finds_what_each_of_them_finds() -> None:
    """What is passed over unasked, no rule would have found."""
    rules = [pod_security.build({"level": level, "controls": [name]}) for level, name in CONTROLS]
    for name, row in ROWS.items():
        for subject in subjects(as_deployment(row["pod"]), "apps", "Deployment", "shop", "web"):
            (pod,) = subject.pods
            for check in rules:
                assert check.part is not None and check.pod is not None
                assert bool(check.part.broken(pod, ALL) & check.part.bits) == bool([*check.pod(pod)]), name


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
    at = "/spec/workload/manifests/0/spec/template/spec/hostPID"
    assert (finding.rule, finding.violation.pointer) == ("host-namespaces", at)


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
