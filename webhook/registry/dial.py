"""Connections to addresses that were checked, over sockets that give up at a time.

A name is resolved once, and the address that was checked is the one connected to, so that no second look-up can answer
otherwise; TLS checks the certificate for the name all the same.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from webhook.registry.address import refusal
from webhook.registry.config import Registry
from webhook.registry.deadline import Deadline
from webhook.registry.source import Unanswered

ADDRESSES = 8
"""Of one name that are tried."""
RESOLVERS = 8
"""Names that are looked up at once. A look-up knows no deadline, so one that hangs keeps its thread."""
PORTS = {"https": 443, "http": 80}
_AT_ONCE = 0.001  # a timeout of 0 would mean: don't wait at all, and raise something else

Resolve = Callable[..., Iterable[tuple[Any, ...]]]
"""What `socket.getaddrinfo` is."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where requests go: scheme, host, port, and the entry of that host, None where it is not listed."""

    scheme: str
    host: str
    port: int
    entry: Registry | None

    @property
    def name(self) -> str:
        """The host as people know it."""
        if self.entry is not None:
            return self.entry.host
        return self.host if self.port == PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def registry(self) -> str:
        """The host where it is listed, else ''."""
        return self.entry.host if self.entry is not None else ""


class Dialler:
    """Makes connections. Threads may share it."""

    def __init__(self, resolve: Resolve) -> None:
        """Take what resolves names."""
        self._resolve = resolve
        self._free = threading.BoundedSemaphore(RESOLVERS)

    def dial(self, origin: Origin, seconds: float) -> socket.socket:
        """Connect to the first address of a host that may be connected to and answers. Raises Unanswered."""
        deadline = Deadline(seconds)
        ranges = origin.entry.addresses if origin.entry is not None else ()
        allowed, refused = [], ""
        for family, _, _, _, address in self._resolved(origin, deadline):
            why = refusal(ip_address(address[0]), ranges, listed=origin.entry is not None)
            if why:
                refused = refused or f"its address {address[0]} is {why}, which is not connected to"
            else:
                allowed.append((family, address))
        if not allowed:
            wanted = "list the range in its `addresses`, if it is meant" if origin.entry else "its host is not listed"
            text = f"{refused}; {wanted}" if refused else "its name has no address"
            raise Unanswered(f"{origin.name}: {text}", host=origin.registry)
        return _first(allowed[:ADDRESSES], origin, deadline)

    def _resolved(self, origin: Origin, deadline: Deadline) -> list[tuple[Any, ...]]:
        """Look a name up in a thread of its own, since no look-up can be given a deadline."""
        late = f"{origin.name}: its name had not been looked up after {deadline}"
        if not self._free.acquire(timeout=deadline.left()):
            raise Unanswered(late)
        done: SimpleQueue[list[tuple[Any, ...]] | OSError] = SimpleQueue()

        def look() -> None:
            try:
                done.put(list(self._resolve(origin.host.strip("[]"), origin.port, type=socket.SOCK_STREAM)))
            except OSError as error:
                done.put(error)
            except UnicodeError:  # a label that is empty or too long
                done.put(socket.gaierror(socket.EAI_NONAME, "no name of a host"))
            finally:
                self._free.release()

        threading.Thread(target=look, name="resolve", daemon=True).start()
        try:
            found = done.get(timeout=deadline.left())
        except Empty:
            raise Unanswered(late, host=origin.registry) from None
        if isinstance(found, OSError):
            text = f"{origin.name}: its name cannot be looked up: {found.strerror or found}"
            raise Unanswered(text, host=origin.registry) from found
        return found


def pool(
    origin: Origin, dialler: Dialler, connections: int, context: ssl.SSLContext | None
) -> urllib3.HTTPConnectionPool:
    """Return the connections to a host, at most so many; `context` is None for plain HTTP. It opens none yet."""

    def dial(seconds: float) -> socket.socket:
        return dialler.dial(origin, seconds)

    options: dict[str, Any] = {"maxsize": connections, "block": True, "dial": dial}
    if context is None:
        return _PlainPool(origin.host, origin.port, **options)
    return _SecurePool(origin.host, origin.port, ssl_context=context, **options)


def trust(authorities: str) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities, and those in a PEM text."""
    made = ssl.create_default_context()
    if authorities:
        made.load_verify_locations(cadata=authorities)
    # Python 3.13 asks authorities for extensions that companies' own often lack, and container runtimes don't ask for.
    made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    made.sslsocket_class = _SecureSocket
    return made


def _first(addresses: Sequence[tuple[int, Any]], origin: Origin, deadline: Deadline) -> socket.socket:
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
    raise Unanswered(f"{origin.name}: {text}", host=origin.registry)


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


Dial = Callable[[float], socket.socket]


class _PlainConnection(HTTPConnection):
    """A connection to an address that was checked."""

    def __init__(self, *args: Any, dial: Dial, **more: Any) -> None:
        super().__init__(*args, **more)
        self._dial = dial

    def _new_conn(self) -> socket.socket:
        return self._dial(float(self.timeout or 0))


class _SecureConnection(HTTPSConnection):
    """The same over TLS; urllib3 checks the certificate for the name."""

    def __init__(self, *args: Any, dial: Dial, **more: Any) -> None:
        super().__init__(*args, **more)
        self._dial = dial

    def _new_conn(self) -> socket.socket:
        return self._dial(float(self.timeout or 0))


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection
