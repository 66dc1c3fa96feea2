"""How a registry lets us in: challenges, basic authentication, bearer tokens, and a cache of what was let in.

Sources: RFC 9110 11 (WWW-Authenticate), and the token pages of the distribution project
(distribution.github.io/distribution/spec/auth: token, oauth, scope), as docker and containerd keep them.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from webhook.registry.config import Registry
from webhook.registry.credentials import Credential
from webhook.registry.deadline import Deadline
from webhook.registry.http import Answer, Wire
from webhook.registry.manifest import decode
from webhook.registry.retry import unanswered
from webhook.registry.source import Unanswered

TOKENS = 1024
"""Kept at most; the one that was used longest ago goes."""
LEAST, MOST = 60.0, 3600.0
"""Seconds that a token is good for: the specification's default and least, and the longest that we believe."""
MARGIN = 10.0
"""Seconds before its end at which a token is no longer used."""
HEADER = 8192
"""Characters of WWW-Authenticate that are read."""
CLIENT = "plimsoll"

_SCHEME = re.compile(r"[\s,]*([A-Za-z0-9!#$%&'*+.^_`|~-]+)(?:[ \t]+|(?=,)|$)")
_PARAMETER = re.compile(r'[\s,]*([A-Za-z0-9_-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))')


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in that a server offers: the scheme in small letters, and its parameters."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Key:
    """Whom a token lets in, and where."""

    host: str
    repository: str
    credential: Credential | None


def challenges(header: str) -> Iterator[Challenge]:
    """Yield what a WWW-Authenticate header offers, as far as it can be read."""
    header = header[:HEADER]
    at = 0
    while found := _SCHEME.match(header, at):
        at = found.end()
        parameters: dict[str, str] = {}
        while inner := _PARAMETER.match(header, at):
            quoted = inner[2] is not None
            parameters[inner[1].lower()] = re.sub(r"\\(.)", r"\1", inner[2]) if quoted else inner[3]
            at = inner.end()
        yield Challenge(found[1].lower(), parameters)


class Gate:
    """Gets tokens and keeps them. Threads may share it."""

    def __init__(self, wire: Wire, clock: Callable[[], float] = time.monotonic) -> None:
        """Take what sends requests; `clock` counts seconds."""
        self._wire = wire
        self._clock = clock
        self._lock = threading.Lock()
        self._held: OrderedDict[Key, tuple[str, float]] = OrderedDict()

    def held(self, key: Key) -> str:
        """Return the Authorization that let us in before, '' where there is none that is still good."""
        with self._lock:
            value, until = self._held.get(key, ("", 0.0))
            if value and self._clock() < until:
                self._held.move_to_end(key)
                return value
            self._held.pop(key, None)
        return ""

    def forget(self, key: Key, value: str) -> None:
        """Drop an Authorization that is no longer good, if nobody has put another in its place."""
        with self._lock:
            if key in self._held and self._held[key][0] == value:
                del self._held[key]

    def open(self, key: Key, registry: Registry, refused: Answer, deadline: Deadline) -> str:
        """Return the Authorization that a 401 asks for, '' where we have nothing that it wants, and keep it.

        Raises Unanswered where the token server gives no answer.
        """
        offered = {one.scheme: one for one in challenges(refused.headers.get("WWW-Authenticate", ""))}
        credential = key.credential
        if "bearer" in offered:
            value, seconds = self._token(key, registry, offered["bearer"].parameters, deadline)
        elif "basic" in offered and credential is not None and not credential.identity:
            value, seconds = _basic(credential), MOST
        else:
            return ""
        if value:
            with self._lock:
                self._held[key] = value, self._clock() + max(0.0, seconds - MARGIN)
                self._held.move_to_end(key)
                if len(self._held) > TOKENS:
                    self._held.popitem(last=False)
        return value

    def _token(self, key: Key, registry: Registry, offered: Mapping[str, str], deadline: Deadline) -> tuple[str, float]:
        """Ask the realm of a challenge; '' where it refuses the credential.

        Docker sends a credential to whatever realm the registry names, over https, and so is it here: who can name
        another realm could ask for the credential himself. The realm is listed or public, and no redirect is followed.
        """
        realm = offered.get("realm", "")
        asked = {"scope": offered.get("scope") or f"repository:{key.repository}:pull"}
        if offered.get("service"):
            asked["service"] = offered["service"]
        credential = key.credential
        if credential is not None and credential.identity:
            form = {**asked, "grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": credential.identity}
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = self._ask("POST", realm, registry, deadline, headers=kind, body=urlencode(form).encode())
        else:
            url = f"{realm}{'&' if '?' in realm else '?'}{urlencode({**asked, 'client_id': CLIENT})}"
            value = _basic(credential) if credential is not None else ""
            answer = self._ask("GET", url, registry, deadline, authorization=value)
        if answer.status in (400, 401, 403, 404):  # 400 is OAuth's invalid_grant, 404 what some say of unknown scopes
            return "", 0.0
        if answer.status != 200:
            raise unanswered(answer, "for a token", registry.host)
        return _granted(answer, registry.host)

    def _ask(
        self,
        method: str,
        url: str,
        registry: Registry,
        deadline: Deadline,
        *,
        headers: Mapping[str, str] | None = None,
        authorization: str = "",
        body: bytes | None = None,
    ) -> Answer:
        sent = {"Accept": "application/json", **(headers or {})}
        try:
            return self._wire.ask(
                method,
                url,
                deadline,
                headers=sent,
                authorization=authorization,
                body=body,
                redirects=0,
                plain=registry.insecure,
            )
        except Unanswered as error:
            raise Unanswered(f"{registry.host} gives no token: {error}", error.rest, registry.host) from error


def _basic(credential: Credential) -> str:
    pair = f"{credential.username}:{credential.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _granted(answer: Answer, host: str) -> tuple[str, float]:
    try:
        document = decode(answer.body)
    except ValueError as error:
        raise Unanswered(f"{host} gives no token: the answer of {answer.host} cannot be read: {error}") from error
    token = document.get("token") or document.get("access_token")
    # a token goes into a header: what is no token68 there (RFC 6750 2.1) must not come near one
    if not isinstance(token, str) or not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", token):
        raise Unanswered(f"{host} gives no token: the answer of {answer.host} holds none")
    seconds = document.get("expires_in")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        seconds = LEAST
    return f"Bearer {token}", min(MOST, max(LEAST, seconds))
