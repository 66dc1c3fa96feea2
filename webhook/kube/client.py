"""A small client of the API server: JSON over HTTP/1.1, every call with a deadline, every answer with a
size limit.

It holds no models: objects come and go as the dictionaries that the rest of the package reads. Why urllib3,
and why not one of the Kubernetes libraries: docs/decisions/0004-kubernetes-client.md.
"""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
import urllib3
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError

from webhook.errors import ConfigError, Problem
from webhook.model.record import record

Object = dict[str, Any]

CONNECTIONS = 8
"""Open at once, per process; a ninth caller waits for its turn, and its deadline runs meanwhile."""
ANSWER_BYTES = 16 * 1024 * 1024
"""More than a page of 500 objects; etcd holds none above 3 MiB."""
PAGE = 500
_TYPES = {"PATCH": "application/merge-patch+json"}
"""What a body is (RFC 7396), where it isn't the object itself."""
CONNECT = 10.0
"""Seconds for a stream to begin."""
REFUSAL_BYTES = 64 * 1024
SILENCE = 100.0
"""Seconds for which a stream may say nothing: a watch has a bookmark each minute or so. What stands between may keep
a connection alive whose other end is gone."""
DEAD = 30
"""Seconds after which a connection is given up whose other end acknowledges nothing: a node that died, a firewall's
new rule. Else a stream would wait for an answer that can never come."""
_KEEP_ALIVE = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (
            ("TCP_KEEPIDLE", DEAD // 2),
            ("TCP_KEEPINTVL", DEAD // 6),
            ("TCP_KEEPCNT", 3),
            ("TCP_USER_TIMEOUT", DEAD * 1000),
        )
        if hasattr(socket, name)  # Linux has all of them
    ),
]


@record(frozen=True, slots=True)
class Credential:
    """Who we are: a bearer token, or a client certificate with its key (PEM), or both, or nobody."""

    token: str | None = field(default=None, repr=False)
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)


@record(frozen=True, slots=True)
class Access:
    """Where the API server is and how to be let in.

    `ca` is PEM (None: the system's authorities), `server_name` what its certificate is checked for where
    that isn't the host of `url`. `credential(refused)` gives the present credential; `refused` says that
    the last one was answered with 401, so that a rotated one is read.
    """

    url: str
    credential: Callable[[bool], Credential]
    ca: bytes | None = None
    insecure: bool = False
    server_name: str | None = None
    proxy: str | None = None
    namespace: str = "default"


class ApiError(Exception):
    """The API server refused a call or couldn't be reached.

    `status` is the HTTP status, 0 where there was no answer; `reason` the API's own word (`NotFound`,
    `Conflict`, ...), empty where it gave none.
    """

    def __init__(self, call: str, status: int, reason: str, message: str) -> None:
        """Take the call (`GET /api/v1/...`) and what came of it."""
        self.status = status
        self.reason = reason
        self.message = message
        super().__init__(f"{call}: {status or 'no answer'}: {message}" if message else f"{call}: {status}")


def weight(value: object) -> int:
    """Return the bytes of something that an API server answered, as JSON; about what keeping it takes."""
    return len(orjson.dumps(value))


