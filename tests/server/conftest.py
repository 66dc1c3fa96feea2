"""Real servers for tests: processes over TLS with certificates of their own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from webhook.tls import issue

ROOT = Path(__file__).parents[2]


@dataclass
class Server:
    """One server, as a test sees it."""

    process: subprocess.Popen[str]
    directory: Path
    lines: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0
    health_port: int = 0
    made: list[socket.socket | http.client.HTTPConnection] = field(default_factory=list)

    @property
    def pid(self) -> int:
        """The master's process id."""
        return self.process.pid

    def context(self) -> ssl.SSLContext:
        """Return a client's context that trusts this server's authority."""
        return ssl.create_default_context(cafile=str(self.directory / "ca.crt"))

    def plain(self, host: str = "127.0.0.1") -> socket.socket:
        """Return a TCP connection to the TLS port."""
        sock = socket.create_connection((host, self.port), timeout=10)
        self.made.append(sock)
        return sock

    def secure(self, host: str = "127.0.0.1") -> ssl.SSLSocket:
        """Return a TLS connection."""
        sock = self.context().wrap_socket(self.plain(host), server_hostname="localhost")
        self.made.append(sock)
        return sock

    def client(self, host: str = "127.0.0.1", timeout: float = 10) -> http.client.HTTPSConnection:
        """Return an HTTP client."""
        client = http.client.HTTPSConnection(host, self.port, context=self.context(), timeout=timeout)
        self.made.append(client)
        return client

    def probe(self, path: str, timeout: float = 3) -> tuple[int, str]:
        """Return status and text of a page on the health port."""
        client = http.client.HTTPConnection("127.0.0.1", self.health_port, timeout=timeout)
        try:
            client.request("GET", path)
            answer = client.getresponse()
            return answer.status, answer.read().decode()
        finally:
            client.close()

    def figure(self, name: str) -> float:
        """Return one line's value of /metrics, 0 where there is none; `name` is how the line begins."""
        lines = self.probe("/metrics")[1].splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)

    def children(self) -> list[int]:
        """Return the ids of the master's children: the health process and the workers."""
        listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
        return [int(pid) for pid in listed.split()]

    def ports(self, pid: int) -> set[int]:
        """Return the ports on which one of its processes listens."""
        return listening(pid)

    def workers(self) -> list[int]:
        """Return the ids of the workers: those children that hold the TLS listener open."""
        return [pid for pid in self.children() if self.port in listening(pid)]

    def upkeep(self) -> list[int]:
        """Return the ids of those children that listen nowhere: the process beside the workers."""
        return [pid for pid in self.children() if not listening(pid)]

    def wait(self, true: Callable[[], bool], seconds: float = 10) -> None:
        """Wait until `true()`; fail after `seconds`."""
        ends = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < ends, f"not within {seconds} s; the log: {self.lines[-10:]}"
            time.sleep(0.02)

    def ready(self) -> bool:
        """Tell whether /readyz says so."""
        with contextlib.suppress(OSError):
            return self.probe("/readyz")[0] == 200
        return False

    def said(self, words: str) -> bool:
        """Tell whether a line of the log has `words` in its message."""
        return any(words in str(line.get("message")) for line in self.lines)

    def stop(self) -> int:
        """Stop it by SIGTERM and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def listening(pid: int) -> set[int]:
    """Return the ports of the listening sockets that a process holds (Linux: /proc)."""
    inodes: dict[str, int] = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                inodes[words[9]] = int(words[1].rsplit(":", 1)[1], 16)
    ports = set()
    with contextlib.suppress(FileNotFoundError):  # ended meanwhile
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(entry)  # noqa: PTH115 - a socket's link leads to no path
            if target.startswith("socket:[") and target[8:-1] in inodes:
                ports.add(inodes[target[8:-1]])
    return ports


@pytest.fixture(scope="session")
def authority() -> issue.KeyPair:
    """Return a certificate authority."""
    return issue.authority(datetime.now(UTC))


@pytest.fixture(scope="session")
def certify(authority: issue.KeyPair) -> Callable[..., issue.KeyPair]:
    """Return a maker of server certificates; `now` is when they begin."""

    def make(now: datetime | None = None, days: int = 30) -> issue.KeyPair:
        return issue.server(authority, ["localhost"], ["127.0.0.1", "::1"], now or datetime.now(UTC), days)

    return make


@pytest.fixture(scope="session")
def servers() -> Iterator[list[Server]]:
    """Return the servers that were started; they end with the tests."""
    found: list[Server] = []
    yield found
    for server in found:
        server.process.kill()
        server.process.wait()


@pytest.fixture(autouse=True)
def closed(servers: list[Server]) -> Iterator[None]:
    """Close a test's connections after it."""
    yield
    for server in servers:
        while server.made:
            server.made.pop().close()


