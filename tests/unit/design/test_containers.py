"""The design's sentences on which containers and objects are looked at, with the shipped checks."""

from __future__ import annotations

import copy

import pytest

from webhook.engine.facts import Facts

GOOD = "registry.example/a:1"
EVIL = "evil.example/a:1"
CHECKS = """
rules:
  - {name: images, check: approved-image, params: {repositories: [registry.example/]}, action: deny}
  - {name: resources, check: requests-equal-limits, params: {resources: [cpu]}, action: deny, fix: true}
  - {name: hosts, check: no-host-path, params: {allow: [{prefix: /var/log, readOnly: true}]}, action: deny}
  - {name: logs, check: log-path, action: deny}
"""
EQUAL = {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}
UNEQUAL = {"limits": {"cpu": "1"}, "requests": {"cpu": "500m"}}


@pytest.fixture
def running(pod):
    """Make a Pod that keeps every rule; its container `web` has resources, a log volume and the variable for it."""

    def make(*debug, resources=EQUAL):
        web = {
            "name": "web",
            "image": GOOD,
            "resources": copy.deepcopy(resources),
            "env": [{"name": "LOG_PATH", "value": "/var/log/app"}],
            "volumeMounts": [{"name": "logs", "mountPath": "/var/log/app"}],
        }
        volumes = [
            {"name": "logs", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "node", "hostPath": {"path": "/var/log"}},
        ]
        spec = {"containers": [web], "volumes": volumes}
        return pod(spec={**spec, "ephemeralContainers": list(debug)} if debug else spec)

    return make


def found(decision):
    return [(f.rule, f.violation.container) for f in decision.findings]


def debugger(image=GOOD, **more):
    return {"name": "debugger", "image": image, "targetContainerName": "web", **more}


def test_a_debug_container_is_not_asked_for_what_the_api_forbids_it(judge, running):
    # resources, a log volume with a subPath and its variable: none of it may stand in an ephemeral container
    decision = judge(CHECKS, running(debugger()), old=running(), subResource="ephemeralcontainers")
    assert (found(decision), decision.allowed) == ([], True)


@pytest.mark.parametrize(
    ("debug", "rule", "container"),
    [
        (debugger(EVIL), "images", "debugger"),
        (debugger(volumeMounts=[{"name": "node", "mountPath": "/host"}]), "hosts", "node"),
    ],
    ids=["image", "mount"],
)
def test_a_debug_container_is_asked_for_its_image_and_its_mounts(judge, running, debug, rule, container):
    decision = judge(CHECKS, running(debug), old=running(), subResource="ephemeralcontainers")
    assert (found(decision), decision.allowed) == ([(rule, container)], False)


def test_what_a_rule_in_cel_asks_of_security_and_env_it_asks_of_a_debug_container_too(judge, running):
    text = """
    rules:
      - {name: root, expression: "!containers.exists(c, c.?securityContext.privileged.orValue(false))", action: deny}
      - {name: env, expression: "!containers.exists(c, c.?env.orValue([]).exists(e, e.name == 'TOKEN'))", action: deny}
    """
    debug = debugger(securityContext={"privileged": True}, env=[{"name": "TOKEN", "value": "x"}])
    decision = judge(text, running(debug), old=running(), subResource="ephemeralcontainers")
    assert [f.rule for f in decision.findings if f.effective == "deny"] == ["env", "root"]


def test_a_resize_of_a_pod_is_reviewed_and_never_fixed(judge, running):
    decision = judge(CHECKS, running(resources=UNEQUAL), old=running(), subResource="resize")
    assert (found(decision), decision.allowed) == ([("resources", "web")], False)
    assert judge(CHECKS, running(resources=UNEQUAL), old=running(), subResource="resize", endpoint="mutate").patch == ()
    assert judge(CHECKS, running(), old=running(resources=UNEQUAL), subResource="resize").allowed


# -- wrappers ----------------------------------------------------------------------------------------------------

