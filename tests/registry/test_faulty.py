"""Each fault does what its name says, plain and over TLS, and what came in is recorded."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator

import pytest
import urllib3
from lab import pki
from lab.process import eventually
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from registry import artifact, faulty
from registry.faulty import FAULTS, Faulty, Received
from registry.server import ACCOUNT

PATIENCE = 20.0
"""Seconds that the client waits for a byte that will come."""
IMPATIENCE = 0.5
"""Seconds that it waits for one that never comes."""
Ask = Callable[..., urllib3.BaseHTTPResponse]
HEADLESS = {"slow", "not-http", "dripping-head", "closed", "reset"}
"""Faults that no HTTP client gets an answer from."""
both = pytest.mark.parametrize("kind", ["manifests", "blobs"])


@pytest.fixture
def ask(bad: Faulty, ca: pki.Authority) -> Iterator[Ask]:
    """Ask for the manifest or the config of an image whose repository is a fault's name."""
    with urllib3.PoolManager(ca_certs=str(ca.bundle)) as http:

        def send(fault: str, kind: str = "manifests", method: str = "GET") -> urllib3.BaseHTTPResponse:
            url = bad.url + path(bad, fault, kind)
            wait = IMPATIENCE if fault.startswith("slow") else PATIENCE
            return http.request(method, url, retries=False, redirect=False, timeout=wait, preload_content=False)

        yield send


@pytest.fixture
def wire(bad: Faulty, ca: pki.Authority) -> Iterator[Callable[[str, str], socket.socket]]:
    """Ask as `ask` does, and return the connection, for what HTTP clients do not show."""
    made: list[socket.socket] = []

    def send(fault: str, kind: str) -> socket.socket:
        made.append(socket.create_connection(("127.0.0.1", int(bad.address.rpartition(":")[2])), timeout=5))
        if bad.scheme == "https":
            made.append(ssl.create_default_context(cafile=ca.bundle).wrap_socket(made[-1], server_hostname="127.0.0.1"))
        made[-1].sendall(f"GET {path(bad, fault, kind)} HTTP/1.1\r\nHost: {bad.address}\r\n\r\n".encode())
        return made[-1]

    yield send
    for each in made:
        each.close()


def path(bad: Faulty, fault: str, kind: str) -> str:
    if kind == "blobs":
        return f"/v2/blob/{fault}/blobs/{artifact.digest(bad.image.blobs[0])}"
    return f"/v2/{fault}/manifests/1"


def good(bad: Faulty, kind: str) -> bytes:
    return bad.image.blobs[0] if kind == "blobs" else bad.image.content


@both
def test_the_good_image_is_served_whole(bad: Faulty, ask: Ask, kind: str) -> None:
    answer = ask("good", kind)
    assert answer.read() == good(bad, kind)
    assert answer.headers["Docker-Content-Digest"] == artifact.digest(good(bad, kind))


@pytest.mark.parametrize("fault", FAULTS)
def test_the_manifest_is_good_where_only_the_config_fails(bad: Faulty, ask: Ask, fault: str) -> None:
    assert ask(f"blob/{fault}").read() == bad.image.content


@both
def test_slow_never_answers(ask: Ask, kind: str) -> None:
    with pytest.raises(ReadTimeoutError):
        ask("slow", kind)


@both
def test_slow_body_sends_a_head_and_no_more(ask: Ask, kind: str) -> None:
    answer = ask("slow-body", kind)
    assert answer.status == 200
    with pytest.raises(ReadTimeoutError):
        answer.read()


@both
def test_half_body_ends_too_early(ask: Ask, kind: str) -> None:
    answer = ask("half-body", kind)
    with pytest.raises(ProtocolError, match="IncompleteRead"):
        answer.read()


@both
def test_wrong_digest_is_json_that_is_not_what_it_says(bad: Faulty, ask: Ask, kind: str) -> None:
    answer = ask("wrong-digest", kind)
    content = answer.read()
    assert json.loads(content).keys() > json.loads(good(bad, kind)).keys()
    assert answer.headers["Docker-Content-Digest"] == artifact.digest(good(bad, kind)) != artifact.digest(content)


@both
@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("too-many", 429, "TOOMANYREQUESTS"),
        ("error-500", 500, "UNKNOWN"),
        ("denied", 403, "DENIED"),
        ("unauthorized", 401, "UNAUTHORIZED"),
        ("unauthorized-token", 401, "UNAUTHORIZED"),
    ],
)
def test_refusals_have_a_status_and_a_code(ask: Ask, kind: str, fault: str, status: int, code: str) -> None:
    answer = ask(fault, kind)
    assert (answer.status, answer.json()["errors"][0]["code"]) == (status, code)


def test_too_many_says_when_to_come_again(ask: Ask) -> None:
    assert ask("too-many").headers["Retry-After"] == str(faulty.RETRY_AFTER)


def test_a_token_that_is_given_helps_nothing(bad: Faulty, ask: Ask, ca: pki.Authority) -> None:
    challenge = ask("unauthorized-token").headers["WWW-Authenticate"]
    realm = challenge.partition('realm="')[2].partition('"')[0]
    with urllib3.PoolManager(ca_certs=str(ca.bundle)) as http:
        token = http.request("GET", realm).json()["token"]
        header = {"Authorization": f"Bearer {token}"}
        assert http.request("GET", bad.url + path(bad, "unauthorized-token", "manifests"), headers=header).status == 401


