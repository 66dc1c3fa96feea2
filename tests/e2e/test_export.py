"""What `plimsoll export vap` writes says of every object what the engine says of it, on a real API server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from lab.controlplane import ControlPlane
from lab.kubectl import Kubectl, Object
from lab.process import eventually
from lab.rest import ADMIN, Reply, Rest, User, failures

from webhook.checks import CHECKS
from webhook.cli import suite
from webhook.cli.judge import admission
from webhook.engine.evaluate import evaluate
from webhook.engine.facts import Facts
from webhook.model.pods import KINDS, group_of
from webhook.model.review import parse
from webhook.packs.compile import ruleset
from webhook.packs.rule import Ruleset

ROOT = Path(__file__).parents[2]
DAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SENTINEL = {
    "apiVersion": "plimsoll.dev/v1",
    "kind": "RulePack",
    "metadata": {"name": "sentinel"},
    "spec": {
        "mode": "dry-run",
        "match": {"kinds": ["ConfigMap"]},
        "rules": [{"name": "never", "expression": "object.kind == ''", "action": "warn"}],
    },
}


@pytest.fixture(scope="module")
def rest(cluster: ControlPlane) -> Iterator[Rest]:
    """The administrator's connection to the API server."""
    with Rest(cluster) as connection:
        yield connection


@pytest.fixture(scope="module")
def space(new_namespace: Callable[[], Kubectl]) -> Kubectl:
    """The namespace in which the policies of this module are bound."""
    return new_namespace()


Install = Callable[..., Ruleset]


@pytest.fixture(scope="module")
def install(cluster: ControlPlane, rest: Rest, space: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Export packs, install what comes of it, and return the packs compiled as the export took them."""

    def begin(*packs: Object | Path, options: tuple[str, ...] = ()) -> Ruleset:
        directory = tmp_path_factory.mktemp("export")
        texts = [pack.read_text() if isinstance(pack, Path) else yaml.safe_dump(pack) for pack in packs]
        texts.append(yaml.safe_dump(SENTINEL))
        for number, text in enumerate(texts):
            (directory / f"{number}.yaml").write_text(text)
        only = f"kubernetes.io/metadata.name={space.namespace}"
        command = ["export", "vap", "--policies", str(directory), "--date", str(DAY), *options]
        command += ["--binding-namespace-selector", only]
        done = subprocess.run(
            [sys.executable, "-m", "webhook.main", *command], capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert done.returncode == 0, done.stderr
        made = [one for one in yaml.safe_load_all(done.stdout) if one]
        for one in sorted(made, key=lambda one: "sentinel" in one["metadata"]["name"]):
            resource = one["kind"].lower().removesuffix("policy") + "policies"
            resource = resource if one["kind"].endswith("Policy") else one["kind"].lower() + "s"
            path = f"/apis/{one['apiVersion']}/{resource}"
            reply = rest.send("POST", path, one)
            assert reply.status in (201, 409), json.dumps(reply.body, indent=1)
        probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}}
        eventually(lambda: said(cluster, [post(rest, space.namespace, probe)])[0], what="the policies to be in force")
        return ruleset([(str(number), text) for number, text in enumerate(texts)])

    return begin


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: an object to create, or with `old` (as it is stored) to update, and who asks."""

    object: Object
    old: Object | None = None
    user: User = ADMIN
    subresource: str = ""


def resource_path(namespace: str, obj: Mapping[str, Any]) -> str:
    """Return the path of an object's kind in a namespace."""
    group = group_of(obj["apiVersion"])
    row = KINDS.get((group, obj["kind"]))
    resource = row.resource if row else obj["kind"].lower() + "s"
    return f"/{'apis' if group else 'api'}/{obj['apiVersion']}/namespaces/{namespace}/{resource}"


def named(obj: Mapping[str, Any]) -> Object:
    metadata = {key: value for key, value in obj.get("metadata", {}).items() if key != "namespace"}
    return {**obj, "metadata": {"name": "web", **metadata}}


def post(rest: Rest, namespace: str, obj: Mapping[str, Any], user: User = ADMIN) -> Reply:
    """Send the creation of an object, which is not stored."""
    return rest.dry("POST", resource_path(namespace, obj), named(obj), user)


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


def verdict(rules: Ruleset, reply: Reply, ask: Ask, namespace: str) -> set[str]:
    """Return the rules of which the engine has a finding, or an error, in what the API server made of a request."""
    user = {"username": ask.user[0], "groups": list(ask.user[1])}
    operation = "CREATE" if ask.old is None else "UPDATE"
    more = {"oldObject": ask.old, "userInfo": user, "subResource": ask.subresource}
    decision = evaluate(rules, parse(admission(reply.body, namespace, operation, **more)), Facts(), NOW, "all")
    assert not decision.unknown
    findings = {f"{one.pack}/{one.rule}" for one in decision.findings if one.exempt is None}
    return findings | {f"{one.about.pack}/{one.about.rule}" for one in decision.errors}


Compare = Callable[..., tuple[int, set[str]]]


@pytest.fixture
def compare(cluster: ControlPlane, rest: Rest, space: Kubectl) -> Compare:
    """Send requests, and hold what policies and engine find in them against one another, rule by rule.

    Returns how many the API server took, and the rules that were both kept and broken. A request that the API server
    itself refuses has no verdict to compare.
    """

    def run(rules: Ruleset, asked: list[Ask]) -> tuple[int, set[str]]:
        replies = [(ask, send(rest, space.namespace, ask)) for ask in asked]
        taken = [(ask, reply) for ask, reply in replies if reply.status in (200, 201)]
        seen: dict[str, set[bool]] = {rule.label: set() for rule in rules.rules}
        for (ask, reply), found in zip(taken, said(cluster, [reply for _, reply in taken]), strict=True):
            wanted = verdict(rules, reply, ask, space.namespace)
            known = {rule for rule in found if rule in seen}  # other tests of this module have their own packs
            assert known == wanted, json.dumps([ask.user, ask.old, reply.body])
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
def custom_kinds(rest: Rest) -> None:
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


def test_the_policies_of_the_pod_security_packs_find_what_the_packs_find(
    install: Install, compare: Compare, custom_kinds: None
) -> None:
    rules = install(*(ROOT / "policies" / f"{pack}.yaml" for pack in PACKS))
    given = list(pods())
    asked = [*given, *map(clone_set, given), *map(cron_job, given[::9]), *map(pod_template, given[::9])]
    asked += [one for pack in PACKS for one in cases(pack)]

    taken, decided = compare(rules, [Ask(one) for one in asked])

    assert taken > len(given)
    assert decided == {rule.label for rule in rules.rules if rule.pack.name in PACKS}
