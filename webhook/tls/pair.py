"""A certificate with its key, and when the certificate ends. Pure, and without a library.

All that serving wants to know of a certificate is that date. To have it told by `cryptography`, which makes and judges
certificates (`tls/issue.py`), took 10 MB in a server that needs it for nothing else.
"""

from __future__ import annotations

import base64
import re
from dataclasses import field
from datetime import datetime

from webhook.model.record import record

_PEM = re.compile(rb"-----BEGIN (X509 )?CERTIFICATE-----(.*?)-----END (X509 )?CERTIFICATE-----", re.DOTALL)
_INTEGER, _SEQUENCE, _VERSION = 0x02, 0x30, 0xA0
_UTC, _GENERALIZED = 0x17, 0x18  # UTCTime, GeneralizedTime


@record(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, both PEM; the key (PKCS #8, not encrypted) stays out of every
    repr."""

    certificate: bytes
    key: bytes = field(repr=False)


def ends(certificate: bytes) -> datetime:
    """Return when the first certificate of a PEM file ends, in UTC. Raises ValueError for what isn't a certificate.

    It reads no more than the fields that stand before that date (RFC 5280, section 4.1), in DER (X.690).
    """
    found = _PEM.search(certificate)
    if found is None:
        raise ValueError("there is no certificate in it")
    data = base64.b64decode(found[2])
    at, _ = _open(data, 0, _SEQUENCE)  # Certificate
    at, _ = _open(data, at, _SEQUENCE)  # tbsCertificate
    if data[at : at + 1] == bytes([_VERSION]):
        _, at = _open(data, at, _VERSION)
    for tag in (_INTEGER, _SEQUENCE, _SEQUENCE):  # serialNumber, signature, issuer
        _, at = _open(data, at, tag)
    at, _ = _open(data, at, _SEQUENCE)  # validity
    _, at = _open(data, at, _UTC, _GENERALIZED)  # notBefore
    start, end = _open(data, at, _UTC, _GENERALIZED)
    text = data[start:end].decode("ascii")
    if data[at] == _UTC:  # two digits of the year: section 4.1.2.5.1
        text = ("19" if text >= "50" else "20") + text
    if len(text) != len("YYYYMMDDHHMMSSZ") or not text.endswith("Z"):
        raise ValueError("not the date of a certificate")
    return datetime.fromisoformat(f"{text[:8]}T{text[8:]}")


def _open(data: bytes, at: int, *tags: int) -> tuple[int, int]:
    """Return where the content of the value at `at`, which has one of the tags, begins and ends."""
    head = data[at : at + 2]
    if len(head) < 2 or head[0] not in tags:
        raise ValueError("not a certificate in DER")
    start, length = at + 2, head[1]
    if length & 0x80:  # the long form: so many bytes of length follow
        size = length & 0x7F
        start, length = start + size, int.from_bytes(data[start : start + size], "big")
    if start + length > len(data):
        raise ValueError("half a certificate in DER")
    return start, start + length
