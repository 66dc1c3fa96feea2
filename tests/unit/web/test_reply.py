"""Answers as they go over the wire: whole, with their length, and nothing in them that begins another answer."""

from __future__ import annotations

import http.client
import io
import re
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.validate import validator

import pytest

from webhook.web.app import App
from webhook.web.exchange import Places, respond
from webhook.web.reply import Reply

Answer = tuple[int, dict[str, str], bytes]


class Wire:
    """What a client of Python's reads an answer from."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, *_: Any) -> io.BytesIO:
        return io.BytesIO(self.data)


def read(data: bytes, method: str = "POST") -> Answer:
    answer = http.client.HTTPResponse(Wire(data), method=method)  # type: ignore[arg-type]
    answer.begin()
    body = answer.read()
    return answer.status, dict(answer.getheaders()), body


def answered(
    status: str, headers: list[tuple[str, str]], *parts: bytes, method: str = "POST", closes: bool = False
) -> bytes:
    reply = Reply((1, 1), method, closes)
    reply.start_response(status, headers)
    return reply.whole(parts)


def test_an_answer_has_status_headers_length_and_body() -> None:
    status, headers, body = read(answered("200 OK", [("Content-Type", "text/plain"), ("X-A", "ä")], b"he", b"llo"))
    assert (status, body) == (200, b"hello")
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", headers.pop("Date"))
    assert headers == {
        "Content-Type": "text/plain",
        "X-A": "ä",
        "Content-Length": "5",
        "Connection": "keep-alive",
        "Server": "plimsoll",
    }


def test_the_last_answer_of_a_connection_says_so() -> None:
    assert read(answered("200 OK", [], b"x", closes=True))[1]["Connection"] == "close"


def test_the_length_is_what_is_sent_and_not_what_is_said() -> None:
    assert read(answered("200 OK", [("content-length", "99")], b"x"))[1]["Content-Length"] == "1"


@pytest.mark.parametrize("name", ["Connection", "transfer-encoding", "Upgrade", "Keep-Alive"])
def test_what_is_said_of_the_connection_is_the_servers_to_say(name: str) -> None:
    data = answered("200 OK", [(name, "other")], b"x")
    assert b"other" not in data


@pytest.mark.parametrize(
    ("status", "method", "length", "body"),
    [
        ("200 OK", "HEAD", "7", b""),
        ("204 No Content", "POST", None, b""),
        ("304 Not Modified", "GET", "7", b""),
        ("404 Not Found", "GET", "3", b"abc"),
    ],
)
def test_an_answer_without_a_body_has_none(status: str, method: str, length: str | None, body: bytes) -> None:
    data = answered(status, [("Content-Length", "7")], b"abc", method=method)
    assert data.partition(b"\r\n\r\n")[2] == body
    assert read(data, method)[1].get("Content-Length") == length


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("200 OK\r\nX: y", []),
        ("OK", []),
        ("200 OK", [("X", "a\r\nHTTP/1.1 200 OK")]),
        ("200 OK", [("X", "a\nb")]),
        ("200 OK", [("X", "a\0b")]),
        ("200 OK", [("X: y\r\nZ", "a")]),
        ("200 OK", [("X ", "a")]),
        ("200 OK", [("", "a")]),
        ("200 OK", [("X", "\u20ac")]),
    ],
)
def test_what_could_begin_another_answer_is_refused(status: str, headers: list[tuple[str, str]]) -> None:
    with pytest.raises(ValueError, match="of HTTP"):
        answered(status, headers, b"x")


def test_a_secret_in_a_header_that_is_refused_is_not_told() -> None:
    with pytest.raises(ValueError, match="Authorization") as caught:
        answered("200 OK", [("Authorization", "hunter2\n")])
    assert "hunter2" not in str(caught.value)


def test_an_application_may_write_and_think_again() -> None:
    def application(_: dict[str, Any], start: Callable[..., Callable[[bytes], object]]) -> Iterable[bytes]:
        start("200 OK", [("X", "a")])
        start("500 Oh", [("Y", "b")], (ValueError, ValueError(), None))(b"a ")
        return [b"b"]

    status, headers, body = read(respond(application, {}, Reply((1, 0), "GET", True)))
    assert (status, body, headers.get("X"), headers["Y"]) == (500, b"a b", None, "b")


def test_an_application_says_its_status_once() -> None:
    reply = Reply((1, 1), "GET", False)
    with pytest.raises(AssertionError, match="was not called"):
        reply.whole([])
    reply.start_response("200 OK", [])
    with pytest.raises(AssertionError, match="called before"):
        reply.start_response("200 OK", [])


def test_what_an_application_gives_is_closed_even_if_it_fails() -> None:
    class Parts:
        closed = False

        def __iter__(self) -> Any:
            raise OSError("broken")

        def close(self) -> None:
            self.closed = True

    parts = Parts()

    def application(_: dict[str, Any], start: Callable[..., object]) -> Parts:
        start("200 OK", [])
        return parts

    with pytest.raises(OSError, match="broken"):
        respond(application, {}, Reply((1, 1), "GET", False))
    assert parts.closed


def test_flask_finds_in_it_all_that_pep_3333_asks_for() -> None:
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/nothing",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    status, _, body = read(respond(validator(App()), environ, Reply((1, 1), "GET", False)), "GET")
    assert (status, b"Not Found" in body) == (404, True)


def test_of_places_there_are_as_many_as_there_are() -> None:
    places = Places(2)
    assert [places.take(), places.take(), places.take()] == [True, True, False]
    places.give()
    assert [places.take(), places.take()] == [True, False]
