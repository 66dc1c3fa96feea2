"""Files written or replaced in one step; replaced only where they are still what was read."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from webhook.errors import ConfigError, Problem


def replace(name: str, before: bytes, after: bytes) -> None:
    """Put `after` in place of `before` in a file, which keeps its mode, its owner and its links by symlink.

    Raises ConfigError, with the file as it was, where it cannot be written, or holds something else by now.
    """
    path = Path(os.path.realpath(name))
    try:
        state = Path(name).stat()
        if not stat.S_ISREG(state.st_mode):
            raise _problem(name, "it is no regular file, so it cannot be written; pipe it in, and give - for it")
        if not os.access(path, os.W_OK):
            raise _problem(name, "cannot be written: it is read-only for you; it is left as it was")
        handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(after)
                file.flush()
                os.fsync(file.fileno())
                with suppress(PermissionError):  # only root gives files away
                    os.fchown(file.fileno(), state.st_uid, state.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(state.st_mode))
            if path.read_bytes() != before:
                raise _problem(name, "somebody changed it meanwhile, so it is left as it is; try again")
            Path(scratch).replace(path)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _problem(name, f"cannot be written: {error.strerror}; it is left as it was") from error


def write(name: str, text: str) -> None:
    """Write a file as a whole or not at all. Raises ConfigError where that fails."""
    path = Path(name).resolve()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            beside.write_text(text, encoding="utf-8")
            if path.exists():
                shutil.copymode(path, beside)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise _problem(name, f"cannot be written: {error.strerror}") from error


def _problem(name: str, text: str) -> ConfigError:
    return ConfigError([Problem(name, 0, "", text)])
