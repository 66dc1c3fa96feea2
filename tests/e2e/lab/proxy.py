"""A TCP proxy between Plimsoll and the API server, for a connection that breaks."""

from __future__ import annotations

import contextlib
import socket
import threading


class Proxy:
    """Passes bytes on, until `cut`: then it drops what is open and refuses what comes, until `mend`."""

    def __init__(self, port: int) -> None:
        """Stand before a port of 127.0.0.1."""
        self._far = port
        self._held: list[socket.socket] = []
        self._whole = threading.Event()
        self._whole.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Drop all connections, and each that comes."""
        self._whole.clear()
        while self._held:
            _close(self._held.pop())

    def mend(self) -> None:
        """Pass on again what comes from now on."""
        self._whole.set()

    def close(self) -> None:
        """Stop."""
        _close(self._listener)
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near = self._listener.accept()[0]
            except OSError:
                return
            if not self._whole.is_set():
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._far))
            self._held += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_pass, args=(source, sink), daemon=True).start()


def _pass(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    _close(source)
    _close(sink)


def _close(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
