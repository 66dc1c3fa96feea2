"""A small webhook server over TLS, in this process: a stranger's, or one that stands before Plimsoll."""

from __future__ import annotations

import http.client
import http.server
import json
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from lab.pki import Authority

Handle = Callable[[str, bytes], bytes]
"""Takes the path with its query and the body of a POST, returns the body of the answer."""


@contextmanager
def serving(ca: Authority, handle: Handle) -> Iterator[str]:
    """Serve on a free port of 127.0.0.1 as long as the context lasts, and say the URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer = handle(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent: what matters, the tests see in the API server's answers."""

    pair = ca.server("endpoint")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True, slots=True)
class Exchange:
    """One review as the API server sent it, and the answer as Plimsoll gave it, to the byte."""

    path: str
    request: bytes
    answer: bytes

    @property
    def endpoint(self) -> str:
        """Which of validate, advise and mutate it was."""
        return self.path.partition("?")[0].removeprefix("/")

    @property
    def review(self) -> dict[str, Any]:
        """The request of the review."""
        request: dict[str, Any] = json.loads(self.request)["request"]
        return request


@dataclass(slots=True)
class Recorder:
    """Stands between the API server and Plimsoll and keeps what passes."""

    host: str
    port: int
    bundle: bytes
    exchanges: list[Exchange] = field(default_factory=list)

    def __call__(self, path: str, body: bytes) -> bytes:
        """Pass a review on and keep it with its answer."""
        context = ssl.create_default_context(cadata=self.bundle.decode())
        connection = http.client.HTTPSConnection(self.host, self.port, context=context, timeout=20)
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse().read()
        finally:
            connection.close()
        self.exchanges.append(Exchange(path, body, answer))
        return answer


def injector(sidecar: dict[str, Any]) -> Handle:
    """Return a webhook that appends a container to every pod that has none of that name, as meshes do."""

    def handle(path: str, body: bytes) -> bytes:
        request = json.loads(body)["request"]
        response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
        names = [container["name"] for container in request["object"]["spec"]["containers"]]
        if sidecar["name"] not in names:
            patch = [{"op": "add", "path": "/spec/containers/-", "value": sidecar}]
            response |= {"patchType": "JSONPatch", "patch": b64encode(json.dumps(patch).encode()).decode()}
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        return json.dumps(review).encode()

    return handle