WRAPPERS = {
    "work.open-cluster-management.io/v1 ManifestWork": ("spec", "workload", "manifests", 0),
    "work.open-cluster-management.io/v1alpha1 ManifestWorkReplicaSet": (
        "spec", "manifestWorkTemplate", "workload", "manifests", 0,
    ),
    "work.karmada.io/v1alpha1 Work": ("spec", "workload", "manifests", 0),
    "apps.clusternet.io/v1alpha1 Manifest": ("template",),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRAPPERS)
def test_every_wrapper_is_judged_as_what_it_carries(judge, deployment, kind):
    obj = deployment(image=EVIL)
    for token in reversed(WRAPPERS[kind]):
        obj = [obj] if token == 0 else {token: obj}
    api_version, name = kind.split()
    wrapper = {**obj, "apiVersion": api_version, "kind": name, "metadata": {"name": "w", "namespace": "cluster-1"}}
    at = "".join(f"/{token}" for token in WRAPPERS[kind])
    [finding] = [f for f in judge(CHECKS, wrapper, namespace="cluster-1").findings if f.rule == "images"]
    assert finding.violation.pointer == f"{at}/spec/template/spec/containers/0/image"
    # it is in the namespace, and has the kind and the name, of what is carried; a wrapper changes none of them
    for match, hit in (
        ("{namespaces: [shop], kinds: [Deployment], names: [web]}", True),
        ("{namespaces: [cluster-1]}", False),
        (f"{{kinds: [{api_version.partition('/')[0]}/{name}]}}", False),
        ("{names: [w]}", False),
    ):
        rule = f'rules:\n  - {{name: r, expression: "containers.size() == 0", action: deny, match: {match}}}\n'
        assert judge(rule, wrapper, namespace="cluster-1").allowed is not hit, match


@pytest.mark.parametrize("kind", WRAPPERS)
def test_a_list_inside_a_wrapper_hides_nothing(judge, deployment, kind):
    obj = {"apiVersion": "v1", "kind": "List", "items": [deployment(), deployment(image=EVIL)]}
    for token in reversed(WRAPPERS[kind]):
        obj = [obj] if token == 0 else {token: obj}
    api_version, name = kind.split()
    wrapper = {**obj, "apiVersion": api_version, "kind": name, "metadata": {"name": "w", "namespace": "cluster-1"}}
    at = "".join(f"/{token}" for token in WRAPPERS[kind])
    [finding] = [f for f in judge(CHECKS, wrapper, namespace="cluster-1").findings if f.rule == "images"]
    assert finding.violation.pointer == f"{at}/items/1/spec/template/spec/containers/0/image"


# -- updates that change nothing that is read --------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    ["request.userInfo.username == 'jane'", "oldObject != null", "has(namespaceObject.metadata)"],
    ids=["request", "oldObject", "namespaceObject"],
)
@pytest.mark.parametrize("where", ["rule", "condition", "variable"])
def test_a_rule_that_reads_the_request_the_old_object_or_facts_always_runs(judge, deployment, more, where):
    rule = 'expression: "pod.spec.containers.size() > 9"'
    said = {
        "rule": 'expression: "!(%s)"',
        "variable": 'variables: [{name: v, expression: "%s"}], expression: "!variables.v"',
        "condition": rule + ', match: {matchConditions: [{name: c, expression: "%s"}]}',
    }[where] % more
    text = f"rules:\n  - {{name: r, action: deny, existing: deny, {said}}}\n"
    space = Facts(namespace={"metadata": {"name": "shop"}})
    unread = f"rules:\n  - {{name: r, action: deny, existing: deny, {rule}}}\n"
    for new in (deployment(), deployment(metadata={"labels": {"a": "b"}})):  # nothing changes, or nothing of the pod
        assert not judge(text, new, old=deployment(), facts=space).allowed
        assert judge(unread, new, old=deployment(), facts=space).allowed
    # but never where only status or finalizers differ
    old = deployment(metadata={"finalizers": ["a/b"]})
    for gone in (deployment(), {**old, "status": {"replicas": 1}}):
        assert judge(text, gone, old=old, facts=space).findings == ()