@pytest.fixture(scope="session")
def start(
    tmp_path_factory: pytest.TempPathFactory,
    authority: issue.KeyPair,
    certify: Callable[..., issue.KeyPair],
    servers: list[Server],
) -> Callable[..., Server]:
    """Return a starter of servers; keywords are settings."""

    def begin(
        pair: issue.KeyPair | None = None,
        wait: bool = True,
        command: list[str] | None = None,
        **settings: object,
    ) -> Server:
        directory = tmp_path_factory.mktemp("server")
        made = pair or certify()
        (directory / "ca.crt").write_bytes(authority.certificate)
        (directory / "tls.crt").write_bytes(made.certificate)
        (directory / "tls.key").write_bytes(made.key)
        chosen: dict[str, object] = {
            "bind": "127.0.0.1,::1",
            "port": 0,
            "health_port": 0,
            "certificate": directory / "tls.crt",
            "key": directory / "tls.key",
            "drain": 1,
            "poll": 0.2,
            **settings,
        }
        environ = {f"PLIMSOLL_{name.upper()}": str(value) for name, value in chosen.items()}
        process = subprocess.Popen(
            command or [sys.executable, str(Path(__file__).with_name("host.py")), str(directory / "fail")],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environ},
            stderr=subprocess.PIPE,
            text=True,
        )
        server = Server(process, directory)
        servers.append(server)
        threading.Thread(target=_follow, args=(server,), daemon=True).start()
        server.wait(lambda: server.said("probes"))
        found = {line["message"]: line["address"][0] for line in server.lines if "address" in line}
        server.port = int(found["listening for admission over TLS"].rsplit(":", 1)[1])
        server.health_port = int(found["listening for probes and metrics"].rsplit(":", 1)[1])
        if wait:
            count = int(settings.get("workers", 2))  # type: ignore[call-overload]
            server.wait(lambda: f"{count} worker" in server.probe("/readyz")[1])
        return server

    return begin


def _follow(server: Server) -> None:
    assert server.process.stderr is not None
    with server.process.stderr as stream:
        for line in stream:
            try:
                server.lines.append(json.loads(line))
            except ValueError:
                server.lines.append({"message": line})


@pytest.fixture(scope="session")
def server(start: Callable[..., Server]) -> Server:
    """Return a server that tests share and leave as it is; its deadlines are short."""
    return start(handshake=1, head=1, body=1, write=1)


@pytest.fixture(scope="session")
def review() -> Callable[[str], bytes]:
    """Return a maker of reviews of an object with a name, which says what the server's service does."""

    def make(name: str = "web") -> bytes:
        request = {
            "uid": f"uid-{name}",
            "operation": "CREATE",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "name": name,
            "object": {"metadata": {"name": name}},
        }
        return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()

    return make


@pytest.fixture(scope="session")
def post(review: Callable[[str], bytes]) -> Callable[..., http.client.HTTPResponse]:
    """Return a sender of a review over an HTTP client; the answer's body is read into `answer.text`."""

    def send(client: http.client.HTTPConnection, name: str = "web", path: str = "/validate") -> Any:
        client.request("POST", path, review(name), {"Content-Type": "application/json"})
        answer = client.getresponse()
        answer.text = answer.read().decode()  # type: ignore[attr-defined]
        return answer

    return send
