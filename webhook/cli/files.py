"""Files that commands write: whole or not at all, and new ones over nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from webhook.errors import ConfigError, Problem


def write(name: str, text: str) -> None:
    """Write a file as a whole or not at all. Raises ConfigError where that fails."""
    path = Path(name).resolve()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            beside.write_text(text, encoding="utf-8")
            if path.exists():
                import shutil  # with all that compresses, for who writes

                shutil.copymode(path, beside)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError([Problem(name, 0, "", f"cannot be written: {error.strerror}")]) from error


def create(texts: Mapping[str, str]) -> None:
    """Write new files by their names. Raises ConfigError, and writes none, where one of them is there already."""
    there = [name for name in texts if os.path.lexists(name)]
    if there:
        text = "is there already, and nothing is written over it; take another name, or move it away"
        raise ConfigError([Problem(name, 0, "", text) for name in there])
    for name, text in texts.items():
        write(name, text)
