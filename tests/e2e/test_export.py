"""What `plimsoll export vap` writes says of every object what the engine says of it, on a real API server."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from lab.controlplane import ControlPlane
from lab.kubectl import Kubectl, Object
from lab.process import eventually, until_none
from lab.rest import ADMIN, Reply, Rest, User, failures

from webhook.checks import CHECKS
from webhook.checks.spoken import Mend, Unspoken
from webhook.cli import suite
from webhook.cli.judge import admission
from webhook.engine.evaluate import evaluate
from webhook.engine.facts import Facts
from webhook.model.patch import apply
from webhook.model.pods import group_of
from webhook.model.review import parse
from webhook.model.workloads import KINDS
from webhook.packs.compile import ruleset
from webhook.packs.rule import Ruleset

ROOT = Path(__file__).parents[2]
DAY = date(2026, 11, 23)
RESOURCES = {
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": "mutatingadmissionpolicybindings",
    "MutatingAdmissionPolicy": "mutatingadmissionpolicies",
}
BOUND = "acme.example/policies-of"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NUMBERS = itertools.count(1)


def sentinel(number: int) -> Object:
    """A pack that finds something in every ConfigMap: once it does, all that was written before it is in force."""
    never = {"name": "never", "expression": "object.kind == ''", "action": "warn"}
    spec = {"mode": "dry-run", "match": {"kinds": ["ConfigMap"]}, "rules": [never]}
    metadata = {"name": f"sentinel-{number}"}
    return {"apiVersion": "plimsoll.dev/v1", "kind": "RulePack", "metadata": metadata, "spec": spec}


def touch(number: int, space: str) -> Iterator[Object]:
    """A policy, and its binding, that writes into every ConfigMap: such policies come into force on their own."""
    api_version = "admissionregistration.k8s.io/v1"
    labels = {"app.kubernetes.io/managed-by": "plimsoll-export", "plimsoll.dev/pack": f"sentinel-{number}"}
    metadata = {"name": f"sentinel-{number}.touch", "labels": labels}
    every = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    write = {"expression": f"Object{{data: {{'sentinel-{number}': 'touched'}}}}"}
    spec = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": {"resourceRules": [every]},
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": write}],
    }
    yield {"apiVersion": api_version, "kind": "MutatingAdmissionPolicy", "metadata": metadata, "spec": spec}
    only = {"namespaceSelector": {"matchLabels": {BOUND: space}}}
    bound = {"policyName": metadata["name"], "matchResources": only}
    yield {"apiVersion": api_version, "kind": "MutatingAdmissionPolicyBinding", "metadata": metadata, "spec": bound}


@pytest.fixture(scope="module")
def rest(cluster: ControlPlane) -> Iterator[Rest]:
    """The administrator's connection to the API server."""
    with Rest(cluster) as connection:
        yield connection


@pytest.fixture(scope="module")
def space(new_namespace: Callable[[], Kubectl], rest: Rest) -> Kubectl:
    """The namespace in which the policies of this module are bound, by a label that other namespaces can bear too."""
    found = new_namespace()
    path = f"/api/v1/namespaces/{found.namespace}"
    stored = rest.send("GET", path).body
    stored["metadata"]["labels"][BOUND] = found.namespace
    assert rest.send("PUT", path, stored).status == 200
    return found


@dataclass(frozen=True, slots=True)
class Installed:
    """The packs as the export took them, and the rules, as `pack/rule`, that it wrote policies of."""

    ruleset: Ruleset
    rules: frozenset[str]


Install = Callable[..., Installed]


