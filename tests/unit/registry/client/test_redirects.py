"""Where redirects may lead, what they carry, and whom TLS believes."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from webhook.registry.source import Unanswered
from webhook.tls import issue

PLAIN = "insecure: true, addresses: [127.0.0.0/8]"
BASIC = "Basic " + base64.b64encode(b"robot:s3cret").decode()
MANIFEST = "/v2/team/app/manifests/1"


def _to(url: str, status: int = 307) -> Any:
    return status, {"Location": url}, b""


def _gate(site: Any) -> None:
    """Let nobody in without the password."""
    refused = 401, {"WWW-Authenticate": 'Basic realm="here"'}, b""
    site.gates.append(lambda handler: None if handler.headers.get("Authorization") == BASIC else refused)


def _pair(lab: Any, site: Any, other: Any) -> Any:
    lab.docker("docker.json", {site.host: {"username": "robot", "password": "s3cret"}})
    return lab.client(f"""
        registries:
          - {{host: '{site.host}', {PLAIN}, credentials: docker.json}}
          - {{host: '{other.host}', {PLAIN}}}
        """)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_a_listed_host_is_followed_without_credentials(status: int, lab: Any, app: Any) -> None:
    site, other = lab.site(), lab.site()
    held = other.image()
    _gate(site)
    for path in list(other.answers):
        site.answers[path] = _to(f"http://{other.host}{path}?signature=1", status)
    assert _pair(lab, site, other).content(app(site), 5).digest == held["digest"]
    assert [call.headers.get("authorization") for call in other.calls] == [None, None]
    assert {call.headers.get("authorization") for call in site.calls} == {None, BASIC}


def test_within_a_host_credentials_stay(lab: Any, app: Any) -> None:
    site, other = lab.site(), lab.site()
    site.image(tag="2")
    _gate(site)
    site.answers[MANIFEST] = _to("/v2/team/app/manifests/2")
    assert _pair(lab, site, other).content(app(site), 5).builds


def test_credentials_do_not_come_back_by_a_detour(lab: Any, app: Any) -> None:
    site, other = lab.site(), lab.site()
    _gate(site)
    site.answers[MANIFEST] = _to(f"http://{other.host}/away")
    other.answers["/away"] = _to(f"http://{site.host}/back")
    with pytest.raises(Exception, match="refuses the credentials"):
        _pair(lab, site, other).content(app(site), 5)
    back = [call for call in site.calls if call.path == "/back"]
    assert back and all("authorization" not in call.headers for call in back)


def test_who_is_redirected_to_names_no_token_server(lab: Any, app: Any) -> None:
    site, other = lab.site(), lab.site()
    _gate(site)
    site.answers[MANIFEST] = _to(f"http://{other.host}/away")
    other.answers["/away"] = 401, {"WWW-Authenticate": f'Bearer realm="http://{other.host}/token"'}, b""
    with pytest.raises(Unanswered, match=rf"^{other.host}: answers 401 for team/app:1$"):
        _pair(lab, site, other).content(app(site), 5)
    assert other.paths == ["GET /away"]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_that_there_is_no_image_says_the_registry_itself_and_nobody_else(status: int, lab: Any, app: Any) -> None:
    site, other = lab.site(), lab.site()
    site.answers[MANIFEST] = _to(f"http://{other.host}/away")
    other.answers["/away"] = status, {}, b""
    with pytest.raises(Unanswered, match=f"^{other.host}: answers {status} for team/app:1$") as refused:
        _pair(lab, site, other).content(app(site), 5)
    assert refused.value.host == ""


def test_a_loop_of_redirects_ends(lab: Any, app: Any) -> None:
    site = lab.site()
    site.answers[MANIFEST] = _to(MANIFEST)
    with pytest.raises(Unanswered, match=f"^registry.example:{site.port}: redirected more than 5 times$"):
        lab.plain(site).content(app(site), 5)
    assert len(site.calls) == 6


def test_a_redirect_to_a_host_that_is_not_listed_and_not_public_is_refused(lab: Any, app: Any) -> None:
    site, other = lab.site(), lab.site(tls=True)
    for address in ("127.0.0.1", "10.0.0.7", "169.254.169.254", "fd00::1", "64:ff9b::a00:7", "168.63.129.16"):
        lab.names["evil.example"] = address
        site.answers[MANIFEST] = _to(f"https://evil.example:{other.port}/secret")
        with pytest.raises(
            Unanswered,
            match=f"^{site.host} redirects to evil.example:{other.port}: its address {address} is .*not listed$",
        ):
            lab.plain(site).content(app(site), 5)
    for written in ("127.0.0.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:7f00:1]"):
        site.answers[MANIFEST] = _to(f"https://{written}:{other.port}/secret")
        with pytest.raises(Unanswered, match="its address .* is .*(loopback|no public)"):
            lab.client(f"registries: [{{host: '{site.host}', {PLAIN}}}]", resolve=_real).content(app(site), 5)
    assert other.calls == []


def _real(host: str, port: int, **more: Any) -> Any:
    import socket

    return socket.getaddrinfo("127.0.0.1" if host.endswith(".example") else host, port, **more)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://other.example/x", "redirects to http://other.example/x; plain http is only spoken to"),
        ("http://user:pass@other.example/x?token=1", "redirects to http://other.example/x, where an https URL"),
        ("https://user:pass@other.example/x", "redirects to https://other.example/x, where an https URL"),
        ("file:///etc/passwd", "redirects to file:///etc/passwd, where an https URL is wanted"),
        ("gopher://other.example/", "redirects to gopher://other.example/, where an https URL is wanted"),
        ("https://[::1/", "which is no URL"),
        ("https://other.example:99999/", "which is no URL"),
        ("https:///x", "where an https URL is wanted"),
    ],
)
def test_a_redirect_to_anything_but_https_is_refused(url: str, text: str, lab: Any, app: Any) -> None:
    site = lab.site()
    site.answers[MANIFEST] = _to(url)
    with pytest.raises(Unanswered, match=re.escape(text)):
        lab.plain(site).content(app(site), 5)
    assert lab.looked == ["registry.example"]


def test_the_port_of_an_entry_counts(lab: Any, app: Any) -> None:
    site, other = lab.site(), lab.site()
    site.answers[MANIFEST] = _to(f"http://registry.example:{other.port}/x")
    with pytest.raises(Unanswered, match="plain http is only spoken to hosts that are listed as insecure"):
        lab.plain(site).content(app(site), 5)
    assert other.calls == []


def _secure(lab: Any, site: Any, more: str = "ca: ca.crt") -> Any:
    return lab.client(f"registries: [{{host: '{site.host}', addresses: [127.0.0.0/8], {more}}}]")


def test_an_own_authority_is_believed_where_it_is_listed(lab: Any, app: Any) -> None:
    site = lab.site(tls=True)
    held = site.image()
    client = _secure(lab, site)
    assert [client.content(app(site), 5).digest for _ in range(3)] == [held["digest"]] * 3
    assert lab.looked == ["registry.example"]
    assert site.calls[0].headers["host"] == site.host


def test_an_authority_that_is_not_listed_is_not_believed(lab: Any, app: Any) -> None:
    site = lab.site(tls=True)
    with pytest.raises(Unanswered, match="the certificate is not valid: .*; list its authority as `ca`$") as caught:
        _secure(lab, site, "mirrors: []").content(app(site), 5)
    assert caught.value.host == site.host
    (lab.folder / "other.crt").write_bytes(issue.authority(datetime.now(UTC)).certificate)
    with pytest.raises(Unanswered, match="the certificate is not valid"):
        _secure(lab, site, "ca: other.crt").content(app(site), 5)
    assert site.calls == []


def test_a_certificate_for_another_name_is_refused(lab: Any, app: Any) -> None:
    site = lab.site(tls=True, names=("other.example",))
    with pytest.raises(Unanswered, match="the certificate is not valid: Hostname mismatch.*registry.example"):
        _secure(lab, site).content(app(site), 5)
    assert site.calls == []


def test_the_authority_of_one_host_is_not_believed_for_another(lab: Any, app: Any) -> None:
    site, other = lab.site(tls=True), lab.site(tls=True, names=("other.example",))
    site.answers[MANIFEST] = _to(f"https://other.example:{other.port}/x")
    client = lab.client(f"""
        registries:
          - {{host: '{site.host}', addresses: [127.0.0.0/8], ca: ca.crt}}
          - {{host: 'other.example:{other.port}', addresses: [127.0.0.0/8]}}
        """)
    with pytest.raises(Unanswered, match=f"redirects to other.example:{other.port}: the certificate is not valid"):
        client.content(app(site), 5)
    assert other.calls == []


def test_plain_http_where_tls_is_wanted_is_said(lab: Any, app: Any) -> None:
    site = lab.site()
    with pytest.raises(Unanswered, match="TLS fails .*; a registry without TLS is listed with `insecure: true`"):
        _secure(lab, site, "mirrors: []").content(app(site), 5)


def test_proxies_of_the_environment_are_not_used(lab: Any, app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site, proxy = lab.site(), lab.site()
    site.image()
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    assert lab.plain(site).content(app(site), 5).builds
    assert proxy.calls == []
