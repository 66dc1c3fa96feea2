"""Registries that fail: each fault ends within the deadline, in a sentence that names the host and what happened.

Servers here wait for the end of the test where they never answer, so a deadline that fails hangs the test.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from webhook.model.image import parse
from webhook.registry import client as module
from webhook.registry import dial, http
from webhook.registry.source import Absent, Unanswered

MANIFEST = "/v2/team/app/manifests/1"
SHORT = 1


def _raw(handler: Any, head: str) -> None:
    handler.wfile.write(head.replace("\n", "\r\n").encode())
    handler.wfile.flush()


def _drip(handler: Any, piece: bytes) -> None:
    """Send a piece now and then, until the client is gone or the test is over."""
    while not handler.site.ended.wait(0.02):
        handler.wfile.write(piece)
        handler.wfile.flush()


def silent(handler: Any) -> None:
    handler.site.ended.wait()


def dripping_head(handler: Any) -> None:
    _raw(handler, "HTTP/1.1 200 OK\n")
    _drip(handler, b"X-A: b\r\n")


def dripping_line(handler: Any) -> None:
    _drip(handler, b"H")


def continuing(handler: Any) -> None:
    _drip(handler, b"HTTP/1.1 100 Continue\r\n\r\n")


def dripping_body(handler: Any) -> None:
    _raw(handler, "HTTP/1.1 200 OK\nContent-Length: 1000000\n\n")
    _drip(handler, b" ")


def dripping_chunks(handler: Any) -> None:
    _raw(handler, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n")
    _drip(handler, b"1\r\n \r\n")


def dripping_error(handler: Any) -> None:
    _raw(handler, "HTTP/1.1 500 Oh\nTransfer-Encoding: chunked\n\n")
    _drip(handler, b"1\r\n \r\n")


SLOW = {
    silent: "had not begun",
    dripping_head: "had not begun",
    dripping_line: "had not begun",
    continuing: "had not begun",
    dripping_body: "had not ended",
    dripping_chunks: "had not ended",
    dripping_error: "had not ended",
}


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("fault", SLOW, ids=lambda fault: fault.__name__)
def test_a_slow_registry_holds_nobody_past_the_deadline(fault: Any, tls: bool, lab: Any, app: Any) -> None:
    site = lab.site(tls=tls)
    site.answers[MANIFEST] = fault
    way = "ca: ca.crt" if tls else "insecure: true"
    client = lab.client(f"registries: [{{host: '{site.host}', {way}, addresses: [127.0.0.0/8]}}]")
    with pytest.raises(Unanswered, match=f"^registry.example:{site.port}: the answer {SLOW[fault]} after 1 s$"):
        client.content(app(site), SHORT)


def test_a_config_that_drips_holds_nobody_past_the_deadline(lab: Any, app: Any) -> None:
    site = lab.site()
    site.image()
    blob = next(path for path in site.answers if "/blobs/" in path)
    site.answers[blob] = dripping_body
    with pytest.raises(Unanswered, match="had not ended"):
        lab.plain(site).content(app(site), SHORT)


@contextmanager
def _listener(backlog: int = 5) -> Iterator[socket.socket]:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen(backlog)
        yield made


def test_a_handshake_that_never_ends_holds_nobody(lab: Any) -> None:
    with _listener() as listener:
        host = f"registry.example:{listener.getsockname()[1]}"
        client = lab.client(f"registries: [{{host: '{host}', addresses: [127.0.0.0/8]}}]")
        with pytest.raises(Unanswered, match="had not begun after 1 s") as caught:
            client.content(parse(f"{host}/team/app:1"), SHORT)
        assert caught.value.host == host


def test_a_name_that_is_not_looked_up_in_time_holds_nobody(lab: Any, app: Any) -> None:
    site = lab.site()
    over = threading.Event()

    def never(*args: Any, **more: Any) -> Any:
        over.wait()
        raise OSError("too late")

    client = lab.plain(site, resolve=never)
    try:
        for _ in range(dial.RESOLVERS + 1):  # those that hang keep their threads, and the next still ends
            with pytest.raises(Unanswered, match="its name had not been looked up after 0.0[0-9]* s"):
                client.content(app(site), 0.05)
    finally:
        over.set()


def test_a_name_that_nobody_knows_is_said(lab: Any, app: Any) -> None:
    site = lab.site()

    def unknown(*args: Any, **more: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(Unanswered, match="its name cannot be looked up: Name or service not known") as caught:
        lab.plain(site, resolve=unknown).content(app(site), 5)
    assert caught.value.host == site.host
    with pytest.raises(Unanswered, match="its name has no address"):
        lab.plain(site, resolve=lambda *args, **more: []).content(app(site), 5)


def test_nobody_there_is_said(lab: Any) -> None:
    with _listener() as listener:
        host = f"registry.example:{listener.getsockname()[1]}"
    client = lab.client(f"registries: [{{host: '{host}', insecure: true, addresses: [127.0.0.0/8]}}]")
    with pytest.raises(Unanswered, match=f"^{host}: cannot be connected to: Connection refused$") as caught:
        client.content(parse(f"{host}/team/app:1"), 5)
    assert caught.value.host == host


def test_the_next_address_is_tried_where_one_takes_no_connection(lab: Any, app: Any) -> None:
    site = lab.site()
    held = site.image()

    def two(host: str, port: int, **more: Any) -> Any:
        return [*socket.getaddrinfo("127.0.0.9", port, **more), *socket.getaddrinfo("127.0.0.1", port, **more)]

    assert lab.plain(site, resolve=two).content(app(site), 5).digest == held["digest"]


def half_a_body(handler: Any) -> None:
    _raw(handler, "HTTP/1.1 200 OK\nContent-Length: 1000\n\n{}")


def half_a_chunk(handler: Any) -> None:
    _raw(handler, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n64\n{}")


def no_answer(handler: Any) -> None:
    pass


def no_http(handler: Any) -> None:
    _raw(handler, "SSH-2.0-OpenSSH_9.6\n")


def many_headers(handler: Any) -> None:
    _raw(handler, "HTTP/1.1 200 OK\n" + "X: y\n" * 1000 + "\n")


BROKEN: dict[Callable[..., Any], str] = {
    half_a_body: "broke off",
    half_a_chunk: "broke off",
    no_answer: "broke off",
    no_http: "broke off",
    many_headers: "broke off",
}


@pytest.mark.parametrize("fault", BROKEN, ids=lambda fault: fault.__name__)
def test_an_answer_that_breaks_off_is_none(fault: Any, lab: Any, app: Any) -> None:
    site = lab.site()
    site.answers[MANIFEST] = fault
    with pytest.raises(Unanswered, match=f"^registry.example:{site.port}: the answer {BROKEN[fault]}"):
        lab.plain(site).content(app(site), 5)


def endless(handler: Any) -> None:
    _raw(handler, "HTTP/1.1 200 OK\n\n")
    while not handler.site.ended.is_set():
        handler.wfile.write(b"x" * 65536)


def test_a_stream_without_end_is_cut(lab: Any, app: Any) -> None:
    site = lab.site()
    site.answers[MANIFEST] = endless
    with pytest.raises(Unanswered, match=f"the answer is longer than {4 * 2**20} bytes"):
        lab.plain(site).content(app(site), 60)


def test_a_huge_manifest_is_not_read(lab: Any, app: Any) -> None:
    site = lab.site()
    site.answers[MANIFEST] = 200, {}, b" " * (module.MANIFEST_BYTES + 1)
    with pytest.raises(Unanswered, match="longer than"):
        lab.plain(site).content(app(site), 60)


def test_the_documents_of_an_image_have_a_limit_together(lab: Any, app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site = lab.site()
    site.image()
    whole = sum(len(answer[2]) for path, answer in site.answers.items() if path != MANIFEST)
    monkeypatch.setattr(module, "ALTOGETHER", whole)
    assert lab.plain(site).content(app(site), 5).builds
    monkeypatch.setattr(module, "ALTOGETHER", whole - 1)
    with pytest.raises(Unanswered, match="longer than"):
        lab.plain(site).content(app(site), 5)
    monkeypatch.setattr(module, "ALTOGETHER", len(site.answers[MANIFEST][2]))
    with pytest.raises(Unanswered, match="exceed .* bytes together"):
        lab.plain(site).content(app(site), 5)


def test_what_is_packed_is_not_unpacked(lab: Any, app: Any) -> None:
    import gzip

    site = lab.site()
    held = site.image()
    path = f"/v2/team/app/manifests/{held['digest']}"
    site.answers[path] = 200, {"Content-Encoding": "gzip"}, gzip.compress(site.answers[path][2])
    with pytest.raises(Unanswered, match="has another digest"):
        lab.plain(site).content(app(site, f"@{held['digest']}"), 5)


def test_a_manifest_or_config_with_another_digest_is_refused(lab: Any, app: Any) -> None:
    site = lab.site()
    held = site.image()
    path = f"/v2/team/app/manifests/{held['digest']}"
    good = site.answers[path]
    site.answers[path] = 200, {"Docker-Content-Digest": held["digest"]}, good[2] + b" "
    with pytest.raises(Unanswered, match=f"@{held['digest']} has another digest, sha256:"):
        lab.plain(site).content(app(site, f"@{held['digest']}"), 5)
    site.answers[path] = good
    blob = next(path for path in site.answers if "/blobs/" in path)
    site.answers[blob] = 200, {}, site.answers[blob][2] + b" "
    with pytest.raises(Unanswered, match="has another digest"):
        lab.plain(site).content(app(site), 5)


@pytest.mark.parametrize("status", [500, 418, 204, 304])
def test_a_status_that_is_no_answer_is_about_this_image(status: int, lab: Any, app: Any) -> None:
    site = lab.site()
    site.answers[MANIFEST] = status, {}, b""
    with pytest.raises(Unanswered, match=f"^registry.example:{site.port}: answers {status} for team/app:1$") as caught:
        lab.plain(site).content(app(site), 5)
    assert (caught.value.rest, caught.value.host) == (0, "")


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_status_of_the_whole_registry_names_it(status: int, lab: Any, app: Any) -> None:
    site = lab.site()
    site.answers[MANIFEST] = status, {"Retry-After": "17"}, b""
    with pytest.raises(Unanswered, match="it wants not to be asked for 17 s") as caught:
        lab.plain(site).digest(app(site), 5)
    assert (caught.value.rest, caught.value.host) == (17, site.host)


def test_retry_after_may_be_a_date(lab: Any, app: Any) -> None:
    site = lab.site()
    at = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    later = format_datetime(at + timedelta(seconds=40), usegmt=True)
    head = (
        f"HTTP/1.1 429 Too Many\nDate: {format_datetime(at, usegmt=True)}\nRetry-After: {later}\nContent-Length: 0\n\n"
    )
    site.answers[MANIFEST] = lambda handler: _raw(handler, head)
    with pytest.raises(Unanswered) as caught:
        lab.plain(site).content(app(site), 5)
    assert caught.value.rest == 40


@pytest.mark.parametrize(
    ("said", "rest"),
    [("soon", 0), ("-5", 0), ("", 0), ("9" * 30, 3600), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)]
    + [("Wed, 21 Oct 2099 07:28:00 +" + "9" * 20, 0)],
)
def test_a_retry_after_that_cannot_be_meant_is_not_kept_to(said: str, rest: float, lab: Any, app: Any) -> None:
    site = lab.site()
    site.answers[MANIFEST] = 429, {"Retry-After": said}, b""
    with pytest.raises(Unanswered) as caught:
        lab.plain(site).content(app(site), 5)
    assert caught.value.rest == rest


def test_a_kept_connection_that_the_registry_closed_is_opened_anew(lab: Any, app: Any) -> None:
    site = lab.site()
    site.image()
    client = lab.plain(site)
    client.content(app(site), 5)
    site.gates.append(lambda handler: setattr(handler, "close_connection", True))
    client.content(app(site), 5)
    client.content(app(site), 5)
    assert len(site.calls) == 6


def test_what_a_registry_says_is_cleaned_and_cut(lab: Any, app: Any) -> None:
    site = lab.site()
    code = "A\\n\\u001b[31m" + "B" * 500
    site.answers[MANIFEST] = 404, {}, b'{"errors": [{"code": "' + code.encode() + b'"}]}'
    with pytest.raises(Absent) as caught:
        lab.plain(site).content(app(site), 5)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 150


def test_a_registry_that_is_not_listed_is_not_asked(lab: Any, app: Any) -> None:
    site, other = lab.site(), lab.site()
    for method in ("digest", "content"):
        with pytest.raises(
            Unanswered, match=f"^{other.host} is not listed in the registries file, so it is not asked$"
        ):
            getattr(lab.plain(site), method)(app(other), 5)
    assert other.calls == site.calls == [] and lab.looked == []


@pytest.mark.parametrize("address", ["169.254.169.254", "127.0.0.1", "0.0.0.0", "::1", "::ffff:169.254.169.254"])
def test_a_listed_name_is_not_followed_to_a_forbidden_address(address: str, lab: Any, app: Any) -> None:
    site = lab.site()
    lab.names["registry.example"] = address
    client = lab.client(f"registries: [{{host: '{site.host}', insecure: true, addresses: [10.0.0.0/8]}}]")
    with pytest.raises(Unanswered, match=f"its address {address} is .*, which is not connected to; list the range"):
        client.content(app(site), 5)
    assert site.calls == []


def test_images_of_the_hub_are_asked_for_where_its_api_is(lab: Any) -> None:
    client = lab.client("registries: [{host: docker.io}]")
    with pytest.raises(Unanswered, match="^docker.io: its address 127.0.0.1 is .*loopback"):
        client.content(parse("nginx"), 5)
    assert lab.looked == ["registry-1.docker.io"]


def test_without_time_nobody_is_asked(lab: Any, app: Any) -> None:
    site = lab.site()
    with pytest.raises(Unanswered, match="the answer had not begun after 0 s"):
        lab.plain(site).content(app(site), 0)
    assert site.calls == []


def test_a_name_is_looked_up_once_and_that_address_is_connected_to(lab: Any, app: Any) -> None:
    site = lab.site()
    site.image()
    answers = iter(["127.0.0.1", "169.254.169.254"])

    def rebinding(host: str, port: int, **more: Any) -> Any:
        return socket.getaddrinfo(next(answers), port, **more)

    assert lab.plain(site, resolve=rebinding).content(app(site), 5).builds
    assert next(answers) == "169.254.169.254"


def test_mirrors_are_asked_first_and_the_registry_last(lab: Any, app: Any) -> None:
    first, second, site = lab.site(), lab.site(), lab.site()
    held = site.image()
    client = _mirrored(lab, site, first, second)
    assert client.content(app(site), 5).digest == held["digest"]
    assert first.paths == ["GET /v2/hub/team/app/manifests/1"]
    assert second.paths == ["GET /v2/team/app/manifests/1"]
    second.image()
    before = len(site.calls)
    assert client.content(app(site), 5).digest == held["digest"]
    assert len(site.calls) == before


def _mirrored(lab: Any, site: Any, first: Any, second: Any) -> Any:
    plain = "insecure: true, addresses: [127.0.0.0/8]"
    return lab.client(f"""
        registries:
          - {{host: '{site.host}', {plain}, mirrors: ['{first.host}/hub', '{second.host}']}}
          - {{host: '{first.host}', {plain}}}
          - {{host: '{second.host}', {plain}}}
        """)


def test_a_mirror_that_hangs_or_lies_leaves_time_for_the_next(lab: Any, app: Any) -> None:
    first, second, site = lab.site(), lab.site(), lab.site()
    held = site.image()
    first.answers["/v2/hub/team/app/manifests/" + held["digest"]] = silent
    second.answers["/v2/team/app/manifests/" + held["digest"]] = 200, {}, b"{}"
    found = _mirrored(lab, site, first, second).content(app(site, f"@{held['digest']}"), 3)
    assert found.digest == held["digest"]


def test_the_word_of_the_registry_counts_and_mirrors_are_named(lab: Any, app: Any) -> None:
    first, second, site = lab.site(), lab.site(), lab.site()
    first.answers["/v2/hub/team/app/manifests/1"] = 500, {}, b""
    with pytest.raises(Absent, match=f"^{site.host} has no team/app:1 .*its mirrors give nothing either: {first.host}"):
        _mirrored(lab, site, first, second).content(app(site), 5)
    site.answers[MANIFEST] = 429, {"Retry-After": "9"}, b""
    with pytest.raises(Unanswered) as caught:
        _mirrored(lab, site, first, second).content(app(site), 5)
    assert (caught.value.rest, caught.value.host) == (9, site.host)


def test_many_threads_share_a_client(lab: Any, app: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    site = lab.site()
    amd = site.image(tag="amd")
    entries = [{**amd, "platform": {"os": "linux", "architecture": name}} for name in ("amd64", "arm64", "s390x")]
    whole = site.index(entries)
    client = lab.plain(site)
    with ThreadPoolExecutor(16) as crew:
        found = list(crew.map(lambda _: client.content(app(site), 30).digest, range(48)))
    assert set(found) == {whole["digest"]}
    assert len(lab.looked) <= http.CONNECTIONS


def test_nothing_is_opened_before_the_first_call(lab: Any) -> None:
    threads = threading.active_count()
    site = lab.site()
    lab.plain(site)
    assert lab.looked == [] and site.calls == []
    assert threading.active_count() == threads + 1  # the site's own
