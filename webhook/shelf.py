"""Files that the processes of one pod share: one writes, all read, and nobody ever sees half of one.

In memory where /dev/shm is there, so that no review waits for a disk. Values are small: packs, a certificate's pair,
a namespace. A name is one or two parts of a path, `packs` or `namespaces/shop`.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][-.\w]{0,252}(/[A-Za-z0-9][-.\w]{0,252})?\Z")
Stamp = tuple[int, int, int]
PACKS = "packs"
"""The sources of the packs in force, all of them as one value (`packs.served`)."""
PACKS_TOLD = "packs-told"
"""What /metrics says of them."""


class Shelf:
    """A directory of values by name. Made before the fork; any process may read, threads too."""

    def __init__(self, directory: Path) -> None:
        """Use `directory`, and make it (0700) where it isn't there. Raises OSError."""
        self.directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, name: str, data: bytes) -> None:
        """Have `name` be `data` from now on, in one step. Raises OSError, ValueError for what is no name."""
        path = self.path(name)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        handle, made = tempfile.mkstemp(prefix=".", dir=self.directory)  # 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(made).replace(path)
        except BaseException:
            Path(made).unlink(missing_ok=True)
            raise

    def get(self, name: str) -> bytes | None:
        """Return what `name` is, None where it isn't there."""
        try:
            return self.path(name).read_bytes()
        except FileNotFoundError:
            return None

    def drop(self, name: str) -> None:
        """Have `name` be gone. Raises OSError."""
        self.path(name).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder, without the folder, sorted."""
        try:
            return sorted(path.name for path in self.path(folder).iterdir() if not path.name.startswith("."))
        except FileNotFoundError:
            return []

    def stamp(self, name: str) -> Stamp | None:
        """Return what changes whenever `name` is put, None where it isn't there."""
        try:
            found = self.path(name).stat()
        except FileNotFoundError:
            return None
        return (found.st_ino, found.st_size, found.st_mtime_ns)

    def path(self, name: str) -> Path:
        """Return the file of `name`. Raises ValueError for what is no name: none leads out of the directory."""
        if not _NAME.match(name):
            raise ValueError(f"{name!r} is no name on the shelf")
        return self.directory / name
