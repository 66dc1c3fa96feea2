"""Documents on a disk, over restarts and for all workers of a pod: a cache, which may lose anything at any time.

A document is a file, written beside and renamed, so that there is no half of one. With it stands a checksum: a file
that is damaged, of another form or of another key is thrown away. The checksum is against accidents; who can write
into the directory is believed, so it is ours alone (0700, and refused where it belongs to somebody else).

Nothing here raises, and nothing waits long for a disk: what can't be read is not known, what can't be written is not
kept, and a log line says so.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import orjson

from webhook.registry.aside import Aside

LOG = logging.getLogger(__name__)
T = TypeVar("T")

PATIENCE = 0.25
"""Seconds to wait for the disk: half of what a review may wait for all its facts."""
SHARE = 16
"""The directory is looked through whenever we have written one part in 16 of what it may hold."""
LEFT = 60.0
"""Seconds after which a file that was never renamed belongs to a writer that died."""

_HEAD = b"plimsoll image facts 1 "
_LOCK, _NEW, _DOCUMENT = "lock", "new-", ".facts"


class Store:
    """Keeps JSON documents by key in `directory/facts`, at most so many `entries` and `weight` bytes, about.

    What was used longest ago goes first. Several processes may have the same directory, but one process only one Store
    of it: locks are the process's. `patience` is for how many seconds a call waits for the disk.
    """

    def __init__(
        self,
        directory: Path,
        entries: int = 20_000,
        weight: int = 256 * 1024 * 1024,
        patience: float = PATIENCE,
    ) -> None:
        """Take where and how much; the directory is made when it is needed."""
        self._disk = _Disk(directory, entries, weight)
        self._aside = Aside(patience)
        self._well = True

    def read(self, key: str) -> Any:
        """Return the document of a key, which is now the one used last; None where there is none to be had."""
        return self._call(lambda: self._disk.read(key), None)

    def write(self, key: str, document: Any) -> None:
        """Keep a document in the place of what the key had."""
        self._call(lambda: self._disk.write(key, document), None)

    def touch(self, key: str) -> bool:
        """Note that a document was used; say whether there is one, without looking at it."""
        return self._call(lambda: self._disk.touch(key), True)

    def hold(self, key: str) -> bool:
        """Hold a key, if no other process does; say whether nobody else does. One that dies holds nothing any more.

        Where there are no locks to be had, everybody holds everything: better to ask twice than never.
        """
        return self._call(lambda: self._disk.hold(key), True, undo=lambda: self._disk.free(key))

    def free(self, key: str) -> None:
        """Hold a key no longer."""
        self._aside.post(lambda: self._tried(lambda: self._disk.free(key), None))

    def _call(self, make: Callable[[], T], otherwise: T, undo: Callable[[], None] | None = None) -> T:
        return self._aside.call(lambda: self._tried(make, otherwise), otherwise, undo)

    def _tried(self, make: Callable[[], T], otherwise: T) -> T:
        try:
            result = make()
        except OSError as error:
            if self._well:
                LOG.warning("%s: %s; what is known of images is in memory alone", self._disk.place, error)
            self._well = False
            return otherwise
        self._well = True
        return result


class _Disk:
    """What is done on the disk, in one thread of each process. Raises OSError."""

    def __init__(self, directory: Path, entries: int, weight: int) -> None:
        self.place = directory / "facts"
        self._entries = entries
        self._weight = weight
        self._lock: int | None = None
        self._files = self._bytes = 0

    def read(self, key: str) -> Any:
        path = self._path(key)
        try:
            whole = path.read_bytes() if path.stat().st_size <= self._weight else b""
        except FileNotFoundError:
            return None
        found = _opened(whole, key)
        if found is None:
            LOG.warning("%s is damaged, and thrown away", path)
            path.unlink(missing_ok=True)
            return None
        with contextlib.suppress(OSError):  # on a disk that is only read, nothing has to go
            os.utime(path)
        return found[0]

    def write(self, key: str, document: Any) -> None:
        body = orjson.dumps([key, document])
        path = self._path(key)
        descriptor, name = tempfile.mkstemp(prefix=_NEW, dir=self._ours())
        new = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_head(body) + body)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
        self._files += 1
        self._bytes += len(body)
        if self._files > self._entries // SHARE or self._bytes > self._weight // SHARE:
            self._files = self._bytes = 0
            self._sweep()

    def touch(self, key: str) -> bool:
        try:
            os.utime(self._path(key))
        except FileNotFoundError:
            return False
        return True

    def hold(self, key: str) -> bool:
        # A byte of one file for each key: there is nothing to tidy up, and the kernel frees what a dead process
        # held. Asked again and again instead of waited for, since the kernel takes two threads that wait for two
        # bytes of each other's processes for a deadlock.
        if self._lock is None:
            self._lock = os.open(self._ours() / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte(key))
        except (BlockingIOError, PermissionError):
            return False
        return True

    def free(self, key: str) -> None:
        if self._lock is not None:
            fcntl.lockf(self._lock, fcntl.LOCK_UN, 1, _byte(key))

    def _path(self, key: str) -> Path:
        return self._ours() / (hashlib.sha256(key.encode()).hexdigest() + _DOCUMENT)

    def _ours(self) -> Path:
        """Return the directory, made where it is missing. Raises OSError where it isn't ours alone."""
        with contextlib.suppress(FileExistsError):
            self.place.mkdir(mode=0o700, parents=True)
        found = self.place.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise OSError("this is no directory of ours; wanted one that belongs to the user we run as")
        if stat.S_IMODE(found.st_mode) != 0o700:
            self.place.chmod(0o700)  # a volume's group is given rights on all that is in it
        return self.place

    def _sweep(self) -> None:
        """Remove what was used longest ago, down to nine tenths of the bounds, and what dead writers left."""
        found = sorted(self._held())
        files, whole = len(found), sum(size for _, size, _ in found)
        if files <= self._entries and whole <= self._weight:
            return
        for _, size, path in found:
            if files <= self._entries * 9 // 10 and whole <= self._weight * 9 // 10:
                return
            path.unlink(missing_ok=True)
            files, whole = files - 1, whole - size

    def _held(self) -> Iterator[tuple[float, int, Path]]:
        for path in self._ours().iterdir():
            try:
                found = path.stat()
            except FileNotFoundError:
                continue  # another worker has removed it
            if path.suffix == _DOCUMENT:
                yield found.st_mtime, found.st_size, path
            elif path.name.startswith(_NEW) and time.time() - found.st_mtime > LEFT:
                path.unlink(missing_ok=True)


def _head(body: bytes) -> bytes:
    return _HEAD + hashlib.sha256(body).hexdigest().encode() + b"\n"


def _opened(whole: bytes, key: str) -> tuple[Any] | None:
    """Return what a file holds for a key, or None where it is not what `write` wrote for it."""
    head, _, body = whole.partition(b"\n")
    if head + b"\n" != _head(body):
        return None
    try:
        named, document = orjson.loads(body)
    except ValueError:
        return None
    return (document,) if named == key else None


def _byte(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7])
