"""Owners: the chain of controllers, or Unknown; never a guess, and never a path that a user wrote."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from webhook.kube.owners import BOUNDS, Owners
from webhook.ports import OwnerReader, Unknown

RS = "/apis/apps/v1/namespaces/shop/replicasets/web-5d4"
DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/web"


def reference(kind: str, name: str, uid: str, api_version: str = "apps/v1", **more: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": True, **more}


def held(uid: str, *owners: dict[str, Any]) -> tuple[int, Any]:
    metadata = {"uid": uid, "creationTimestamp": "2026-01-02T03:04:05Z", "ownerReferences": list(owners)}
    return 200, {
        "metadata": metadata | {"managedFields": [1]},
        "status": {"replicas": 1},
        "spec": {"replicas": 2},
    }


def serve_web(api: Any) -> None:
    api.answers[RS] = held("r", reference("Deployment", "web", "d"))
    api.answers[DEPLOYMENT] = held("d")


def test_a_pod_of_a_replica_set_leads_to_its_deployment(api: Any) -> None:
    serve_web(api)
    reader: OwnerReader = Owners(api.client())
    chain = reader.chain("shop", [reference("ReplicaSet", "web-5d4", "r")], 5)
    created = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert [(o.group, o.kind, o.name, o.uid, o.created) for o in chain] == [
        ("apps", "ReplicaSet", "web-5d4", "r", created),
        ("apps", "Deployment", "web", "d", created),
    ]
    assert chain[1].object == {
        "metadata": {"uid": "d", "creationTimestamp": "2026-01-02T03:04:05Z", "ownerReferences": []},
        "spec": {"replicas": 2},
    }


@pytest.mark.parametrize(
    ("kind", "version", "path"),
    [
        ("Job", "batch/v1", "/apis/batch/v1/namespaces/shop/jobs/x"),
        ("CronJob", "batch/v1", "/apis/batch/v1/namespaces/shop/cronjobs/x"),
        ("ReplicationController", "v1", "/api/v1/namespaces/shop/replicationcontrollers/x"),
        ("StatefulSet", "apps/v1", "/apis/apps/v1/namespaces/shop/statefulsets/x"),
        ("DaemonSet", "apps/v1", "/apis/apps/v1/namespaces/shop/daemonsets/x"),
        ("Rollout", "argoproj.io/v1alpha1", "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/x"),
        ("CloneSet", "apps.kruise.io/v1alpha1", "/apis/apps.kruise.io/v1alpha1/namespaces/shop/clonesets/x"),
        (
            "StatefulSet",
            "apps.kruise.io/v1beta1",
            "/apis/apps.kruise.io/v1beta1/namespaces/shop/statefulsets/x",
        ),
    ],
)
def test_each_kind_of_controller_is_read_at_its_path(kind: str, version: str, path: str, api: Any) -> None:
    api.answers[path] = held("u")
    (owner,) = Owners(api.client()).chain("shop", [reference(kind, "x", "u", version)], 5)
    assert (owner.kind, owner.name) == (kind, "x")


def test_no_controller_is_an_empty_chain_without_a_call(api: Any) -> None:
    references = [reference("Deployment", "web", "d", controller=False), {"kind": "X"}, None]
    assert Owners(api.client()).chain("shop", references, 5) == ()  # type: ignore[arg-type]
    assert api.calls == []


def test_a_node_is_an_owner_that_is_not_asked_for(api: Any) -> None:
    (owner,) = Owners(api.client()).chain("kube-system", [reference("Node", "n1", "n", "v1")], 5)
    assert (owner.kind, owner.name, owner.created) == ("Node", "n1", None)
    assert api.calls == []


def test_a_chain_is_read_once_and_kept_while_the_api_server_errs(api: Any, clock: Any) -> None:
    serve_web(api)
    owners = Owners(api.client(), bounds=BOUNDS, clock=clock)
    first = owners.chain("shop", [reference("ReplicaSet", "web-5d4", "r")], 5)
    assert owners.chain("shop", [reference("ReplicaSet", "web-5d4", "r")], 5) == first
    assert len(api.calls) == 2
    api.answers.clear()
    api.answers[RS] = api.answers[DEPLOYMENT] = 500, {}
    clock.now += 1000
    assert owners.chain("shop", [reference("ReplicaSet", "web-5d4", "r")], 5) == first


@pytest.mark.parametrize("status", [403, 500])
@pytest.mark.parametrize("path", [RS, DEPLOYMENT])
def test_an_error_at_any_step_is_unknown_and_never_no_owner(path: str, status: int, api: Any) -> None:
    serve_web(api)
    api.answers[path] = status, {}
    with pytest.raises(Unknown, match="owner "):
        Owners(api.client()).chain("shop", [reference("ReplicaSet", "web-5d4", "r")], 5)


def test_another_uid_under_the_same_name_is_a_made_up_owner_and_no_owner(api: Any) -> None:
    serve_web(api)
    assert Owners(api.client()).chain("shop", [reference("ReplicaSet", "web-5d4", "forged")], 5) == ()


def test_an_owner_that_the_api_server_does_not_have_is_no_owner(api: Any) -> None:
    serve_web(api)
    api.answers[DEPLOYMENT] = 404, {}
    [found] = Owners(api.client()).chain("shop", [reference("ReplicaSet", "web-5d4", "r")], 5)
    assert found.name == "web-5d4"
    assert Owners(api.client()).chain("shop", [reference("ReplicaSet", "gone", "g")], 5) == ()


def test_a_forged_reference_with_a_known_uid_does_not_find_that_owner(api: Any) -> None:
    serve_web(api)
    owners = Owners(api.client())
    owners.chain("shop", [reference("ReplicaSet", "web-5d4", "r")], 5)
    assert owners.chain("shop", [reference("Deployment", "mine", "d")], 5) == ()
    assert owners.chain("other", [reference("Deployment", "web", "d")], 5) == ()


@pytest.mark.parametrize(
    "bad",
    [
        reference("Widget", "x", "u", "acme.io/v1"),
        reference("Deployment", "x", "u", "apps/v1/../../v1"),
        reference("Deployment", "", "u"),
        reference("Deployment", "x", ""),
        {"controller": True},
        {"controller": True, "apiVersion": 1, "kind": [], "name": {}, "uid": None},
    ],
)
def test_a_reference_that_cannot_be_followed_is_unknown_without_a_call(bad: dict[str, Any], api: Any) -> None:
    with pytest.raises(Unknown):
        Owners(api.client()).chain("shop", [bad], 5)
    assert api.calls == []


@pytest.mark.parametrize(
    "made_up",
    [
        reference("Deployment", "../../secrets/x", "u"),
        reference("Deployment", "x?y", "u"),
        reference("Deployment", "x\n", "u"),
        reference("Deployment", "x", "u", "apps/V1"),
        reference("Deployment", "x", "u", "apps/v1?x"),
        reference("Deployment", "x", "u", "apps/"),
    ],
)
def test_an_owner_that_cannot_be_by_its_name_or_version_is_no_owner(made_up: dict[str, Any], api: Any) -> None:
    assert Owners(api.client()).chain("shop", [made_up], 5) == ()
    assert api.calls == []


def test_a_version_that_the_api_server_does_not_serve_is_asked_for(api: Any) -> None:
    made_up = reference("Deployment", "x", "u", "apps/stable")
    assert Owners(api.client()).chain("shop", [made_up], 5) == ()
    assert len(api.calls) == 1


def test_owners_in_a_ring_end(api: Any) -> None:
    api.answers[RS] = held("r", reference("Deployment", "web", "d"))
    api.answers[DEPLOYMENT] = held("d", reference("ReplicaSet", "web-5d4", "r"))
    chain = Owners(api.client()).chain("shop", [reference("ReplicaSet", "web-5d4", "r")], 5)
    assert [owner.name for owner in chain] == ["web-5d4", "web", "web-5d4", "web"]


def test_the_budget_is_for_the_whole_chain(api: Any) -> None:
    def slow(answer: tuple[int, Any]) -> Any:
        def wait(handler: Any) -> tuple[int, Any]:
            time.sleep(0.2)
            return answer

        return wait

    api.answers[RS] = slow(held("r", reference("Deployment", "web", "d")))
    api.answers[DEPLOYMENT] = slow(held("d"))
    started = time.monotonic()
    with pytest.raises(Unknown, match="owner Deployment web"):
        Owners(api.client()).chain("shop", [reference("ReplicaSet", "web-5d4", "r")], 0.3)
    assert time.monotonic() - started < 0.5


def test_who_was_found_below_one_that_cannot_be_read_is_told(api: Any) -> None:
    shop = reference("Shop", "web", "s", "example.com/v1")
    api.answers[RS] = held("r", shop)
    with pytest.raises(Unknown, match="example.com/Shop isn't known") as raised:
        Owners(api.client()).chain("shop", [reference("ReplicaSet", "web-5d4", "r")], 5)
    assert [(owner.kind, owner.uid) for owner in raised.value.found] == [("ReplicaSet", "r")]