@both
def test_a_redirect_leads_elsewhere_where_the_image_is(bad: Faulty, ask: Ask, ca: pki.Authority, kind: str) -> None:
    target = ask("redirect", kind).headers["Location"]
    assert target == f"{bad.scheme}://{bad.elsewhere}{path(bad, 'redirect', kind)}"
    with urllib3.PoolManager(ca_certs=str(ca.bundle)) as http:
        assert http.request("GET", target, headers={"Authorization": "leaked"}).data == good(bad, kind)
    assert bad.received[-1] == Received("elsewhere", "GET", path(bad, "redirect", kind), authorized=True)


@pytest.mark.parametrize(
    ("fault", "target"),
    [
        ("redirect-loop", "/v2/redirect-loop/manifests/1"),
        ("redirect-metadata", "http://169.254.169.254/latest/meta-data/"),
        ("redirect-file", "file:///etc/passwd"),
    ],
)
def test_redirects_lead_where_nobody_should_go(ask: Ask, fault: str, target: str) -> None:
    answer = ask(fault)
    assert (answer.status, answer.headers["Location"]) == (307, target)


@both
@pytest.mark.parametrize("fault", ["endless", "endless-chunks"])
def test_an_endless_answer_goes_on(ask: Ask, fault: str, kind: str) -> None:
    answer = ask(fault, kind)
    assert "Content-Length" not in answer.headers
    assert len(answer.read(8 << 20)) == 8 << 20
    answer.close()


@both
def test_huge_is_json_of_many_megabytes_and_true_to_its_digest(ask: Ask, kind: str) -> None:
    answer = ask("huge", kind)
    content = answer.read()
    assert json.loads(content)["annotations"]["padding"] == " " * faulty.HUGE
    assert answer.headers["Docker-Content-Digest"] == artifact.digest(content)


@both
def test_garbage_is_whole_and_no_json(ask: Ask, kind: str) -> None:
    answer = ask("garbage", kind)
    content = answer.read()
    assert answer.headers["Docker-Content-Digest"] == artifact.digest(content)
    with pytest.raises(ValueError):
        json.loads(content)


@both
def test_not_http_is_another_protocol(ask: Ask, kind: str) -> None:
    with pytest.raises(ProtocolError, match="SSH-2.0-registry"):
        ask("not-http", kind)


@both
def test_a_dripping_answer_comes_byte_by_byte(
    bad: Faulty, wire: Callable[[str, str], socket.socket], kind: str
) -> None:
    connection = wire("dripping", kind)
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    assert f"Content-Length: {len(good(bad, kind))}".encode() in head
    assert [connection.recv(4096) for _ in range(3)] == [good(bad, kind)[n : n + 1] for n in range(3)]


@both
def test_a_dripping_head_comes_byte_by_byte(wire: Callable[[str, str], socket.socket], kind: str) -> None:
    connection = wire("dripping-head", kind)
    assert [connection.recv(4096) for _ in range(4)] == [b"H", b"T", b"T", b"P"]


@both
def test_closed_ends_without_a_byte(wire: Callable[[str, str], socket.socket], kind: str) -> None:
    assert wire("closed", kind).recv(1) == b""


# over TLS, Python 3.11 shows a reset as the end (github.com/python/cpython/issues/115627)
@both
@pytest.mark.parametrize("bad", ["plain"], indirect=True)
def test_reset_ends_with_an_error(wire: Callable[[str, str], socket.socket], kind: str) -> None:
    connection = wire("reset", kind)
    with pytest.raises(ConnectionResetError):
        connection.recv(1)


@both
@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - HEADLESS))
def test_a_head_has_no_body(ask: Ask, fault: str, kind: str) -> None:
    assert ask(fault, kind, "HEAD").read() == b""


@both
@pytest.mark.parametrize("fault", sorted(HEADLESS - {"dripping-head"}))
def test_what_fails_before_the_head_fails_for_a_head_too(ask: Ask, fault: str, kind: str) -> None:
    with pytest.raises((ReadTimeoutError, ProtocolError)):
        ask(fault, kind, "HEAD")


def test_what_came_in_is_recorded_with_the_word_whether_credentials_came(ca: pki.Authority) -> None:
    header = {"Authorization": ACCOUNT.basic}
    with faulty.running(account=ACCOUNT) as asks, urllib3.PoolManager() as http:
        refused = http.request("GET", f"{asks.url}/v2/good/manifests/1")
        assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, 'Basic realm="faulty"')
        assert http.request("GET", f"{asks.url}/v2/good/manifests/1", headers=header).data == asks.image.content
        assert http.request("GET", f"{asks.url}/v2/error-500/manifests/1", headers=header, retries=False).status == 500
    assert asks.received == [
        Received("registry", "GET", "/v2/good/manifests/1", authorized=False),
        Received("registry", "GET", "/v2/good/manifests/1", authorized=True),
        Received("registry", "GET", "/v2/error-500/manifests/1", authorized=True),
    ]


def test_another_name_is_unknown(ask: Ask) -> None:
    answer = ask("no-such-fault")
    assert (answer.status, answer.json()["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")


def test_connections_that_hang_do_not_keep_it_from_ending() -> None:
    with faulty.running() as hung:
        port = int(hung.address.rpartition(":")[2])
        idle = socket.create_connection(("127.0.0.1", port), timeout=5)
        asked = socket.create_connection(("127.0.0.1", port), timeout=5)
        asked.sendall(b"GET /v2/slow/manifests/1 HTTP/1.1\r\n\r\n")
        eventually(lambda: hung.received, what="the request to come in")
    with idle, asked:
        assert (idle.recv(1), asked.recv(1)) == (b"", b"")
