"""HTTP to registries: one deadline over a whole call, every answer capped, redirects by hand.

- The deadline is over name, connection, TLS, head and body together, however many bytes drip in.
- Redirects go to https only (http where the target is listed as insecure), to listed or public hosts only, and carry no
  credentials to another scheme, host or port.
- Nothing of the environment is looked at: no proxies, no .netrc.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urljoin

import urllib3
from urllib3.exceptions import EmptyPoolError, HTTPError, LocationParseError, ProtocolError, SSLError
from urllib3.exceptions import TimeoutError as Urllib3Timeout
from urllib3.util import Url, parse_url

from webhook.registry import dial
from webhook.registry.config import Registry
from webhook.registry.deadline import Deadline
from webhook.registry.dial import PORTS, Dialler, Origin, Resolve
from webhook.registry.source import Unanswered

CONNECTIONS = 8
"""Open at once to one host, per process; one more caller waits for its turn, and its deadline runs meanwhile."""
HOSTS = 32
"""Whose connections are kept: all listed ones, as a rule, and where they redirect to."""
REDIRECTS = 5
ERROR_BYTES = 64 * 1024
"""Of an answer with an error, and of a token answer: more is not read."""
_MOVED = frozenset({301, 302, 303, 307, 308})
# openssl's verdicts on a chain that ends nowhere known: X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT and its neighbours
_UNKNOWN_AUTHORITY = frozenset({18, 19, 20, 21})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `host` is who said it: after a redirect, another one."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    host: str


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a URL leads."""

    url: Url
    origin: Origin

    @property
    def name(self) -> str:
        return self.origin.name


class Wire:
    """Sends requests to registries. Threads may share it; nothing is opened before the first request."""

    def __init__(self, registries: Iterable[Registry], resolve: Resolve = socket.getaddrinfo) -> None:
        """Take the registries that are listed, and what resolves names."""
        self._entries = {_place(parse_url(entry.url)): entry for entry in registries}
        self._dialler = Dialler(resolve)
        self._lock = threading.Lock()
        self._pools: OrderedDict[Origin, urllib3.HTTPConnectionPool] = OrderedDict()
        self._trust: dict[str, ssl.SSLContext] = {}  # by the authorities beside the system's; reading those takes time

    def ask(
        self,
        method: str,
        url: str,
        deadline: Deadline,
        *,
        headers: Mapping[str, str],
        authorization: str = "",
        body: bytes | None = None,
        cap: int = ERROR_BYTES,
        redirects: int = REDIRECTS,
        plain: bool = False,
    ) -> Answer:
        """Send one request, follow its redirects, and return the answer, whatever its status.

        `cap` is how many bytes a good answer may have. `plain` allows http to a host that is not listed as insecure.
        Raises Unanswered with a sentence.
        """
        target = self._target(url, None, plain)
        first = target.origin
        for _ in range(redirects + 1):
            sent = {"User-Agent": "plimsoll", "Accept-Encoding": "identity", **headers}
            if authorization and target.origin == first:
                sent["Authorization"] = authorization
            try:
                answer = self._once(method, target, sent, body, deadline, cap)
            except Unanswered as error:
                if target.origin == first:
                    raise
                raise Unanswered(f"{first.name} redirects to {error}", error.rest, error.host) from error
            if answer.status not in _MOVED:
                return answer
            if target.origin != first:
                authorization = ""  # nor is it sent again by a detour that leads back
            target = self._target(answer.headers.get("Location", ""), target, False)
        many = f"redirected more than {redirects} times" if redirects else "redirects, where that is not followed"
        raise Unanswered(f"{answer.host}: {many}")

    def close(self) -> None:
        """Close all connections; the next request opens new ones."""
        with self._lock:
            pools, self._pools = self._pools, OrderedDict()
        for pool in pools.values():
            pool.close()

    def _target(self, url: str, base: _Target | None, plain: bool) -> _Target:
        """Return where a URL leads; `base` is who redirects to it, None for nobody. Unanswered where it must not."""
        said = f"{base.name}: redirects to " if base else ""
        try:
            parsed = parse_url(urljoin(base.url.url, url) if base else url)
        except (LocationParseError, ValueError):
            raise Unanswered(f"{said}{cleaned(url)}, which is no URL") from None
        place = _place(parsed)
        if parsed.scheme not in PORTS or not parsed.host or parsed.auth is not None:
            raise Unanswered(f"{said}{cleaned(_bare(parsed))}, where an https URL is wanted")
        entry = self._entries.get(place)
        if parsed.scheme == "http" and not plain and not (entry and entry.insecure):
            text = f"{said}{cleaned(_bare(parsed))}; plain http is only spoken to hosts that are listed as insecure"
            raise Unanswered(text)
        return _Target(parsed, Origin(parsed.scheme, *place, entry))

    def _once(
        self, method: str, target: _Target, headers: Mapping[str, str], body: bytes | None, deadline: Deadline, cap: int
    ) -> Answer:
        try:
            response = self._sent(method, target, headers, body, deadline)
        except (HTTPError, OSError) as error:
            _fail(error, target, deadline, "the answer had not begun", whole=True)
        try:
            data = _read(response, target, cap)
        except (HTTPError, OSError) as error:
            response.close()
            _fail(error, target, deadline, "the answer had not ended", whole=False)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return Answer(response.status, response.headers, data, target.name)

    def _sent(
        self, method: str, target: _Target, headers: Mapping[str, str], body: bytes | None, deadline: Deadline
    ) -> urllib3.BaseHTTPResponse:
        def send() -> urllib3.BaseHTTPResponse:
            left = deadline.left()
            if not left:
                raise TimeoutError
            waits: dict[str, Any] = {"timeout": urllib3.Timeout(total=left), "pool_timeout": left}
            return self._pool(target.origin).urlopen(
                method,
                target.url.request_uri,
                body=body,
                headers=headers,
                **waits,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,  # digests are of what was sent; and nothing small unpacks to something large
            )

        try:
            return send()
        except ProtocolError:
            return send()  # the server had closed a kept connection; nothing that is sent here is harmed by a second

    def _pool(self, origin: Origin) -> urllib3.HTTPConnectionPool:
        with self._lock:
            pool = self._pools.get(origin)
            if pool is None:
                context = self._context(origin) if origin.scheme == "https" else None
                pool = self._pools[origin] = dial.pool(origin, self._dialler, CONNECTIONS, context)
            self._pools.move_to_end(origin)
            old = self._pools.popitem(last=False)[1] if len(self._pools) > HOSTS else None
        if old is not None:
            old.close()
        return pool

    def _context(self, origin: Origin) -> ssl.SSLContext:
        authorities = origin.entry.ca if origin.entry is not None else ""
        if authorities not in self._trust:
            self._trust[authorities] = dial.trust(authorities)
        return self._trust[authorities]


