"""A server on loopback that answers as an API server does, over TLS with a certificate of ours."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from webhook.kube.client import Access, Client, Credential
from webhook.tls import issue

Answer = tuple[int, Any]


@dataclass
class Api:
    """`answers` by path: (status, object or bytes), or a function of the handler; `calls` as they came."""

    url: str
    ca: bytes
    context: ssl.SSLContext
    answers: dict[str, Answer | Callable[[BaseHTTPRequestHandler], Answer]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    connections: int = 0
    clients: list[Client] = field(default_factory=list)

    def access(self, **more: Any) -> Access:
        """Return the way in, with a token that says `refused` when the last one was."""
        given = {
            "url": self.url,
            "ca": self.ca,
            "credential": lambda refused: Credential("new" if refused else "old"),
        }
        return Access(**(given | more))

    def client(self, **more: Any) -> Client:
        """Return a client that trusts this server; it is closed with it."""
        self.clients.append(Client(self.access(**more)))
        return self.clients[-1]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one segment, so that no delayed ACK costs 40 ms
    api: Api

    def setup(self) -> None:
        super().setup()
        self.api.connections += 1

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True  # the client gave up, as some tests want it to

    def answer(self) -> None:
        self.api.calls.append(f"{self.command} {self.path}")
        self.api.tokens.append(self.headers.get("Authorization"))
        length = int(self.headers.get("Content-Length") or 0)
        self.api.bodies.append(json.loads(self.rfile.read(length)) if length else None)
        found = self.api.answers.get(self.path) or self.api.answers.get(self.path.partition("?")[0])
        missing = (404, {"kind": "Status", "reason": "NotFound", "message": "not found"})
        status, value = found(self) if callable(found) else (found or missing)
        if status == 0:
            return  # the answer was written by the function, or there is none
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    context: ssl.SSLContext

    def get_request(self) -> tuple[Any, Any]:
        held, address = super().get_request()
        # The handshake is the handler's thread's, at its first read.
        return self.context.wrap_socket(held, server_side=True, do_handshake_on_connect=False), address


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """A server with no answers yet (404 for everything)."""
    now = datetime.now(UTC)
    ca = issue.authority(now)
    pair = issue.server(ca, ["localhost"], ["127.0.0.1"], now)
    file = tmp_path / "server.pem"
    file.write_bytes(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    server.context = context
    found = Api(f"https://127.0.0.1:{server.server_address[1]}", ca.certificate, context)
    handler.api = found  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    for client in found.clients:
        client.close()
    server.shutdown()
    thread.join()
    server.server_close()
