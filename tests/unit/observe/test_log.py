"""The log: one line for a record, and nothing in it that an object brought."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from webhook.observe import log
from webhook.observe.log import LONGEST, Json, Text


def record(message: str = "hello", fields: dict[str, Any] | None = None, failed: bool = False) -> logging.LogRecord:
    info = None
    if failed:
        try:
            raise KeyError("hunter2")
        except KeyError:
            info = sys.exc_info()
    made = logging.LogRecord("plimsoll", logging.INFO, "x.py", 1, message, (), info)
    if fields is not None:
        made.fields = fields
    return made


def test_a_record_is_one_line_of_json_with_its_fields() -> None:
    line = Json().format(record("two\nlines", {"uid": "u-1", "rules": ["acme/no-latest"]}))
    assert "\n" not in line
    read = orjson.loads(line)
    assert (read["message"], read["uid"], read["rules"]) == ("two\nlines", "u-1", ["acme/no-latest"])
    assert (read["level"], read["time"][-1]) == ("info", "Z")


def test_fields_that_are_not_listed_are_not_written() -> None:
    assert "hunter2" not in Json().format(record(fields={"object": {"data": "hunter2"}, "password": "hunter2"}))


def test_an_exception_is_its_type_and_place_without_its_message() -> None:
    for form in (Json(), Text()):
        line = form.format(record(failed=True))
        assert "KeyError at test_log.py:" in line
        assert "hunter2" not in line


def test_long_texts_are_cut() -> None:
    read = orjson.loads(Json().format(record("x" * 5000, {"name": "y" * 5000})))
    assert len(read["message"]) == len(read["name"]) == LONGEST


def test_a_name_cannot_forge_a_line_or_a_colour_in_plain_text() -> None:
    line = Text().format(record(fields={"name": "a\n2026 error forged\x1b[31m"}))
    assert "\n" not in line
    assert "\x1b" not in line


def stream() -> io.TextIOWrapper:
    """What stderr is: text, over bytes."""
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8")


def written(text: Any) -> str:
    text.flush()
    return str(text.buffer.getvalue().decode())


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, which is as before when a test ends."""
    found = logging.getLogger()
    before = found.handlers[:], found.level
    yield found
    found.handlers[:], found.level = before


@pytest.mark.parametrize("form", ["json", "text"])
def test_what_is_said_at_once_is_the_line_that_logging_writes(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(sys, "stderr", stream())
    log.configure("info", form)
    logger = logging.getLogger("plimsoll.test")
    given = {"uid": "u-1", "name": "y" * 5000, "password": "hunter2"}
    log.say(logger, logging.WARNING, "hello %s", given)
    logger.warning("%s", "hello %s", extra={"fields": given})
    first, second = written(sys.stderr).splitlines()
    if form == "json":
        first, second = ({**orjson.loads(line), "time": ""} for line in (first, second))
        assert (first["message"], first["level"], "password" in first) == ("hello %s", "warning", False)
    assert first == second or first.partition(" ")[2] == second.partition(" ")[2]


def test_what_is_said_comes_to_all_who_listen(root: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    log.configure("info")
    root.addHandler(caplog.handler)
    log.say(logging.getLogger("plimsoll.test"), logging.INFO, "hello", {"uid": "u-1"})
    assert [line.getMessage() for line in caplog.records] == ["hello"]


def test_a_line_that_cannot_be_written_stops_nothing(root: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = stream()
    monkeypatch.setattr(sys, "stderr", closed)
    log.configure("info")
    closed.close()
    log.say(logging.getLogger("plimsoll.test"), logging.INFO, "lost", {})
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.stream = stream()
    log.say(logging.getLogger("plimsoll.test"), logging.INFO, "hello", {})
    assert orjson.loads(written(handler.stream))["message"] == "hello"
