"""`plimsoll import psa`: each pod gets the verdict that its namespace's labels and the configuration give it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook import sources
from webhook.packs.compile import ruleset
from webhook.packs.rule import Ruleset

ROWS = json.loads((Path(__file__).parents[2] / "golden" / "pod-security.json").read_text())["rows"]


def namespace(name: str, **labels: str) -> dict[str, Any]:
    prefixed = {f"pod-security.kubernetes.io/{key.replace('_', '-')}": value for key, value in labels.items()}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": prefixed}}


def configuration(**exemptions: list[str]) -> dict[str, Any]:
    security = {
        "apiVersion": "pod-security.admission.config.k8s.io/v1",
        "kind": "PodSecurityConfiguration",
        "defaults": {"enforce": "baseline", "warn": "restricted", "warn-version": "latest"},
        "exemptions": exemptions,
    }
    plugins = [{"name": "Other"}, {"name": "PodSecurity", "configuration": security}]
    return {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration", "plugins": plugins}


@pytest.fixture
def imported(plimsoll: Callable[..., Any]) -> Callable[..., Any]:
    def run(*documents: dict[str, Any]) -> Any:
        text = yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": list(documents)})
        return plimsoll("import", "psa", stdin=text.encode())

    return run


def compiled(ran: Any) -> Ruleset:
    bases = [(path.name, path.read_text()) for path in sources.shipped()]
    return ruleset([("psa.yaml", ran.out)], bases=bases)


def pod(row: dict[str, Any], place: str, **spec: Any) -> dict[str, Any]:
    metadata = {**row["pod"].get("metadata", {}), "name": "web", "namespace": place}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**row["pod"]["spec"], **spec}}


def workload(row: dict[str, Any], place: str, **spec: Any) -> dict[str, Any]:
    template = {"metadata": row["pod"].get("metadata", {}), "spec": {**row["pod"]["spec"], **spec}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": place},
        "spec": {"selector": {}, "template": template},
    }


def effects(decision: Any) -> set[str]:
    return {finding.effective for finding in decision.findings}


SPACES = {
    "open": {},
    "strict": {"enforce": "restricted", "audit": "baseline"},
    "warned": {"enforce": "baseline", "enforce_version": "latest", "warn": "restricted"},
    "free": {"enforce": "privileged", "warn": "privileged", "audit": "restricted"},
}


def test_every_pod_gets_in_every_namespace_what_pod_security_admission_gives_it(
    imported: Callable[..., Any], judge: Any
) -> None:
    ran = imported(*(namespace(name, **labels) for name, labels in SPACES.items()))
    assert ran.status == 0, ran.err
    rules = compiled(ran)
    wrong = []
    for row in ROWS:
        for name, labels in SPACES.items():
            levels = {"warn": labels.get("enforce", "privileged"), **labels}
            fails = {mode for mode in ("enforce", "audit", "warn") if row.get(levels.get(mode, "privileged"))}
            of_pod = {{"enforce": "deny"}.get(mode, mode) for mode in fails}
            for made, wanted in ((pod, of_pod), (workload, of_pod - {"deny"})):
                found = judge(rules, made(row, name))
                if effects(found) != wanted or found.errors or found.allowed == ("deny" in wanted):
                    wrong.append((row["from"], name, made.__name__, effects(found), wanted))
    assert wrong == []


def test_an_update_of_a_pod_that_was_there_is_refused_as_before(imported: Callable[..., Any], judge: Any) -> None:
    rules = compiled(imported(namespace("shop", enforce="baseline")))
    row = next(row for row in ROWS if "privileged" in row["baseline"])
    old, new = pod(row, "shop"), pod(row, "shop", activeDeadlineSeconds=5)
    new["spec"]["containers"] = [{**one, "image": "b"} for one in new["spec"]["containers"]]
    assert not judge(rules, new, old=old).allowed


def test_defaults_hold_in_namespaces_that_say_nothing_and_in_those_that_are_not_listed(
    imported: Callable[..., Any], judge: Any
) -> None:
    ran = imported(namespace("silent"), namespace("free", enforce="privileged"), configuration(namespaces=["ops"]))
    assert ran.status == 0, ran.err
    rules = compiled(ran)
    row = next(row for row in ROWS if row["baseline"])
    found = {place: effects(judge(rules, pod(row, place))) for place in ("silent", "elsewhere", "free", "ops")}
    assert found == {"silent": {"deny", "warn"}, "elsewhere": {"deny", "warn"}, "free": {"warn"}, "ops": set()}


@pytest.mark.parametrize("made", [pod, workload])
def test_exempt_users_and_runtime_classes_are_left_alone(
    imported: Callable[..., Any], judge: Any, made: Callable[..., Any]
) -> None:
    rules = compiled(imported(configuration(usernames=["system:serviceaccount:ops:deploy"], runtimeClasses=["kata"])))
    row = next(row for row in ROWS if row["baseline"] and row["restricted"])
    deploy = {"userInfo": {"username": "system:serviceaccount:ops:deploy", "groups": []}}
    assert effects(judge(rules, made(row, "shop"), **deploy)) == set()
    assert effects(judge(rules, made(row, "shop", runtimeClassName="kata"))) == set()
    assert "warn" in effects(judge(rules, made(row, "shop", runtimeClassName="runc")))


def test_versions_and_levels_that_are_not_here_are_listed(imported: Callable[..., Any]) -> None:
    ran = imported(
        namespace("a", enforce="baseline", enforce_version="v1.24", warn="privileged"),
        namespace("b", audit="strict"),
        namespace("c", enforce="restricted", enforce_version="v1.37"),
    )
    assert ran.status == 1
    assert "a: enforce baseline as of v1.24 is not here; our packs have it as of latest and v1.37" in ran.err
    assert "b: audit: strict is no level; they are privileged, baseline, restricted" in ran.err
    packs = {one["metadata"]["name"]: one["spec"]["match"] for one in yaml.safe_load_all(ran.out)}
    assert packs["psa-enforce-restricted"] == {"kinds": ["Pod"], "namespaces": ["c"]}
    assert sorted(packs) == ["psa-enforce-restricted", "psa-warn-restricted"]


def test_namespaces_without_labels_make_no_pack(imported: Callable[..., Any]) -> None:
    ran = imported(namespace("a"))
    assert (ran.status, ran.out) == (0, "")
    assert ran.err == "1 read: 0 packs with 0 rules, 0 not imported\n"


def test_a_configuration_in_another_file_is_asked_for(imported: Callable[..., Any]) -> None:
    document = configuration()
    document["plugins"] = [{"name": "PodSecurity", "path": "pss.yaml"}]
    ran = imported(document)
    assert ran.status == 1
    assert "the configuration is in another file, pss.yaml; name that file" in ran.err


def test_an_exempt_name_with_a_star_is_refused_since_it_would_exempt_more_here(imported: Callable[..., Any]) -> None:
    ran = imported(configuration(usernames=["ops:*"]))
    assert (ran.status, ran.out) == (1, "")
    assert "* and ? stand for themselves there" in ran.err
