"""A list that is followed: read once, told of each change, read again only where the API server forgot too much."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from webhook.kube import watch
from webhook.kube.client import Object
from webhook.kube.watch import Watch

PATH = "/api/v1/namespaces"


def namespace(name: str, version: str = "1", **labels: str) -> Object:
    return {"metadata": {"name": name, "resourceVersion": version, "labels": labels, "managedFields": [{}]}}


class Feed:
    """An API server's list that a test changes; watches are told of what `tell` says, until `end`."""

    def __init__(self, api: Any) -> None:
        self.pages: list[list[Object]] = [[]]
        self.version = "10"
        self.lists = 0
        self.since: list[str] = []
        self.streams: list[queue.Queue[bytes | None]] = []
        self.refuse: list[tuple[int, Object]] = []
        self.absent = False
        api.answers[PATH] = self.answer

    def answer(self, handler: Any) -> tuple[int, Any]:
        query = {key: values[0] for key, values in parse_qs(urlsplit(handler.path).query).items()}
        if "watch" not in query:
            self.lists += "continue" not in query
            if self.absent:
                return 404, {"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"}
            page = int(query.get("continue", "0"))
            more = {"continue": str(page + 1)} if page + 1 < len(self.pages) else {}
            return 200, {"metadata": {"resourceVersion": self.version, **more}, "items": self.pages[page]}
        if self.refuse:
            return self.refuse.pop(0)
        told: queue.Queue[bytes | None] = queue.Queue()
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.flush()
        self.since.append(query["resourceVersion"])
        self.streams.append(told)
        while (line := told.get()) is not None:
            handler.wfile.write(line)
            handler.wfile.flush()
        handler.close_connection = True
        return 0, None

    def tell(self, kind: str, obj: Object) -> None:
        self.streams[-1].put(json.dumps({"type": kind, "object": obj}).encode() + b"\n")

    def end(self) -> None:
        self.streams[-1].put(None)


class Kept:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.replaced = 0

    def replace(self, objects: list[Object]) -> None:
        self.objects = {obj["metadata"]["name"]: obj for obj in objects}
        self.replaced += 1

    def put(self, obj: Object) -> None:
        self.objects[obj["metadata"]["name"]] = obj

    def drop(self, obj: Object) -> None:
        del self.objects[obj["metadata"]["name"]]


def until(true: Callable[[], object], seconds: float = 10) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "not in time"
        time.sleep(0.005)


Begin = Callable[..., Watch]


@pytest.fixture
def feed(api: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Feed]:
    monkeypatch.setattr(watch, "RESTS", (0.01, 0.05))
    made = Feed(api)
    yield made
    for each in made.streams:
        each.put(None)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def begin(api: Any, feed: Feed, kept: Kept) -> Iterator[Begin]:
    stop = threading.Event()
    threads = []

    def run(client: Any = None, **options: Any) -> Watch:
        made = Watch(client or api.client(), PATH, kept, **options)
        threads.append(threading.Thread(target=made.run, args=(stop,)))
        threads[-1].start()
        return made

    yield run
    stop.set()
    for each in feed.streams:
        each.put(None)
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_a_list_is_read_once_in_pages_and_then_each_change_is_told(feed: Feed, kept: Kept, begin: Begin) -> None:
    feed.pages = [[namespace("a"), namespace("b")], [namespace("c")]]
    begin()
    until(lambda: feed.streams)
    assert sorted(kept.objects) == ["a", "b", "c"]
    feed.tell("ADDED", namespace("d", "11"))
    feed.tell("MODIFIED", namespace("a", "12", team="x"))
    feed.tell("DELETED", namespace("b", "13"))
    until(lambda: "b" not in kept.objects)
    assert sorted(kept.objects) == ["a", "c", "d"]
    assert kept.objects["a"]["metadata"] == {"name": "a", "resourceVersion": "12", "labels": {"team": "x"}}
    assert (feed.lists, feed.since, kept.replaced) == (1, ["10"], 1)


def test_a_stream_that_ends_is_taken_up_where_it_ended_by_a_bookmark_too(feed: Feed, kept: Kept, begin: Begin) -> None:
    begin()
    until(lambda: feed.streams)
    feed.tell("ADDED", namespace("a", "11"))
    feed.tell("BOOKMARK", {"kind": "Namespace", "metadata": {"resourceVersion": "57"}})
    feed.end()
    until(lambda: len(feed.streams) == 2)
    assert feed.since == ["10", "57"]
    assert (feed.lists, sorted(kept.objects)) == (1, ["a"])


@pytest.mark.parametrize("told", ["by status", "by event"])
def test_410_gone_has_the_list_read_again(told: str, feed: Feed, kept: Kept, begin: Begin) -> None:
    feed.pages = [[namespace("old")]]
    begin()
    until(lambda: feed.streams)
    feed.pages, feed.version = [[namespace("new")]], "99"
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
    if told == "by event":
        feed.tell("ERROR", gone)
    else:
        feed.refuse.append((410, gone))
    feed.end()
    until(lambda: len(feed.streams) == 2)
    assert (feed.lists, feed.since[-1], sorted(kept.objects)) == (2, "99", ["new"])


