"""The samples: `plimsoll check`, `plimsoll review` and the server say the same of each."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonpatch
import pytest
import yaml
from lab import plimsoll, webhooks
from lab.controlplane import ControlPlane
from lab.endpoint import Exchange, Recorder, serving
from lab.kubectl import Answer, Kubectl, Object
from lab.plimsoll import ROOT, Server

SAMPLES = sorted((ROOT / "samples").rglob("*.yaml"))
assert SAMPLES, "samples/ is empty: there is nothing to compare"
Verdict = tuple[str, str, str, str]
"""Pack, rule, pointer and effective action of one finding."""


def documents(path: Path) -> list[Object]:
    """Return the objects of a manifest file, those in a `kind: List` one by one."""
    found = [document for document in yaml.safe_load_all(path.read_text()) if document]
    return [each for document in found for each in document.get("items", [document])]


@pytest.fixture(scope="module")
def prepared(cluster: ControlPlane) -> Iterator[list[str]]:
    """The samples' namespaces and the kinds that no API server has by itself.

    Returns the names of the former, and those under which samples that are namespaces are tried.
    """
    found = [document for path in SAMPLES for document in documents(path)]
    named = sorted({each["metadata"].get("namespace", "default") for each in found})
    for namespace in named:
        cluster.admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}).must()
    foreign = sorted({(each["apiVersion"], each["kind"]) for each in found if "." in each["apiVersion"].split("/")[0]})
    definitions = [definition(*each) for each in foreign if not each[0].split("/")[0].endswith(".k8s.io")]
    if definitions:
        cluster.admin.apply(*definitions).must()
        cluster.admin("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s").must()
    yield [*named, *(fresh(each)["metadata"]["name"] for each in found if each["kind"] == "Namespace")]
    for each in definitions:
        cluster.admin("delete", "crd", each["metadata"]["name"]).must()


def definition(api_version: str, kind: str) -> Object:
    """Return a CustomResourceDefinition that takes anything of a kind."""
    group, version = api_version.split("/")
    plural = f"{kind.lower()}s"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [{"name": version, "served": True, "storage": True, "schema": schema}],
        },
    }


@pytest.fixture(scope="module")
def passed(cluster: ControlPlane, prepared: list[str], serve: Callable[..., Server]) -> Iterator[list[Exchange]]:
    """What passes between the API server and a server with the shipped packs, from now on.

    What the user `judge` tries is validated, what the user `mender` tries is corrected, each without the other.
    """
    server = serve(ROOT / "policies")
    recorder = Recorder("127.0.0.1", server.port, server.bundle)
    selector = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": prepared}]}
    bundle = cluster.ca.bundle.read_bytes()
    with serving(cluster.ca, recorder) as url:
        made = [
            whatever(webhooks.configuration(f"samples-{endpoint}", endpoint, url, bundle, selector), user)
            for endpoint, user in (("validate", "judge"), ("advise", "judge"), ("mutate", "mender"))
        ]
        with webhooks.installed(cluster.admin, *made):
            yield recorder.exchanges


@pytest.fixture
def exchanges(passed: list[Exchange]) -> list[Exchange]:
    """What passes during a test."""
    passed.clear()
    return passed


@pytest.fixture
def judge(cluster: ControlPlane) -> Kubectl:
    """The user whose writes are validated."""
    return cluster.user("judge", "system:masters")


@pytest.fixture
def mender(cluster: ControlPlane) -> Kubectl:
    """The user whose writes are corrected."""
    return cluster.user("mender", "system:masters")


def whatever(configuration: Object, user: str) -> Object:
    """Return the configuration for every kind there is, where one user tries to create it."""
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["*"]}
    theirs = {"name": "by-the-test", "expression": f"request.userInfo.username == '{user}'"}
    configuration["webhooks"][0] |= {"rules": [rule], "matchConditions": [theirs]}
    return configuration


def fresh(document: Object) -> Object:
    """Return a namespace under another name, since its own has to be there for the other samples; all else as it is."""
    if document["kind"] != "Namespace":
        return document
    name = document["metadata"]["name"].removesuffix("-anew")
    return {**document, "metadata": {**document["metadata"], "name": f"{name}-anew"}}


def dry_run(kubectl: Kubectl, document: Object) -> Answer:
    """`kubectl apply --dry-run=server`; a refusal that is not a webhook's fails."""
    namespace = document["metadata"].get("namespace", "default")
    answer = kubectl.within(namespace).apply(fresh(document), options=("--dry-run=server", "-o", "json"))
    assert answer.code == 0 or "denied the request" in answer.err, answer.err
    return answer


def verdicts(exchanges: list[Exchange]) -> tuple[Counter[Verdict], int]:
    """Return the findings that the answers name, with what comes of them, and how many there was no room for."""
    found: Counter[Verdict] = Counter()
    left_out = 0
    for exchange in exchanges:
        noted = json.loads(exchange.answer)["response"].get("auditAnnotations", {})
        for key in ("violations", "would-violate"):
            for item in json.loads(noted.get(key, "[]")):
                if "leftOut" in item:
                    left_out += item["leftOut"]
                    continue
                (effective,) = item["validationActions"]
                found[item["policy"], item["rule"], item["pointer"], effective.lower()] += 1
    return found, left_out