@pytest.fixture
def install(
    cluster: ControlPlane, rest: Rest, space: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Install]:
    """Export packs and install what comes of it, until the test ends: policies that deny would do so in others.

    A policy that was deleted goes on for a moment: the fixture ends once the API server has forgotten all of them.
    """

    begun: list[str] = []

    def seen() -> set[str]:
        """The sentinels that find and write something in a ConfigMap."""
        probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}}
        reply = post(rest, space.namespace, probe)
        return {rule for rule in said(cluster, [reply])[0] if rule.startswith("sentinel-")} | {
            *reply.body.get("data", ())
        }

    def begin(*packs: Object | Path, options: tuple[str, ...] = ()) -> Installed:
        directory, number = tmp_path_factory.mktemp("export"), next(NUMBERS)
        begun.append(f"sentinel-{number}")
        texts = [pack.read_text() if isinstance(pack, Path) else yaml.safe_dump(pack) for pack in packs]
        texts.append(yaml.safe_dump(sentinel(number)))
        for position, text in enumerate(texts):
            (directory / f"{position}.yaml").write_text(text)
        only = f"{BOUND}={space.namespace}"
        command = ["export", "vap", "--policies", str(directory), "--date", str(DAY), *options]
        command += ["--binding-namespace-selector", only]
        done = subprocess.run(
            [sys.executable, "-m", "webhook.main", *command], capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert done.returncode == 0, done.stderr
        made = [one for one in yaml.safe_load_all(done.stdout) if one]
        made += touch(number, space.namespace)
        for one in sorted(made, key=lambda one: "sentinel" in one["metadata"]["name"]):
            path = f"/apis/{one['apiVersion']}/{RESOURCES[one['kind']]}"
            reply = rest.send("POST", path, one)
            assert reply.status in (201, 409), json.dumps(reply.body, indent=1)
        last = {f"sentinel-{number}/never", f"sentinel-{number}"}
        eventually(lambda: last <= seen(), what="the policies to be in force")
        exported = {one["metadata"].get("annotations", {}).get("plimsoll.dev/rule", "") for one in made}
        exported = {rule for rule in exported if rule and not rule.startswith("sentinel-")}
        return Installed(ruleset(list(zip("abcdefgh", texts[:-1], strict=False))), frozenset(exported))

    yield begin
    sentinels = f"({','.join(begun)})"
    for chosen in (f"plimsoll.dev/pack notin {sentinels}", f"plimsoll.dev/pack in {sentinels}"):
        for resource in RESOURCES.values():
            selector = quote(f"app.kubernetes.io/managed-by=plimsoll-export,{chosen}")
            reply = rest.send("DELETE", f"/apis/admissionregistration.k8s.io/v1/{resource}?labelSelector={selector}")
            assert reply.status == 200, json.dumps(reply.body)
    until_none(seen, 20, "policies in force")


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: an object to create, or with `old` (as it is stored) to update, and who asks."""

    object: Object
    old: Object | None = None
    user: User = ADMIN
    subresource: str = ""


def resource_path(namespace: str, obj: Mapping[str, Any]) -> str:
    """Return the path of an object's kind in a namespace, or in the cluster."""
    group = group_of(obj["apiVersion"])
    row = KINDS.get((group, obj["kind"]))
    resource = row.resource if row else obj["kind"].lower() + "s"
    where = "" if obj["kind"] in ("ClusterRole", "Namespace", "PersistentVolume") else f"/namespaces/{namespace}"
    return f"/{'apis' if group else 'api'}/{obj['apiVersion']}{where}/{resource}"


def named(obj: Mapping[str, Any], namespace: str) -> Object:
    metadata = {key: value for key, value in obj.get("metadata", {}).items() if key != "namespace"}
    if obj["kind"] == "Namespace":
        metadata["labels"] = {**metadata.get("labels", {}), BOUND: namespace}
    return {**obj, "metadata": {"name": "web", **metadata}}


def post(rest: Rest, namespace: str, obj: Mapping[str, Any], user: User = ADMIN) -> Reply:
    """Send the creation of an object, which is not stored."""
    return rest.dry("POST", resource_path(namespace, obj), named(obj, namespace), user)


def send(rest: Rest, namespace: str, ask: Ask) -> Reply:
    """Send a request, of which nothing is stored."""
    if ask.old is None:
        return post(rest, namespace, ask.object, ask.user)
    path = f"{resource_path(namespace, ask.object)}/{ask.object['metadata']['name']}"
    return rest.dry("PUT", f"{path}/{ask.subresource}".rstrip("/"), ask.object, ask.user)


def said(cluster: ControlPlane, replies: list[Reply]) -> list[set[str]]:
    """Return the rules, as `pack/rule`, whose policies found something in each request."""
    found = failures(cluster, replies)
    return [{"/".join(failure["policy"].split(".")[:2]) for failure in found[reply.audit_id]} for reply in replies]


def verdict(installed: Installed, reply: Reply, ask: Ask, namespace: str) -> set[str]:
    """Return the exported rules of which the engine has a finding, or an error, in what the API server made of it."""
    user = {"username": ask.user[0], "groups": list(ask.user[1])}
    operation = "CREATE" if ask.old is None else "UPDATE"
    more = {"oldObject": ask.old, "userInfo": user, "subResource": ask.subresource}
    decision = evaluate(
        installed.ruleset, parse(admission(reply.body, namespace, operation, **more)), Facts(), NOW, "all"
    )
    assert not decision.unknown
    findings = {f"{one.pack}/{one.rule}" for one in decision.findings if one.exempt is None}
    return installed.rules & (findings | {f"{one.about.pack}/{one.about.rule}" for one in decision.errors})


Compare = Callable[..., tuple[int, set[str]]]


@pytest.fixture
def compare(cluster: ControlPlane, rest: Rest, space: Kubectl) -> Compare:
    """Send requests, and hold what policies and engine find in them against one another, rule by rule.

    Returns how many the API server took, and the rules that were both kept and broken. A request that the API server
    itself refuses has no verdict to compare.
    """

    def run(installed: Installed, asked: list[Ask]) -> tuple[int, set[str]]:
        replies = [(ask, send(rest, space.namespace, ask)) for ask in asked]
        taken = [(ask, reply) for ask, reply in replies if reply.status in (200, 201)]
        seen: dict[str, set[bool]] = {rule: set() for rule in installed.rules}
        for (ask, reply), found in zip(taken, said(cluster, [reply for _, reply in taken]), strict=True):
            wanted = verdict(installed, reply, ask, space.namespace)
            known = {rule for rule in found if rule in seen}  # the sentinel is there, too
            assert known == wanted, json.dumps([ask.user, reply.body, ask.old])
            for rule, verdicts in seen.items():
                verdicts.add(rule in wanted)
        return len(taken), {rule for rule, verdicts in seen.items() if len(verdicts) == 2}

    return run


PACKS = ("pod-security-baseline", "pod-security-restricted")


def pods() -> Iterator[Object]:
    """The pods of Kubernetes' own Pod Security tests, with the image that the API server asks for."""
    for row in json.loads((ROOT / "tests" / "golden" / "pod-security.json").read_text())["rows"]:
        spec = dict(row["pod"]["spec"])
        for key in ("initContainers", "containers", "ephemeralContainers"):
            if key in spec:
                spec[key] = [{"image": "registry.example/web:1", **container} for container in spec[key]]
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": row["pod"].get("metadata", {}), "spec": spec}


def clone_set(pod: Object) -> Object:
    """A CloneSet of a pod: the API server judges nothing in it, and fills nothing in."""
    template = {"metadata": pod["metadata"], "spec": pod["spec"]}
    return {"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "spec": {"template": template}}


def cron_job(pod: Object) -> Object:
    template = {"metadata": pod["metadata"], "spec": {**pod["spec"], "restartPolicy": "Never"}}
    spec = {"schedule": "0 0 30 2 *", "jobTemplate": {"spec": {"template": template}}}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "spec": spec}


def pod_template(pod: Object) -> Object:
    template = {"metadata": pod["metadata"], "spec": pod["spec"]}
    return {"apiVersion": "v1", "kind": "PodTemplate", "template": template}


def cases(pack: str) -> Iterator[Object]:
    path = ROOT / "policies" / f"{pack}.test.yaml"
    for tests in suite.load(str(path), path.read_text(), path.parent):
        for case in tests.cases:
            yield case.object


@pytest.fixture(scope="module")
def custom_kinds(rest: Rest) -> Iterator[None]:
    """Kinds that a cluster has from others: CloneSet and Rollout, which take any spec."""
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    for group, version, kind in (("apps.kruise.io", "v1alpha1", "CloneSet"), ("argoproj.io", "v1alpha1", "Rollout")):
        plural = f"{kind.lower()}s"
        served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": free}}
        spec = {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [served],
        }
        document = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}"},
            "spec": spec,
        }
        assert rest.send("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", document).status == 201
        path = f"/apis/{group}/{version}/namespaces/default/{plural}"
        eventually(lambda path=path: rest.send("GET", path).status == 200, what=f"the kind {kind}")
    yield
    for name in ("clonesets.apps.kruise.io", "rollouts.argoproj.io"):
        rest.send("DELETE", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")


def test_the_policies_of_the_pod_security_packs_find_what_the_packs_find(
    install: Install, compare: Compare, custom_kinds: None
) -> None:
    installed = install(*(ROOT / "policies" / f"{pack}.yaml" for pack in PACKS))
    given = list(pods())
    asked = [*given, *map(clone_set, given), *map(cron_job, given[::9]), *map(pod_template, given[::9])]
    asked += [one for pack in PACKS for one in cases(pack)]

    taken, decided = compare(installed, [Ask(one) for one in asked])

    assert taken > len(given)
    assert decided == installed.rules == {rule.label for rule in installed.ruleset.rules}


def pack(name: str, *rules: Object, **spec: Any) -> Object:
    """A pack on trial, whose policies refuse nothing and note everything in the audit log."""
    spec = {"mode": "dry-run", "rules": [{"action": "deny", **rule} for rule in rules], **spec}
    return {"apiVersion": "plimsoll.dev/v1", "kind": "RulePack", "metadata": {"name": name}, "spec": spec}


def deployment(*containers: str, labels: Mapping[str, str] | None = None, **spec: Any) -> Object:
    images = {name.partition(":")[0]: name if ":" in name else f"{name}:1" for name in containers}
    pods = {
        "containers": [{"name": name, "image": f"registry.example/{image}"} for name, image in images.items()],
        **spec,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": dict(labels or {})},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": pods},
        },
    }


def pod(*containers: str) -> Object:
    spec = deployment(*containers)["spec"]["template"]["spec"]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec}


def owned(obj: Object, api_version: str, kind: str) -> Object:
    """The object as a controller makes it."""
    owner = {"apiVersion": api_version, "kind": kind, "name": "owner", "uid": "1", "controller": True}
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": [owner]}}


NOT_ROOT = "pod.spec.?securityContext.?runAsNonRoot.orValue(false)"
ANYBODY: User = ("system:serviceaccount:ci:builder", ("system:masters", "system:authenticated"))
ROBOT: User = ("robot", ("system:masters", "acme:robots", "system:authenticated"))
SCOPES = pack(
    "scopes",
    {"name": "by-namespaces", "expression": NOT_ROOT, "match": {"namespaces": ["te?t-*", "shop"]}},
    {"name": "outside", "expression": NOT_ROOT, "match": {"excludeNamespaces": ["tes*", "kube-system"]}},
    {"name": "elsewhere", "expression": NOT_ROOT, "match": {"namespaces": ["shop", "till"]}},
    {
        "name": "not-for-builders",
        "expression": NOT_ROOT,
        "match": {"excludeUsers": ["system:serviceaccount:*:builder"]},
    },
    {"name": "not-for-robots", "expression": NOT_ROOT, "match": {"excludeGroups": ["acme:*", "other"]}},
    {"name": "by-label", "expression": NOT_ROOT, "match": {"objectSelector": {"matchLabels": {"judged": "yes"}}}},
    {
        "name": "by-condition",
        "expression": NOT_ROOT,
        "match": {
            "matchConditions": [
                {"name": "small", "expression": "object.spec.?replicas.orValue(1) < values.limits.replicas"},
                {"name": "fails-without-team", "expression": "object.metadata.labels.team in values.teams"},
            ]
        },
    },
    {
        "name": "of-containers",
        "variables": [{"name": "pod", "expression": "containers.filter(c, c.image.contains('evil'))"}],
        "expression": "variables.pod.size() == 0 && containers.all(pod, pod.name != 'app-9')",
        "messageExpression": "variables.pod.map(c, c.name).join(', ') // who",
        "match": {"containers": ["app-*", "evil"]},
    },
    {"name": "all-or-none", "expression": "containers.size() > 1", "match": {"containers": ["app-*"]}},
    {"name": "on-workloads", "expression": "has(object.metadata.labels) && 'team' in object.metadata.labels"},
    {"name": "on-pods", "expression": "object.kind != 'Pod'", "match": {"kinds": ["Pod", "ReplicaSet"]}},
    {
        "name": "by-request",
        "expression": "request.operation == 'CREATE' || oldObject.metadata.name != object.metadata.name",
        "match": {"kinds": ["Deployment"]},
    },
    {"name": "errs", "expression": "containers[0].resources.limits.memory != ''"},
    {"name": "exempt-kinds", "expression": NOT_ROOT},
    {"name": "exempt-here", "expression": NOT_ROOT},
    {"name": "no-more-exempt", "expression": NOT_ROOT},
    {
        "name": "mixed",
        "expression": "[['a', 1, {'b': 'c', 'd': [1, 'e']}]].all(row, row[1] == 1 && row[2].d[1] == 'e') && "
        "values.mixed.list[2].deep && pod.spec.?hostNetwork.orValue(false) == values['mixed'].host",
    },
    {
        "name": "mended",
        "when": "!has(pod.spec.dnsConfig)",
        "patch": [{"op": "add", "path": "/spec/dnsConfig", "value": {"options": [{"name": "ndots", "value": "2"}]}}],
    },
    values={
        "limits": {"replicas": 3},
        "teams": ["shop", "it's"],
        "mixed": {"list": ["a", 1, {"deep": True}, None], "host": False, "text": "line\nbreak \\ 'quote'"},
    },
    exemptions=[
        {
            "rules": ["exempt-kinds"],
            "match": {"kinds": ["Deployment", "CronJob"]},
            "reason": "r",
            "owner": "o",
            "expires": "2027-01-01",
        },
        {
            "rules": ["exempt-here"],
            "match": {"namespaces": ["test-*"], "kinds": ["Deployment"]},
            "reason": "r",
            "owner": "o",
            "expires": "2027-01-01",
        },
        {
            "rules": ["no-more-exempt"],
            "match": {"namespaces": ["*"]},
            "reason": "r",
            "owner": "o",
            "expires": "2026-01-01",
        },
    ],
)


