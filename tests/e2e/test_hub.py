"""A hub of Open Cluster Management, Karmada or Clusternet: wrapped workloads are judged before they are spread.

The examples of the documentation are applied as they are; the kinds are those in crds/, the webhooks those of
docs/examples/hub/webhooks.yaml.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from lab import crds, packs, plimsoll, workloads
from lab.controlplane import ControlPlane
from lab.kubectl import Answer, Kubectl, Object
from lab.plimsoll import ROOT, Server
from lab.process import eventually

HUB = ROOT / "docs" / "examples" / "hub"
SPREAD = ["ocm.yaml", "karmada.yaml", "clusternet.yaml"]
NAMESPACES = ["cluster1", "shop-fleet", "plimsoll-fleet", "karmada-es-member1", "clusternet-reserved"]
STRICTLY = ("--validate=strict", "--server-side", "--force-conflicts")
DRY = ("--dry-run=server",)
WRAPPED = {
    "ManifestWork": ("spec", "workload", "manifests"),
    "ManifestWorkReplicaSet": ("spec", "manifestWorkTemplate", "workload", "manifests"),
    "Work": ("spec", "workload", "manifests"),
    "Manifest": ("template",),
}
CORRECTED = ("ManifestWork", "ManifestWorkReplicaSet")
NUMBERS = itertools.count(1)


def documents(name: str) -> list[Object]:
    """Return the objects in an example."""
    return list(yaml.safe_load_all((HUB / name).read_text()))


def example(kind: str, *manifests: Object) -> Object:
    """Return the example of a wrapper, with other manifests in it, and a name that no other test uses."""
    [found] = [one for one in documents("workloads.yaml") if one["kind"] == kind]
    found["metadata"]["name"] = f"{kind.lower()}-{next(NUMBERS)}"
    place = found
    *way, last = WRAPPED[kind]
    for token in way:
        place = place[token]
    place[last] = list(manifests) if isinstance(place[last], list) else manifests[0]
    return found


def carried(wrapper: Object) -> list[Object]:
    """Return what a wrapper carries."""
    found: Any = wrapper
    for token in WRAPPED[wrapper["kind"]]:
        found = found[token]
    return found if isinstance(found, list) else [found]


def listed(*objects: Object) -> Object:
    """Return a List of objects, which every wrapper can carry, those for one manifest too."""
    return {"apiVersion": "v1", "kind": "List", "items": list(objects)}


def deployment(**container: Any) -> Object:
    """Return a Deployment in the namespace of the members."""
    made = workloads.deployment(spec=workloads.pod_spec(workloads.container(**container)))
    return {**made, "metadata": {"name": "web", "namespace": "shop"}}


def at(kind: str, number: int = 0) -> str:
    """Return the pointer to what a wrapper carries."""
    return "/" + "/".join(WRAPPED[kind]) + ("" if kind == "Manifest" else f"/{number}")


@pytest.fixture(scope="module")
def hub(cluster: ControlPlane) -> Iterator[Kubectl]:
    """The administrator of a cluster that has the kinds of all three projects."""
    admin = cluster.admin
    crds.install(admin, "ocm", "karmada", "clusternet", "plimsoll")
    for name in NAMESPACES:
        admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).must()
    yield admin
    crds.remove(admin, "ocm", "karmada", "clusternet", "plimsoll")


@pytest.fixture(scope="module")
def asked(hub: Kubectl, serve: Callable[..., Server]) -> Iterator[Kubectl]:
    """The same, while its API server asks Plimsoll about wrappers, as in the example."""
    server = serve(packs.STRICT, packs.CORRECTING)
    configurations = documents("webhooks.yaml")
    for hook in (hook for one in configurations for hook in one["webhooks"]):
        path = hook["clientConfig"]["service"]["path"]
        bundle = base64.b64encode(server.bundle).decode()
        hook["clientConfig"] = {"url": server.url + path, "caBundle": bundle}
        hook["timeoutSeconds"] = 10  # two cores also carry the control plane and the tests
    hub.apply(*configurations).must()
    probe = example("Work", deployment(image="nginx"))
    eventually(lambda: apply(hub, probe, *DRY).code == 1, what="the webhooks to be in force")
    corrected = example("ManifestWork", deployment(resources=workloads.UNEQUAL))
    eventually(lambda: apply(hub, corrected, *DRY).code == 0, what="the corrections to be in force")
    yield hub
    hub("delete", "validatingwebhookconfiguration/plimsoll-hub", "mutatingwebhookconfiguration/plimsoll-hub").must()


def apply(hub: Kubectl, wrapper: Object, *options: str) -> Answer:
    """Apply a wrapper in its namespace."""
    return hub.within(wrapper["metadata"]["namespace"]).apply(wrapper, options=options)


@pytest.mark.parametrize("name", ["workloads.yaml", *SPREAD])
def test_an_example_is_taken_word_for_word(asked: Kubectl, name: str) -> None:
    for document in documents(name):
        namespace = document["metadata"].get("namespace", "default")
        asked.within(namespace).apply(document, options=STRICTLY).must()


def test_the_webhooks_of_the_example_are_taken_word_for_word(cluster: ControlPlane, hub: Kubectl) -> None:
    bundle = base64.b64encode(cluster.ca.bundle.read_bytes()).decode()
    text = (HUB / "webhooks.yaml").read_text().replace("CA_BUNDLE", bundle)
    text = text.replace("name: plimsoll-hub", "name: plimsoll-hub-anew")
    hub("apply", "-f", "-", *STRICTLY, *DRY, stdin=text).must()
    service = "service: {name: plimsoll, namespace: plimsoll, path: /validate, port: 443}"
    assert service in text
    text = text.replace(service, "url: https://plimsoll.example:8443/validate")  # as the page says for Karmada
    hub("apply", "-f", "-", *STRICTLY, *DRY, stdin=text).must()


@pytest.mark.parametrize("kind", WRAPPED)
def test_a_misspelt_field_of_a_wrapper_would_be_seen(hub: Kubectl, kind: str) -> None:
    wrapper = example(kind, deployment())
    misspelt = {**wrapper, "tmplate": {}} if kind == "Manifest" else {**wrapper, "spec": {**wrapper["spec"], "x": 1}}
    said = hub.within(wrapper["metadata"]["namespace"]).apply(misspelt, options=(*STRICTLY, *DRY)).refused()
    assert "strict decoding error" in said or "field not declared in schema" in said


@pytest.mark.parametrize("kind", WRAPPED)
def test_a_wrapped_workload_is_refused_with_the_place_in_its_wrapper(asked: Kubectl, kind: str) -> None:
    said = apply(asked, example(kind, deployment(image="nginx"))).refused()
    assert 'admission webhook "validate.plimsoll.dev" denied the request' in said
    assert f"at:     {at(kind)}/spec/template/spec/containers/0/image" in said
    apply(asked, example(kind, deployment())).must()


@pytest.mark.parametrize("kind", WRAPPED)
def test_all_findings_of_all_manifests_are_named_at_once(asked: Kubectl, kind: str) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    pod = workloads.pod("p", workloads.pod_spec(workloads.container(image="busybox")))
    bad = deployment(image="nginx")
    bad["spec"]["template"]["spec"]["containers"].append(workloads.container("side", image="mysql:9"))
    inside = [namespace, bad, deployment(), listed(deployment(), pod)]
    manifests, deep = (inside, at(kind)[:-2]) if kind != "Manifest" else ([listed(*inside)], "/template/items")
    said = apply(asked, example(kind, *manifests)).refused()
    containers = f"{deep}/1/spec/template/spec/containers"
    for place in (f"{containers}/0/image", f"{containers}/1/image", f"{deep}/3/items/1/spec/containers/0/image"):
        assert f"at:     {place}\n" in said, said
    assert f"{deep}/2/" not in said


@pytest.mark.parametrize("kind", WRAPPED)
def test_a_namespace_in_a_wrapper_is_judged_as_one(
    hub: Kubectl, serve: Callable[..., Server], kind: str, tmp_path: Path
) -> None:
    rule = {
        "name": "owned",
        "expression": "has(object.metadata.labels) && 'team' in object.metadata.labels",
        "message": "a namespace has an owner",
        "action": "deny",
        "match": {"kinds": ["Namespace"]},
    }
    (tmp_path / "pack.yaml").write_text(yaml.safe_dump(packs.pack("owners", rule)))
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    (tmp_path / "wrapper.yaml").write_text(yaml.safe_dump(example(kind, namespace)))
    done = plimsoll.run(
        "check", "--policies", str(tmp_path / "pack.yaml"), "-o", "json", str(tmp_path / "wrapper.yaml")
    )
    [finding] = json.loads(done.stdout)["results"][0]["findings"]
    assert (done.returncode, finding["rule"], finding["pointer"]) == (1, "owned", at(kind))


@pytest.mark.parametrize("kind", WRAPPED)
def test_only_wrappers_that_people_write_are_corrected(asked: Kubectl, kind: str) -> None:
    bad = example(kind, deployment(resources=workloads.UNEQUAL))
    if kind not in CORRECTED:
        said = apply(asked, bad).refused()
        assert "requests-equal-limits" in said
        return
    name = f"{kind}/{bad['metadata']['name']}"
    apply(asked, bad).must()
    stored = asked.within(bad["metadata"]["namespace"]).get(name)
    [resources] = [one["spec"]["template"]["spec"]["containers"][0]["resources"] for one in carried(stored)]
    assert resources["requests"] == resources["limits"]


@pytest.mark.parametrize("kind", sorted(set(WRAPPED) - set(CORRECTED)))
def test_what_another_control_plane_writes_is_stored_as_it_was_written(
    asked: Kubectl, kind: str, tmp_path: Path
) -> None:
    """Not even where `/mutate` is asked about it: its writer would write it back, again and again."""
    wrapper = example(kind, deployment(resources=workloads.UNEQUAL))
    group, _, version = wrapper["apiVersion"].partition("/")
    request = {
        "uid": "1",
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": f"{kind.lower()}s"},
        "namespace": wrapper["metadata"]["namespace"],
        "name": wrapper["metadata"]["name"],
        "operation": "CREATE",
        "userInfo": {"username": "admin"},
        "object": wrapper,
        "oldObject": None,
        "dryRun": False,
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    (tmp_path / "pack.yaml").write_text(yaml.safe_dump(packs.CORRECTING))
    options = ("--endpoint", "mutate", "--policies", str(tmp_path / "pack.yaml"))
    done = plimsoll.run("review", *options, stdin=json.dumps(review).encode())
    response = json.loads(done.stdout)["response"]
    assert response["allowed"]
    assert "patch" not in response
    kept = example(kind, deployment())
    apply(asked, kept).must()
    stored = asked.within(kept["metadata"]["namespace"]).get(f"{kind}.{group}/{kept['metadata']['name']}")
    assert carried(stored) == [deployment()]


@pytest.mark.parametrize("name", SPREAD)
def test_the_packs_that_an_example_delivers_are_sound(name: str, tmp_path: Path) -> None:
    found = packs_in(documents(name))
    assert found
    for pack in found:
        (tmp_path / f"{pack['metadata']['name']}.yaml").write_text(yaml.safe_dump(pack))
    done = plimsoll.run("lint", *map(str, sorted(tmp_path.glob("*.yaml"))))
    assert done.returncode == 0, done.stdout + done.stderr


def packs_in(value: object) -> list[Object]:
    """Return every RulePack, however deep it is wrapped."""
    if isinstance(value, list):
        return [pack for one in value for pack in packs_in(one)]
    if not isinstance(value, dict):
        return []
    if value.get("kind") == "RulePack" and "spec" in value:
        return [value]
    return packs_in(list(value.values()))


def test_what_the_overrides_make_of_a_pack_is_a_sound_pack(tmp_path: Path) -> None:
    """As the projects do it: JSON Patch operations in Karmada, a JSON merge patch in Clusternet."""
    [pack] = packs_in(documents("karmada.yaml"))
    [policy] = [one for one in documents("karmada.yaml") if one["kind"] == "ClusterOverridePolicy"]
    [change] = policy["spec"]["overrideRules"][0]["overriders"]["plaintext"]
    assert (change["path"], change["operator"]) == ("/spec/values/registries", "replace")
    assert pack["spec"]["values"].keys() == {"registries"}
    pack["spec"]["values"]["registries"] = change["value"]
    [override] = [one for one in documents("clusternet.yaml") if one["kind"] == "Globalization"]
    [merge] = override["spec"]["overrides"]
    assert json.loads(merge["value"])["spec"]["values"] == pack["spec"]["values"]
    (tmp_path / "acme.yaml").write_text(yaml.safe_dump(pack))
    assert plimsoll.run("lint", str(tmp_path / "acme.yaml")).returncode == 0
