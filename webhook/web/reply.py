"""One answer to a request, as an application gives it (PEP 3333) and as it goes over the wire (RFC 9112).

Every answer of ours is short and whole, so it is sent with its length: nothing is streamed, nothing comes in chunks.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from email.utils import formatdate
from functools import lru_cache
from typing import Any

_OURS = frozenset(
    (
        "connection",
        "content-length",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
"""Headers about the connection (RFC 9110, section 7.6.1), which the server says, and no application (PEP 3333)."""
_STATUS = re.compile(r"[1-9][0-9]{2} [\t -~]*")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t -~\x80-\xff]*")
"""What RFC 9110 (section 5.5) and 9112 (section 4) let stand there: no line ends, above all."""


class Reply:
    """The answer to one request: takes what an application says of it, and writes it out."""

    def __init__(self, version: tuple[int, int], method: str, closes: bool) -> None:
        """Answer a request of a version of HTTP and a method; `closes` says that its connection ends with it."""
        self._version = version
        self._method = method
        self.closes = closes
        self._status = ""
        self._head = ""
        self._length: str | None = None
        self._parts: list[bytes] = []

    def start_response(
        self, status: str, headers: Sequence[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        """Take status and headers; said again only with `exc_info`, in place of what was said before.

        Raises ValueError for what must not stand in a head, as a line end that would begin another answer.
        """
        if self._status and exc_info is None:
            raise AssertionError("start_response was called before")
        if _STATUS.fullmatch(status) is None:
            raise ValueError(f"no status of HTTP: {status!r}")
        head, length = "", None
        for name, value in headers:
            if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
                raise ValueError(f"no header of HTTP: {name!r}")  # its value may be a secret
            lowered = name.lower()
            if lowered == "content-length":
                length = value
            if lowered not in _OURS:
                head += f"{name}: {value}\r\n"
        self._status, self._head, self._length = status, head, length
        return self._parts.append

    def whole(self, parts: Iterable[bytes]) -> bytes:
        """Return all that is sent, once the application has given the parts of the body."""
        if not self._status:
            raise AssertionError("start_response was not called")
        body = b"".join([*self._parts, *parts])
        code = self._status[:3]
        bodiless = code in ("204", "304") or code[0] == "1"
        length: str | None = str(len(body))
        if bodiless or self._method == "HEAD":
            # what GET would give, where the application says that; 204 and 1xx must not have one (RFC 9110, 8.6)
            length = None if code == "204" or code[0] == "1" else self._length
            body = b""
        major, minor = self._version
        stated = "" if length is None else f"Content-Length: {length}\r\n"
        head = (
            f"HTTP/{major}.{minor} {self._status}\r\nServer: plimsoll\r\nDate: {_date(int(time.time()))}\r\n"
            f"Connection: {'close' if self.closes else 'keep-alive'}\r\n{self._head}{stated}\r\n"
        )
        return head.encode("latin-1") + body


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    """Return a time (seconds since 1970) as HTTP writes it (RFC 9110, section 5.6.7)."""
    return formatdate(second, usegmt=True)
