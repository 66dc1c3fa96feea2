"""The structured log: one JSON object a line on stderr, or plain text for people. Redaction lives here.

An admission review holds Secrets, so nothing of an object may get into the log by accident: only the fields
listed in `FIELDS` are written, texts are cut, and of an exception only its type and where it was raised
(its message may quote the object: `KeyError: 'hunter2'`).
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
import traceback
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

import orjson

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


_LEVELS = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}

_ours: list[logging.StreamHandler[TextIO]] = []
"""The handler that `configure` made, where it writes JSON."""


def configure(level: str, form: str = "json") -> None:
    """Send what is of `level` (debug, info, warning, error) and above to stderr, as `json` or `text`."""
    handler = logging.StreamHandler(sys.stderr)
    _ours[:] = [handler] if form == "json" else []
    handler.setFormatter(Json() if form == "json" else Text())
    # what no line shows is not looked up (Python's Logging HOWTO, "Optimization")
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def say(logger: logging.Logger, level: int, message: str, given: dict[str, Any]) -> None:
    """Log a message with fields, at a level that the logger has enabled.

    The line of a denied review is a tenth of what the denial costs, if it goes the way of `logging`: some thirty calls.
    Where nobody but our handler would get to see it, it is written at once.
    """
    binary = getattr(_ours[0].stream, "buffer", None) if _ours else None
    if binary is None or logging.root.handlers != _ours or logger.handlers:
        logger.log(level, "%s", message, extra={"fields": given})
        return
    data = _line(time.time(), level, logger.name, message, given, None) + b"\n"
    with _ours[0].lock or contextlib.nullcontext():
        try:  # the bytes as they are: what a handler does with them costs as much as making them
            binary.write(data)
            binary.flush()
        except (OSError, ValueError):
            pass  # as a handler would


class Json(logging.Formatter):
    """Writes a record as one line of JSON: time (UTC), level, logger, message, and its allowed fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        error = record.exc_info[1] if record.exc_info else None
        given = _given(record)
        return _line(record.created, record.levelno, record.name, record.getMessage(), given, error).decode()


def _line(
    seconds: float, level: int, logger: str, message: str, given: dict[str, Any], error: BaseException | None
) -> bytes:
    line: dict[str, Any] = {
        "time": _time(seconds),
        "level": _LEVELS.get(level) or logging.getLevelName(level).lower(),
        "logger": logger,
        "message": cut(message),
    }
    line.update(allowed(given))
    if error is not None:
        line["error"] = where(error)
    return orjson.dumps(line, default=str)


class Text(logging.Formatter):
    """Writes a record as one line of text for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = f"{_time(record.created)} {record.levelname.lower():7} {cut(record.getMessage())}"
        shown = " ".join(
            f"{key}={value}" for key, value in allowed(_given(record)).items() if value not in ("", [], None)
        )
        error = f" [{where(record.exc_info[1])}]" if record.exc_info and record.exc_info[1] is not None else ""
        return printable(f"{line} {shown}".rstrip() + error)


def allowed(given: dict[str, Any]) -> dict[str, Any]:
    """Return of the fields of a line those that are listed in `FIELDS`, texts cut."""
    if given.keys() <= FIELDS and not any(
        [isinstance(value, str) and len(value) > LONGEST for value in given.values()]
    ):
        return given  # as it mostly is
    return {key: cut(value) if isinstance(value, str) else value for key, value in given.items() if key in FIELDS}


def _given(record: logging.LogRecord) -> dict[str, Any]:
    """Return what `extra={"fields": {...}}` gave."""
    given = getattr(record, "fields", None)
    return given if isinstance(given, dict) else {}


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


def _time(seconds: float) -> str:
    whole = int(seconds)
    return f"{_second(whole)}.{str(int((seconds - whole) * 1000)).zfill(3)}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
