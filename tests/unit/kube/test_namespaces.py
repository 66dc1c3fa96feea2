"""Namespaces: read live on a miss, then from the cache; not there is unknown, and never "no labels"."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from webhook.kube.namespaces import BOUNDS, SEEN, TRUSTED, Namespaces
from webhook.ports import NamespaceReader, Unknown
from webhook.shelf import Shelf

PATH = "/api/v1/namespaces/shop"


def namespace(**labels: str) -> dict[str, Any]:
    return {"metadata": {"name": "shop", "labels": labels, "managedFields": [{"manager": "kubectl"}]}}


def test_a_namespace_is_read_once_in_thirty_seconds(api: Any, clock: Any) -> None:
    api.answers[PATH] = 200, namespace(team="a")
    reader: NamespaceReader = Namespaces(api.client(), BOUNDS, clock)
    for _ in range(3):
        assert reader.get("shop", 5) == {"metadata": {"name": "shop", "labels": {"team": "a"}}}
    assert len(api.calls) == 1
    api.answers[PATH] = 200, namespace(team="b")
    clock.now += 30
    assert reader.get("shop", 5)["metadata"]["labels"] == {"team": "b"}


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_an_error_is_unknown_and_the_last_known_labels_serve_meanwhile(status: int, api: Any, clock: Any) -> None:
    reader = Namespaces(api.client(), BOUNDS, clock)
    api.answers[PATH] = status, {"message": "no"}
    with pytest.raises(Unknown, match=f"namespace shop: GET {PATH}: {status}: no"):
        reader.get("shop", 5)
    api.answers[PATH] = 200, namespace(team="a")
    reader.get("shop", 5)
    clock.now += 100
    api.answers[PATH] = status, {"message": "no"}
    assert reader.get("shop", 5)["metadata"]["labels"] == {"team": "a"}


def test_a_namespace_that_is_not_there_is_asked_for_twice_and_then_unknown(api: Any) -> None:
    with pytest.raises(Unknown, match="namespace shop: the API server has none of this name"):
        Namespaces(api.client()).get("shop", 5)
    assert api.calls == [f"GET {PATH}"] * 2


def test_a_namespace_that_arrives_a_moment_late_is_found(api: Any) -> None:
    api.answers[PATH] = lambda handler: (200, namespace(team="a")) if len(api.calls) > 1 else (404, {})
    assert Namespaces(api.client()).get("shop", 5)["metadata"]["labels"] == {"team": "a"}


def test_an_api_server_that_hangs_costs_no_more_than_the_budget(api: Any) -> None:
    def hang(handler: Any) -> tuple[int, Any]:
        time.sleep(0.5)
        return 200, namespace()

    api.answers[PATH] = hang
    started = time.monotonic()
    with pytest.raises(Unknown):
        Namespaces(api.client()).get("shop", 0.2)
    assert time.monotonic() - started < 0.4


@pytest.mark.parametrize("name", ["", "..", "a/b", "a?b", "A", "a" * 64, "shop\n"])
def test_a_name_that_is_none_is_unknown_without_a_call(name: str, api: Any) -> None:
    with pytest.raises(Unknown, match="no name of a namespace"):
        Namespaces(api.client()).get(name, 5)
    assert api.calls == []


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


def put(shelf: Shelf, found: dict[str, Any], seen: float) -> None:
    shelf.put("namespaces/shop", orjson.dumps(found))
    shelf.put(SEEN, str(seen).encode())


def test_a_shelf_that_nobody_keeps_up_is_read_only_while_the_api_server_errs(
    shelf: Shelf, api: Any, clock: Any
) -> None:
    """Else it would be as if the watch still told: labels changed an hour ago would not count."""
    put(shelf, namespace(team="a"), seen=clock())
    clock.now += TRUSTED + 1
    reader = Namespaces(api.client(), BOUNDS, clock, shelf)
    api.answers["/api/v1/namespaces/shop"] = 200, namespace(team="b")
    assert reader.get("shop", 1)["metadata"]["labels"] == {"team": "b"}
    clock.now += BOUNDS.fresh + 1
    api.answers["/api/v1/namespaces/shop"] = 503, {}
    other = Namespaces(api.client(), BOUNDS, clock, shelf)
    assert other.get("shop", 1)["metadata"]["labels"] == {"team": "a"}, "the last that is known, as from a cache"
    clock.now += BOUNDS.kept
    with pytest.raises(Unknown, match="503"):
        Namespaces(api.client(), BOUNDS, clock, shelf).get("shop", 1)


def test_a_namespace_that_the_api_server_has_no_more_is_not_told_from_an_old_shelf(
    shelf: Shelf, api: Any, clock: Any
) -> None:
    put(shelf, namespace(team="a"), seen=clock() - TRUSTED - 1)
    with pytest.raises(Unknown, match="none of this name"):
        Namespaces(api.client(), BOUNDS, clock, shelf).get("shop", 1)


def test_all_workers_go_by_the_watch_from_the_moment_it_is_known_to_go_on(shelf: Shelf, api: Any, clock: Any) -> None:
    """One that had looked a moment before would still ask for itself, and answer from what it was told then."""
    early, late = (Namespaces(api.client(), BOUNDS, clock, shelf) for _ in range(2))
    api.answers[PATH] = 200, namespace(team="a")
    assert early.get("shop", 1)["metadata"]["labels"] == {"team": "a"}
    put(shelf, namespace(team="b"), seen=clock())
    assert [reader.get("shop", 1)["metadata"]["labels"] for reader in (early, late)] == [{"team": "b"}] * 2


def test_no_worker_goes_by_the_watch_longer_than_another(shelf: Shelf, api: Any, clock: Any) -> None:
    first, second = (Namespaces(api.client(), BOUNDS, clock, shelf) for _ in range(2))
    begun = clock()
    put(shelf, namespace(team="a"), seen=begun)
    assert first.get("shop", 1)["metadata"]["labels"] == {"team": "a"}
    clock.now += 5
    put(shelf, namespace(team="a"), seen=clock())
    assert second.get("shop", 1)["metadata"]["labels"] == {"team": "a"}
    api.answers[PATH] = 200, namespace(team="b")
    for age, team in ((TRUSTED - 0.5, "a"), (TRUSTED + 4.5, "a"), (TRUSTED + 5, "b")):
        clock.now = begun + age
        assert [reader.get("shop", 1)["metadata"]["labels"] for reader in (first, second)] == [{"team": team}] * 2
