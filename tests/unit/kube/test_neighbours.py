"""Neighbours: what stands beside an object is asked for anew each time, and an error is never "there is none"."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.kube.neighbours import MOST, Neighbours
from webhook.model.neighbours import Found, Ref
from webhook.ports import NeighbourReader, Unknown

BUDGETS = Ref("policy/v1", "PodDisruptionBudget")
LIST = "/apis/policy/v1/namespaces/shop/poddisruptionbudgets"
CLAIM = Ref("v1", "PersistentVolumeClaim", "data")


def budget(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"maxUnavailable": 1}}


def test_a_list_is_asked_for_each_time_and_its_items_say_what_they_are(api: Any) -> None:
    reader: NeighbourReader = Neighbours(api.client())
    api.answers[LIST] = 200, {"items": [budget("a")]}
    head = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget"}
    assert reader.find("shop", BUDGETS, 5) == Found(({**head, **budget("a")},))
    api.answers[LIST] = 200, {"items": [budget("a"), budget("b")]}
    assert [obj["metadata"]["name"] for obj in reader.find("shop", BUDGETS, 5).objects] == ["a", "b"]


def test_one_is_asked_for_by_its_name_and_may_not_be_there(api: Any) -> None:
    reader = Neighbours(api.client())
    assert reader.find("shop", CLAIM, 5) == Found()
    api.answers["/api/v1/namespaces/shop/persistentvolumeclaims/data"] = 200, {"kind": "PersistentVolumeClaim"}
    assert reader.find("shop", CLAIM, 5) == Found(({"kind": "PersistentVolumeClaim"},))


def test_a_kind_that_is_not_installed_has_no_objects(api: Any) -> None:
    assert Neighbours(api.client()).find("shop", Ref("argoproj.io/v1alpha1", "Rollout"), 5) == Found()


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_an_error_is_unknown_and_what_was_last_known_serves_meanwhile(status: int, api: Any) -> None:
    reader = Neighbours(api.client())
    api.answers[LIST] = status, {"message": "no"}
    with pytest.raises(Unknown, match=f"PodDisruptionBudget: GET {LIST}: {status}: no"):
        reader.find("shop", BUDGETS, 5)
    api.answers[LIST] = 200, {"items": [budget("a")]}
    known = reader.find("shop", BUDGETS, 5)
    api.answers[LIST] = status, {"message": "no"}
    assert reader.find("shop", BUDGETS, 5) == known


def test_of_very_many_it_is_said_that_there_may_be_others(api: Any) -> None:
    api.answers[LIST] = 200, {"items": [budget(f"b{number}") for number in range(MOST + 1)]}
    found = Neighbours(api.client()).find("shop", BUDGETS, 5)
    assert (len(found.objects), found.lacking) == (MOST, f"only the first {MOST} of them were looked at")


@pytest.mark.parametrize(
    ("namespace", "ref"),
    [
        ("shop", Ref("acme.example/v1", "Widget", "a")),
        ("shop", Ref("apps/v1/../../v2", "Deployment", "a")),
        ("shop", Ref("apps/v1", "Deployment", "../secrets")),
        ("shop/secrets", Ref("apps/v1", "Deployment", "a")),
        ("", Ref("apps/v1", "Deployment", "a")),
    ],
)
def test_what_an_objects_author_wrote_never_becomes_another_path(namespace: str, ref: Ref, api: Any) -> None:
    with pytest.raises(Unknown, match="isn't known"):
        Neighbours(api.client()).find(namespace, ref, 5)
    assert api.calls == []
