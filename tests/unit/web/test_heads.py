"""A head like the last one is known: it must mean what the parser would make of it, and nothing else may match."""

from __future__ import annotations

from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http import wsgi
from gunicorn.http.parser import RequestParser

from webhook.web.heads import LONGEST, Heads

HEAD = (
    b"POST /validate?timeout=3s HTTP/1.1\r\nHost: x\r\nContent-Length: %b\r\n"
    b"Content-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n"
)


class Wire:
    """Gives bytes once, as a socket does."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def recv(self, size: int) -> bytes:
        data, self.data = self.data[:size], self.data[size:]
        return data

    def sendall(self, data: bytes) -> None:
        raise AssertionError("nothing is answered here")


def parsed(data: bytes) -> tuple[Any, dict[str, Any]]:
    """Return what gunicorn makes of a request."""
    wire = Wire(data)
    request = next(RequestParser(Config(), wire, ("1.2.3.4", 5)))
    return request, wsgi.create(request, wire, ("1.2.3.4", 5), ("127.0.0.1", 443), Config())[1]


def learned(data: bytes) -> Heads:
    heads = Heads()
    heads.learn(data, *parsed(data))
    return heads


def test_the_same_head_with_another_length_means_what_gunicorn_makes_of_it() -> None:
    data = HEAD % b"12" + b'{"a": [1,2]}'
    known = learned(HEAD % b"5" + b"12345").match(data)
    assert known is not None
    assert (known.length, known.body) == (12, b'{"a": [1,2]}')
    _, environ = parsed(data)
    passing = {"wsgi.input", "wsgi.early_hints", "wsgi.errors", "gunicorn.socket"}
    assert known.environ == {**known.environ, **{k: v for k, v in environ.items() if k not in passing}}
    assert not {"wsgi.input", "wsgi.early_hints"} & set(known.environ)


def test_one_request_leaves_nothing_in_the_next() -> None:
    heads = learned(HEAD % b"1" + b"x")
    first = heads.match(HEAD % b"1" + b"x")
    assert first is not None
    first.environ["mark"] = 1
    second = heads.match(HEAD % b"2" + b"xy")
    assert second is not None and "mark" not in second.environ


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEAD[:20],
        HEAD % b"",
        HEAD % b"-1",
        HEAD % b"+1",
        HEAD % b"1 ",
        HEAD % b"1_0",
        HEAD % b"0x1",
        HEAD % "١".encode(),
        HEAD % b"1\r\nTransfer-Encoding: chunked",
        HEAD % b"1\r\nContent-Length: 2",
        HEAD % b"12345678901234567890",
        (HEAD % b"1").replace(b"validate", b"mutate"),
        (HEAD % b"1").replace(b"gzip\r\n", b"gzip\r\nExpect: 100-continue\r\n"),
        (HEAD % b"1").replace(b"gzip", b"br"),
        (HEAD % b"1")[:-2],
        (HEAD % b"1")[:-1],
        b"\r\n" + HEAD % b"1",
    ],
)
def test_any_other_head_is_gunicorns_to_read(data: bytes) -> None:
    assert learned(HEAD % b"1" + b"x").match(data) is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n" + HEAD % b"1" + b"x",
        (HEAD % b"1").replace(b"gzip", b"gzip\r\nConnection: close") + b"x",
        (HEAD % b"1").replace(b"HTTP/1.1", b"HTTP/1.0") + b"x",
        (HEAD % b"1").replace(b"gzip", b"gzip\r\nX: " + b"y" * LONGEST) + b"x",
        (HEAD % b"1 ") + b"x",
        (HEAD % b"1").replace(b"Content-Length: 1", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
    ],
)
def test_only_a_plain_request_is_remembered(data: bytes) -> None:
    assert learned(data).match(data) is None


def test_a_head_that_came_in_two_parts_is_not_remembered() -> None:
    whole = HEAD % b"1" + b"x"
    heads = Heads()
    heads.learn(whole[:60], *parsed(whole))
    assert heads.match(whole) is None


def test_what_asks_for_more_than_a_body_is_not_remembered() -> None:
    request, environ = parsed(HEAD % b"1" + b"x")
    heads = Heads()
    heads.learn(HEAD % b"1" + b"x", request, {**environ, "HTTP_EXPECT": "100-continue"})
    assert heads.match(HEAD % b"1" + b"x") is None


def test_a_request_that_is_not_plain_takes_the_last_ones_place() -> None:
    heads = learned(HEAD % b"1" + b"x")
    other = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    heads.learn(other, *parsed(other))
    assert heads.match(HEAD % b"1" + b"x") is None
