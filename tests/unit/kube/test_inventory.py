"""What a cluster holds: each kind listed once, in pages, in the version that it prefers; and `impact --cluster`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook.kube.inventory import Inventory
from webhook.main import main
from webhook.model.neighbours import Ref
from webhook.ports import Unknown

PODS = "/api/v1/pods"
DEPLOYMENTS = "/apis/apps/v1/deployments"


def listed(*resources: tuple[str, str]) -> tuple[int, Any]:
    verbs = ["get", "list"]
    return 200, {"resources": [{"kind": kind, "name": name, "verbs": verbs} for kind, name in resources]}


def named(name: str, namespace: str = "shop", **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace, "managedFields": [{}], **more.pop("metadata", {})},
        **more,
    }


def group(name: str, *versions: str) -> dict[str, Any]:
    held = [{"groupVersion": f"{name}/{version}"} for version in versions]
    return {"name": name, "versions": held, "preferredVersion": held[0]}


@pytest.fixture
def cluster(api: Any) -> Any:
    """An API server with Deployments, Pods, budgets and namespaces."""
    api.answers |= {
        "/apis": (200, {"groups": [group("apps", "v1"), group("policy", "v1", "v1beta1"), group("x.example", "v1")]}),
        "/api/v1": listed(("Pod", "pods"), ("Pod", "pods/status"), ("Namespace", "namespaces")),
        "/apis/apps/v1": listed(("Deployment", "deployments"), ("Deployment", "deployments/scale")),
        "/apis/policy/v1": listed(("PodDisruptionBudget", "poddisruptionbudgets")),
        "/apis/policy/v1beta1": listed(("PodSecurityPolicy", "podsecuritypolicies")),
        "/apis/x.example/v1": (200, {"resources": [{"kind": "Made", "name": "mades", "verbs": ["create"]}]}),
        PODS: (200, {"items": []}),
        DEPLOYMENTS: (200, {"items": []}),
    }
    return api


def test_objects_come_with_what_their_list_says_for_all_of_them(cluster: Any) -> None:
    cluster.answers[PODS] = 200, {"items": [named("a")]}
    cluster.answers[DEPLOYMENTS] = 200, {"items": [named("b")]}
    found = list(Inventory(cluster.client()).objects({("apps", "Deployment"), ("", "Pod")}))
    assert found == [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "shop"}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "b", "namespace": "shop"}},
    ]


def test_a_list_is_asked_for_in_pages_of_500_one_after_the_other(cluster: Any) -> None:
    cluster.answers[f"{PODS}?limit=500"] = 200, {"items": [named("a")], "metadata": {"continue": "more"}}
    cluster.answers[f"{PODS}?limit=500&continue=more"] = 200, {"items": [named("b")]}
    found = Inventory(cluster.client()).objects({("", "Pod")})
    assert [obj["metadata"]["name"] for obj in found] == ["a", "b"]
    assert cluster.connections == 1


@pytest.mark.parametrize("kind", [("argoproj.io", "Rollout"), ("apps", "Nothing"), ("x.example", "Made")])
def test_a_kind_that_the_cluster_lacks_or_cannot_list_has_no_objects(cluster: Any, kind: tuple[str, str]) -> None:
    assert list(Inventory(cluster.client()).objects({kind})) == []


def test_a_kind_of_an_older_version_alone_is_found_there(cluster: Any) -> None:
    cluster.answers["/apis/policy/v1beta1/podsecuritypolicies"] = 200, {"items": [named("a")]}
    (found,) = Inventory(cluster.client()).objects({("policy", "PodSecurityPolicy")})
    assert found["apiVersion"] == "policy/v1beta1"


def test_a_list_that_is_refused_is_an_error_and_never_nothing(cluster: Any) -> None:
    cluster.answers[PODS] = 403, {"reason": "Forbidden", "message": "pods is forbidden"}
    with pytest.raises(Unknown, match="403: pods is forbidden"):
        list(Inventory(cluster.client()).objects({("", "Pod")}))


def test_neighbours_and_namespaces_are_read_once_for_all(cluster: Any) -> None:
    path = "/apis/policy/v1/poddisruptionbudgets"
    cluster.answers[path] = 200, {"items": [named("a"), named("b"), named("c", "other")]}
    cluster.answers["/api/v1/namespaces"] = (
        200,
        {"items": [named("shop", "", metadata={"labels": {"team": "x"}})]},
    )
    held = Inventory(cluster.client())
    ref = Ref("policy/v1", "PodDisruptionBudget")
    assert [obj["metadata"]["name"] for obj in held.neighbours.find("shop", ref, 0).objects] == ["a", "b"]
    assert [
        o["metadata"]["name"] for o in held.neighbours.find("other", Ref("policy/v1", ref.kind, "c"), 0).objects
    ] == ["c"]
    assert held.neighbours.find("none", ref, 0).lacking == ""
    assert held.namespaces.get("shop", 0)["metadata"]["labels"] == {"team": "x"}
    with pytest.raises(Unknown, match="no namespace gone"):
        held.namespaces.get("gone", 0)
    assert [call for call in cluster.calls if path in call] == [f"GET {path}?limit=500"]
    assert len([call for call in cluster.calls if "/namespaces" in call]) == 1


def test_what_is_refused_once_is_not_asked_for_again_for_every_object(cluster: Any) -> None:
    cluster.answers["/api/v1/namespaces"] = 403, {"reason": "Forbidden", "message": "namespaces is forbidden"}
    held = Inventory(cluster.client())
    for name in ("a", "b", "c"):
        with pytest.raises(Unknown, match="namespaces is forbidden"):
            held.namespaces.get(name, 0)
    assert len([call for call in cluster.calls if "/namespaces" in call]) == 1


PACK = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  match: {namespaceSelector: {matchLabels: {tier: prod}}}
  rules: [{name: no-host-path, check: no-host-path, action: deny}]
"""
BAD = {"volumes": [{"name": "etc", "hostPath": {"path": "/etc"}}], "containers": [{"name": "web", "image": "a:1"}]}


