"""Keeps key pairs in files: whole or not at all, keys readable by their owner only."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from webhook.errors import ConfigError, Problem
from webhook.tls.pair import KeyPair

PAIR = "certificate"
"""On the shelf: a certificate and its key in one file, so that they fit at every moment; empty while there is none."""
REASON = "certificate.reason"
"""On the shelf: why there is none, a sentence."""
BUNDLE = "ca-bundle"
"""On the shelf: the authorities that callers have to know, PEM. What keeps webhook configurations puts it there."""
TOLD = "ca-bundle.applied"
"""On the shelf: the bundle that all our webhook configurations were last seen with."""


def read(certificate: Path, key: Path) -> KeyPair:
    """Read a pair; a file that isn't there is empty bytes, which `issue.state` has a sentence for.

    Raises ConfigError for a file that is there and can't be read.
    """
    return KeyPair(_read(certificate), _read(key))


def join(pair: KeyPair) -> bytes:
    """Return a pair as one file."""
    return pair.certificate.rstrip() + b"\n" + pair.key


def part(data: bytes) -> KeyPair | None:
    """Return the pair of what `join` made, None for an empty file."""
    certificate, end, key = data.rpartition(b"-----END CERTIFICATE-----\n")
    return KeyPair(certificate + end, key) if end and key else None


def write(certificate: Path, key: Path, pair: KeyPair) -> None:
    """Write a pair, key first (0600), then the certificate (0644), each replaced in one step.

    Between the two steps a reader sees a certificate with another's key; it has to keep its last good pair
    then (`issue.state` says `mismatch`). Raises ConfigError where the directory can't be written.
    """
    replace(key, pair.key, 0o600)
    replace(certificate, pair.certificate, 0o644)


def replace(path: Path, data: bytes, mode: int) -> None:
    """Put `data` at `path` so that a reader finds the old bytes or the new ones and a crash leaves one of
    them.

    Makes missing directories. `mode` holds from the first byte. Raises ConfigError where that can't be done.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # mkstemp makes the file 0600, so that a key is never open to others for a moment.
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), mode)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError([Problem(str(path), 0, "", f"can't be written: {error.strerror}")]) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ConfigError([Problem(str(path), 0, "", f"can't be read: {error.strerror}")]) from error
