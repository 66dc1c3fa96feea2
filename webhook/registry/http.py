"""HTTP to registries: one deadline over a whole call, every answer capped, every address checked, redirects by hand.

- The deadline is over name, connection, TLS, head and body together: a socket here gives up at a time, however many
  bytes drip in (`_Timed`).
- A name is resolved once; the address that was checked is the one connected to (`_Dialled`), so that no second look-up
  can answer otherwise. The certificate is checked for the name.
- Redirects go to https only (http where the target is listed as insecure), to listed or public hosts only, and carry no
  credentials to another scheme, host or port.
- Nothing of the environment is looked at: no proxies, no .netrc.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urljoin

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import EmptyPoolError, HTTPError, LocationParseError, ProtocolError, SSLError
from urllib3.exceptions import TimeoutError as Urllib3Timeout
from urllib3.util import Url, parse_url

from webhook.registry.address import refusal
from webhook.registry.config import Registry
from webhook.registry.source import Unanswered

CONNECTIONS = 8
"""Open at once to one host, per process; one more caller waits for its turn, and its deadline runs meanwhile."""
HOSTS = 32
"""Whose connections are kept: all listed ones, as a rule, and where they redirect to."""
REDIRECTS = 5
ADDRESSES = 8
"""Of one name that are tried."""
RESOLVERS = 8
"""Names that are looked up at once. A look-up knows no deadline, so one that hangs keeps its thread."""
ERROR_BYTES = 64 * 1024
"""Of an answer with an error, and of a token answer: more is not read."""
_AT_ONCE = 0.001  # a timeout of 0 would mean: don't wait at all, and raise something else
_MOVED = frozenset({301, 302, 303, 307, 308})
_PORTS = {"https": 443, "http": 80}
# openssl's verdicts on a chain that ends nowhere known: X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT and its neighbours
_UNKNOWN_AUTHORITY = frozenset({18, 19, 20, 21})

Resolve = Callable[..., Iterable[tuple[Any, ...]]]
"""What `socket.getaddrinfo` is."""


class Deadline:
    """When a call has to be over; `seconds` is what it was given, for messages."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def __str__(self) -> str:
        """Return what it was given, as people say it: `2.5 s`."""
        return f"{round(self.seconds, 2):g} s"

    def left(self) -> float:
        """Return the seconds that are left, never less than 0."""
        return max(0.0, self._end - time.monotonic())

    def share(self, parts: int) -> Deadline:
        """Return a deadline for the first of so many steps that have to find time in this one."""
        return Deadline(self.left() / parts)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `host` is who said it: after a redirect, another one."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    host: str


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a URL leads; `entry` is that of its host, None where it is not listed."""

    url: Url
    scheme: str
    host: str
    port: int
    entry: Registry | None

    @property
    def origin(self) -> tuple[str, str, int]:
        return self.scheme, self.host, self.port

    @property
    def name(self) -> str:
        """The host as people know it."""
        if self.entry is not None:
            return self.entry.host
        return self.host if self.port == _PORTS[self.scheme] else f"{self.host}:{self.port}"


class Wire:
    """Sends requests to registries. Threads may share it; nothing is opened before the first request."""

    def __init__(self, registries: Iterable[Registry], resolve: Resolve = socket.getaddrinfo) -> None:
        """Take the registries that are listed, and what resolves names."""
        self._entries = {_place(parse_url(entry.url)): entry for entry in registries}
        self._resolve = resolve
        self._resolvers = threading.BoundedSemaphore(RESOLVERS)
        self._lock = threading.Lock()
        self._pools: OrderedDict[tuple[str, str, int], urllib3.HTTPConnectionPool] = OrderedDict()

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
            answer = self._once(method, target, sent, body, deadline, cap)
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
        if parsed.scheme not in _PORTS or not parsed.host or parsed.auth is not None:
            raise Unanswered(f"{said}{cleaned(_bare(parsed))}, where an https URL is wanted")
        entry = self._entries.get(place)
        if parsed.scheme == "http" and not plain and not (entry and entry.insecure):
            text = f"{said}{cleaned(_bare(parsed))}; plain http is only spoken to hosts that are listed as insecure"
            raise Unanswered(text)
        return _Target(parsed, parsed.scheme, place[0], place[1], entry)

    def _once(
        self, method: str, target: _Target, headers: Mapping[str, str], body: bytes | None, deadline: Deadline, cap: int
    ) -> Answer:
        try:
            response = self._sent(method, target, headers, body, deadline)
        except (HTTPError, OSError) as error:
            _fail(error, target, deadline, "the answer had not begun", whole=True)
        try:
            data = _read(response, target, deadline, cap)
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
            return self._pool(target).urlopen(
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

    def _pool(self, target: _Target) -> urllib3.HTTPConnectionPool:
        with self._lock:
            pool = self._pools.get(target.origin)
            if pool is None:
                pool = self._pools[target.origin] = self._new_pool(target)
            self._pools.move_to_end(target.origin)
            old = self._pools.popitem(last=False)[1] if len(self._pools) > HOSTS else None
        if old is not None:
            old.close()
        return pool

    def _new_pool(self, target: _Target) -> urllib3.HTTPConnectionPool:
        def dial(port: int, seconds: float) -> socket.socket:
            return self._dial(target, port, seconds)

        options: dict[str, Any] = {"maxsize": CONNECTIONS, "block": True, "dial": dial}
        if target.scheme == "http":
            return _PlainPool(target.host, target.port, **options)
        authorities = target.entry.ca if target.entry is not None else ""
        return _SecurePool(target.host, target.port, ssl_context=_context(authorities), **options)

    def _dial(self, target: _Target, port: int, seconds: float) -> socket.socket:
        """Connect to the first address of a host that may be connected to and answers, within `seconds`."""
        deadline = Deadline(seconds)
        found = self._resolved(target, port, deadline)
        ranges = target.entry.addresses if target.entry is not None else ()
        allowed, refused = [], ""
        for family, _, _, _, address in found:
            why = refusal(ip_address(address[0]), ranges, listed=target.entry is not None)
            if why:
                refused = refused or f"its address {address[0]} is {why}, which is not connected to"
            else:
                allowed.append((family, address))
        if not allowed:
            wanted = "list the range in its `addresses`, if it is meant" if target.entry else "its host is not listed"
            text = f"{refused}; {wanted}" if refused else "its name has no address"
            raise Unanswered(f"{target.name}: {text}", host=_whole(target))
        return _first(allowed[:ADDRESSES], target, deadline)

    def _resolved(self, target: _Target, port: int, deadline: Deadline) -> list[tuple[Any, ...]]:
        """Look a name up in a thread of its own, since no look-up can be given a deadline."""
        late = f"{target.name}: its name had not been looked up after {deadline}"
        if not self._resolvers.acquire(timeout=deadline.left()):
            raise Unanswered(late)
        done: SimpleQueue[list[tuple[Any, ...]] | OSError] = SimpleQueue()

        def look() -> None:
            try:
                done.put(list(self._resolve(target.host.strip("[]"), port, type=socket.SOCK_STREAM)))
            except OSError as error:
                done.put(error)
            except UnicodeError:
                done.put(socket.gaierror(socket.EAI_NONAME, "no name of a host"))
            finally:
                self._resolvers.release()

        threading.Thread(target=look, name="resolve", daemon=True).start()
        try:
            found = done.get(timeout=deadline.left())
        except Empty:
            raise Unanswered(late, host=_whole(target)) from None
        if isinstance(found, OSError):
            text = f"{target.name}: its name cannot be looked up: {found.strerror or found}"
            raise Unanswered(text, host=_whole(target)) from found
        return found


def cleaned(text: str, most: int = 200) -> str:
    """Return what a stranger said as it may stand in a message: one line, printable, cut."""
    shown = "".join(char if char.isprintable() else " " for char in text[: 4 * most])
    shown = " ".join(shown.split())
    return shown if len(shown) <= most else shown[: most - 1] + "…"


if TYPE_CHECKING:
    _Socket = socket.socket
else:
    _Socket = object  # mixed into socket.socket and ssl.SSLSocket


class _Timed(_Socket):
    """A socket whose timeout is for all that is read from when it was set, not for each piece.

    http.client reads a head line by line and a body in chunks; a server that sends a byte now and then would keep it
    for as long as it likes.
    """

    _end: float | None = None

    def settimeout(self, value: float | None) -> None:
        self._end = None if value is None else time.monotonic() + value
        super().settimeout(value)

    def recv_into(self, *args: Any, **more: Any) -> int:
        if self._end is not None:
            left = self._end - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            super().settimeout(left)
        return super().recv_into(*args, **more)


class _PlainSocket(_Timed, socket.socket):
    pass


class _SecureSocket(_Timed, ssl.SSLSocket):
    pass


Dial = Callable[[int, float], socket.socket]


class _PlainConnection(HTTPConnection):
    """A connection to an address that was checked."""

    def __init__(self, *args: Any, dial: Dial, **more: Any) -> None:
        super().__init__(*args, **more)
        self._dial = dial

    def _new_conn(self) -> socket.socket:
        return self._dial(self.port, float(self.timeout or 0))


class _SecureConnection(HTTPSConnection):
    """The same over TLS; urllib3 checks the certificate for the name."""

    def __init__(self, *args: Any, dial: Dial, **more: Any) -> None:
        super().__init__(*args, **more)
        self._dial = dial

    def _new_conn(self) -> socket.socket:
        return self._dial(self.port, float(self.timeout or 0))


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def _first(addresses: Sequence[tuple[int, Any]], target: _Target, deadline: Deadline) -> socket.socket:
    """Return a connection to the first address that takes one; each has its share of the time."""
    text = ""
    for number, (family, address) in enumerate(addresses):
        made = _PlainSocket(family, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.settimeout(deadline.share(len(addresses) - number).left() or _AT_ONCE)
            made.connect(address)
            made.settimeout(deadline.left() or _AT_ONCE)
            return made
        except TimeoutError:
            text = text or f"no connection after {deadline}"
        except OSError as error:
            text = text or f"cannot be connected to: {error.strerror or error}"
        made.close()
    raise Unanswered(f"{target.name}: {text}", host=_whole(target))


def _context(authorities: str) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities, and those in a PEM text."""
    made = ssl.create_default_context()
    if authorities:
        made.load_verify_locations(cadata=authorities)
    # Python 3.13 asks authorities for extensions that companies' own often lack, and container runtimes don't ask for.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    made.sslsocket_class = _SecureSocket
    return made


def _read(response: urllib3.BaseHTTPResponse, target: _Target, deadline: Deadline, cap: int) -> bytes:
    """Read a body to its end. Of an error no more is read than may be looked at."""
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
        if not deadline.left():
            raise TimeoutError
    return bytes(data)


def _place(url: Url) -> tuple[str, int]:
    return url.host or "", url.port or _PORTS.get(url.scheme or "", 0)


def _bare(url: Url) -> str:
    """Return a URL without what may be secret in it."""
    return url._replace(auth=None, query=None, fragment=None).url


def _whole(target: _Target) -> str:
    return target.entry.host if target.entry is not None else ""


def _fail(error: Exception, target: _Target, deadline: Deadline, late: str, *, whole: bool) -> NoReturn:
    """Raise Unanswered for what urllib3 or a socket says; `late` is the sentence where it was the time.

    `whole`: it says something about the host, and not about what was asked.
    """
    host = _whole(target) if whole else ""
    if isinstance(error, EmptyPoolError):
        text = f"all {CONNECTIONS} connections to it were in use for {deadline}"
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