def workload(name: str, namespace: str = "shop", **meta: Any) -> dict[str, Any]:
    spec = {"replicas": 1, "template": {"spec": BAD}}
    return named(name, namespace, metadata={"uid": f"u-{name}", **meta}, spec=spec)


@pytest.fixture
def impact(cluster: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run `plimsoll impact none PACK --cluster` against the API server, by a kubeconfig."""
    config = {
        "clusters": [{"name": "c", "cluster": {"server": cluster.url, "certificate-authority": "ca.crt"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    }
    (tmp_path / "ca.crt").write_bytes(cluster.ca)
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    (tmp_path / "pack.yaml").write_text(PACK)

    def run(*argv: str) -> Any:
        where = ["--kubeconfig", str(tmp_path / "kubeconfig"), "--context", "x"]
        status = main(["impact", "none", str(tmp_path / "pack.yaml"), *where, *argv])
        return status, *capsys.readouterr()

    return run


def test_what_a_cluster_holds_is_judged_with_what_it_knows(cluster: Any, impact: Callable[..., Any]) -> None:
    controller = [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u-web", "controller": True}]
    old = workload("web-old", ownerReferences=controller)
    old["spec"]["replicas"] = 0
    cluster.answers["/apis/apps/v1"] = listed(("Deployment", "deployments"), ("ReplicaSet", "replicasets"))
    cluster.answers["/apis/apps/v1/replicasets"] = 200, {"items": [old, workload("web-1", ownerReferences=controller)]}
    cluster.answers[DEPLOYMENTS] = (
        200,
        {"items": [workload("web"), workload("test", "trial"), workload("dns", "kube-system")]},
    )
    cluster.answers["/apis/apps/v1/namespaces/shop/deployments/web"] = 200, workload("web")  # so its set is only warned
    mirror = {"annotations": {"kubernetes.io/config.mirror": "x"}}
    cluster.answers[PODS] = 200, {"items": [named("etcd", metadata=mirror, spec=BAD)]}
    labels = {"tier": "prod", "team": "shop-team"}
    spaces = [named("shop", "", metadata={"labels": labels}), named("trial", "")]
    cluster.answers["/api/v1/namespaces"] = 200, {"items": spaces}
    status, out, err = impact("--cluster", "-o", "json")
    assert (status, err) == (1, "")
    found = json.loads(out)
    (change,) = found["changes"]
    assert (change["name"], change["namespace"], change["source"]) == ("web", "shop", "the cluster")
    assert (change["owner"], change["followers"]) == ({"name": "shop-team", "by": "namespace shop, team"}, 1)
    assert found["summary"]["objects"] == 2
    assert {each["what"].partition(",")[0]: each["count"] for each in found["left"]} == {
        "objects of kube-system and kube-node-lease": 1,
        "mirror pods": 1,
        "old revisions": 1,
    }


def test_a_cluster_that_does_not_tell_is_2_with_a_sentence(cluster: Any, impact: Callable[..., Any]) -> None:
    cluster.answers[DEPLOYMENTS] = 403, {"reason": "Forbidden", "message": "deployments is forbidden"}
    status, out, err = impact("--cluster")
    assert (status, out) == (2, "")
    assert err.startswith("--cluster: not all of it can be read: GET /apis/apps/v1/deployments: 403: deployments is")


def test_manifests_may_have_the_facts_of_a_cluster(cluster: Any, impact: Callable[..., Any], tmp_path: Path) -> None:
    cluster.answers["/api/v1/namespaces"] = 200, {"items": [named("shop", "", metadata={"labels": {"tier": "prod"}})]}
    (tmp_path / "web.yaml").write_text(
        yaml.safe_dump({"apiVersion": "apps/v1", "kind": "Deployment", **workload("web")})
    )
    status, out, _ = impact("--manifests", str(tmp_path / "web.yaml"))
    assert status == 1
    assert out.startswith("This stops 1 of 1 object")
    assert [call for call in cluster.calls if "deployments" in call] == []
