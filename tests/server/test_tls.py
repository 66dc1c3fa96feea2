"""TLS: versions, protocols, addresses, and certificates that are replaced while the server runs."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from webhook.tls import issue


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_both_families_are_served(server: Any, post: Callable[..., Any], host: str) -> None:
    client = server.client(host)
    assert post(client).status == 200
    client.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(server: Any, version: ssl.TLSVersion) -> None:
    context = server.context()
    context.minimum_version = context.maximum_version = version
    with context.wrap_socket(server.plain(), server_hostname="localhost") as sock:
        assert sock.version() == version.name.replace("_", ".")


def old(server: Any, maximum: ssl.TLSVersion) -> ssl.SSLContext:
    context: ssl.SSLContext = server.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        if maximum < ssl.TLSVersion.TLSv1_2:
            context.maximum_version = maximum
    return context


def test_tls_1_1_is_refused_by_the_server(server: Any) -> None:
    # The same client gets through where it may use 1.2: so it's the server that refuses.
    with old(server, ssl.TLSVersion.TLSv1_3).wrap_socket(server.plain(), server_hostname="localhost"):
        pass
    context = old(server, ssl.TLSVersion.TLSv1_1)
    with server.plain() as sock, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(sock, server_hostname="localhost")


def test_alpn_offers_http_1_and_no_h2(server: Any) -> None:
    context = server.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with context.wrap_socket(server.plain(), server_hostname="localhost") as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"


def serial(server: Any) -> object:
    with server.secure() as sock:
        return sock.getpeercert()["serialNumber"]


def test_a_certificate_and_key_replaced_one_after_the_other_fail_no_connection(
    start: Callable[..., Any], certify: Callable[..., Any], post: Callable[..., Any]
) -> None:
    server = start()
    before = serial(server)
    new = certify()
    kept = server.client()
    assert post(kept).status == 200
    (server.directory / "tls.crt").write_bytes(new.certificate)
    server.wait(lambda: server.said("last good pair stays"))
    assert serial(server) == before
    (server.directory / "tls.key").write_bytes(new.key)
    server.wait(lambda: all(serial(server) != before for _ in range(8)))  # both workers look for themselves
    assert post(kept).status == 200, "the connection made with the old certificate goes on"
    kept.close()


def client_certificate(authority: issue.KeyPair) -> bytes:
    """Return a certificate and key for a client, as PEM in one."""
    ca = x509.load_pem_x509_certificate(authority.certificate)
    signer = serialization.load_pem_private_key(authority.key, None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "apiserver")]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(hours=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    return made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, form, serialization.NoEncryption()
    )


def test_with_an_authority_for_clients_only_theirs_are_served(
    start: Callable[..., Any], server: Any, post: Callable[..., Any], authority: issue.KeyPair, tmp_path: Path
) -> None:
    guarded = start(client_ca=server.directory / "ca.crt")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        post(guarded.client())
    (tmp_path / "client.pem").write_bytes(client_certificate(authority))
    context = guarded.context()
    context.load_cert_chain(tmp_path / "client.pem")
    with context.wrap_socket(guarded.plain(), server_hostname="localhost") as sock:
        sock.sendall(b"GET /validate HTTP/1.1\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 405")


def test_files_that_vanish_leave_the_last_good_pair(start: Callable[..., Any], post: Callable[..., Any]) -> None:
    server = start()
    (server.directory / "tls.key").unlink()
    server.wait(lambda: server.said("last good pair stays"))
    client = server.client()
    assert post(client).status == 200
    client.close()


def test_an_expired_certificate_is_said_and_not_ready(start: Callable[..., Any], certify: Callable[..., Any]) -> None:
    expired = certify(now=datetime.now(UTC) - timedelta(days=40))
    server = start(pair=expired, wait=False)
    server.wait(lambda: "expired" in server.probe("/readyz")[1])
    assert server.probe("/readyz")[0] == 503
    assert server.probe("/healthz")[0] == 200
    assert server.figure("plimsoll_certificate_expiry_seconds") < 0


def test_a_handshake_that_says_nothing_is_cut_at_its_deadline(server: Any) -> None:
    with server.plain() as sock:
        begun = time.monotonic()
        assert sock.recv(1) == b""
        assert 0.8 < time.monotonic() - begun < 3


def test_a_client_that_speaks_plain_http_is_closed(server: Any) -> None:
    with server.plain() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with_alert = b""
        try:
            while part := sock.recv(100):
                with_alert += part
        except ConnectionError:
            pass
        assert b"200" not in with_alert
