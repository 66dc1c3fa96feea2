"""A registry with faults: it serves one good image, and what is wrong is told by the repository's name.

`127.0.0.1:PORT/half-body:1` fails when its manifest is asked for, `127.0.0.1:PORT/blob/half-body:1` has a good manifest
and fails when its config is asked for; `good` does not fail. What came in is recorded, here and at the place that
redirects lead to, with the word whether credentials came along.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache

from lab.pki import Authority

from registry.artifact import Artifact, digest
from registry.images import family
from registry.listener import Handler, listening
from registry.tokens import Account

RETRY_AFTER = 7
"""Seconds that `too-many` asks for."""
HUGE = 16 << 20
"""Bytes of the manifest or config of `huge`."""
DRIP = 0.2
"""Seconds between two bytes of what drips."""
METADATA = "http://169.254.169.254/latest/meta-data/"


@dataclass(frozen=True, slots=True)
class Received:
    """One request: `place` is `registry`, or `elsewhere`, where `redirect` leads."""

    place: str
    method: str
    path: str
    authorized: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a good registry would answer."""

    content: bytes
    media_type: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a good answer, without its length."""
        return {"Content_Type": self.media_type, "Docker_Content_Digest": digest(self.content)}


@dataclass(slots=True)
class Faulty:
    """A faulty registry that is up: `address` is its `host:port`, `image` what it serves where it does not fail."""

    image: Artifact
    account: Account | None = None
    address: str = ""
    elsewhere: str = ""
    scheme: str = "http"
    received: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self.scheme}://{self.address}"

    def reference(self, fault: str) -> str:
        """Return what a pod writes to meet a fault."""
        return f"{self.address}/{fault}:1"

    def answer(self, handler: Handler) -> None:
        """Answer, or fail, as the name of the repository says."""
        self._record("registry", handler)
        if self.account and handler.headers.get("Authorization") != self.account.basic:
            _unauthorized(self, handler, Wanted(b"", ""))
            return
        if handler.path.startswith("/token"):
            handler.reply(200, b'{"token": "of no use"}', Content_Type="application/json")
            return
        repository, kind, reference = _split(handler.path)
        fault = repository.removeprefix("blob/")
        if fault != repository and kind == "manifests":
            fault = "good"
        wanted = self._wanted(kind, reference)
        if wanted is None or fault not in KINDS:
            _error(handler, 404, "MANIFEST_UNKNOWN")
        else:
            KINDS[fault](self, handler, wanted)

    def answer_elsewhere(self, handler: Handler) -> None:
        """Answer as a good registry, to whoever followed."""
        self._record("elsewhere", handler)
        _, kind, reference = _split(handler.path)
        wanted = self._wanted(kind, reference)
        if wanted is None:
            _error(handler, 404, "MANIFEST_UNKNOWN")
        else:
            good(self, handler, wanted)

    def _record(self, place: str, handler: Handler) -> None:
        authorized = "Authorization" in handler.headers
        self.received.append(Received(place, handler.command, handler.path, authorized))

    def _wanted(self, kind: str, reference: str) -> Wanted | None:
        if kind == "manifests" and reference in ("1", self.image.digest):
            return Wanted(self.image.content, self.image.media_type)
        found = [blob for blob in self.image.blobs if kind == "blobs" and digest(blob) == reference]
        return Wanted(found[0], "application/octet-stream") if found else None


def good(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
    """Answer as a registry should."""
    handler.reply(200, wanted.content, **wanted.headers)


def _slow(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
    handler.server.ending.wait()


def _of_body(fault: Fault) -> Fault:
    """Return a fault of the body alone: a HEAD, which has none, is answered well."""

    def commit(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
        (good if handler.command == "HEAD" else fault)(faulty, handler, wanted)

    return commit


def _slow_body(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
    handler.begin(200, Content_Length=str(len(wanted.content)), **wanted.headers)
    handler.server.ending.wait()


def _half_body(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
    handler.begin(200, Content_Length=str(len(wanted.content)), **wanted.headers)
    handler.wfile.write(wanted.content[: len(wanted.content) // 2])


def _wrong_digest(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
    """Answer something that could be meant, under the digest of what was."""
    handler.reply(200, json.dumps({**json.loads(wanted.content), "forged": True}).encode(), **wanted.headers)


def _too_many(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
    _error(handler, 429, "TOOMANYREQUESTS", Retry_After=str(RETRY_AFTER))


def _error_500(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
    _error(handler, 500, "UNKNOWN")


def _denied(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
    _error(handler, 403, "DENIED")


def _unauthorized(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
    _error(handler, 401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="faulty"')


def _unauthorized_token(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
    """Send the client for a token, and refuse it with that token too."""
    challenge = f'Bearer realm="{faulty.url}/token",service="faulty",scope="repository:unauthorized-token:pull"'
    _error(handler, 401, "UNAUTHORIZED", WWW_Authenticate=challenge)


def _redirect_to(target: Callable[[Faulty, Handler], str]) -> Fault:
    def redirect(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
        handler.reply(307, b"", Location=target(faulty, handler))

    return redirect


def _endless(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
    handler.begin(200, **wanted.headers)
    _stream(handler, b" " * 65536)


def _endless_chunks(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
    handler.begin(200, Transfer_Encoding="chunked", **wanted.headers)
    _stream(handler, b"10000\r\n" + b" " * 65536 + b"\r\n")


def _huge(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
    """Answer what is whole, true to its own digest, and far too large."""
    good(faulty, handler, _padded(wanted))


@cache
def _padded(wanted: Wanted) -> Wanted:
    document = {**json.loads(wanted.content), "annotations": {"padding": " " * HUGE}}
    return Wanted(json.dumps(document).encode(), wanted.media_type)


def _garbage(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
    good(faulty, handler, Wanted(bytes(reversed(range(256))), wanted.media_type))


def _not_http(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
    handler.close_connection = True
    handler.wfile.write(b"SSH-2.0-registry\r\n" + bytes(range(256)))


def _dripping(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
    handler.begin(200, Content_Length=str(len(wanted.content)), **wanted.headers)
    _drip(handler, wanted.content)


def _dripping_head(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
    handler.close_connection = True
    _drip(handler, b"HTTP/1.1 200 OK\r\n" + b"X-Padding: 0123456789\r\n" * 1000)


def _closed(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
    handler.close_connection = True


def _reset(faulty: Faulty, handler: Handler, wanted: Wanted) -> None:
    """Close with RST: no lingering, socket(7)."""
    handler.close_connection = True
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.rfile.close()  # it holds the socket too
    handler.connection.close()


Fault = Callable[[Faulty, Handler, Wanted], None]
FAULTS: dict[str, Fault] = {
    "slow": _slow,
    "slow-body": _of_body(_slow_body),
    "half-body": _of_body(_half_body),
    "wrong-digest": _wrong_digest,
    "too-many": _too_many,
    "error-500": _error_500,
    "denied": _denied,
    "unauthorized": _unauthorized,
    "unauthorized-token": _unauthorized_token,
    "redirect": _redirect_to(lambda faulty, handler: f"{faulty.scheme}://{faulty.elsewhere}{handler.path}"),
    "redirect-loop": _redirect_to(lambda faulty, handler: handler.path),
    "redirect-metadata": _redirect_to(lambda faulty, handler: METADATA),
    "redirect-file": _redirect_to(lambda faulty, handler: "file:///etc/passwd"),
    "endless": _of_body(_endless),
    "endless-chunks": _of_body(_endless_chunks),
    "huge": _huge,
    "garbage": _garbage,
    "not-http": _not_http,
    "dripping": _of_body(_dripping),
    "dripping-head": _dripping_head,
    "closed": _closed,
    "reset": _reset,
}
"""The faults by name."""
KINDS = {"good": good, **FAULTS}


@contextmanager
def running(ca: Authority | None = None, account: Account | None = None) -> Iterator[Faulty]:
    """Run a faulty registry as long as the context lasts, over TLS where a CA is given.

    With an account it asks for basic auth before it answers or fails at all.
    """
    faulty = Faulty(family("registry.example")["app"].artifact, account, scheme="https" if ca else "http")
    pair = ca.server("faulty") if ca else None
    with ExitStack() as stack:
        faulty.elsewhere = stack.enter_context(listening(faulty.answer_elsewhere, pair))
        faulty.address = stack.enter_context(listening(faulty.answer, pair))
        yield faulty


def _split(path: str) -> tuple[str, str, str]:
    """Return repository, `manifests` or `blobs`, and tag or digest of a path; nothing where it is none of these."""
    rest, _, reference = path.removeprefix("/v2/").rpartition("/")
    repository, _, kind = rest.rpartition("/")
    return repository, kind, reference


def _error(handler: Handler, status: int, code: str, **headers: str) -> None:
    body = json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode()
    handler.reply(status, body, Content_Type="application/json", **headers)


def _stream(handler: Handler, piece: bytes) -> None:
    while not handler.server.ending.is_set():
        handler.wfile.write(piece)


def _drip(handler: Handler, content: bytes) -> None:
    for number in range(len(content)):
        handler.wfile.write(content[number : number + 1])
        if handler.server.ending.wait(DRIP):
            return
