"""Namespaces on the shelf: told by one watch, read by every process, and believed only while the watch goes on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from webhook.kube import namespaces as kube
from webhook.kube.client import Access, Client, Credential
from webhook.kube.namespaces import BOUNDS, SEEN
from webhook.ports import Unknown
from webhook.shelf import Shelf
from webhook.upkeep import namespaces as upkeep
from webhook.upkeep.run import run

NOBODY = Access("http://127.0.0.1:9", lambda refused: Credential())
"""Where no API server is: who asks gets an error at once."""


def namespace(name: str = "shop", **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "shelf")


class Watch:
    """What the task follows, steered by a test."""

    def __init__(self, *ends: Exception) -> None:
        self.quiet: float | None = 0.0
        self.ends = list(ends)
        self.begun = 0

    def run(self, stop: threading.Event) -> None:
        self.begun += 1
        if self.ends:
            raise self.ends.pop(0)
        stop.wait(10)


Make = Callable[..., upkeep.Namespaces]


@pytest.fixture
def make(shelf: Shelf, clock: Any, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr(upkeep, "BEAT", 0.02)

    def begin(watch: Watch, told: Callable[[str, float], None] = lambda what, seconds: None) -> upkeep.Namespaces:
        task = upkeep.Namespaces(Client(NOBODY), shelf, told, clock)
        monkeypatch.setattr(task, "_watch", watch)
        return task

    return begin


@pytest.fixture
def reader(shelf: Shelf, clock: Any) -> Iterator[kube.Namespaces]:
    client = Client(NOBODY)
    yield kube.Namespaces(client, BOUNDS, clock, shelf)
    client.close()


def put(shelf: Shelf, *found: dict[str, Any], seen: float) -> None:
    sink = upkeep._Sink(shelf)
    sink.replace(list(found))
    shelf.put(SEEN, str(seen).encode())


def test_what_is_on_the_shelf_is_told_without_a_call(shelf: Shelf, reader: kube.Namespaces, clock: Any) -> None:
    put(shelf, namespace(team="a"), seen=clock())
    assert reader.get("shop", 1) == namespace(team="a")
    upkeep._Sink(shelf).put(namespace(team="b"))
    assert reader.get("shop", 1) == namespace(team="b"), "a change is seen at once"


def test_items_of_a_list_are_told_with_what_they_are(shelf: Shelf, reader: kube.Namespaces, clock: Any) -> None:
    put(shelf, {"metadata": {"name": "shop"}}, seen=clock())
    assert reader.get("shop", 1) == {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}


def test_what_the_watch_has_not_seen_is_asked_for_and_never_no_labels(
    shelf: Shelf, reader: kube.Namespaces, clock: Any
) -> None:
    put(shelf, namespace("other"), seen=clock())
    with pytest.raises(Unknown, match="namespace shop: GET"):
        reader.get("shop", 1)


def test_a_namespace_that_is_gone_is_no_longer_told(shelf: Shelf, reader: kube.Namespaces, clock: Any) -> None:
    put(shelf, namespace(), namespace("other"), seen=clock())
    upkeep._Sink(shelf).drop(namespace())
    with pytest.raises(Unknown):
        reader.get("shop", 1)
    put(shelf, namespace("third"), seen=clock())
    assert shelf.names("namespaces") == ["third"]


def test_the_task_says_again_and_again_that_the_watch_goes_on(make: Make, shelf: Shelf, clock: Any) -> None:
    told: list[tuple[str, float]] = []
    watch = Watch()
    task = make(watch, lambda what, seconds: told.append((what, seconds)))
    clock.now = 1234.0
    run([task], lambda: len(told) < 3)
    assert shelf.get(SEEN) == b"1234.0"
    assert set(told) == {("namespaces", 0.0)}


@pytest.mark.parametrize("quiet", [None, upkeep.QUIET + 1])
def test_a_watch_that_is_silent_or_never_began_is_not_believed(
    quiet: float | None, make: Make, shelf: Shelf, clock: Any
) -> None:
    told: list[float] = []
    watch = Watch()
    watch.quiet = quiet
    run([make(watch, lambda what, seconds: told.append(seconds))], lambda: len(told) < 3)
    assert shelf.get(SEEN) is None
    assert told[-1] == (quiet or 0.0)


def test_a_watch_that_fails_fails_its_task_which_is_begun_again(make: Make) -> None:
    failed: list[str] = []
    watch = Watch(ValueError("x"))
    run([make(watch)], lambda: watch.begun < 2, failed.append, rest=0.01)
    assert failed == ["namespaces"]


def test_a_shelf_without_room_leaves_the_watch_alone_and_workers_ask(
    make: Make, shelf: Shelf, reader: kube.Namespaces, clock: Any, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second follower for each failure would be worse than none."""
    put(shelf, namespace(team="a"), seen=clock())

    def full(name: str, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shelf, "put", full)
    sink = upkeep._Sink(shelf)
    sink.put(namespace(team="b"))
    sink.put(namespace("other"))
    with pytest.raises(Unknown):
        reader.get("shop", 1)
    told: list[float] = []
    watch = Watch()
    run([make(watch, lambda what, seconds: told.append(seconds))], lambda: len(told) < 3)
    assert watch.begun == 1
    said = [record.getMessage() for record in caplog.records if "no room" in record.getMessage()]
    assert said == ["no room on the shelf for all namespaces; the rest is asked for: No space left on device"]


