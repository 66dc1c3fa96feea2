"""Remembers how the last request of a connection began, so that its like need no parsing.

An API server sends the same head with each review over a connection; only the length of the body differs. gunicorn
parses the first one and judges it; a later one that has the same bytes but for those digits means the same.
"""

from __future__ import annotations

import re
from typing import Any

from webhook.model.record import record

LONGEST = 4096
"""Bytes of a head that is remembered; an API server's has some 300."""

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)(?=\r\n)", re.IGNORECASE)
_PASSING = ("wsgi.input", "wsgi.early_hints")
"""What in an environ belongs to one request alone."""


@record(frozen=True, slots=True)
class Known:
    """A request that began like the last one; `body` is what came of its body, and perhaps more behind it."""

    request: Any
    environ: dict[str, Any]
    length: int
    body: bytes


class Heads:
    """The last head of one connection. Not thread-safe: one thread serves a connection."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._before = self._after = b""
        self._request: Any = None
        self._environ: dict[str, Any] = {}

    def learn(self, first: bytes, request: Any, environ: dict[str, Any]) -> None:
        """Remember a request as gunicorn read it from a connection; `first` is what came before any was asked for.

        Only a plain one: whole head at once, a body of a stated length, nothing that asks for an answer of its
        own (Expect) or for the end of the connection.
        """
        head = first[: first.find(b"\r\n\r\n") + 4]
        found = _LENGTH.findall(head)
        plain = (
            4 < len(head) <= LONGEST
            and not first.startswith(b"\r\n")  # an empty line before the request, which gunicorn skips
            and found == [environ.get("CONTENT_LENGTH", "").encode()]
            and "HTTP_TRANSFER_ENCODING" not in environ
            and "HTTP_EXPECT" not in environ
            and not request.should_close()
        )
        if not plain:
            self._before = b""
            return
        at = _LENGTH.search(head)
        assert at is not None  # it was found
        self._before, self._after = head[: at.start(1)], head[at.end(1) :]
        self._request = request
        self._environ = {key: value for key, value in environ.items() if key not in _PASSING}

    def match(self, first: bytes) -> Known | None:
        """Return the request that `first` begins with, where its head differs from the last one in its length alone."""
        before = self._before
        if not before or not first.startswith(before):
            return None
        end = first.find(b"\r\n", len(before), len(before) + 12)
        digits = first[len(before) : end]
        if end < 0 or not digits.isdigit() or not first.startswith(self._after, end):
            return None
        environ = self._environ.copy()
        environ["CONTENT_LENGTH"] = digits.decode()
        return Known(self._request, environ, int(digits), first[end + len(self._after) :])