def objects() -> Iterator[Ask]:
    """Creations that differ in all that a scope can look at."""
    safe = {"securityContext": {"runAsNonRoot": True}}
    memory = [{"name": "app-1", "image": "registry.example/a:1", "resources": {"limits": {"memory": "1Gi"}}}]
    for labels in ({}, {"team": "it's"}, {"team": "till"}, {"judged": "yes"}):
        yield Ask(deployment("app-1", labels=labels))
        yield Ask(deployment("app-1", labels=labels, **safe))
    yield Ask({**deployment("app-1", labels={"team": "shop"}), "spec": {**deployment("a")["spec"], "replicas": 5}})
    for user in (ANYBODY, ROBOT):
        yield Ask(deployment("app-1"), user=user)
    for names in (("evil",), ("other-evil", "app-1"), ("side",), ("app-1", "app-2", "side"), ("app-9", "app-2")):
        yield Ask(deployment(*names))
    volume = {"name": "v", "image": {"reference": "registry.example/v:1"}}
    yield Ask(deployment("side", volumes=[volume]))
    yield Ask(deployment("side", hostNetwork=True, dnsConfig={"nameservers": ["192.0.2.1"]}))
    yield Ask({**deployment(), "spec": {**deployment()["spec"], "template": {
        "metadata": {"labels": {"app": "web"}}, "spec": {"containers": memory}}}})  # fmt: skip
    single = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": deployment("app-1")["spec"]["template"]["spec"],
    }
    yield Ask(single)
    replica_set = {**deployment("app-1"), "kind": "ReplicaSet"}
    for maker in (
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("acme.example/v1", "Deployment"),
        ("v1", "Pod"),
    ):
        yield Ask(owned(single, *maker))
        yield Ask(owned(replica_set, *maker))
        yield Ask(owned(deployment("app-1"), *maker))
    yield Ask(cron_job(single))
    yield from map(Ask, custom())