def cleaned(text: str, most: int = 200) -> str:
    """Return what a stranger said as it may stand in a message: one line, printable, cut."""
    shown = "".join(char if char.isprintable() else " " for char in text[: 4 * most])
    shown = " ".join(shown.split())
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def _read(response: urllib3.BaseHTTPResponse, target: _Target, cap: int) -> bytes:
    """Read a body to its end; the socket keeps the deadline. Of an error no more is read than may be looked at."""
    good = response.status < 300
    most = cap if good else ERROR_BYTES
    data = bytearray()
    while piece := response.read1(65536):
        data += piece
        if len(data) > most and good:
            raise Unanswered(f"{target.name}: the answer is longer than {most} bytes")
        if len(data) > most:
            response.close()
            break
    return bytes(data)


def _place(url: Url) -> tuple[str, int]:
    return url.host or "", url.port or PORTS.get(url.scheme or "", 0)


def _bare(url: Url) -> str:
    """Return a URL without what may be secret in it."""
    return url._replace(auth=None, query=None, fragment=None).url


def _fail(error: Exception, target: _Target, deadline: Deadline, late: str, *, whole: bool) -> NoReturn:
    """Raise Unanswered for what urllib3 or a socket says; `late` is the sentence where it was the time.

    `whole`: it says something about the host, and not about what was asked.
    """
    host = target.origin.registry if whole else ""
    if isinstance(error, EmptyPoolError):
        text, host = f"all {CONNECTIONS} connections to it were in use for {deadline}", ""
    elif isinstance(error, Urllib3Timeout | TimeoutError):
        text = f"{late} after {deadline}"
    else:
        text = _said(error)
    raise Unanswered(f"{target.name}: {text}", host=host) from error


def _said(error: Exception) -> str:
    causes = [error, *(part for part in error.args if isinstance(part, Exception)), error.__cause__]
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            advice = "; list its authority as `ca`" if cause.verify_code in _UNKNOWN_AUTHORITY else ""
            return f"the certificate is not valid: {cleaned(cause.verify_message)}{advice}"
        if isinstance(cause, ssl.SSLError):
            reason = (cause.reason or "").replace("_", " ").lower()
            return f"TLS fails ({cleaned(reason)}); a registry without TLS is listed with `insecure: true`"
    if isinstance(error, SSLError):
        return f"TLS fails ({cleaned(str(error))})"
    if isinstance(error, ProtocolError):
        return f"the answer broke off ({cleaned(str(error.args[-1]))})"
    return f"no answer ({cleaned(str(error))})"