class Client:
    """Calls one API server. Threads may share it; no connection is opened before the first call."""

    def __init__(
        self,
        access: Access,
        clock: Callable[[], float] = time.monotonic,
        waits: Callable[[], None] = lambda: None,
        connections: int = CONNECTIONS,
    ) -> None:
        """Take `access`; `clock` counts seconds and never goes back, `waits` is called before each call.

        `connections` are open at once at most; each stream has one to itself.

        Raises ConfigError for a URL that is none.
        """
        parts = urlsplit(access.url)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            text = f"{access.url!r} is no address of an API server; an https URL is wanted"
            raise ConfigError([Problem("kubeconfig", 0, "clusters[].cluster.server", text)])
        self.access = access
        self.waits = waits
        self._clock = clock
        self._connections = connections
        self._lock = threading.Lock()
        self._pool: tuple[Credential, urllib3.PoolManager] | None = None

    def get(self, path: str, timeout: float, query: Mapping[str, str] | None = None) -> Object:
        """Return the object at `path` (`/api/v1/namespaces/shop`) within `timeout` seconds; ApiError else."""
        return self.call("GET", path, timeout, query=query)

    def items(self, path: str, timeout: float, query: Mapping[str, str] | None = None) -> Iterator[Object]:
        """Yield what a list holds, in pages of 500, each within `timeout` seconds; ApiError else."""
        again = ""
        while True:
            more = {"limit": str(PAGE), **(query or {}), **({"continue": again} if again else {})}
            page = self.get(path, timeout, more)
            yield from page.get("items") or []
            again = (page.get("metadata") or {}).get("continue") or ""
            if not again:
                return

    def call(
        self,
        method: str,
        path: str,
        timeout: float,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Object:
        """Make one call and return the JSON object of its answer, all within `timeout` seconds.

        A 401 is tried once more with a credential read anew. A GET whose kept connection the server had
        just closed is tried once more too; a write is not, since nobody knows whether it was made. Raises
        ApiError for every status from 300 on, for no answer in time, and for an answer that is too long.
        """
        self.waits()
        deadline = self._clock() + timeout
        name = f"{method} {path}"
        answer = self._send(method, path, query, body, deadline, refused=False)
        if answer[0] == 401:
            answer = self._send(method, path, query, body, deadline, refused=True)
        status, data = answer
        try:
            value = orjson.loads(data) if data else {}
        except orjson.JSONDecodeError:
            value = {}
            if status < 300:
                raise ApiError(name, status, "", "the answer isn't JSON; is this an API server?") from None
        if not isinstance(value, dict):
            raise ApiError(name, status, "", "the answer isn't an object")
        if status >= 300:
            raise _said(name, status, value)
        return value

    def stream(
        self, path: str, query: Mapping[str, str], timeout: float, silence: float = SILENCE
    ) -> Generator[Object, None, None]:
        """Open an answer that comes line by line (a watch), and return the iterator of its JSON objects.

        It ends where the server ends it, after `timeout` seconds at the latest, and where nothing came for `silence`
        seconds. A connection that died without a word is found out by the kernel (`DEAD`). Raises ApiError as `call`
        does, here and where the connection breaks off later. An iterator that is left early is to be closed.
        """
        name = f"GET {path}"
        silence = min(silence, timeout + CONNECT)
        ends = self._clock() + timeout + CONNECT  # the server is told `timeout`, and ends it by itself
        try:
            response = self._opened(path, query, silence, refused=False)
            if response.status == 401:
                _discard(response)
                response = self._opened(path, query, silence, refused=True)
            if response.status >= 300:
                try:
                    data = response.read(REFUSAL_BYTES)
                finally:
                    _discard(response)
                raise _refusal(name, response.status, data)
        except (HTTPError, OSError) as error:
            raise ApiError(name, 0, "", _short(error)) from error
        except ConfigError as error:
            raise ApiError(name, 0, "", str(error)) from error
        return self._objects(name, response, ends)

    def _objects(self, name: str, response: urllib3.BaseHTTPResponse, ends: float) -> Generator[Object, None, None]:
        try:
            for line in _lines(response):
                value = orjson.loads(line)
                if not isinstance(value, dict):
                    raise ApiError(name, 200, "", "a line of the answer isn't an object")
                yield value
                if self._clock() > ends:
                    return
        except ReadTimeoutError:
            return  # who reads looks again, and hears then what is wrong, if anything is
        except orjson.JSONDecodeError as error:
            raise ApiError(name, 200, "", "a line of the answer isn't JSON") from error
        except (HTTPError, OSError) as error:
            raise ApiError(name, 0, "", _short(error)) from error
        finally:
            _discard(response)

    def _opened(
        self, path: str, query: Mapping[str, str], silence: float, *, refused: bool
    ) -> urllib3.BaseHTTPResponse:
        credential = self.access.credential(refused)
        headers = {"Accept": "application/json", "User-Agent": "plimsoll"}
        if credential.token:
            headers["Authorization"] = f"Bearer {credential.token}"
        return self._pool_for(credential).request(
            "GET",
            f"{self.access.url.rstrip('/')}{path}?{urlencode(query)}",
            headers=headers,
            timeout=urllib3.Timeout(connect=CONNECT, read=silence),
            pool_timeout=CONNECT,
            retries=False,
            redirect=False,
            preload_content=False,
        )

    def close(self) -> None:
        """Close all connections; the next call opens new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool:
            pool[1].clear()

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Object | None,
        deadline: float,
        *,
        refused: bool,
    ) -> tuple[int, bytes]:
        try:
            credential = self.access.credential(refused)
            try:
                return self._once(credential, method, path, query, body, deadline)
            except ProtocolError:
                if method != "GET":
                    raise
                return self._once(credential, method, path, query, body, deadline)
        except (HTTPError, OSError) as error:
            # The text of these errors names hosts and certificates, never a token.
            raise ApiError(f"{method} {path}", 0, "", _short(error)) from error
        except ConfigError as error:
            # A token file gone or a plugin that fails, while reviews wait: to them it is no answer.
            raise ApiError(f"{method} {path}", 0, "", str(error)) from error

    def _once(
        self,
        credential: Credential,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Object | None,
        deadline: float,
    ) -> tuple[int, bytes]:
        url = self.access.url.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json", "User-Agent": "plimsoll"}
        if credential.token:
            headers["Authorization"] = f"Bearer {credential.token}"
        if body is not None:
            headers["Content-Type"] = _TYPES.get(method, "application/json")
        left = self._left(deadline)
        response = self._pool_for(credential).request(
            method,
            url,
            body=None if body is None else orjson.dumps(body),
            headers=headers,
            timeout=urllib3.Timeout(total=left),
            pool_timeout=left,
            retries=False,
            redirect=False,  # the API server sends none, and a token must not travel to another host
            preload_content=False,
        )
        try:
            data = self._body(response, deadline)
        except BaseException:
            _discard(response)
            raise
        response.release_conn()
        return response.status, data

    def _body(self, response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
        """Read in whatever pieces come, so that a server that drips can't hold us past the deadline."""
        data = bytearray()
        while piece := response.read1(65536):
            data += piece
            if len(data) > ANSWER_BYTES:
                raise HTTPError(f"the answer is longer than {ANSWER_BYTES} bytes")
            self._left(deadline)
        return bytes(data)

    def _left(self, deadline: float) -> float:
        left = deadline - self._clock()
        if left <= 0:
            raise TimeoutError("no answer in time")
        return left

    def _pool_for(self, credential: Credential) -> urllib3.PoolManager:
        """Return the connections for a client certificate; another certificate needs others."""
        with self._lock:
            held = self._pool
            if held and (held[0].certificate, held[0].key) == (credential.certificate, credential.key):
                return held[1]
            pool = _pool(self.access, credential, self._connections)
            self._pool = credential, pool
        if held:
            held[1].clear()
        return pool


def _pool(access: Access, credential: Credential, connections: int) -> urllib3.PoolManager:
    options: dict[str, Any] = {
        "num_pools": 1,
        "maxsize": connections,
        "block": True,
        "socket_options": _KEEP_ALIVE,
    }
    if access.url.startswith("https:"):
        options["ssl_context"] = context(access, credential)
        if access.insecure:
            options["assert_hostname"] = False
        elif access.server_name:
            options |= {"server_hostname": access.server_name, "assert_hostname": access.server_name}
    return urllib3.ProxyManager(access.proxy, **options) if access.proxy else urllib3.PoolManager(**options)


def context(access: Access, credential: Credential) -> ssl.SSLContext:
    """Return the TLS context for `access` with the client certificate of `credential`.

    Raises ConfigError for PEM that can't be read.
    """
    try:
        made = ssl.create_default_context(cadata=access.ca.decode("ascii") if access.ca else None)
        # Python 3.13 asks authorities for extensions that older clusters' own authorities lack, kubeadm's
        # among them; kubectl doesn't ask for them.
        made.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if access.insecure:
            made.check_hostname = False
            made.verify_mode = ssl.CERT_NONE
        if credential.certificate and credential.key:
            _load(made, credential.certificate, credential.key)
    except (ssl.SSLError, ValueError) as error:
        text = f"the certificates for {access.url} can't be read: {_short(error)}"
        raise ConfigError([Problem("kubeconfig", 0, "", text)]) from error
    return made


def _load(made: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Load a client certificate: ssl takes it from a file only, so the key is one (0600) for this moment."""
    handle, name = tempfile.mkstemp(prefix="plimsoll-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(certificate.rstrip() + b"\n" + key)
        made.load_cert_chain(name)
    finally:
        Path(name).unlink()


def _said(name: str, status: int, value: Object) -> ApiError:
    return ApiError(name, status, str(value.get("reason") or ""), str(value.get("message") or "")[:500])


def _refusal(name: str, status: int, data: bytes) -> ApiError:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        value = {}
    return _said(name, status, value if isinstance(value, dict) else {})


def _discard(response: urllib3.BaseHTTPResponse) -> None:
    """Close an answer that is not read to its end, and give its place among the connections back.

    `close` alone keeps the place, and after `CONNECTIONS` of them every call would wait for one in vain.
    """
    response.close()
    response.release_conn()


def _lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Yield the lines of an answer as they come."""
    rest = bytearray()
    while piece := response.read1(65536):
        rest += piece
        if b"\n" not in piece:
            if len(rest) > ANSWER_BYTES:
                raise HTTPError(f"a line of the answer is longer than {ANSWER_BYTES} bytes")
            continue
        *lines, last = rest.split(b"\n")
        yield from (bytes(line) for line in lines if line)
        rest = bytearray(last)


def _short(error: Exception) -> str:
    """Return the first line of an error, without urllib3's object addresses."""
    text = str(error).partition("\n")[0]
    return (text.rpartition(">: ")[2] or type(error).__name__)[:300]
