"""HTTP servers in this process, plain or over TLS: the token server and the faulty registry stand on them."""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lab.pki import Pair


class Handler(BaseHTTPRequestHandler):
    """Has one request answered by the listener's `answer`, and closes the connection."""

    protocol_version = "HTTP/1.1"
    server: Listener

    def do_GET(self) -> None:
        """Answer it, whatever the method."""
        self.server.answer(self)

    do_HEAD = do_POST = do_GET

    def reply(self, status: int, body: bytes, **headers: str) -> None:
        """Send a whole answer; `_` in a header's name stands for `-`. A HEAD gets the head alone."""
        self.begin(status, Content_Length=str(len(body)), **headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def begin(self, status: int, **headers: str) -> None:
        """Send the head of an answer."""
        self.close_connection = True
        self.send_response(status)
        for name, value in {**headers, "Connection": "close"}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: what came in is recorded."""


Answer = Callable[[Handler], None]
"""Answers one request by the handler's `reply`, or by what it writes itself."""


class Listener(ThreadingHTTPServer):
    """A thread for each connection; none of them outlives `listening`."""

    daemon_threads = False
    context: ssl.SSLContext | None = None

    def __init__(self, answer: Answer) -> None:
        """Listen on a free port of 127.0.0.1; `ending` is set once all answers shall stop."""
        self.answer = answer
        self.ending = threading.Event()
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), Handler)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Accept a connection; the handshake is for its own thread, so that nobody waits for a slow client."""
        accepted, address = self.socket.accept()
        if self.context:
            accepted = self.context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        self._open.add(accepted)
        return accepted, address

    def shutdown_request(self, request: socket.socket) -> None:  # type: ignore[override]
        """Close a connection that is over."""
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Be silent of clients that went away or do not trust us; all else is a bug, and is shown."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def end(self) -> None:
        """Stop accepting, and end every connection."""
        self.ending.set()
        self.shutdown()
        for request in tuple(self._open):
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)


@contextmanager
def listening(answer: Answer, pair: Pair | None = None) -> Iterator[str]:
    """Serve on a free port of 127.0.0.1 as long as the context lasts, and say `host:port`; over TLS with a pair."""
    with Listener(answer) as server:
        if pair:
            server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            server.context.load_cert_chain(pair.certificate, pair.key)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.end()
            thread.join()
