"""Keeps one SSLContext for the last good pair of certificate and key, read again when the files change."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ..errors import ConfigError, Problem
from . import pair, store

LOG = logging.getLogger(__name__)
EVERY = 1.0
"""The files are looked at at most once in so many seconds."""

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_Stamp = tuple[tuple[int, int, int], ...]


class Lacking(OSError):
    """There is nothing to serve with: a connection that wants TLS is closed."""


class Certificate:
    """A server's certificate on disk.

    A context costs 2.8 ms to make, so there is one for all connections. A certificate and its key are two
    files that others replace one after the other: while they don't fit, the last pair that did is kept.
    """

    def __init__(
        self,
        certificate: Path,
        key: Path,
        *,
        minimum: str = "1.2",
        client_ca: Path | None = None,
        may_lack: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the pair. Raises ConfigError where it is not there or can't be served with, unless it `may_lack`."""
        self._files = (certificate, key)
        self._minimum = _VERSIONS[minimum]
        self._client_ca = client_ca
        self._clock = clock
        self._lock = threading.Lock()
        self._looked = clock()
        self._stamp = self._stat()
        self._context: ssl.SSLContext | None = None
        self._expires = 0.0
        try:
            self._context, self._expires = self._load()
        except (OSError, ValueError, ConfigError) as error:
            if may_lack:
                return
            text = f"can't serve with this certificate and {key}: {error}; `plimsoll certs` makes a pair"
            raise ConfigError([Problem(str(certificate), 0, "", text)]) from error

    @property
    def expires(self) -> float:
        """The end of the served certificate's life, in seconds since 1970; 0 while there is none."""
        return self._expires

    def context(self) -> ssl.SSLContext:
        """Return the context of the last good pair; looks at the files at most once a second.

        Raises Lacking where there was none yet.
        """
        self.look()
        if self._context is None:
            raise Lacking("there is no certificate yet")
        return self._context

    def look(self) -> None:
        """Look whether the files changed, if the last look was a second ago."""
        now = self._clock()
        # The threads that come meanwhile use the old context; only one has to look.
        if now - self._looked >= EVERY and self._lock.acquire(blocking=False):
            try:
                self._looked = now
                self._look()
            finally:
                self._lock.release()

    def _look(self) -> None:
        stamp = self._stat()
        if stamp == self._stamp:
            return
        try:
            context, expires = self._load()
        except (OSError, ValueError, ConfigError) as error:
            # Once for each state of the files, not once a second.
            self._stamp = stamp
            LOG.error("certificate and key changed, but can't be served with; the last good pair stays: %s", error)
            return
        if self._stat() != stamp:
            return  # replaced while being read: the next look reads them again
        self._stamp, self._context, self._expires = stamp, context, expires
        LOG.info("certificate and key read again")

    def _load(self) -> tuple[ssl.SSLContext, float]:
        certificate, key = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = self._minimum
        # API servers fall back to HTTP/1.1 for webhooks; h2 was switched off everywhere after CVE-2023-44487.
        context.set_alpn_protocols(["http/1.1"])
        # A connection that ends without TLS's own goodbye (ours, when it makes room for another) is no error to
        # send an alert for: HTTP says by itself whether a message was whole.
        context.options |= getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
        context.load_cert_chain(certificate, key)
        if self._client_ca is not None:
            context.load_verify_locations(self._client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context, pair.ends(store.read(certificate, key).certificate).timestamp()

    def _stat(self) -> _Stamp:
        files = self._files if self._client_ca is None else (*self._files, self._client_ca)
        return tuple(_stamp(path) for path in files)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()  # follows links: a mounted Secret is swapped by moving one
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)
