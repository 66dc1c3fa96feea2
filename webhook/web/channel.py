"""A connection's socket with total deadlines: who sends a byte a second doesn't get a new one for each."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable

_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Late(Exception):
    """A deadline is over."""


class Channel:
    """What gunicorn's parser reads from, and what answers are written to; stands where it wants a socket.

    Not thread-safe but for `wake` and `cut`: one thread serves a connection.
    """

    def __init__(self, sock: socket.socket, waits: Callable[[], None] = lambda: None) -> None:
        """Take over an accepted socket; `waits` is called before the peer has to be waited for."""
        self._sock = sock
        self._waits = waits
        self._patience: float | None = None
        self._read_until: float | None = None
        self._write_seconds = 10.0
        self._write_until: float | None = None
        self._secure: ssl.SSLSocket | None = None
        self._full = False

    def secure(self, context: ssl.SSLContext, seconds: float) -> None:
        """Do the TLS handshake, in `seconds` altogether. Raises OSError (SSLError, TimeoutError)."""
        # do_handshake keeps one deadline over all its reads and writes (CPython, Modules/_ssl.c).
        self._sock.settimeout(seconds)
        self._patience = seconds
        secure = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
        self._sock = self._secure = secure
        secure.do_handshake()

    def reading(self, seconds: float) -> None:
        """Let everything that is read from now on come within `seconds`."""
        self._read_until = time.monotonic() + seconds

    def writing(self, seconds: float) -> None:
        """Let the next answer be written within `seconds` of its first byte."""
        self._write_seconds, self._write_until = seconds, None

    def recv(self, size: int) -> bytes:
        """Read what is there, at most `size` bytes; empty at the end. Raises Late, OSError."""
        left = self._left(self._read_until)
        try:
            try:
                self._wait(0.0)  # mostly it is there
                found = self._read(size)
            except _NOT_YET:
                self._waits()
                self._wait(left)
                found = self._read(size)
        except TimeoutError as error:
            raise Late("reading took too long") from error
        except ssl.SSLError:
            # A peer that goes without saying so in TLS; what it had asked was answered or was not whole.
            return b""
        self._full = len(found) == size
        return found

    def send(self, data: bytes) -> int:
        """Send before the answer (gunicorn's `100 Continue`), whose time only begins after that."""
        self.give(data)
        self._write_until = None
        return len(data)

    def give(self, data: bytes) -> None:
        """Send an answer. Raises Late, OSError."""
        if self._write_until is None:
            self._write_until = time.monotonic() + self._write_seconds
        sent = self._give(data)
        if sent < len(data):
            view = memoryview(data)[sent:]
            while view:
                view = view[self._give(view) :]

    def _give(self, data: bytes | memoryview) -> int:
        """Send some of it. Not socket.sendall: over TLS that gives every part of the data the whole time anew."""
        left = self._left(self._write_until)
        try:
            try:
                self._wait(0.0)
                return self._write(data)
            except _NOT_YET:
                self._waits()
                self._wait(left)
                return self._write(data)
        except TimeoutError as error:
            raise Late("writing took too long") from error

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._sock.fileno()

    @property
    def pending(self) -> bool:
        """Whether bytes have been received that nobody has read yet, so that the socket says nothing of them."""
        # A read gives no more than one record of TLS, and all that is left of that if there is room.
        return self._full and self._secure is not None and self._secure.pending() > 0

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
        self._waits()
        ends = time.monotonic() + seconds
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_WR)
            while most > 0 and (left := ends - time.monotonic()) > 0:
                self._wait(left)
                data = socket.socket.recv(self._sock, 65536)
                if not data:
                    return
                most -= len(data)

    def close(self) -> None:
        """Close."""
        with contextlib.suppress(OSError):
            self._sock.close()

    def _read(self, size: int) -> bytes:
        # SSLSocket's recv and send are these two, by way of two more calls
        return self._sock.recv(size) if self._secure is None else self._secure.read(size)

    def _write(self, data: bytes | memoryview) -> int:
        return self._sock.send(data) if self._secure is None else self._secure.write(data)

    def _wait(self, seconds: float | None) -> None:
        """Let the socket wait for so long; to say that is a system call, which most reads and writes don't need."""
        if self._patience != seconds:
            self._sock.settimeout(seconds)
            self._patience = seconds

    @staticmethod
    def _left(until: float | None) -> float | None:
        if until is None:
            return None
        left = until - time.monotonic()
        if left <= 0:
            raise Late("the deadline is over")
        return left
