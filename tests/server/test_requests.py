"""What comes over the wire and is no good review: refused with a sentence, without being read whole."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

MIB = 1 << 20
LIMIT = 7 * MIB
HEAD = b"POST /validate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def answer(sock: socket.socket) -> bytes:
    """Return all that the server sends until it closes, or what a kept connection answers in 3 s."""
    sock.settimeout(3)
    found = b""
    try:
        while part := sock.recv(65536):
            found += part
            head, _, body = found.partition(b"\r\n\r\n")
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:") and len(body) >= int(line.split(b":")[1]):
                    return found
    except TimeoutError:
        pass
    return found


def status(found: bytes) -> int:
    return int(found.split(b" ", 2)[1])


def test_a_body_over_seven_mib_is_413_before_it_is_sent(server: Any) -> None:
    with server.secure() as sock:
        sock.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (LIMIT + 1))
        found = answer(sock)
    assert status(found) == 413
    assert b"Connection: close" in found


def test_a_client_that_goes_on_sending_still_gets_the_413(server: Any) -> None:
    with server.secure() as sock:
        sock.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (100 * MIB) + b" " * (MIB // 2))
        assert status(answer(sock)) == 413


def test_chunks_over_seven_mib_are_cut_there(server: Any) -> None:
    chunk = b"%x\r\n" % MIB + b" " * MIB + b"\r\n"
    sent = 0
    with server.secure() as sock:
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(40):
                sock.sendall(chunk)
                sent += MIB
        except OSError:
            pass  # closed in our face, as it should be
    assert LIMIT <= sent < 20 * MIB


def test_the_413_of_chunks_arrives_at_who_stops_there(server: Any) -> None:
    chunk = b"%x\r\n" % MIB + b" " * MIB + b"\r\n"
    with server.secure() as sock:
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 7 + b"1\r\n \r\n0\r\n\r\n")
        assert status(answer(sock)) == 413


def test_a_review_in_chunks_is_answered(server: Any, review: Callable[[str], bytes]) -> None:
    body = review("web")
    with server.secure() as sock:
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for byte in (body[:10], body[10:]):
            sock.sendall(b"%x\r\n" % len(byte) + byte + b"\r\n")
        sock.sendall(b"0\r\n\r\n")
        found = answer(sock)
    assert status(found) == 200
    assert b"uid-web" in found


def test_a_large_review_is_answered(server: Any, post: Callable[..., Any], review: Callable[[str], bytes]) -> None:
    body = review("web").replace(b'"metadata"', b'"padding": "' + b"x" * (6 * MIB) + b'", "metadata"')
    client = server.client()
    client.request("POST", "/validate", body, {"Content-Type": "application/json"})
    found = client.getresponse()
    assert found.status == 200
    found.read()
    assert post(client).status == 200, "and the connection goes on"
    client.close()


def test_who_asks_before_sending_is_told_to_go_on(server: Any, review: Callable[[str], bytes]) -> None:
    body = review("web")
    with server.secure() as sock:
        sock.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        sock.settimeout(3)
        assert sock.recv(100).startswith(b"HTTP/1.1 100")
        sock.sendall(body)
        assert status(answer(sock)) == 200


@pytest.mark.parametrize(
    ("method", "path", "kind", "body", "wanted"),
    [
        ("POST", "/validate", "text/plain", b"{}", 415),
        ("POST", "/validate", "application/json", b"{", 400),
        ("POST", "/validate", "application/json", b'{"kind": "Pod"}', 400),
        ("POST", "/advise", "application/json", b"", 400),
        ("GET", "/mutate", "application/json", b"", 405),
        ("POST", "/nothing", "application/json", b"{}", 404),
    ],
)
def test_what_is_no_review_is_a_4xx_with_a_sentence_and_the_connection_goes_on(
    server: Any, post: Callable[..., Any], method: str, path: str, kind: str, body: bytes, wanted: int
) -> None:
    client = server.client()
    client.request(method, path, body, {"Content-Type": kind})
    found = client.getresponse()
    text = found.read().decode()
    assert found.status == wanted
    assert len(text.split()) >= 4
    assert "Traceback" not in text
    assert post(client).status == 200
    client.close()


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 20_000 + b"\r\n\r\n", 431),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: nonsense\r\n\r\n", 400),
    ],
)
def test_what_is_no_http_is_a_4xx_and_the_end(server: Any, sent: bytes, wanted: int) -> None:
    with server.secure() as sock:
        sock.sendall(sent)
        found = answer(sock)
        assert status(found) == wanted
        assert b"Connection: close" in found
        assert sock.recv(1) == b""


def test_a_bug_of_the_server_is_an_answer_and_no_trace(server: Any, post: Callable[..., Any]) -> None:
    client = server.client()
    denied, allowed = post(client, "bug"), post(client, "bug", "/mutate")
    assert (denied.status, allowed.status) == (200, 200)
    assert '"allowed":false' in denied.text
    assert '"allowed":true' in allowed.text
    assert "uid-bug" in denied.text
    server.wait(lambda: any("ZeroDivisionError at" in str(line.get("error")) for line in server.lines))
    assert "secret of" not in denied.text + str(server.lines)
    client.close()


def asked(body: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_requests_of_one_connection_are_each_read_as_they_are(server: Any, review: Callable[[str], bytes]) -> None:
    # From the second one on a head is known, and must not be taken for another.
    other = asked(review("x")).replace(b"/validate", b"/nowhere")
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(review("d")), review("d"))
    with server.secure() as sock:
        for sent, wanted in [
            (asked(review("a")), b"uid-a"),
            (asked(review("longer")), b"uid-longer"),
            (b"GET /validate HTTP/1.1\r\nHost: x\r\n\r\n", b" 405 "),
            (asked(review("b" * 300)), b"uid-bbb"),
            (asked(review("c" * 50_000)), b"uid-ccc"),
            (other, b" 404 "),
            (chunked, b"uid-d"),
            (asked(b"{"), b" 400 "),
            (asked(b""), b" 400 "),
            (asked(review("e")), b"uid-e"),
        ]:
            sock.sendall(sent)
            assert wanted in answer(sock)


def test_a_known_head_may_come_in_parts(server: Any, review: Callable[[str], bytes]) -> None:
    with server.secure() as sock:
        for name in ("a", "b", "c"):
            data = asked(review(name))
            for part in (data[:70], data[70:150], data[150:]) if name == "b" else (data[:-5], data[-5:]):
                sock.sendall(part)
                time.sleep(0.05)
            assert b"uid-" + name.encode() in answer(sock)


def test_requests_sent_at_once_are_answered_one_after_another(server: Any, review: Callable[[str], bytes]) -> None:
    with server.secure() as sock:
        sock.sendall(asked(review("a")))
        assert b"uid-a" in answer(sock)
        sock.sendall(b"".join(asked(review(name)) for name in ("b", "c", "d")))
        sock.settimeout(3)
        found = b""
        while found.count(b"HTTP/1.1 200") < 3 or not found.endswith(b"}"):
            found += sock.recv(65536)
    assert [found.index(b"uid-" + name) for name in (b"b", b"c", b"d")] == sorted(
        found.index(b"uid-" + name) for name in (b"b", b"c", b"d")
    )


def test_a_known_head_is_held_to_the_limit(server: Any, review: Callable[[str], bytes]) -> None:
    with server.secure() as sock:
        sock.sendall(asked(review("a")))
        assert status(answer(sock)) == 200
        sock.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (LIMIT + 1))
        found = answer(sock)
    assert status(found) == 413 and b"Connection: close" in found


def test_a_body_that_stalls_behind_a_known_head_is_cut(server: Any, review: Callable[[str], bytes]) -> None:
    with server.secure() as sock:
        sock.sendall(asked(review("a")))
        assert status(answer(sock)) == 200
        sock.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
        sock.settimeout(5)
        assert sock.recv(100) == b"", "closed without an answer: its deadline is a second"


def test_every_answer_of_a_connection_has_the_date(server: Any, review: Callable[[str], bytes]) -> None:
    with server.secure() as sock:
        for _ in range(3):
            before = int(time.time())
            sock.sendall(asked(review("a")))
            date = answer(sock).split(b"\r\nDate: ")[1].split(b"\r\n")[0].decode()
            assert date.endswith(" GMT")
            assert before <= parsedate_to_datetime(date).timestamp() <= time.time()
            time.sleep(0.6)
