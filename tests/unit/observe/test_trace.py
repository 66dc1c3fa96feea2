"""Traces: what a real receiver of OTLP over HTTP is sent, read from the protobuf of the protocol itself."""

from __future__ import annotations

import gzip
import http.server
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from webhook import __version__
from webhook.errors import ConfigError
from webhook.observe import trace
from webhook.observe.trace import Tracer
from webhook.service import Service

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"
DENY = """
rules:
  - {name: never, expression: "false", message: secret-of-the-object, action: deny}
"""


class Receiver:
    """Takes what is sent, or (`status`) refuses it, or (`hold`) is slow."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.paths: list[str] = []
        self.status = 200
        self.hold = threading.Event()
        self.hold.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    data = gzip.decompress(data)
                assert self.headers["Content-Type"] == "application/x-protobuf"
                outer.hold.wait(10)
                outer.paths.append(self.path)
                outer.requests.append(ExportTraceServiceRequest.FromString(data))
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def spans(self) -> dict[str, Any]:
        return {
            span.name: span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }

    def stop(self) -> None:
        self.hold.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.stop()


Ask = Callable[..., None]


@pytest.fixture
def begin(load: Any, review: Any, pod: Any, receiver: Receiver) -> Iterator[Callable[..., tuple[Tracer, Ask]]]:
    """Make a tracer, and what asks a service through it as a request with these headers does."""
    made: list[Tracer] = []

    def make(**options: Any) -> tuple[Tracer, Ask]:
        tracer = Tracer(options.pop("url", receiver.url), **options)
        made.append(tracer)
        rules = load(DENY)
        service = Service(lambda: rules, recorder=tracer, stage=tracer.stage)

        def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            service.decide("validate", review(pod(), uid=environ.get("uid", "u-1")))
            return []

        wrapped = tracer.listen(app)
        return tracer, lambda **environ: wrapped(environ, None)

    yield make
    for tracer in made:
        if tracer._made is not None:
            tracer._made[1].shutdown()


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


def test_a_review_is_one_span_with_its_parts_inside_and_nothing_of_the_object(begin: Any, receiver: Receiver) -> None:
    tracer, ask = begin(instance="pod-1")
    ask()
    tracer.flush()
    spans = receiver.spans()
    assert sorted(spans) == ["evaluate", "gather", "review validate"]
    root = spans["review validate"]
    assert attributes(root) == {
        "plimsoll.endpoint": "validate",
        "plimsoll.allowed": False,
        "plimsoll.rules": 1,
        "plimsoll.errors": 0,
        "plimsoll.unknown": 0,
        "k8s.admission.uid": "u-1",
        "k8s.admission.operation": "CREATE",
        "k8s.admission.dry_run": False,
        "k8s.object.kind": "Pod",
        "k8s.object.name": "web",
        "k8s.namespace.name": "shop",
    }
    for part in ("gather", "evaluate"):
        assert (spans[part].parent_span_id, spans[part].trace_id) == (root.span_id, root.trace_id)
        assert root.start_time_unix_nano <= spans[part].start_time_unix_nano
        assert spans[part].start_time_unix_nano <= spans[part].end_time_unix_nano <= root.end_time_unix_nano
    assert abs(root.end_time_unix_nano / 1e9 - time.time()) < 60
    about = {each.key: each.value.string_value for each in receiver.requests[0].resource_spans[0].resource.attributes}
    assert about["service.name"] == "plimsoll"
    assert about["service.version"] == __version__
    assert about["service.instance.id"] == "pod-1"
    assert receiver.paths == ["/v1/traces"]
    assert b"secret-of-the-object" not in receiver.requests[0].SerializeToString()


def test_the_api_servers_trace_goes_on(begin: Any, receiver: Receiver) -> None:
    tracer, ask = begin(every=1_000_000)
    ask(HTTP_TRACEPARENT=SAMPLED)
    tracer.flush()
    root = receiver.spans()["review validate"]
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, SPAN)


def test_what_the_api_server_does_not_trace_we_do_not_either(begin: Any, receiver: Receiver) -> None:
    tracer, ask = begin()
    ask(HTTP_TRACEPARENT=NOT_SAMPLED)
    tracer.flush()
    assert receiver.requests == []


@pytest.mark.parametrize("parent", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "x" * 10_000])
def test_a_parent_that_is_none_begins_a_trace(parent: str, begin: Any, receiver: Receiver) -> None:
    tracer, ask = begin()
    ask(HTTP_TRACEPARENT=parent)
    tracer.flush()
    assert receiver.spans()["review validate"].parent_span_id == b""


def test_a_parent_is_that_of_its_own_request_alone(begin: Any, receiver: Receiver) -> None:
    tracer, ask = begin()
    ask(HTTP_TRACEPARENT=NOT_SAMPLED)
    ask()
    tracer.flush()
    assert receiver.spans()["review validate"].parent_span_id == b""


def test_one_of_so_many_is_traced(begin: Any, receiver: Receiver) -> None:
    tracer, ask = begin(every=10)
    for _ in range(600):
        ask()
    tracer.flush()
    count = sum(span.name.startswith("review") for request in receiver.requests for span in _all(request))
    assert 20 < count < 120  # 60 are expected; each bound is missed once in millions of runs


def _all(request: Any) -> list[Any]:
    return [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


def test_what_is_sent_is_counted_and_a_receiver_that_refuses_hurts_nobody(begin: Any, receiver: Receiver) -> None:
    counted: list[tuple[str, int]] = []
    tracer, ask = begin(count=lambda result, count: counted.append((result, count)))
    ask()
    tracer.flush()
    receiver.status = 400
    ask()
    tracer.flush()
    assert counted == [("sent", 3), ("failed", 3)]


def test_a_receiver_that_hangs_takes_no_time_of_reviews_and_bounded_room(
    begin: Any, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "PENDING", 30)
    monkeypatch.setattr(trace, "BATCH", 10)
    counted: list[tuple[str, int]] = []
    receiver.hold.clear()
    tracer, ask = begin(count=lambda result, count: counted.append((result, count)))
    for _ in range(200):  # 600 spans; each would wait for ten seconds
        ask()
    receiver.hold.set()
    tracer.flush()
    assert sum(count for _, count in counted) < 100


def test_a_child_has_a_thread_and_a_receiver_of_its_own(begin: Any, receiver: Receiver) -> None:
    """Workers are forked after the tracer is made, and after somebody may have used it."""
    tracer, ask = begin()
    ask(uid="before")
    pid = os.fork()
    if not pid:
        ask(uid="child")
        tracer.flush()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    found = [attributes(span)["k8s.admission.uid"] for span in map(_root, receiver.requests)]
    assert "child" in found


def _root(request: Any) -> Any:
    return next(span for span in _all(request) if span.name.startswith("review"))


@pytest.mark.parametrize("url", ["collector:4318", "ftp://x", "", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="no address of a receiver; wanted for example http://otel-collector:4318"):
        Tracer(url)


def test_a_path_of_the_receivers_own_is_kept(begin: Any, receiver: Receiver) -> None:
    tracer, ask = begin(url=f"{receiver.url}/tenant/traces")
    ask()
    tracer.flush()
    assert receiver.paths == ["/tenant/traces"]


def test_without_the_sdk_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError, match=r"install `plimsoll-webhook\[otel\]`"):
        Tracer("http://127.0.0.1:4318")
