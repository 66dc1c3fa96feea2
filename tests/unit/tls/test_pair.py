"""When a certificate ends is read as the library reads it that made it, and what is none is refused."""

from __future__ import annotations

import base64
import ssl
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from webhook.tls import issue, pair

BEGIN = datetime(1970, 1, 2, tzinfo=UTC)


def made(ends: datetime, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, serial: int = 1) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "n" * 60)] * 3)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), serial)
        .not_valid_before(BEGIN)
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    "ends",
    [
        datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2026, 11, 27, 1, 2, 3, tzinfo=UTC),
        datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),  # the last that is written with two digits of its year
        datetime(2050, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC),  # what has no end (RFC 5280, section 4.1.2.5)
    ],
)
@pytest.mark.parametrize("serial", [1, 2**158])
def test_the_end_is_what_the_certificate_says(ends: datetime, serial: int) -> None:
    assert pair.ends(made(ends, ec.generate_private_key(ec.SECP256R1()), serial)) == ends


def test_the_end_is_read_from_a_certificate_for_rsa() -> None:
    ends = datetime(2030, 1, 1, tzinfo=UTC)
    assert pair.ends(made(ends, rsa.generate_private_key(65537, 2048))) == ends


def test_the_end_is_that_of_the_first_of_a_chain_whatever_stands_before_it(now: datetime) -> None:
    authority = issue.authority(now)
    server = issue.server(authority, ["localhost"], [], now, 10)
    found = pair.ends(server.key + b"a word\n" + server.certificate + authority.certificate)
    assert found == issue.window(server.certificate)[2] != issue.window(authority.certificate)[2]


def test_a_certificate_of_the_first_version_names_none(now: datetime) -> None:
    whole = ssl.PEM_cert_to_DER_cert(issue.authority(now).certificate.decode())
    version = b"\xa0\x03\x02\x01\x02"
    at = whole.index(version)
    # both sequences around it have two bytes of length
    sizes = [int.from_bytes(whole[start + 2 : start + 4], "big") - len(version) for start in (0, 4)]
    heads = b"".join(b"\x30\x82" + size.to_bytes(2, "big") for size in sizes)
    first = heads + whole[at + len(version) :]
    ends = pair.ends(ssl.DER_cert_to_PEM_cert(first).encode())
    assert ends == issue.window(ssl.DER_cert_to_PEM_cert(whole).encode())[2]


def test_whatever_is_not_a_certificate_is_refused(now: datetime) -> None:
    whole = issue.authority(now).certificate
    der = ssl.PEM_cert_to_DER_cert(whole.decode())
    for bad in (b"", b"junk", whole[:40], whole.replace(b"CERTIFICATE", b"RSA KEY"), whole[:200] + whole[300:]):
        with pytest.raises(ValueError):
            pair.ends(bad)
    for cut in range(len(der) - 1):
        with pytest.raises(ValueError):
            pair.ends(ssl.DER_cert_to_PEM_cert(der[:cut]).encode())


@pytest.mark.parametrize("text", [b"20301301000000Z", b"2030010100000Z", b"20300101000000+", b"2030\xff101000000Z"])
def test_a_date_that_is_none_is_refused(now: datetime, text: bytes) -> None:
    der = ssl.PEM_cert_to_DER_cert(issue.authority(now).certificate.decode())
    at = der.index(b"\x17\x0d", der.index(b"\x17\x0d") + 1)
    dated = der[:at] + b"\x18" + bytes([len(text)]) + text + der[at + 15 :]
    grown = dated.replace(der[:4], b"\x30\x82" + (len(dated) - 4).to_bytes(2, "big"), 1)
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(grown) + b"-----END CERTIFICATE-----\n"
    with pytest.raises(ValueError):
        pair.ends(pem)
