"""The chart on a real API server: what it gives is valid there, stops nobody, is filled in, upgraded, and taken away.

The server itself does not run here: what it writes is written with the rights of its ServiceAccount.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import chart
import crds
import helm as helms
import pytest
import yaml
from chart import CHART, PLAIN, SETS
from jsonschema import Draft202012Validator
from lab import workloads
from lab.controlplane import ControlPlane
from lab.kubectl import Answer, Kubectl, Object
from lab.process import eventually

NAME = "plimsoll"
CONFIGURATIONS = "validatingwebhookconfigurations,mutatingwebhookconfigurations"
RULES = [
    # of a kind that nobody here has: what is tested is whether rules stay, and other tests go on meanwhile
    {"apiGroups": ["plimsoll.example"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["things"]}
]
ENTRIES = {
    "validatingwebhookconfiguration": ("validate", "advise", "packs"),
    "mutatingwebhookconfiguration": ("mutate",),
}
BUNDLE = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="


@dataclass(frozen=True, slots=True)
class Helm:
    """One of the Helms, working in a namespace of the cluster as its administrator."""

    program: Path
    kubectl: Kubectl

    def __call__(self, *arguments: str | Path) -> Answer:
        """Run Helm with these arguments."""
        where = ["--kubeconfig", str(self.kubectl.kubeconfig), "--namespace", self.kubectl.namespace]
        done = subprocess.run(
            [self.program, *arguments, *where],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(self.kubectl.kubeconfig.parent)},
        )
        return Answer("helm " + " ".join(map(str, arguments)), done.returncode, done.stdout, done.stderr)


@pytest.fixture(params=helms.NAMES)
def helm(request: pytest.FixtureRequest, kubectl: Kubectl) -> Iterator[Helm]:
    """Each of the Helms, in a namespace of the test's own; what it installed is taken away."""
    one = Helm(chart.get(request.param).program, kubectl)
    yield one
    one("uninstall", NAME, "--ignore-not-found", "--wait").must()
    gone(kubectl)


@pytest.fixture(scope="module")
def others(cluster: ControlPlane) -> Iterator[None]:
    """The CRDs of cert-manager and the Prometheus operator."""
    directory = str(crds.fetch())
    cluster.admin("create", "-f", directory).must()
    cluster.admin("wait", "--for=condition=Established", "-f", directory).must()
    yield
    cluster.admin("delete", "-f", directory).must()


@pytest.fixture
def plain(kubectl: Kubectl) -> Iterator[list[Object]]:
    """The plain manifests, for the test's own namespace in place of `plimsoll`; they are taken away."""
    text = PLAIN.read_text().replace("namespace: plimsoll", f"namespace: {kubectl.namespace}")
    found = [each for each in yaml.safe_load_all(text) if each["kind"] != "Namespace"]
    # kubectl of one namespace takes nothing for another; what is there, Events need
    objects = [each for each in found if each["metadata"].get("namespace") != "default"]
    assert len(objects) > 12
    yield objects
    kubectl("delete", "-f", "-", "--ignore-not-found", stdin=yaml.safe_dump_all(objects)).must()
    gone(kubectl)


def gone(kubectl: Kubectl) -> None:
    """Take the CRD away, which stays on purpose, and wait for that."""
    kubectl("delete", "customresourcedefinition", "rulepacks.plimsoll.dev", "--ignore-not-found", seconds=240).must()


def server(kubectl: Kubectl) -> tuple[str, ...]:
    """Return the options by which kubectl does something as the server."""
    return ("--as", f"system:serviceaccount:{kubectl.namespace}:{NAME}", "--field-manager=plimsoll")


def fill_in(kubectl: Kubectl) -> None:
    """Write what the server writes, with the rights of its ServiceAccount, which an API server knows a moment later."""
    user = server(kubectl)[:2]
    for what in (f"lease/{NAME}", f"mutatingwebhookconfiguration/{NAME}"):
        eventually(lambda what=what: kubectl("get", what, *user).code == 0, what=f"the right to get {what}")
    for kind, entries in ENTRIES.items():
        hooks: list[Object] = [
            {"name": f"{entry}.plimsoll.dev", "clientConfig": {"caBundle": BUNDLE}, "rules": RULES} for entry in entries
        ]
        for hook in hooks:
            if hook["name"] == "packs.plimsoll.dev":
                del hook["rules"]  # they are the chart's
        kubectl.patch(f"{kind}/{NAME}", {"webhooks": hooks}, "strategic", server(kubectl)).must()
    for secret in (f"{NAME}-tls", f"{NAME}-tls-ca"):
        update(kubectl, f"/api/v1/namespaces/{kubectl.namespace}/secrets/{secret}", data={"tls.crt": BUNDLE})
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{kubectl.namespace}/leases/{NAME}"
    update(kubectl, lease, spec={"holderIdentity": "one"})


