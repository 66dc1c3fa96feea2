"""Small servers on loopback that answer as registries do, or as they must not, and clients that ask them."""

from __future__ import annotations

import hashlib
import json
import ssl
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from webhook.model.image import Image, parse
from webhook.registry.client import Client
from webhook.registry.config import Config, load
from webhook.tls import issue
from webhook.tls.issue import KeyPair

OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest(data: bytes | str, algorithm: str = "sha256") -> str:
    """Return the digest of bytes, or of a word."""
    return f"{algorithm}:{hashlib.new(algorithm, data if isinstance(data, bytes) else data.encode()).hexdigest()}"


@dataclass
class Call:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = tuple[int, dict[str, str], bytes]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    site: Site

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True  # the client gave up, as some tests want it to

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.site.calls.append(Call(self.command, self.path, headers, body))
        found = self.site.answers.get(self.path) or self.site.answers.get(self.path.partition("?")[0])
        missing = (404, {}, json.dumps({"errors": [{"code": "MANIFEST_UNKNOWN"}]}).encode())
        for gate in self.site.gates:
            if (refused := gate(self)) is not None:
                found = refused
        reply = found(self) if callable(found) else found or missing
        if reply is None:
            self.close_connection = True
            return  # the function wrote the answer itself
        status, more, data = reply
        self.send_response(status)
        for key, value in {"Content-Length": str(len(data)), **more}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_POST = answer

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    context: ssl.SSLContext | None = None

    def get_request(self) -> tuple[Any, Any]:
        held, address = super().get_request()
        if self.context is not None:
            held = self.context.wrap_socket(held, server_side=True, do_handshake_on_connect=False)
        return held, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that hangs up in the handshake, as some tests want it to


@dataclass
class Site:
    """A server: `answers` by path, a tuple or a function of the handler; `gates` may answer in front of them."""

    port: int
    scheme: str
    answers: dict[str, Any] = field(default_factory=dict)
    gates: list[Callable[[Any], Answer | None]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def host(self) -> str:
        return f"registry.example:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [f"{call.method} {call.path}" for call in self.calls]

    def blob(self, repository: str, data: bytes) -> dict[str, Any]:
        """Hold a blob; return its descriptor."""
        self.answers[f"/v2/{repository}/blobs/{digest(data)}"] = 200, {}, data
        return {"mediaType": CONFIG, "digest": digest(data), "size": len(data)}

    def document(self, repository: str, tag: str, value: Any, media: str = OCI) -> dict[str, Any]:
        """Hold a manifest or index under a tag and its digest; return its descriptor."""
        data = (
            value
            if isinstance(value, bytes)
            else json.dumps({"schemaVersion": 2, "mediaType": media, **value}).encode()
        )
        answer = 200, {"Content-Type": media, "Docker-Content-Digest": digest(data)}, data
        self.answers[f"/v2/{repository}/manifests/{tag}"] = answer
        self.answers[f"/v2/{repository}/manifests/{digest(data)}"] = answer
        return {"mediaType": media, "digest": digest(data), "size": len(data)}

    def image(
        self,
        repository: str = "team/app",
        tag: str = "1",
        layers: tuple[str, ...] = ("base", "app"),
        media: str = OCI,
        **config: Any,
    ) -> dict[str, Any]:
        """Hold an image; return the descriptor of its manifest."""
        settings = {
            "os": "linux",
            "architecture": "amd64",
            "config": {"User": "1000"},
            "rootfs": {"type": "layers", "diff_ids": [digest(f"{layer} unpacked") for layer in layers]},
            **config,
        }
        described = [{"mediaType": LAYER, "digest": digest(layer), "size": len(layer)} for layer in layers]
        held = self.blob(repository, json.dumps(settings).encode())
        return self.document(repository, tag, {"config": held, "layers": described}, media)

    def index(
        self, entries: list[Any], repository: str = "team/app", tag: str = "1", media: str = OCI_INDEX, **more: Any
    ) -> Any:
        """Hold an index; return its descriptor."""
        return self.document(repository, tag, {"manifests": entries, **more}, media)


class Clock:
    """A clock that moves only when told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Lab:
    """Makes servers and clients, and ends them."""

    folder: Path
    authority: KeyPair
    clock: Clock = field(default_factory=Clock)
    names: dict[str, str] = field(default_factory=dict)
    looked: list[str] = field(default_factory=list)
    _running: list[tuple[Site, _Server, threading.Thread]] = field(default_factory=list)
    _clients: list[Client] = field(default_factory=list)

    def site(self, *, tls: bool = False, names: tuple[str, ...] = ("registry.example",)) -> Site:
        """Start a server; with `tls` it has a certificate for `names` by the lab's authority."""
        handler = type("Handler", (_Handler,), {})
        server = _Server(("127.0.0.1", 0), handler)
        made = Site(server.server_address[1], "https" if tls else "http")
        handler.site = made  # type: ignore[attr-defined]
        if tls:
            pair = issue.server(self.authority, list(names), [], datetime.now(UTC))
            file = self.folder / f"{made.port}.pem"
            file.write_bytes(pair.certificate + pair.key)
            server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            server.context.load_cert_chain(file)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self._running.append((made, server, thread))
        return made

    def resolve(self, host: str, port: int, **more: Any) -> list[Any]:
        """Resolve any name to loopback, or to what `names` says."""
        import socket

        self.looked.append(host)
        return socket.getaddrinfo(self.names.get(host, "127.0.0.1"), port, **more)

    def config(self, text: str) -> Config:
        """Return the config of the `registries:` (and more) in a text."""
        head = "apiVersion: plimsoll.dev/v1\nkind: Registries\n"
        return load("registries.yaml", head + textwrap.dedent(text), self.folder)

    def client(self, text: str, **more: Any) -> Client:
        """Return a client with the registries file in a text."""
        self._clients.append(Client(self.config(text), **{"resolve": self.resolve, "clock": self.clock, **more}))
        return self._clients[-1]

    def plain(self, site: Site, more: str = "", **options: Any) -> Client:
        """Return a client that knows one site without TLS."""
        entry = f"{{host: '{site.host}', insecure: true, addresses: [127.0.0.0/8]{', ' + more if more else ''}}}"
        return self.client(f"registries: [{entry}]", **options)

    def docker(self, name: str, auths: dict[str, Any]) -> str:
        """Write a docker config; return its name."""
        (self.folder / name).write_text(json.dumps({"auths": auths}), encoding="utf-8")
        return name

    def close(self) -> None:
        for client in self._clients:
            client.close()
        for site, server, thread in self._running:
            site.ended.set()
            server.shutdown()
            thread.join()
            server.server_close()


@pytest.fixture(scope="session")
def authority() -> KeyPair:
    return issue.authority(datetime.now(UTC))


@pytest.fixture
def lab(tmp_path: Path, authority: KeyPair) -> Iterator[Lab]:
    made = Lab(tmp_path, authority)
    (tmp_path / "ca.crt").write_bytes(authority.certificate)
    yield made
    made.close()


@pytest.fixture
def app() -> Callable[..., Image]:
    """Return the reference of an image at a site: `app(site, ":1")`."""
    return lambda site, rest=":1", repository="team/app": parse(f"{site.host}/{repository}{rest}")
