"""The handshake with ourselves: what a caller that trusts a bundle makes of what is served."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from webhook.tls import issue, probe, store
from webhook.tls.issue import KeyPair

NOW = datetime.now(UTC)
NAME = "plimsoll.ns.svc"


@pytest.fixture(scope="module")
def ca() -> KeyPair:
    return issue.authority(NOW)


@pytest.fixture
def port(ca: KeyPair, tmp_path: Path) -> Iterator[int]:
    """A server that does one handshake."""
    (tmp_path / "pair").write_bytes(store.join(issue.server(ca, [NAME], [], NOW)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair")

    def serve() -> None:
        try:
            with context.wrap_socket(listener.accept()[0], server_side=True) as sock:
                sock.recv(1)
        except OSError:
            return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_who_trusts_the_authority_can_verify_us(port: int, ca: KeyPair) -> None:
    assert probe.verify("127.0.0.1", port, NAME, issue.authority(NOW).certificate + ca.certificate) == ""


def test_who_trusts_another_can_not(port: int) -> None:
    assert "certificate" in probe.verify("127.0.0.1", port, NAME, issue.authority(NOW).certificate)


def test_who_asks_for_another_name_can_not(port: int, ca: KeyPair) -> None:
    assert "mismatch" in probe.verify("127.0.0.1", port, "other.ns.svc", ca.certificate)


@pytest.mark.parametrize("bundle", [b"", b"garbage", b"\xff"])
def test_nobody_can_with_a_bundle_that_is_none(bundle: bytes) -> None:
    assert probe.verify("127.0.0.1", 1, NAME, bundle) == "the bundle can't be read as PEM"


def test_nobody_listening_says_nothing_of_the_certificate(ca: KeyPair) -> None:
    with pytest.raises(OSError, match="refused"):
        probe.verify("127.0.0.1", 1, NAME, ca.certificate)


@pytest.mark.parametrize(("bind", "host"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.7", "10.0.0.7")])  # noqa: S104
def test_a_server_is_called_where_it_listens(bind: str, host: str) -> None:
    assert probe.address([bind, "::"]) == host