def update(kubectl: Kubectl, path: str, **fields: Object) -> None:
    """Put these fields into an object, as the server; by its path, or kubectl would note them as applied."""
    user = server(kubectl)[:2]
    held = json.loads(kubectl("get", "--raw", path, *user).must().out)
    kubectl("replace", "--raw", path, "-f", "-", *user, stdin=json.dumps({**held, **fields})).must()


def filled(kubectl: Kubectl) -> bool:
    """Say whether all that the server wrote is still there."""
    hooks = [hook for kind in ENTRIES for hook in kubectl.get(f"{kind}/{NAME}")["webhooks"]]
    assert {hook["name"].partition(".")[0] for hook in hooks} == {"validate", "advise", "packs", "mutate"}
    return (
        all(whole(hook) for hook in hooks)
        and all("tls.crt" in kubectl.get(f"secret/{NAME}-{end}").get("data", {}) for end in ("tls", "tls-ca"))
        and kubectl.get(f"lease/{NAME}")["spec"].get("holderIdentity") == "one"
    )


def whole(hook: Object) -> bool:
    """Say whether a webhook has what the server fills in."""
    return hook["clientConfig"].get("caBundle") == BUNDLE and bool(hook.get("rules"))


@contextmanager
def watched(kubectl: Kubectl) -> Iterator[list[Object]]:
    """Give, after the block, every state that the validating configuration was in while it ran."""
    states: list[Object] = []
    command = [str(kubectl.program), "--kubeconfig", str(kubectl.kubeconfig), "get", "--raw"]
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    now = json.loads(kubectl("get", "--raw", path).must().out)["metadata"]["resourceVersion"]
    query = f"{path}?watch=true&resourceVersion={now}&fieldSelector=metadata.name={NAME}"
    with subprocess.Popen([*command, query], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield states
            last = kubectl.get(f"validatingwebhookconfiguration/{NAME}")["metadata"]["resourceVersion"]
            assert process.stdout is not None
            while last != now:
                states.append(json.loads(process.stdout.readline())["object"])
                now = states[-1]["metadata"]["resourceVersion"]
        finally:
            process.terminate()


def test_an_upgrade_by_helm_leaves_what_the_server_filled_in_at_every_moment(helm: Helm) -> None:
    kubectl = helm.kubectl
    said = helm("install", NAME, CHART).must().out
    assert "this is a dry run" in said and "--set dryRun=false" in said
    assert "kubectl delete validatingwebhookconfiguration,mutatingwebhookconfiguration" in said
    fill_in(kubectl)
    assert filled(kubectl)
    with watched(kubectl) as states:
        helm("upgrade", NAME, CHART).must()
        said = helm("upgrade", NAME, CHART, "--set", "dryRun=false,webhooks.timeoutSeconds=2,replicas=4").must().out
    assert "the API server refuses workloads" in " ".join(said.split())
    assert filled(kubectl)
    assert states
    assert all(whole(hook) for state in states for hook in state["webhooks"])
    (validate,) = [hook for hook in states[-1]["webhooks"] if hook["name"] == "validate.plimsoll.dev"]
    assert (validate["failurePolicy"], validate["timeoutSeconds"]) == ("Fail", 2)
    helm("rollback", NAME, "1").must()
    assert filled(kubectl)


@pytest.mark.parametrize("options", [(), ("--server-side",)], ids=["client-side", "server-side"])
def test_the_plain_manifests_applied_again_leave_what_the_server_filled_in(
    kubectl: Kubectl, plain: list[Object], options: tuple[str, ...]
) -> None:
    kubectl.apply(*plain, options=options).must()
    fill_in(kubectl)
    changed = json.loads(json.dumps(plain).replace('"timeoutSeconds": 3', '"timeoutSeconds": 2'))
    with watched(kubectl) as states:
        kubectl.apply(*plain, options=options).must()
        kubectl.apply(*changed, options=options).must()
    assert filled(kubectl)
    assert states
    assert all(whole(hook) for state in states for hook in state["webhooks"])
    assert {hook["timeoutSeconds"] for hook in states[-1]["webhooks"]} == {2, 5}


def test_what_is_installed_stops_nobody_before_there_is_somebody_to_answer(
    helm: Helm, new_namespace: Callable[[], Kubectl]
) -> None:
    helm("install", NAME, CHART, "--set", "dryRun=false").must()
    bad = workloads.pod("bad", workloads.pod_spec(workloads.container(image="quay.io/x/y")))
    new_namespace().apply(bad).must()
    (validate, *_) = helm.kubectl.get(f"validatingwebhookconfiguration/{NAME}")["webhooks"]
    assert validate["failurePolicy"] == "Fail"
    # nor does a pack, which is looked at by whoever answers at /packs
    pack = {"apiVersion": "plimsoll.dev/v1", "kind": "RulePack", "metadata": {"name": "acme"}}
    helm.kubectl("wait", "--for=condition=Established", "crd/rulepacks.plimsoll.dev").must()
    helm.kubectl.apply({**pack, "spec": {"extends": "cost"}}).must()


def test_an_uninstall_takes_all_but_the_crd(helm: Helm) -> None:
    kubectl = helm.kubectl
    helm("install", NAME, CHART, "--set", "audit.serviceAccount=true").must()
    fill_in(kubectl)
    helm("uninstall", NAME, "--wait").must()
    kinds = f"{CONFIGURATIONS},clusterroles,clusterrolebindings,roles,rolebindings,secrets,leases,services,deployments"
    left = kubectl("get", kinds, "-l", f"app.kubernetes.io/name={NAME}", "-o", "name").must().out
    assert left == ""
    kubectl("get", "crd/rulepacks.plimsoll.dev").must()
    helm("install", NAME, CHART).must()  # the CRD that stayed is taken over


def test_a_second_helm_takes_over_what_the_first_installed(kubectl: Kubectl) -> None:
    three, four = (Helm(chart.get(name).program, kubectl) for name in ("helm3", "helm4"))
    three("install", NAME, CHART).must()
    fill_in(kubectl)
    four("upgrade", NAME, CHART, "--set", "replicas=4").must()
    assert filled(kubectl)
    four("uninstall", NAME, "--wait").must()
    gone(kubectl)


def test_whoever_answers_for_packs_is_asked_about_packs_alone(helm: Helm, new_namespace: Callable[[], Kubectl]) -> None:
    kubectl = helm.kubectl
    helm("install", NAME, CHART).must()
    kubectl("wait", "--for=condition=Established", "crd/rulepacks.plimsoll.dev").must()
    found = kubectl.get(f"validatingwebhookconfiguration/{NAME}")["webhooks"]
    (packs,) = [hook for hook in found if hook["name"] == "packs.plimsoll.dev"]
    # nobody answers there, so that a refusal says who would have been asked
    strict = {**packs, "failurePolicy": "Fail", "clientConfig": {"url": "https://127.0.0.1:9/packs"}}
    name = f"{kubectl.namespace}-packs"
    configuration: Object = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [strict],
    }
    labelled: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "packs", "labels": {"plimsoll.dev/rule-packs": "true"}},
    }
    plain: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}}
    other: Object = {**labelled, "metadata": {"name": "other", "labels": {"plimsoll.dev/rule-packs": "false"}}}
    pack: Object = {"apiVersion": "plimsoll.dev/v1", "kind": "RulePack", "metadata": {"name": "acme"}, "spec": {}}
    dry = ("--dry-run=server",)
    kubectl.create(configuration).must()
    try:
        eventually(lambda: kubectl.create(labelled, options=dry).code == 1, what="the webhook to be asked")
        assert "packs.plimsoll.dev" in kubectl.create(labelled).refused()
        assert "packs.plimsoll.dev" in kubectl.create(pack).refused()
        kubectl.create(plain).must()
        kubectl.apply(other).must()
        new_namespace().create(labelled).must()
    finally:
        kubectl("delete", "validatingwebhookconfiguration", name).must()
        eventually(lambda: kubectl.create(pack, options=dry).code == 0, what="the webhook to be forgotten")


