"""The structured log: one JSON object a line on stderr, or plain text for people. Redaction lives here.

An admission review holds Secrets, so nothing of an object may get into the log by accident: only the fields
listed in `FIELDS` are written, texts are cut, and of an exception only its type and where it was raised
(its message may quote the object: `KeyError: 'hunter2'`).
"""

from __future__ import annotations

import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELDS = frozenset(
    (
        "endpoint",
        "uid",
        "operation",
        "kind",
        "namespace",
        "name",
        "dry_run",
        "allowed",
        "rules",
        "errors",
        "unknown",
        "patched",
        "milliseconds",
        "address",
        "packs",
        "problems",
    )
)
LONGEST = 400
"""Characters of one text that are written."""


def configure(level: str, form: str = "json") -> None:
    """Send what is of `level` (debug, info, warning, error) and above to stderr, as `json` or `text`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json() if form == "json" else Text())
    # what no line shows is not looked up (Python's Logging HOWTO, "Optimization")
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


class Json(logging.Formatter):
    """Writes a record as one line of JSON: time (UTC), level, logger, message, and its allowed fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": cut(record.getMessage()),
        }
        line.update(fields(record))
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = where(record.exc_info[1])
        return orjson.dumps(line, default=str).decode()


class Text(logging.Formatter):
    """Writes a record as one line of text for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = f"{_time(record)} {record.levelname.lower():7} {cut(record.getMessage())}"
        shown = " ".join(f"{key}={value}" for key, value in fields(record).items() if value not in ("", [], None))
        error = f" [{where(record.exc_info[1])}]" if record.exc_info and record.exc_info[1] is not None else ""
        return printable(f"{line} {shown}".rstrip() + error)


def fields(record: logging.LogRecord) -> Mapping[str, Any]:
    """Return what `extra={"fields": {...}}` gave, as far as it is listed in `FIELDS`, texts cut."""
    given = getattr(record, "fields", None)
    if not isinstance(given, dict):
        return {}
    return {key: cut(value) if isinstance(value, str) else value for key, value in given.items() if key in FIELDS}


def where(error: BaseException) -> str:
    """Return an exception's type and the innermost places it came through, and nothing of its message."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = " < ".join(
        f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in reversed(frames)
    )
    return f"{type(error).__name__} at {places}" if places else type(error).__name__


def cut(text: str) -> str:
    """Return `text`, at most `LONGEST` characters of it."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def printable(text: str) -> str:
    """Return `text` with control characters escaped, so that a name can't forge lines or colours."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