def custom() -> Iterator[Object]:
    """Objects of kinds that the API server lets have anything, or nothing."""
    spec = {"containers": [{"name": "app-1", "image": "registry.example/a:1"}], "initContainers": None}
    for template in ({"spec": spec}, {"metadata": None, "spec": spec}, {"spec": {"containers": []}}, {}, {"spec": "?"}):
        for kind in ("apps.kruise.io/v1alpha1 CloneSet", "argoproj.io/v1alpha1 Rollout"):
            version, name = kind.split()
            yield {"apiVersion": version, "kind": name, "spec": {"template": template}}
    referring = {"workloadRef": {"kind": "Deployment", "name": "web"}, "template": {"spec": spec}}
    yield {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": referring}
    yield {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "spec": {"workloadRef": {}, "template": {"spec": spec}},
    }
    yield {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": {}}


def test_the_scope_of_a_policy_is_the_scope_of_its_rule(install: Install, compare: Compare, custom_kinds: None) -> None:
    installed = install(SCOPES)

    taken, decided = compare(installed, list(objects()))

    never = {"scopes/outside", "scopes/elsewhere", "scopes/by-request"}  # they must find nothing here
    assert taken > 40
    assert decided == installed.rules - never
    assert installed.rules == {rule.label for rule in installed.ruleset.rules}


def test_a_policy_says_of_an_update_what_the_rule_says(
    install: Install, compare: Compare, rest: Rest, space: Kubectl
) -> None:
    installed = install(SCOPES)
    path = resource_path(space.namespace, deployment())
    rest.send("POST", path, {**deployment("app-1"), "metadata": {"name": "stored"}})

    def settled() -> Object | None:
        """The stored object, once its controller has written its status."""
        body = rest.send("GET", f"{path}/stored").body
        return body if "observedGeneration" in body["status"] and len(body["status"]["conditions"]) > 1 else None

    stored = eventually(settled, what="the status of the Deployment")

    def changed(change: Callable[[Object], Any]) -> Ask:
        """An update of what is stored."""
        copy = json.loads(json.dumps(stored))
        change(copy)
        return Ask(copy, old=stored)

    asked = [
        changed(lambda one: None),
        changed(lambda one: one["metadata"].update(finalizers=["acme.example/keep"])),
        changed(lambda one: one["metadata"].update(annotations={"a": "b"})),
        changed(lambda one: one["metadata"].update(labels={"judged": "yes"})),
        changed(lambda one: one["metadata"].update(labels={"team": "shop"})),
        changed(lambda one: one["spec"].update(replicas=1)),
        changed(lambda one: one["spec"]["template"]["metadata"].update(annotations={"a": "b"})),
        changed(lambda one: one["spec"]["template"]["spec"].update(hostNetwork=True)),
        changed(lambda one: one["spec"]["template"]["spec"].update(securityContext={"runAsNonRoot": True})),
    ]

    taken, decided = compare(installed, asked)

    assert taken == len(asked)
    assert {"scopes/by-namespaces", "scopes/on-workloads", "scopes/by-request", "scopes/by-label"} <= decided


def test_a_debug_container_is_judged(install: Install, compare: Compare, rest: Rest, space: Kubectl) -> None:
    installed = install(SCOPES)
    single = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": deployment("app-1")["spec"]["template"]["spec"],
    }
    path = resource_path(space.namespace, single)
    stored = rest.send("POST", path, {**single, "metadata": {"name": "stored"}}).body
    debug = {"name": "evil", "image": "registry.example/evil:1"}
    with_debug = {**stored, "spec": {**stored["spec"], "ephemeralContainers": [debug]}}

    ask = Ask(with_debug, old=stored, subresource="ephemeralcontainers")
    taken, _ = compare(installed, [ask])

    assert taken == 1
    assert "scopes/of-containers" in verdict(installed, Reply(200, with_debug, ""), ask, space.namespace)


DENYING = pack(
    "strict",
    {
        "name": "no-latest",
        "expression": "containers.all(c, !c.image.endsWith(':latest'))",
        "messageExpression": "containers.map(c, c.image).join(', ')",
        "message": "images have a version",
        "remediation": "Write a version.",
    },
    {"name": "no-host-network", "expression": "!pod.spec.?hostNetwork.orValue(false)", "action": "warn"},
    mode="enforce",
    contact="platform team",
)


def test_a_policy_refuses_warns_and_says_what_to_do(install: Install, space: Kubectl) -> None:
    install(DENYING, options=("--existing", "deny"))

    refused = space.create(deployment("web:latest"), options=("--dry-run=server",)).refused()
    warned = space.create(deployment("web", hostNetwork=True), options=("--dry-run=server",)).must()

    assert "strict/no-latest: images have a version: registry.example/web:latest" in refused
    assert "Write a version. (ask platform team)" in refused
    assert any("strict/no-host-network" in line for line in warned.warnings)


# parameters without which a check has no form in CEL
MORE: Mapping[str, Object] = {"job-cleanup": {"judge": ["ttl", "history", "concurrency", "deadline"]}}


def spoken(check: str) -> tuple[Object, list[Object]]:
    """Return a pack with a rule for each parameters that the check's own cases have, and the pods of these cases."""
    found = yaml.safe_load((ROOT / "webhook" / "checks" / f"{check}.cases.yaml").read_text())
    given = [case.get("params", {}) for case in found]
    given += [at_home(params) for params in given] + [{**params, **MORE.get(check, {})} for params in given]
    texts = dict.fromkeys(json.dumps(params, sort_keys=True) for params in given)
    named = [
        {"name": f"rule-{number}", "check": check, "params": json.loads(text)} for number, text in enumerate(texts)
    ]
    rules = [{key: value for key, value in rule.items() if key != "message"} for rule in named]
    seen = [case["pod"] for case in found if "pod" in case] + [case["object"] for case in found if "object" in case]
    return pack(check, *rules), seen


def at_home(params: Any) -> Any:
    """Return the same parameters, with the tests' own namespaces where they name some."""
    if isinstance(params, dict):
        return {key: ["test-*"] if key == "namespaces" else at_home(value) for key, value in params.items()}
    return [at_home(one) for one in params] if isinstance(params, list) else params


@pytest.mark.parametrize("check", sorted(name for name, module in CHECKS.items() if callable(module.CEL)))
def test_a_check_in_cel_finds_what_the_check_finds_in_all_its_cases(
    check: str, install: Install, compare: Compare, rest: Rest, custom_kinds: None
) -> None:
    document, seen = spoken(check)
    installed = install(document)
    given = [{"metadata": {}, **one} for one in seen if "kind" not in one]
    asked = [of(one) for one in given for of in (clone_set, as_deployment)] + [one for one in seen if "kind" in one]

    taken, decided = compare(installed, [Ask(one) for one in asked if served(one)])

    assert taken >= max(len(given), 7)
    assert decided


def served(obj: Object) -> bool:
    """Say whether this API server has a kind."""
    group = group_of(obj["apiVersion"])
    own = group in ("", "apps", "batch", "rbac.authorization.k8s.io")
    return own or obj["kind"] in ("CloneSet", "Rollout")


def as_deployment(found: Object) -> Object:
    template = {"metadata": {**found["metadata"], "labels": {"app": "web", **found["metadata"].get("labels", {})}}}
    containers = [{"name": "web", **one} for one in found["spec"].get("containers", ())]
    template["spec"] = {**found["spec"], "containers": containers}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template},
    }


