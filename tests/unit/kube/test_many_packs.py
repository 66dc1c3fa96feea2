"""Many large packs come in pages that fit into an answer."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from webhook.kube import packs as places
from webhook.kube.watch import Watch

LARGE = "x" * (3 * 2**19)
"""As large as etcd takes it."""
COUNT = 25


def listing(handler: BaseHTTPRequestHandler) -> tuple[int, Any]:
    """Answer a page of large packs."""
    asked = {key: values[0] for key, values in parse_qs(urlsplit(handler.path).query).items()}
    begin, limit = int(asked.get("continue", 0)), int(asked["limit"])
    items = [{"metadata": {"name": f"p{number}"}, "spec": LARGE} for number in range(begin, min(begin + limit, COUNT))]
    again = str(begin + limit) if begin + limit < COUNT else ""
    return 200, json.dumps({"metadata": {"continue": again, "resourceVersion": "1"}, "items": items}).encode()


class Sink:
    def __init__(self, stop: threading.Event) -> None:
        self.held: list[Any] = []
        self.stop = stop

    def replace(self, objects: list[Any]) -> None:
        self.held = objects
        self.stop.set()

    def put(self, obj: Any) -> None: ...

    def drop(self, obj: Any) -> None: ...


def test_a_listing_and_a_watch_read_them_all(api: Any) -> None:
    api.answers |= {places.RULEPACKS: listing, places.configmaps("home"): (200, {"items": []})}
    assert len(places.listing(api.client(), "home")[0]) == COUNT
    stop = threading.Event()
    sink = Sink(stop)
    watch = Watch(api.client(), places.RULEPACKS, sink, page=int(places.PAGE["limit"]))
    watch._list()
    assert len(sink.held) == COUNT