def test_no_namespace_takes_the_room_of_packs_and_figures(
    shelf: Shelf, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its owner writes into one is theirs to choose; what is left out is asked for."""
    monkeypatch.setattr(upkeep, "ROOM", 3 * upkeep.PAGE)
    monkeypatch.setattr(upkeep, "LARGEST", 2 * upkeep.PAGE)
    sink = upkeep._Sink(shelf)
    sink.put(namespace("a"))
    sink.put(namespace("b", team="x" * 5000))
    sink.put(namespace("c"))
    assert shelf.names("namespaces") == ["a", "b"]
    sink.put(namespace("a", team="x" * 9000))
    assert shelf.names("namespaces") == ["b"], "what it was is no longer true"
    sink.put(namespace("c"))
    sink.drop(namespace("b"))
    sink.put(namespace("d"))
    assert shelf.names("namespaces") == ["c", "d"]
    sink.replace([namespace("e"), namespace("f"), namespace("g"), namespace("h")])
    assert shelf.names("namespaces") == ["e", "f", "g"]
    said = [record.getMessage() for record in caplog.records if "no room" in record.getMessage()]
    assert len(said) == 2, "once, and once more where the list is read again"


def test_readers_in_threads_never_see_half_of_one(shelf: Shelf, clock: Any) -> None:
    put(shelf, namespace(team="0" * 2000), seen=clock())
    reader = kube.Namespaces(Client(NOBODY), BOUNDS, clock, shelf)
    wrong: list[object] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                team = reader.get("shop", 1)["metadata"]["labels"]["team"]
            except (Unknown, orjson.JSONDecodeError) as error:
                wrong.append(error)
                return
            if len(set(team)) != 1 or len(team) != 2000:
                wrong.append(team)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    sink = upkeep._Sink(shelf)
    for number in range(500):
        sink.put(namespace(team=str(number % 10) * 2000))
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_what_is_the_same_is_not_written_again(shelf: Shelf) -> None:
    """A list of thousands that is read again is mostly what it was."""
    sink = upkeep._Sink(shelf)
    sink.replace([namespace("a"), namespace("b")])
    stamps = [shelf.stamp("namespaces/a"), shelf.stamp("namespaces/b")]
    sink.replace([namespace("a"), namespace("b", team="x")])
    assert shelf.stamp("namespaces/a") == stamps[0]
    assert shelf.stamp("namespaces/b") != stamps[1]


def test_the_log_says_no_word_of_what_goes_well(
    shelf: Shelf, reader: kube.Namespaces, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    put(shelf, namespace(), seen=clock())
    reader.get("shop", 1)
    assert [record for record in caplog.records if record.name.startswith("webhook")] == []