MENDING = pack(
    "mend",
    {
        "name": "ndots",
        "action": "warn",
        "when": "pod.spec.?dnsPolicy.orValue('') != 'Default'",
        "patch": [{"op": "add", "path": "/spec/dnsConfig/options", "value": [{"name": "ndots", "value": "2"}]}],
    },
    {
        "name": "label",
        "action": "warn",
        "when": "!has(pod.metadata.labels) || !('tier' in pod.metadata.labels) || pod.metadata.labels.tier == 'old'",
        "patch": [
            {"op": "add", "path": "/metadata/labels/tier", "value": "back"},
            {"op": "replace", "path": "/spec/terminationGracePeriodSeconds", "value": 45},
            {"op": "remove", "path": "/spec/priorityClassName"},
            {"op": "add", "path": "/metadata/annotations/acme.example~1x", "value": "it's \\ mended"},
        ],
    },
    {
        "name": "lists",
        "action": "warn",
        "when": "true",
        "patch": [{"op": "add", "path": "/spec/containers/*/stdin", "value": False}],
    },
    mode="enforce",
)
MENDING_RULES = MENDING["spec"]["rules"]


def template(obj: Object) -> Object:
    """The pod template of a Deployment or CloneSet, or the labels and spec of a Pod, which are its own."""
    if obj["kind"] == "Pod":
        own = {key: obj["metadata"][key] for key in ("labels", "annotations") if key in obj["metadata"]}
        return {"metadata": own, "spec": obj["spec"]}
    found: Object = obj["spec"]["template"]
    return found


