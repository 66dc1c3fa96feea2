"""What the tests of certificates share: a moment, and a handshake with a real TLS server."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from webhook.tls.issue import KeyPair

Handshake = Callable[[KeyPair, bytes, str], str]


@pytest.fixture
def now() -> datetime:
    """A moment that handshakes, which look at the real clock, agree with."""
    return datetime.now(UTC)


@pytest.fixture
def handshake(tmp_path: Path) -> Handshake:
    """Shake hands, trusting `ca` and asking for `name`, with a server that has the pair."""

    def shake(pair: KeyPair, ca: bytes, name: str) -> str:
        file = tmp_path / "pair.pem"
        file.write_bytes(pair.certificate + pair.key)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(file)
        client = ssl.create_default_context(cadata=ca.decode())
        client.verify_flags |= ssl.VERIFY_X509_STRICT
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.settimeout(5)
            theirs.settimeout(5)
            thread = threading.Thread(target=_serve, args=(server, theirs))
            thread.start()
            try:
                with client.wrap_socket(ours, server_hostname=name) as shaken:
                    return str(shaken.version())
            except ssl.SSLCertVerificationError as error:
                return error.verify_message
            finally:
                ours.close()
                thread.join()

    return shake


def _serve(context: ssl.SSLContext, side: socket.socket) -> None:
    try:
        with context.wrap_socket(side, server_side=True) as shaken:
            shaken.recv(1)
    except OSError:
        pass  # the client says what it didn't like
