"""How look-ups end is counted: hit, miss, stale, unknown, by the fact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from webhook.kube.namespaces import BOUNDS, SEEN, Namespaces
from webhook.kube.neighbours import Neighbours
from webhook.kube.owners import Owners
from webhook.model.neighbours import Ref
from webhook.ports import Unknown
from webhook.shelf import Shelf

PATH = "/api/v1/namespaces/shop"
REPLICA_SET = "/apis/apps/v1/namespaces/shop/replicasets/web"
REFERENCE = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "1", "controller": True}


def ends(look: Callable[[], object]) -> None:
    try:
        look()
    except Unknown:
        return


def test_a_namespace(api: Any, clock: Any) -> None:
    counted: list[str] = []
    reader = Namespaces(api.client(), BOUNDS, clock, count=counted.append)
    api.answers[PATH] = 503, {}
    ends(lambda: reader.get("shop", 1))
    api.answers[PATH] = 200, {"metadata": {"name": "shop"}}
    reader.get("shop", 1)
    reader.get("shop", 1)
    clock.now += 31
    api.answers[PATH] = 503, {}
    reader.get("shop", 1)
    reader.get("shop", 1)
    assert counted == ["unknown", "miss", "hit", "stale", "stale"]


def test_a_namespace_on_the_shelf(api: Any, clock: Any, tmp_path: Path) -> None:
    counted: list[str] = []
    shelf = Shelf(tmp_path)
    shelf.put("namespaces/shop", orjson.dumps({"metadata": {"name": "shop"}}))
    shelf.put(SEEN, str(clock()).encode())
    reader = Namespaces(api.client(), BOUNDS, clock, shelf, counted.append)
    reader.get("shop", 1)
    clock.now += 60
    api.answers[PATH] = 503, {}
    reader.get("shop", 1)
    assert counted == ["hit", "stale"]


def test_owners(api: Any, clock: Any) -> None:
    counted: list[str] = []
    reader = Owners(api.client(), clock=clock, count=counted.append)
    api.answers[REPLICA_SET] = 200, {"metadata": {"name": "web", "uid": "1"}}
    reader.chain("shop", [REFERENCE], 1)
    reader.chain("shop", [REFERENCE], 1)
    with pytest.raises(Unknown):
        reader.chain("shop", [{**REFERENCE, "kind": "Strange"}], 1)
    assert counted == ["miss", "hit", "unknown"]


def test_neighbours_are_always_asked_for(api: Any, clock: Any) -> None:
    counted: list[str] = []
    reader = Neighbours(api.client(), clock=clock, count=counted.append)
    ref = Ref("v1", "PersistentVolumeClaim", "data")
    path = "/api/v1/namespaces/shop/persistentvolumeclaims/data"
    api.answers[path] = 200, {"metadata": {"name": "data"}}
    reader.find("shop", ref, 1)
    reader.find("shop", ref, 1)
    api.answers[path] = 503, {}
    reader.find("shop", ref, 1)
    assert counted == ["miss", "miss", "stale"]