def test_a_mutating_policy_makes_of_an_object_what_the_fix_makes_of_it(
    install: Install, rest: Rest, space: Kubectl, custom_kinds: None
) -> None:
    still = {"automountServiceAccountToken": False}
    stored = {}
    for place in ("default", space.namespace):
        kept = {**deployment("web", **still), "metadata": {"name": "kept"}}
        stored[place] = rest.send("POST", resource_path(place, kept), kept).body
    install(MENDING)
    carried = ruleset([("mend", yaml.safe_dump({**MENDING, "spec": {**MENDING["spec"], "rules": MENDING_RULES[:2]}}))])
    dns = {"dnsConfig": {"nameservers": ["192.0.2.1"], "options": [{"name": "ndots", "value": "2"}]}}
    single = {**pod("web"), "metadata": {"name": "web", "labels": {"tier": "old"}}}
    single["spec"] = {**single["spec"], **still}
    replica_set = {**deployment("web", **still), "kind": "ReplicaSet"}
    given = [
        deployment("web", **still),
        deployment("web", **still, **dns),
        deployment("web", **still, dnsConfig={"nameservers": ["192.0.2.1"]}),
        deployment("web", **still, dnsPolicy="Default", terminationGracePeriodSeconds=5),
        single,
        owned(single, "apps/v1", "ReplicaSet"),
        replica_set,
        owned(replica_set, "apps/v1", "Deployment"),
        *(one for one in custom() if one["kind"] == "CloneSet" and isinstance(template(one).get("spec"), dict)),
    ]
    # a mutating policy knows a kind of others only some seconds after the API server does
    eventually(lambda: all(post(rest, space.namespace, obj).status == 201 for obj in given), 60, "all kinds")
    changed = 0
    for obj in given:
        plain = post(rest, "default", obj)
        assert plain.status == 201, json.dumps(plain.body)
        review = parse(admission(plain.body, space.namespace, "CREATE"))
        decision = evaluate(carried, review, Facts(), NOW, "mutate")
        wanted = template(apply(plain.body, list(decision.patch)))

        def mended(obj: Object = obj, wanted: Any = wanted) -> bool:
            answer = post(rest, space.namespace, obj)
            return answer.status == 201 and template(answer.body) == wanted

        # until the policy is in force for this kind, too
        eventually(mended, 180, f"what the fix makes of {json.dumps(obj)}")
        changed += bool(decision.patch)
    assert 3 < changed < len(given)

    for change, mends in ((relabelled, False), (rolled_out, True)):
        plain, mended = (
            send(rest, place, Ask(change(stored[place]), old=stored[place])) for place in ("default", space.namespace)
        )
        assert (plain.status, mended.status) == (200, 200), json.dumps(mended.body)
        old = stored["default"]
        review = parse(admission(plain.body, space.namespace, "UPDATE", oldObject=old))
        patch = list(evaluate(carried, review, Facts(), NOW, "mutate").patch)
        assert bool(patch) is mends
        assert template(mended.body) == template(apply(plain.body, patch))


