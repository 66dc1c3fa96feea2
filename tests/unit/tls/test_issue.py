"""Certificates that clients accept, and a sentence for each that they would not."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from webhook.tls import issue
from webhook.tls.issue import KeyPair

NAMES = ["localhost", "plimsoll.plimsoll.svc", "*.example.org"]
ADDRESSES = ["127.0.0.1", "::1"]


@pytest.fixture
def ca(now: datetime) -> KeyPair:
    return issue.authority(now)


@pytest.fixture
def pair(ca: KeyPair, now: datetime) -> KeyPair:
    return issue.server(ca, NAMES, ADDRESSES, now)


def kinds(faults: tuple[issue.Fault, ...]) -> list[str]:
    return [fault.kind for fault in faults]


@pytest.mark.parametrize("name", ["localhost", "plimsoll.plimsoll.svc", "127.0.0.1", "::1"])
def test_a_strict_client_shakes_hands_by_every_name_and_address(
    name: str, pair: KeyPair, ca: KeyPair, handshake: Callable[..., str]
) -> None:
    assert handshake(pair, ca.certificate, name) == "TLSv1.3"


def test_a_strict_client_refuses_a_name_that_is_not_held(
    pair: KeyPair, ca: KeyPair, handshake: Callable[..., str]
) -> None:
    assert "Hostname mismatch" in handshake(pair, ca.certificate, "other")


def test_a_client_of_another_authority_of_the_same_name_refuses(
    pair: KeyPair, now: datetime, handshake: Callable[..., str]
) -> None:
    assert "unable to get" in handshake(pair, issue.authority(now).certificate, "localhost")


def test_a_certificate_starts_an_hour_before_now_and_its_renewal_is_due_at_two_thirds(
    pair: KeyPair, now: datetime
) -> None:
    start, due, end = issue.window(pair.certificate)
    assert start == now.replace(microsecond=0) - timedelta(hours=1)
    assert end == now.replace(microsecond=0) + timedelta(days=365)
    assert due - start == (end - start) * 2 / 3


def test_a_server_certificate_never_outlives_its_authority(now: datetime) -> None:
    ca = issue.authority(now, days=10)
    pair = issue.server(ca, ["localhost"], [], now, days=365)
    assert issue.window(pair.certificate)[2] == issue.window(ca.certificate)[2]


def test_keys_are_p256_and_the_usages_those_of_an_authority_and_of_a_server(ca: KeyPair, pair: KeyPair) -> None:
    above, below = (x509.load_pem_x509_certificate(held.certificate) for held in (ca, pair))
    for held in (above, below):
        assert isinstance(key := held.public_key(), ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp256r1"
    found = {
        extension.oid._name: (extension.critical, extension.value)  # type: ignore[attr-defined]
        for extension in below.extensions
    }
    assert found["basicConstraints"] == (True, x509.BasicConstraints(ca=False, path_length=None))
    assert found["keyUsage"][0] and found["keyUsage"][1].digital_signature
    assert not found["keyUsage"][1].key_cert_sign
    assert list(found["extendedKeyUsage"][1]) == [x509.ExtendedKeyUsageOID.SERVER_AUTH]
    constraints = above.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical and constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    own = above.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert found["authorityKeyIdentifier"][1].key_identifier == own.digest


def test_a_key_is_not_in_the_repr_of_its_pair(pair: KeyPair) -> None:
    assert "PRIVATE" not in repr(pair)


def test_a_server_without_a_name_is_refused(ca: KeyPair, now: datetime) -> None:
    with pytest.raises(ValueError, match="at least one name"):
        issue.server(ca, [], [], now)


def test_a_good_pair_has_no_faults(pair: KeyPair, ca: KeyPair, now: datetime) -> None:
    names = ["LOCALHOST", "a.example.org", "127.0.0.1", "0:0:0:0:0:0:0:1"]
    assert issue.state(pair.certificate, pair.key, now, names, ca.certificate) == ()


def test_an_expired_certificate_says_when_it_ended(pair: KeyPair, now: datetime) -> None:
    (fault,) = issue.state(pair.certificate, pair.key, now + timedelta(days=366))
    assert fault.kind == "expired"
    assert f"{now + timedelta(days=365):expired at %Y-%m-%d}" in fault.text


def test_a_certificate_of_the_future_says_when_it_starts(pair: KeyPair, now: datetime) -> None:
    (fault,) = issue.state(pair.certificate, pair.key, now - timedelta(hours=2))
    assert fault.kind == "early"
    assert f"{now - timedelta(hours=1):only from %Y-%m-%d %H:%M:%S}" in fault.text


def test_a_key_of_another_certificate_is_a_mismatch(pair: KeyPair, ca: KeyPair, now: datetime) -> None:
    assert kinds(issue.state(pair.certificate, ca.key, now)) == ["mismatch"]


@pytest.mark.parametrize("cut", [b"", b"  \n"])
def test_an_empty_secret_is_named_as_such(cut: bytes, pair: KeyPair, now: datetime) -> None:
    assert [fault.text for fault in issue.state(cut, cut, now)] == [
        "the certificate is empty",
        "the key is empty",
    ]
    assert [fault.text for fault in issue.state(pair.certificate, cut, now)] == ["the key is empty"]


@pytest.mark.parametrize("damage", ["text", "cut", "inside", "binary", "key"])
def test_garbage_is_named_as_such_wherever_it_stands(damage: str, pair: KeyPair, now: datetime) -> None:
    lines = pair.certificate.splitlines(keepends=True)
    bad = {
        "text": b"not a certificate",
        "cut": pair.certificate[: len(pair.certificate) // 2],
        "inside": lines[0] + b"AAAA" + b"".join(lines[1:]),
        "binary": bytes(range(256)),
        "key": pair.key,
    }[damage]
    (fault,) = issue.state(bad, pair.key, now)
    assert fault.kind == "garbage" and fault.text.startswith("the certificate can't be read as PEM: ")
    (fault,) = issue.state(pair.certificate, pair.certificate if damage == "key" else bad, now)
    assert fault.kind == "garbage" and fault.text.startswith("the key can't be read as PEM: ")


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_every_byte_that_flips_in_a_certificate_is_survived(pair: KeyPair, ca: KeyPair, now: datetime) -> None:
    der = x509.load_pem_x509_certificate(pair.certificate).public_bytes(serialization.Encoding.DER)
    for index in range(len(der)):
        bad = bytearray(der)
        bad[index] ^= 0xFF
        pem = ssl.DER_cert_to_PEM_cert(bytes(bad)).encode()
        assert issue.state(pem, pair.key, now, NAMES + ADDRESSES, ca.certificate), index


def test_an_encrypted_key_says_so(pair: KeyPair, now: datetime) -> None:
    key = serialization.load_pem_private_key(pair.key, password=None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (fault,) = issue.state(pair.certificate, locked, now)
    assert fault.text == "the key can't be read as PEM: the key is encrypted"


def test_missing_names_are_listed_all_at_once(pair: KeyPair, now: datetime) -> None:
    wanted = ["localhost", "plimsoll.other.svc", "10.0.0.1", "a.b.example.org", "example.org"]
    (fault,) = issue.state(pair.certificate, pair.key, now, wanted)
    assert fault.kind == "names"
    assert fault.text == "the certificate doesn't name plimsoll.other.svc, 10.0.0.1, a.b.example.org, example.org"


def test_all_faults_come_at_once(pair: KeyPair, ca: KeyPair, now: datetime) -> None:
    later = now + timedelta(days=400)
    faults = issue.state(pair.certificate, ca.key, later, ["other"], issue.authority(now).certificate)
    assert kinds(faults) == ["mismatch", "expired", "names", "issuer"]


def test_a_server_certificate_is_no_authority(pair: KeyPair, now: datetime) -> None:
    assert kinds(issue.state(pair.certificate, pair.key, now, ca=pair.certificate)) == ["issuer"]
