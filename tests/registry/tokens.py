"""A token server as the registry's token authentication asks for one: it signs JWTs that the registry verifies.

What it does is in distribution's `spec/auth`: token.md (GET with basic auth), oauth.md (POST with a refresh token) and
jwt.md. Tokens are signed with ES256, and carry the certificate of the key (`x5c`), whose issuer the registry trusts.
"""

from __future__ import annotations

import json
import secrets
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from lab.pki import Authority, Pair, authority

from registry.listener import Handler, listening

SERVICE, ISSUER = "registry of the tests", "token server of the tests"
PUBLIC = "public/"
"""Repositories that begin so may be pulled by anybody."""
LIFE = 300.0
"""Seconds that a token is good for, where a test does not say otherwise."""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may pull and push everything."""

    name: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """The value of the Authorization header of basic auth."""
        return "Basic " + b64encode(f"{self.name}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for a token: who asked ('' is anybody), by what method, for which scopes, and what was answered."""

    method: str
    account: str
    scopes: tuple[str, ...]
    status: int


@dataclass(slots=True)
class TokenServer:
    """Gives tokens to an account, and to anybody for what is public; `asked` is what it was asked for."""

    account: Account
    signer: Signer
    root: Path
    life: float = LIFE
    url: str = ""
    refresh: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    asked: list[Asked] = field(default_factory=list)

    def answer(self, handler: Handler) -> None:
        """Give a token, or 401 to a stranger."""
        query = parse_qs(urlsplit(handler.path).query)
        if handler.command == "POST":
            query = parse_qs(handler.rfile.read(int(handler.headers["Content-Length"])).decode())
        scopes = tuple(" ".join(query.get("scope", [])).split())
        name = self._who(handler, query)
        status = 401 if name is None or query.get("service") != [SERVICE] else 200
        self.asked.append(Asked(handler.command, name or "", scopes, status))
        body = self.token(name or "", scopes) if status == 200 else {"details": "who are you?"}
        handler.reply(status, json.dumps(body).encode(), Content_Type="application/json")

    def _who(self, handler: Handler, query: dict[str, list[str]]) -> str | None:
        """Return the name of the account that asks, '' for anybody, None where the credentials are wrong."""
        if handler.command == "POST":
            good = query.get("grant_type") == ["refresh_token"] and query.get("refresh_token") == [self.refresh]
            return self.account.name if good else None
        given = handler.headers.get("Authorization")
        if given is None:
            return ""
        return self.account.name if given == self.account.basic else None

    def token(self, name: str, scopes: tuple[str, ...]) -> dict[str, Any]:
        now = int(time.time())
        access = [entry for entry in (_entry(scope, bool(name)) for scope in scopes) if entry["actions"]]
        claims = {"iss": ISSUER, "sub": name, "aud": SERVICE, "iat": now, "nbf": now, "exp": now + int(self.life)}
        token = self.signer.sign({**claims, "jti": secrets.token_hex(8), "access": access})
        return {"token": token, "access_token": token, "expires_in": int(self.life), "scope": " ".join(scopes)}


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs claims with the key of a certificate."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def sign(self, claims: dict[str, Any]) -> str:
        """Return the JWT (RFC 7519), signed with ES256 (RFC 7518, 3.4: both numbers, 32 bytes each)."""
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        header = {"typ": "JWT", "alg": "ES256", "x5c": [b64encode(der).decode()]}
        signed = f"{_encode(json.dumps(header).encode())}.{_encode(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


@contextmanager
def serving(directory: Path, account: Account, ca: Authority | None = None) -> Iterator[TokenServer]:
    """Run a token server as long as the context lasts, over TLS where a CA is given; it signs with a CA of its own."""
    own = authority(directory)
    server = TokenServer(account, _signer(own.server("signer")), own.bundle)
    with listening(server.answer, ca.server("tokens") if ca else None) as address:
        server.url = f"{'https' if ca else 'http'}://{address}/token"
        yield server


def _signer(pair: Pair) -> Signer:
    key = serialization.load_pem_private_key(pair.key.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Signer(x509.load_pem_x509_certificate(pair.certificate.read_bytes()), key)


def _entry(scope: str, known: bool) -> dict[str, Any]:
    """Return what is granted of `repository:team/app:pull,push`: a stranger may pull what is public."""
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    wanted = actions.split(",")
    granted = wanted if known else [each for each in wanted if each == "pull" and name.startswith(PUBLIC)]
    return {"type": kind, "name": name, "actions": granted}


def _encode(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()