def fixing() -> Iterator[str]:
    """The checks whose fix has a form in CEL."""
    for name, module in sorted(CHECKS.items()):
        try:
            spoken = module.CEL(module.DEFAULTS | MORE.get(name, {})) if callable(module.CEL) else None
        except Unspoken:
            continue
        if spoken is not None and isinstance(spoken.fix, Mend):
            yield name


@pytest.mark.parametrize("check", list(fixing()))
def test_a_fix_in_cel_makes_of_all_cases_of_a_check_what_its_fix_makes_of_them(
    check: str, rest: Rest, space: Kubectl, install: Install, custom_kinds: None
) -> None:
    document, seen = spoken(check)
    cases = yaml.safe_load((ROOT / "webhook" / "checks" / f"{check}.cases.yaml").read_text())
    mended = [case.get("params", {}) for case in cases if "fixed" in case]
    rules = [rule for rule in document["spec"]["rules"] if rule["params"] in mended]
    given = [{"metadata": {}, **one} for one in seen if "kind" not in one]
    asked = [of(one) for one in given for of in (clone_set, as_deployment)]
    asked += [one for one in seen if "kind" in one and served(one)]
    changed = 0
    for number, rule in enumerate(rules):
        # each by itself, since two rules that write one field have no policy
        spec = {"mode": "enforce", "rules": [{**rule, "action": "warn", "fix": True}]}
        one = {**document, "metadata": {"name": f"fix-{check}-{number}"}, "spec": spec}
        carried = install(one).ruleset
        changed += sum(alike(rest, space.namespace, carried, ask) for ask in asked)
        forget(rest, f"fix-{check}-{number}")
    assert changed > 3


def alike(rest: Rest, namespace: str, carried: Ruleset, asked: Object) -> bool:
    """Hold what the policies make of a creation to what the fixes make of it; say whether they change it at all."""
    plain = post(rest, "default", asked)
    if plain.status != 201:
        return False
    review = parse(admission(plain.body, namespace, "CREATE"))
    patch = list(evaluate(carried, review, Facts(), NOW, "mutate").patch)
    wanted = template(apply(plain.body, patch))

    answers = [plain]

    def mended() -> bool:
        answers[0] = post(rest, namespace, asked)
        return answers[0].status == 201 and template(answers[0].body) == wanted

    try:
        eventually(mended, 180, "what the fix makes of it")
    except AssertionError as error:
        raise AssertionError(json.dumps({"plain": plain.body, "wanted": wanted, "found": answers[0].body})) from error
    return bool(patch)


def forget(rest: Rest, pack: str) -> None:
    """Delete the policies of a pack."""
    for resource in RESOURCES.values():
        path = f"/apis/admissionregistration.k8s.io/v1/{resource}"
        rest.send("DELETE", f"{path}?labelSelector=plimsoll.dev%2Fpack%3D{pack}")


def relabelled(obj: Object) -> Object:
    """An update that leaves the pods alone; without a resourceVersion, since its controller writes its status."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
    return {**obj, "metadata": {**metadata, "labels": {"a": "b"}}}


def rolled_out(obj: Object) -> Object:
    """An update that changes the pods."""
    found = template(obj)
    spec = {**obj["spec"], "template": {**found, "spec": {**found["spec"], "hostname": "other"}}}
    return {**relabelled(obj), "spec": spec}
