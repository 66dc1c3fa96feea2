"""Traces of a server as it is run: forked workers send to a receiver, under the trace that the caller names."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
import yaml
from lab import packs, plimsoll, workloads
from lab.process import eventually
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
BAD = workloads.pod_spec(workloads.container(resources=workloads.UNEQUAL))


@pytest.fixture
def received() -> Iterator[tuple[str, list[Span]]]:
    """A receiver's URL, and the spans that it was sent."""
    spans: list[Span] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["Content-Length"]))
            data = gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data
            for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", spans
        server.shutdown()
        thread.join()


def test_each_worker_sends_spans_of_the_callers_trace(received: tuple[str, list[Span]], tmp_path: Path) -> None:
    url, spans = received
    path = tmp_path / "strict.yaml"
    path.write_text(yaml.safe_dump(packs.STRICT))
    server = plimsoll.serve(tmp_path, [path], "--trace", url, "--workers", "2")
    try:
        bundle = tmp_path / "bundle.crt"
        bundle.write_bytes(server.bundle)
        pool = urllib3.PoolManager(ca_certs=str(bundle), retries=False)
        for number in range(20):
            headers = {"Content-Type": "application/json", "Connection": "close"}
            if number % 2:
                headers["traceparent"] = f"00-{TRACE}-{SPAN}-01"
            answer = pool.request("POST", f"{server.url}/validate?timeout=5s", body=review(), headers=headers)
            assert json.loads(answer.data)["response"]["allowed"] is False
        eventually(lambda: len(spans) == 60, what="a review, a gather and an evaluate of each")
        roots = [span for span in spans if span.name == "review validate"]
        told = [span for span in roots if span.trace_id.hex() == TRACE]
        assert (len(roots), len(told)) == (20, 10)
        assert {span.parent_span_id.hex() for span in told} == {SPAN}
        eventually(lambda: 'plimsoll_spans_total{result="sent"} 60.0' in server.metrics())
    finally:
        assert server.process.stop() == 0


def review() -> bytes:
    obj = workloads.deployment("web", BAD)
    request = {
        "uid": str(uuid.uuid4()),
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "name": "web",
        "namespace": "shop",
        "operation": "CREATE",
        "userInfo": {"username": "jane"},
        "object": obj,
    }
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--trace", "collector:4318"), "no address of a receiver"),
        (("--trace-every", "5"), "has no use without --trace"),
        (("--events",), "needs a connection to a cluster"),
    ],
)
def test_a_server_that_could_not_tell_does_not_start(options: tuple[str, ...], said: str, tmp_path: Path) -> None:
    assert plimsoll.run("certs", str(tmp_path)).returncode == 0
    pair = ("--certificate", str(tmp_path / "tls.crt"), "--key", str(tmp_path / "tls.key"))
    done = plimsoll.run("serve", "--port", "0", "--health-port", "0", *pair, *options)
    assert done.returncode == 2
    assert said in done.stderr.decode()
