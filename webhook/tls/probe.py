"""Looks at a server of ours as an API server does: a handshake, verified with the bundle that callers have."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence

SECONDS = 5.0
_LOCAL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound, but called


def address(bind: Sequence[str]) -> str:
    """Return where a server that listens on `bind` is called from its own host."""
    return _LOCAL.get(bind[0], bind[0])


def verify(host: str, port: int, name: str, bundle: bytes, seconds: float = SECONDS) -> str:
    """Return why a caller of `name` that trusts `bundle` can't verify who answers at `host`; empty where it can.

    A connection that fails for another reason says nothing of the certificate. It raises OSError.
    """
    try:
        # an empty bundle would mean the system's authorities
        context = ssl.create_default_context(cadata=bundle.decode("ascii").strip() or "none")
    except (ssl.SSLError, ValueError):
        return "the bundle can't be read as PEM"
    try:
        with socket.create_connection((host, port), seconds) as plain:
            context.wrap_socket(plain, server_hostname=name).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    return ""