def test_a_server_that_ends_or_forgets_at_once_is_asked_with_rests_that_grow(
    api: Any, feed: Feed, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "RESTS", (0.05, 10.0))
    feed.refuse = [(410, {"reason": "Expired"})] * 1000
    begin()
    until(lambda: feed.lists >= 4)  # after 0.05, 0.1 and 0.2 s
    started = time.monotonic()
    until(lambda: feed.lists >= 5)
    assert time.monotonic() - started > 0.2


def test_who_may_list_and_not_watch_is_told_once_and_knows_nothing(
    api: Any, feed: Feed, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = (403, {"kind": "Status", "reason": "Forbidden", "message": "cannot watch"})
    feed.refuse = [refusal] * 5
    followed = begin()
    until(lambda: len(feed.refuse) == 1)
    assert followed.quiet is None, "a list alone says nothing of what changed since"
    until(lambda: feed.streams)
    until(lambda: followed.quiet is not None)
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == [f"watching {PATH}: GET {PATH}: 403: cannot watch; tried again, which is not said again"]
    assert feed.lists == 1


def test_silence_is_counted_until_something_is_heard(feed: Feed, begin: Begin, clock: Any) -> None:
    followed = begin(clock=clock)
    until(lambda: followed.quiet is not None)
    clock.now += 70
    assert followed.quiet == 70
    until(lambda: feed.streams)  # it is told that it is followed before there is something to tell
    feed.tell("BOOKMARK", {"metadata": {"resourceVersion": "11"}})
    until(lambda: followed.quiet == 0)


def test_what_a_sink_raises_comes_out_and_the_object_is_told_again(api: Any, feed: Feed) -> None:
    class Failing(Kept):
        fails = True

        def put(self, obj: Object) -> None:
            if self.fails:
                raise ValueError("full")
            super().put(obj)

    kept, stop = Failing(), threading.Event()
    followed = Watch(api.client(), PATH, kept)
    raised: list[BaseException] = []

    def run() -> None:
        try:
            followed.run(stop)
        except ValueError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: feed.streams)
    feed.tell("ADDED", namespace("a", "11"))
    until(lambda: raised)
    feed.end()
    kept.fails = False
    again = threading.Thread(target=run)
    again.start()
    until(lambda: len(feed.streams) == 2)
    assert feed.since == ["10", "10"], "as far as was kept"
    stop.set()
    feed.end()
    again.join(10)


class Proxy:
    """Passes bytes on, until it is told to stop passing: to drop connections, or to keep them and say nothing."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.held: list[socket.socket] = []
        self.deaf = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            if self.deaf:
                self.held.append(near)
                continue
            far = socket.create_connection(("127.0.0.1", self.port))
            self.held += [near, far]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if not self.deaf:
                    sink.sendall(data)
        except OSError:
            return

    def drop(self) -> None:
        while self.held:
            sock = self.held.pop()
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


@pytest.fixture
def proxy(api: Any) -> Iterator[Proxy]:
    made = Proxy(int(api.url.rpartition(":")[2]))
    yield made
    made.listener.shutdown(socket.SHUT_RDWR)
    made.listener.close()
    made.drop()


def through(api: Any, proxy: Proxy) -> Any:
    return api.client(url=f"https://127.0.0.1:{proxy.listener.getsockname()[1]}")


def test_a_connection_that_is_cut_is_taken_up_again(
    api: Any, feed: Feed, kept: Kept, begin: Begin, proxy: Proxy
) -> None:
    begin(through(api, proxy))
    until(lambda: feed.streams)
    feed.tell("ADDED", namespace("a", "11"))
    until(lambda: kept.objects)
    proxy.drop()
    until(lambda: len(feed.streams) == 2)
    assert (feed.since, feed.lists) == (["10", "11"], 1)
    feed.tell("ADDED", namespace("b", "12"))
    until(lambda: "b" in kept.objects)


def test_a_connection_that_lives_and_says_nothing_is_given_up(
    api: Any, feed: Feed, kept: Kept, begin: Begin, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load balancer that forgot where it led to: each side's own acknowledgements still come."""
    monkeypatch.setattr(watch, "SILENCE", 0.3)
    begin(through(api, proxy))
    until(lambda: feed.streams)
    proxy.deaf = True
    feed.tell("ADDED", namespace("lost", "11"))
    time.sleep(0.05)
    proxy.deaf = False
    until(lambda: len(feed.streams) >= 2)
    assert feed.since[1] == "10", "what was lost on the way is told again"


def test_a_kind_that_nobody_serves_has_no_objects_until_it_does(feed: Feed, kept: Kept, begin: Begin) -> None:
    feed.refuse.append((404, {"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"}))
    feed.absent = True
    made = begin()
    until(lambda: made.quiet is not None)
    assert (kept.replaced, kept.objects) == (1, {})
    feed.pages, feed.absent = [[namespace("a")]], False
    until(lambda: "a" in kept.objects)


def test_what_is_known_is_not_forgotten_for_a_404(feed: Feed, kept: Kept, begin: Begin) -> None:
    feed.pages = [[namespace("a")]]
    begin()
    until(lambda: feed.streams)
    feed.absent, before = True, feed.lists
    feed.refuse.append((404, {"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"}))
    feed.end()
    until(lambda: feed.lists >= before + 2)
    assert sorted(kept.objects) == ["a"]
