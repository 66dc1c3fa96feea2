"""A stream of lines: whole objects as they come, told apart from an end, a silence and a break."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from webhook.kube.client import CONNECTIONS, ApiError

PATH = "/api/v1/namespaces"


def lines(*pieces: bytes, then: str = "end") -> Any:
    """Answer in chunks; `then` end well, `cut` the connection, or `hang`."""

    def answer(handler: Any) -> tuple[int, Any]:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in pieces:
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        handler.wfile.flush()
        if then == "end":
            handler.wfile.write(b"0\r\n\r\n")
        elif then == "hang":
            time.sleep(1)
        handler.close_connection = True
        return 0, None

    return answer


def test_objects_come_whole_however_they_are_cut_on_the_way(api: Any) -> None:
    api.answers[PATH] = lines(b'{"a":', b'1}\n{"b"', b":2}\n\n{", b'"c":3}\n')
    assert list(api.client().stream(PATH, {"watch": "true"}, 5)) == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert api.calls == [f"GET {PATH}?watch=true"]


def test_half_an_object_at_the_end_is_none(api: Any) -> None:
    api.answers[PATH] = lines(b'{"a":1}\n{"b":')
    assert list(api.client().stream(PATH, {}, 5)) == [{"a": 1}]


def test_a_connection_that_breaks_off_is_an_error(api: Any) -> None:
    api.answers[PATH] = lines(b'{"a":1}\n', then="cut")
    found = []
    with pytest.raises(ApiError) as error:
        found += [each for each in api.client().stream(PATH, {}, 5)]
        pytest.fail(f"ended well after {found}")
    assert error.value.status == 0


def test_a_stream_that_says_nothing_for_too_long_ends(api: Any) -> None:
    api.answers[PATH] = lines(b'{"a":1}\n', then="hang")
    assert list(api.client().stream(PATH, {}, 5, silence=0.2)) == [{"a": 1}]


@pytest.mark.parametrize("line", [b"[]\n", b"nonsense\n", b'"text"\n'])
def test_what_is_no_object_is_an_error(line: bytes, api: Any) -> None:
    api.answers[PATH] = lines(line)
    with pytest.raises(ApiError, match="a line of the answer isn't"):
        list(api.client().stream(PATH, {}, 5))


def test_a_refusal_says_what_the_api_server_says(api: Any) -> None:
    api.answers[PATH] = 403, {"kind": "Status", "reason": "Forbidden", "message": "may not watch"}
    with pytest.raises(ApiError, match="403: may not watch") as error:
        api.client().stream(PATH, {}, 5)
    assert (error.value.status, error.value.reason) == (403, "Forbidden")


def test_a_401_is_tried_with_a_credential_read_anew(api: Any) -> None:
    good = lines(b'{"a":1}\n')
    api.answers[PATH] = lambda handler: good(handler) if "new" in handler.headers["Authorization"] else (401, {})
    assert list(api.client().stream(PATH, {}, 5)) == [{"a": 1}]
    assert api.tokens == ["Bearer old", "Bearer new"]


def test_streams_that_are_left_early_or_refused_keep_no_place_among_the_connections(api: Any) -> None:
    """Each kept one, so that the ninth call waited for a place that never came."""
    client = api.client()
    for _ in range(CONNECTIONS + 2):
        api.answers[PATH] = lines(b'{"a":1}\n{"b":2}\n', then="hang")
        events = client.stream(PATH, {}, 5)
        assert next(events) == {"a": 1}
        events.close()
        api.answers[PATH] = 403, {}
        with pytest.raises(ApiError):
            client.stream(PATH, {}, 5)
    api.answers[PATH] = 200, {"ok": True}
    assert client.get(PATH, 2) == {"ok": True}


def test_answers_that_are_given_up_keep_no_place_among_the_connections(api: Any) -> None:
    """The same for a call whose time is over in the middle of an answer."""

    def drip(handler: Any) -> tuple[int, Any]:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(6):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)
        handler.close_connection = True
        return 0, None

    client = api.client()
    api.answers[PATH] = drip
    for _ in range(CONNECTIONS + 1):
        with pytest.raises(ApiError):
            client.get(PATH, 0.12)
    api.answers[PATH] = 200, {"ok": True}
    assert client.get(PATH, 2) == {"ok": True}


def test_a_long_line_is_read_and_one_without_end_is_not(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    long = json.dumps({"a": "x" * 300_000}).encode()
    api.answers[PATH] = lines(long[:200_000], long[200_000:] + b"\n")
    assert len(next(api.client().stream(PATH, {}, 5))["a"]) == 300_000
    monkeypatch.setattr("webhook.kube.client.ANSWER_BYTES", 100_000)
    with pytest.raises(ApiError, match="longer than 100000 bytes"):
        list(api.client().stream(PATH, {}, 5))