def test_the_emergency_exit_takes_the_configurations(helm: Helm) -> None:
    helm("install", NAME, CHART).must()
    helm.kubectl("delete", CONFIGURATIONS, "-l", "app.kubernetes.io/name=plimsoll").must()
    left = helm.kubectl("get", CONFIGURATIONS, "-o", "name").must().out
    assert NAME not in left
    helm("upgrade", NAME, CHART).must()
    assert NAME in helm.kubectl("get", CONFIGURATIONS, "-o", "name").must().out


def test_the_account_of_the_server_may_do_what_it_has_to_and_no_more(helm: Helm) -> None:
    kubectl = helm.kubectl
    helm("install", NAME, CHART).must()

    def may(verb: str, what: str, *options: str) -> bool:
        asked = kubectl("auth", "can-i", verb, what, *options, *server(kubectl)[:2])
        return asked.out.strip() == "yes"

    for kind in ENTRIES:
        assert may("patch", f"{kind}s/{NAME}")
        # a watch of one name is one by its field
        watch = ("get", kind, f"--field-selector=metadata.name={NAME}", *server(kubectl)[:2])
        kubectl(*watch).must()
        assert not may("patch", f"{kind}s/other")
        assert not any(may(verb, f"{kind}s") for verb in ("create", "list", "patch"))
        assert not any(may(verb, f"{kind}s/{NAME}") for verb in ("update", "delete"))
    for verb, secret in product(("get", "update"), (f"{NAME}-tls", f"{NAME}-tls-ca")):
        assert may(verb, f"secrets/{secret}")
    for verb in ("get", "list", "create", "update", "delete"):
        assert not may(verb, "secrets")
        assert not may(verb, "secrets/other")
        assert not may(verb, "secrets", "--all-namespaces")
    assert may("watch", "configmaps") and not may("watch", "configmaps", "--all-namespaces")
    assert may("watch", "rulepacks.plimsoll.dev") and not may("update", "rulepacks.plimsoll.dev")
    assert may("patch", "rulepacks.plimsoll.dev", "--subresource=status")
    assert may("update", f"leases/{NAME}") and not may("create", "leases")
    assert not may("list", "pods", "--all-namespaces")


