"""Bytes that are looked at once more later, in a file without a name: what a check keeps takes disk, and no memory."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Iterator
from typing import IO

from webhook.errors import ConfigError, Problem

ROOM = 4 * 1024 * 1024
"""Bytes that stay in memory; most runs have fewer, and need no place for a file."""
PIECE = 64 * 1024
"""Bytes of text that are written, and read, at a time."""


class Spool:
    """Bytes put away one after the other, and had again by where they are, in this process and in those it forks.

    Nothing is put away once another process reads: what is not written yet, others don't see.
    """

    def __init__(self, room: int = ROOM) -> None:
        """Keep `room` bytes in memory, and with the next all of them in a temporary file."""
        self._room = room
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._size = 0

    def put(self, data: bytes) -> int:
        """Put bytes away and return where they are. Raises ConfigError where there is no room on disk."""
        at = self._size
        self._size += len(data)
        try:
            if self._file is None and self._size > self._room:
                import tempfile  # with what most runs need nothing of

                self._file = tempfile.TemporaryFile(buffering=PIECE)  # noqa: SIM115 - closed below
                weakref.finalize(self, self._file.close)
                self._file.write(self._memory)
                self._memory = bytearray()
            if self._file is None:
                self._memory += data
            else:
                self._file.write(data)
        except OSError as error:
            raise _full(error) from None
        return at

    def rest(self) -> None:
        """Say that nothing more comes before it is read. Raises ConfigError where there is no room on disk."""
        try:
            if self._file is not None:
                self._file.flush()
        except OSError as error:
            raise _full(error) from None

    def get(self, at: int, size: int) -> bytes:
        """Return so many of the bytes that are at `at`."""
        if self._file is None:
            return bytes(self._memory[at : at + size])
        # not by the file's own position, which forked processes share
        found = b""
        while more := os.pread(self._file.fileno(), size - len(found), at + len(found)):
            found += more
        return found


def kept(texts: Iterable[str]) -> Iterator[str]:
    """Take all texts, and return them to be had one by one. Raises ConfigError where there is no room."""
    spool = Spool()
    sizes = []
    for text in texts:
        data = text.encode(errors="surrogatepass")  # a file's name may be any bytes
        spool.put(data)
        sizes.append(len(data))
    spool.rest()
    return _texts(spool, sizes)


def _texts(spool: Spool, sizes: Iterable[int]) -> Iterator[str]:
    at = 0
    for size in sizes:
        yield spool.get(at, size).decode(errors="surrogatepass")
        at += size


def _full(error: OSError) -> ConfigError:
    text = f"cannot keep what was read in a temporary file: {error.strerror}; name a directory with room by TMPDIR"
    return ConfigError([Problem("plimsoll check", 0, "", text)])
