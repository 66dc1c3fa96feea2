"""A connection's socket with total deadlines: who sends a byte a second doesn't get a new one for each."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time

GATHER = 64 * 1024
"""Bytes of an answer that are gathered before they are sent, so that head and body go out together."""


class Late(OSError):
    """A deadline is over."""


class Channel:
    """What gunicorn's parser reads from and its response writes to; stands where they want a socket.

    Not thread-safe but for `wake` and `cut`: one thread serves a connection.
    """

    def __init__(self, sock: socket.socket) -> None:
        """Take over an accepted socket."""
        self._sock = sock
        self._read_until: float | None = None
        self._write_seconds = 10.0
        self._write_until: float | None = None
        self._gathered = bytearray()

    def secure(self, context: ssl.SSLContext, seconds: float) -> None:
        """Do the TLS handshake, in `seconds` altogether. Raises OSError (SSLError, TimeoutError)."""
        # do_handshake keeps one deadline over all its reads and writes (CPython, Modules/_ssl.c).
        self._sock.settimeout(seconds)
        self._sock = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
        self._sock.do_handshake()

    def reading(self, seconds: float) -> None:
        """Let everything that is read from now on come within `seconds`."""
        self._read_until = time.monotonic() + seconds

    def writing(self, seconds: float) -> None:
        """Let the next answer be written within `seconds` of its first byte."""
        self._write_seconds, self._write_until = seconds, None

    def recv(self, size: int) -> bytes:
        """Read what is there, at most `size` bytes; empty at the end. Raises Late, OSError."""
        self._sock.settimeout(self._left(self._read_until))
        try:
            return self._sock.recv(size)
        except TimeoutError as error:
            raise Late("reading took too long") from error
        except ssl.SSLError:
            # A peer that goes without saying so in TLS; what it had asked was answered or was not whole.
            return b""

    def sendall(self, data: bytes) -> None:
        """Gather `data` for the peer; `flush` sends the rest."""
        self._gathered += data
        if len(self._gathered) >= GATHER:
            self.flush()

    def send(self, data: bytes) -> int:
        """Send at once (gunicorn's `100 Continue`)."""
        self.sendall(data)
        self.flush()
        self._write_until = None
        return len(data)

    def flush(self) -> None:
        """Send what was gathered. Raises Late, OSError."""
        if self._write_until is None:
            self._write_until = time.monotonic() + self._write_seconds
        view = memoryview(bytes(self._gathered))
        self._gathered.clear()
        while view:
            # Not socket.sendall: over TLS it gives every part of the data the whole time anew.
            self._sock.settimeout(self._left(self._write_until))
            try:
                view = view[self._sock.send(view) :]
            except TimeoutError as error:
                raise Late("writing took too long") from error

    def getsockname(self) -> tuple[str, int]:
        """Return the address that the peer called."""
        name = self._sock.getsockname()
        return str(name[0]), int(name[1])

    def wake(self) -> None:
        """From another thread: end waiting for a request; what has arrived already is answered."""
        # The plain socket's shutdown, since SSLSocket's takes TLS away under the thread that reads. On Linux
        # bytes that came before it are still delivered, then the end.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RD)

    def cut(self) -> None:
        """From another thread: end everything on this connection."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def linger(self, seconds: float, most: int) -> None:
        """Say that no more will be sent; drop what still comes, for `seconds` and `most` bytes at most.

        Closing a socket with unread bytes resets the connection, and the reset can overtake the answer.
        """
        ends = time.monotonic() + seconds
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_WR)
            while most > 0 and (left := ends - time.monotonic()) > 0:
                self._sock.settimeout(left)
                data = socket.socket.recv(self._sock, 65536)
                if not data:
                    return
                most -= len(data)

    def close(self) -> None:
        """Close."""
        with contextlib.suppress(OSError):
            self._sock.close()

    @staticmethod
    def _left(until: float | None) -> float | None:
        if until is None:
            return None
        left = until - time.monotonic()
        if left <= 0:
            raise Late("the deadline is over")
        return left