@pytest.mark.parametrize("values", SETS)
def test_an_api_server_finds_nothing_wrong_with_it(
    values: str, cluster: ControlPlane, kubectl: Kubectl, others: None
) -> None:
    text = chart.get("helm4").text(values).replace("namespace: plimsoll", f"namespace: {kubectl.namespace}")
    objects = [each for each in yaml.safe_load_all(text) if each and each["metadata"].get("namespace") != "default"]
    # Kubernetes' own Pod Security Admission warns of pod templates
    kubectl("label", "namespace", kubectl.namespace, "pod-security.kubernetes.io/warn=restricted").must()
    done = kubectl.apply(*objects, options=("--dry-run=server", "--validate=strict")).must()
    assert done.warnings == []
    assert len(done.out.splitlines()) == len(objects)


@pytest.mark.parametrize("values", SETS)
def test_it_is_as_the_schemas_of_the_api_want_it(
    values: str, cluster: ControlPlane, others: None, described: Callable[[str], Object]
) -> None:
    objects = [each for each in yaml.safe_load_all(chart.get("helm4").text(values)) if each]
    for one in objects:
        group, _, version = one["apiVersion"].rpartition("/")
        document = described(f"apis/{group}/{version}" if group else f"api/{version}")
        found = [
            name
            for name, schema in document["components"]["schemas"].items()
            for meant in schema.get("x-kubernetes-group-version-kind", ())
            if meant == {"group": group, "version": version, "kind": one["kind"]}
        ]
        assert len(found) == 1, one["kind"]
        validator = Draft202012Validator({**document, "$ref": f"#/components/schemas/{found[0]}"})
        assert [error.message for error in validator.iter_errors(one)] == []


@pytest.fixture(scope="module")
def described(cluster: ControlPlane, others: None) -> Callable[[str], Object]:
    """Return what the API server says of a group and version of its API."""
    held: dict[str, Object] = {}

    def describe(path: str) -> Object:
        if path not in held:
            eventually(lambda: path in index()["paths"], what=f"the description of {path}")
            held[path] = json.loads(cluster.admin("get", "--raw", f"/openapi/v3/{path}").must().out)
        return held[path]

    def index() -> Object:
        found: Object = json.loads(cluster.admin("get", "--raw", "/openapi/v3").must().out)
        return found

    return describe