def checked(path: Path) -> list[dict[str, Any]]:
    """Return the results of `plimsoll check` on a sample, one for each object that a rule concerns."""
    done = plimsoll.run("check", "-o", "json", str(path.relative_to(ROOT)))
    assert done.returncode in (0, 1), done.stderr.decode()
    results: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    assert done.returncode == (0 if all(result["allowed"] for result in results) else 1)
    return results


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_check_says_what_kubectl_apply_meets(judge: Kubectl, exchanges: list[Exchange], path: Path) -> None:
    results = {(each["kind"], each["name"]): each for each in checked(path)}
    for document in documents(path):
        exchanges.clear()
        allowed = dry_run(judge, document).code == 0
        result = results.pop((document["kind"], document["metadata"].get("name", "")), None)
        said, left_out = verdicts(exchanges)
        if result is None:  # no rule concerns its kind, or its namespace
            assert (allowed, said, left_out) == (True, Counter(), 0)
            continue
        findings = [each for each in result["findings"] if each["exempt"] is None]
        assert allowed == result["allowed"]
        unsaid = Counter((f["pack"], f["rule"], f["pointer"], f["effective"]) for f in findings) - said
        assert unsaid.total() == left_out == len(findings) - said.total()
    assert results == {}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_review_answers_as_the_server_to_the_byte(
    judge: Kubectl, mender: Kubectl, exchanges: list[Exchange], path: Path
) -> None:
    for document in documents(path):
        dry_run(judge, document)
        dry_run(mender, document)
    for exchange in list(exchanges):
        done = plimsoll.run("review", "--endpoint", exchange.endpoint, stdin=exchange.request)
        assert done.returncode in (0, 1), done.stderr.decode()
        assert done.stdout.removesuffix(b"\n") == exchange.answer


def test_the_samples_reach_every_endpoint(judge: Kubectl, mender: Kubectl, exchanges: list[Exchange]) -> None:
    for path in SAMPLES:
        for document in documents(path):
            dry_run(judge, document)
            dry_run(mender, document)
    assert {exchange.endpoint for exchange in exchanges} == {"validate", "advise", "mutate"}


def test_a_sample_that_is_refused_and_one_that_is_created_are_among_them(
    judge: Kubectl, exchanges: list[Exchange]
) -> None:
    assert {dry_run(judge, document).code for path in SAMPLES for document in documents(path)} == {0, 1}


def test_what_the_server_corrects_in_a_sample_is_corrected_for_good(mender: Kubectl, exchanges: list[Exchange]) -> None:
    corrected = 0
    for document in [document for path in SAMPLES for document in documents(path)]:
        answer = dry_run(mender, document).must()
        if not any("corrected" in warning for warning in answer.warnings):
            continue
        corrected += 1
        exchanges.clear()
        again = dry_run(mender, json.loads(answer.out)).must()
        assert not any("corrected" in warning for warning in again.warnings)
        assert [json.loads(each.answer)["response"].get("patch") for each in exchanges] == [None]
    assert corrected > 0


# -- all packs in force ------------------------------------------------------------------------------------------


@pytest.fixture
def corrected(cluster: ControlPlane, prepared: list[str], serve: Callable[..., Server]) -> Iterator[list[Exchange]]:
    """What passes between the API server and a server with all shipped packs in force, which only corrects."""
    server = serve(ROOT / "policies", options=("--mode", "enforce"))
    recorder = Recorder("127.0.0.1", server.port, server.bundle)
    selector = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": prepared}]}
    with serving(cluster.ca, recorder) as url:
        made = webhooks.configuration("corrected", "mutate", url, cluster.ca.bundle.read_bytes(), selector)
        with webhooks.installed(cluster.admin, whatever(made, "strict-mender")):
            yield recorder.exchanges


def stored(exchange: Exchange) -> Object | None:
    """Return what a patch makes of the object that the API server asked about; None where there is no patch."""
    operations = json.loads(exchange.answer)["response"].get("patch")
    if operations is None:
        return None
    found: Object = json.loads(exchange.request)["request"]["object"]
    stamps = {"creationTimestamp", "managedFields", "uid"}  # of this one creation
    found["metadata"] = {key: value for key, value in found["metadata"].items() if key not in stamps}
    return dict(jsonpatch.apply_patch(found, base64.b64decode(operations)))


def test_with_all_packs_in_force_the_api_server_accepts_what_fixes_make_of_the_samples(
    cluster: ControlPlane, corrected: list[Exchange]
) -> None:
    kubectl = cluster.user("strict-mender", "system:masters")
    fixing: set[str] = set()
    for document in [document for path in SAMPLES for document in documents(path)]:
        corrected.clear()
        warnings = dry_run(kubectl, document).must().warnings
        fixing |= {warning.partition("/")[0] for warning in warnings if ": corrected " in warning}
        for mended in [mended for exchange in list(corrected) if (mended := stored(exchange))]:
            corrected.clear()
            dry_run(kubectl, mended).must()
            assert [stored(exchange) for exchange in corrected] == [None]
    assert fixing == {"best-practices", "cluster-use", "containerization", "release", "scheduling"}
