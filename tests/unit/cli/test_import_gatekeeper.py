"""`plimsoll import gatekeeper`: constraints of the library say here what their templates say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook.cli.foreign.library import LIBRARY
from webhook.packs.compile import ruleset
from webhook.packs.rule import Ruleset


def constraint(kind: str, parameters: Any = None, match: Any = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "constraints.gatekeeper.sh/v1beta1",
        "kind": kind,
        "metadata": {"name": "c"},
        "spec": {"match": match or {}, "parameters": parameters or {}, **spec},
    }


@pytest.fixture
def imported(plimsoll: Callable[..., Any]) -> Callable[..., Any]:
    def run(*documents: dict[str, Any]) -> Any:
        Path("constraints.yaml").write_text(yaml.safe_dump_all(documents, sort_keys=False))
        return plimsoll("import", "gatekeeper", "constraints.yaml")

    return run


def rules(ran: Any) -> list[dict[str, Any]]:
    return [rule for pack in yaml.safe_load_all(ran.out) if pack for rule in pack["spec"]["rules"]]


def compiled(ran: Any) -> Ruleset:
    return ruleset([("pack.yaml", ran.out)])


def a_pod(*containers: Any, **spec: Any) -> dict[str, Any]:
    named = [{"name": f"c{number}", **container} for number, container in enumerate(containers or ({},))]
    metadata = {"name": "web", "namespace": "shop"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": named, **spec}}


def an_object(kind: str, group: str = "v1", metadata: Any = None, **rest: Any) -> dict[str, Any]:
    meta = {"name": "a", "namespace": "shop", **(metadata or {})}
    return {"apiVersion": group, "kind": kind, "metadata": meta, **rest}


def secured(**context: Any) -> dict[str, Any]:
    return {"securityContext": context}


def limited(**limits: Any) -> dict[str, Any]:
    return {"resources": {"limits": limits}}


SERVICE = {"kinds": [{"apiGroups": [""], "kinds": ["Service"]}]}
DEPLOYMENT = {"kinds": [{"apiGroups": ["apps"], "kinds": ["Deployment"]}]}
NAMESPACE = {"kinds": [{"apiGroups": [""], "kinds": ["Namespace"]}]}
INGRESS = {"kinds": [{"apiGroups": ["networking.k8s.io"], "kinds": ["Ingress"]}]}
ALLOWED_HTTP = {"annotations": {"kubernetes.io/ingress.allow-http": "false"}}
DIGEST = "a@sha256:" + "0" * 64
HOST = {"volumes": [{"name": "v", "hostPath": {"path": "/var/log/pods"}}]}
MOUNTED = [{"volumeMounts": [{"name": "v", "mountPath": "/x", "readOnly": read}]} for read in (True, False)]
CASES: list[tuple[str, Any, Any, list[Any], list[Any]]] = [
    (
        "K8sAllowedRepos",
        {"repos": ["registry.example/", "nginx"]},
        {},
        [a_pod({"image": "registry.example/a"}), a_pod({"image": "nginx-evil"})],
        [a_pod({"image": "a"}), a_pod({"image": "nginx"}, {"image": "b"}), a_pod({})],
    ),
    (
        "K8sDisallowedRepos",
        {"repos": ["bad.example/"]},
        {},
        [a_pod({"image": "a"}), a_pod({})],
        [a_pod({"image": "bad.example/a"}), a_pod(initContainers=[{"name": "i", "image": "bad.example/b"}])],
    ),
    (
        "K8sDisallowedTags",
        {"tags": ["latest"], "exemptImages": ["a", "b*"]},
        {},
        [a_pod({"image": "x:1"}), a_pod({"image": "a"}), a_pod({"image": "bcd"}), a_pod({"image": DIGEST})],
        [a_pod({"image": "x"}), a_pod({"image": "x:latest"}), a_pod({"image": "a:latest"})],
    ),
    ("K8sImageDigests", {}, {}, [a_pod({"image": DIGEST})], [a_pod({"image": "a:1"})]),
    (
        "K8sContainerLimits",
        {"cpu": "1", "memory": "1Gi"},
        {},
        [a_pod(limited(cpu="500m", memory="1024Mi")), a_pod(limited(cpu=1, memory=1024))],
        [
            *(a_pod(), a_pod(limited(cpu="1")), a_pod(limited(cpu="1100m", memory="1Gi"))),
            *(a_pod(limited(cpu="1", memory="1025Mi")), a_pod(limited(cpu="1", memory="1e3"))),
            a_pod(limited(cpu="1", memory="1Gi"), initContainers=[{"name": "i"}]),
        ],
    ),
    (
        "K8sContainerLimits",
        {"cpu": "-1", "memory": "1Gi"},
        {},
        [a_pod(limited(memory="1Gi"))],
        [a_pod(limited(cpu="1"))],
    ),
    (
        "K8sContainerRequests",
        {"cpu": "1", "memory": "1Gi"},
        {},
        [a_pod({"resources": {"requests": {"cpu": "1", "memory": "1Gi"}}})],
        [a_pod(limited(cpu="1", memory="1Gi"))],
    ),
    (
        "K8sRequiredResources",
        {"limits": ["memory"], "requests": ["cpu"]},
        {},
        [a_pod({"resources": {"limits": {"memory": "9Gi"}, "requests": {"cpu": "1"}}})],
        [a_pod(), a_pod(limited(memory="1Gi"))],
    ),
    (
        "K8sRequiredLabels",
        {"labels": [{"key": "team", "allowedRegex": "^[a-z]+$"}, {"key": "app.kubernetes.io/name"}], "message": "m"},
        NAMESPACE,
        [an_object("Namespace", metadata={"labels": {"team": "shop", "app.kubernetes.io/name": ""}})],
        [
            an_object("Namespace"),
            an_object("Namespace", metadata={"labels": {"team": "Shop", "app.kubernetes.io/name": "a"}}),
        ],
    ),
    (
        "K8sRequiredAnnotations",
        {"annotations": [{"key": "owner"}]},
        SERVICE,
        [an_object("Service", metadata={"annotations": {"owner": "a"}})],
        [an_object("Service")],
    ),
    (
        "K8sRequiredProbes",
        {"probes": ["livenessProbe", "readinessProbe"], "probeTypes": ["tcpSocket", "httpGet"]},
        {},
        [a_pod({"livenessProbe": {"httpGet": {}}, "readinessProbe": {"tcpSocket": {}}}, initContainers=[{}])],
        [a_pod(), a_pod({"livenessProbe": {"httpGet": {}}, "readinessProbe": {"exec": {}}})],
    ),
    (
        "K8sReplicaLimits",
        {"ranges": [{"min_replicas": 2, "max_replicas": 4}, {"min_replicas": 10, "max_replicas": 10}]},
        DEPLOYMENT,
        [an_object("Deployment", "apps/v1", spec={"replicas": number}) for number in (2, 4, 10)],
        [an_object("Deployment", "apps/v1", spec={"replicas": 5}), an_object("Deployment", "apps/v1", spec={})],
    ),
    (
        "K8sHttpsOnly",
        {},
        INGRESS,
        [an_object("Ingress", "networking.k8s.io/v1", ALLOWED_HTTP, spec={"tls": [{}]})],
        [
            an_object("Ingress", "networking.k8s.io/v1", spec={"tls": [{}]}),
            an_object("Ingress", "networking.k8s.io/v1", ALLOWED_HTTP, spec={"tls": []}),
        ],
    ),
    (
        "K8sBlockNodePort",
        {},
        SERVICE,
        [an_object("Service", spec={})],
        [an_object("Service", spec={"type": "NodePort"})],
    ),
    (
        "K8sBlockLoadBalancer",
        {},
        SERVICE,
        [an_object("Service", spec={"type": "NodePort"})],
        [an_object("Service", spec={"type": "LoadBalancer"})],
    ),
    (
        "K8sPSPPrivilegedContainer",
        {"exemptImages": ["ok"]},
        {},
        [a_pod(), a_pod({"image": "ok", **secured(privileged=True)})],
        [a_pod(secured(privileged=True))],
    ),
    (
        "K8sPSPAllowPrivilegeEscalationContainer",
        {},
        {},
        [a_pod(secured(allowPrivilegeEscalation=False))],
        [a_pod(), a_pod(secured(allowPrivilegeEscalation=True))],
    ),
    (
        "K8sPSPReadOnlyRootFilesystem",
        {},
        {},
        [a_pod(secured(readOnlyRootFilesystem=True))],
        [a_pod(), a_pod(secured(readOnlyRootFilesystem=False))],
    ),
    ("K8sPSPHostNamespace", {}, {}, [a_pod(hostNetwork=True)], [a_pod(hostPID=True), a_pod(hostIPC=True)]),
    (
        "K8sPSPHostNetworkingPorts",
        {"min": 80, "max": 90},
        {},
        [a_pod({"ports": [{"hostPort": 80}, {"containerPort": 1}]})],
        [a_pod(hostNetwork=True), a_pod({"ports": [{"hostPort": 79}]}), a_pod({"ports": [{"hostPort": 91}]})],
    ),
    (
        "K8sPSPHostNetworkingPorts",
        {"hostNetwork": True, "max": 90},
        {},
        [a_pod(hostNetwork=True), a_pod({"ports": [{"hostPort": 1}]})],
        [a_pod({"ports": [{"hostPort": 91}]})],
    ),
    ("K8sPSPHostFilesystem", {}, {}, [a_pod()], [a_pod(**HOST)]),
    (
        "K8sPSPHostFilesystem",
        {"allowedHostPaths": [{"pathPrefix": "/var/log", "readOnly": True}, {"pathPrefix": "/srv"}]},
        {},
        [
            a_pod(MOUNTED[0], **HOST),
            a_pod(volumes=[{"name": "v", "hostPath": {"path": "/srv"}}]),
        ],
        [
            a_pod(MOUNTED[1], **HOST),
            a_pod(volumes=[{"name": "v", "hostPath": {"path": "/srv-b"}}]),
        ],
    ),
    (
        "K8sPSPCapabilities",
        {"allowedCapabilities": ["CHOWN"], "requiredDropCapabilities": ["NET_RAW"]},
        {},
        [
            a_pod(secured(capabilities={"add": ["chown"], "drop": ["net_raw"]})),
            a_pod(secured(capabilities={"drop": ["ALL"]})),
        ],
        [a_pod(), a_pod(secured(capabilities={"add": ["KILL"], "drop": ["ALL"]}))],
    ),
    (
        "K8sPSPCapabilities",
        {"allowedCapabilities": ["*"], "requiredDropCapabilities": ["KILL"]},
        {},
        [a_pod(secured(capabilities={"add": ["SYS_ADMIN"], "drop": ["KILL"]}))],
        [a_pod()],
    ),
]


@pytest.mark.parametrize(("kind", "parameters", "match", "kept", "broken"), CASES)
def test_a_constraint_of_the_library_says_what_its_template_says(
    imported: Callable[..., Any], judge: Any, kind: str, parameters: Any, match: Any, kept: list[Any], broken: list[Any]
) -> None:
    ran = imported(constraint(kind, parameters, match))
    assert ran.status == 0, ran.err
    decisions = [judge(compiled(ran), one) for one in (*kept, *broken)]
    assert [decision.errors for decision in decisions] == [()] * len(decisions)
    assert [decision.allowed for decision in decisions] == [True] * len(kept) + [False] * len(broken)


def test_every_kind_that_is_known_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(LIBRARY)


@pytest.mark.parametrize(("given", "ours"), [("deny", "deny"), ("warn", "warn"), ("dryrun", "audit")])
def test_the_action_is_the_constraints(imported: Callable[..., Any], given: str, ours: str) -> None:
    ran = imported(constraint("K8sImageDigests", enforcementAction=given))
    assert [rule["action"] for rule in rules(ran)] == [ours]


def test_match_is_our_scope(imported: Callable[..., Any]) -> None:
    match = {
        "kinds": [{"apiGroups": ["*"], "kinds": ["Pod", "Deployment"]}],
        "namespaces": ["shop-*"],
        "excludedNamespaces": ["shop-test"],
        "labelSelector": {"matchLabels": {"app": "a"}},
        "namespaceSelector": {"matchExpressions": [{"key": "t", "operator": "Exists"}]},
        "scope": "Namespaced",
    }
    (rule,) = rules(imported(constraint("K8sImageDigests", match=match)))
    assert rule["match"] == {
        "kinds": ["Pod"],
        "namespaces": ["shop-*"],
        "excludeNamespaces": ["shop-test"],
        "objectSelector": {"matchLabels": {"app": "a"}},
        "namespaceSelector": {"matchExpressions": [{"key": "t", "operator": "Exists"}]},
    }


def test_a_workload_is_not_judged_because_the_template_does_not_look_at_its_pods(
    imported: Callable[..., Any], judge: Any, deployment: Any
) -> None:
    assert judge(compiled(imported(constraint("K8sImageDigests"))), deployment()).findings == ()


def template(kind: str, **code: Any) -> dict[str, Any]:
    return {
        "apiVersion": "templates.gatekeeper.sh/v1",
        "kind": "ConstraintTemplate",
        "metadata": {"name": kind.lower()},
        "spec": {"crd": {"spec": {"names": {"kind": kind}}}, "targets": [{"code": [code]}]},
    }


SOURCE = {
    "variables": [{"name": "most", "expression": "variables.params.most"}],
    "validations": [
        {
            "expression": "!has(variables.anyObject.spec.replicas) || object.spec.replicas <= variables.most",
            "messageExpression": "'at most ' + string(variables.most)",
        }
    ],
}


def test_cel_in_a_template_is_taken_with_the_parameters_of_the_constraint(
    imported: Callable[..., Any], judge: Any, deployment: Any
) -> None:
    cel = template("Most", engine="K8sNativeValidation", source=SOURCE)
    ran = imported(cel, constraint("Most", {"most": 3}, DEPLOYMENT))
    assert ran.status == 0, ran.err
    judged = [judge(compiled(ran), deployment(spec={"replicas": number})) for number in (3, 4)]
    assert [(one.allowed, [f.violation.found for f in one.findings]) for one in judged] == [
        (True, []),
        (False, ["at most 3"]),
    ]


REFUSED = [
    ([constraint("K8sUnknown")], "Rego is not translated"),
    ([template("Mine", engine="Rego", source={"rego": "x"}), constraint("Mine")], "Rego is not translated"),
    ([constraint("K8sImageDigests", {"other": 1})], "the parameter other is not known"),
    ([constraint("K8sImageDigests", enforcementAction="scoped")], "the action scoped is not known"),
    ([constraint("K8sImageDigests", match={"name": "a"})], "match.name is not translated"),
    ([constraint("K8sImageDigests", match=DEPLOYMENT)], "its template looks at Pod"),
    ([constraint("K8sRequiredLabels", {"labels": [{"key": "a"}]})], "all kinds are meant"),
    ([constraint("K8sRequiredProbes", {"probes": ["livenessProbe"]})], "probeTypes is no list"),
    ([constraint("K8sContainerLimits", {"cpu": "1"})], "has no memory"),
    ([constraint("K8sContainerRequests", {"cpu": "-1", "memory": "1Gi"})], "no number with a unit"),
    ([constraint("K8sPSPHostFilesystem", {"allowedHostPaths": [{"pathPrefix": "var"}]})], "no absolute path"),
    ([template("Mine", engine="K8sNativeValidation", source=SOURCE)], "no constraint of this kind is given"),
    (
        [
            constraint(
                "K8sRequiredLabels",
                {"labels": [{"key": "a"}]},
                {"kinds": [{"apiGroups": ["batch"], "kinds": ["Job"]}]},
            )
        ],
        "a controller made",
    ),
]


@pytest.mark.parametrize(("documents", "reason"), REFUSED)
def test_what_cannot_be_said_is_listed_and_not_imported(
    imported: Callable[..., Any], documents: list[Any], reason: str
) -> None:
    ran = imported(*documents)
    assert (ran.status, ran.out) == (1, "")
    assert reason in ran.err
    assert ran.err.startswith("constraints.yaml:")


def test_the_pack_is_linted_without_mistakes(imported: Callable[..., Any], plimsoll: Callable[..., Any]) -> None:
    made = [constraint(kind, parameters, match) for kind, parameters, match, _, _ in CASES]
    Path("pack.yaml").write_text(imported(*made).out)
    assert plimsoll("lint", "pack.yaml").status == 0
