"""How registries let us in: basic, bearer and identity tokens, whose credentials are sent where, and what is kept."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from webhook.ports import Unknown
from webhook.registry.auth import Challenge, challenges
from webhook.registry.source import Absent, Unanswered

MANIFEST = "/v2/team/app/manifests/1"
USER = {"username": "robot", "password": "s3cret"}


def _basic(user: str = "robot", password: str = "s3cret") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _guard(site: Any, realm: str, wanted: str = "Bearer t0ken", more: str = ',service="the registry"') -> None:
    """Let only those in who have a token."""
    challenge = f'Bearer realm="{realm}"{more}'

    def gate(handler: Any) -> Any:
        if not handler.path.startswith("/v2/") or handler.headers.get("Authorization") == wanted:
            return None
        return 401, {"WWW-Authenticate": challenge}, b""

    site.gates.append(gate)


def _token(site: Any, path: str = "/token", **answer: Any) -> str:
    site.answers[path] = 200, {}, json.dumps({"token": "t0ken", **answer}).encode()
    return f"http://{site.host}{path}"


def _tokens(site: Any) -> list[Any]:
    return [call for call in site.calls if call.path.startswith("/token")]


@pytest.mark.parametrize("method", ["digest", "content"])
def test_basic_authentication_is_sent_when_it_is_asked_for_and_then_at_once(method: str, lab: Any, app: Any) -> None:
    site = lab.site()
    held = site.image()
    refused = 401, {"WWW-Authenticate": 'Basic realm="Registry"'}, b""
    site.gates.append(lambda handler: None if handler.headers.get("Authorization") == _basic() else refused)
    client = lab.plain(site, f"credentials: {lab.docker('docker.json', {site.host: USER})}")
    getattr(client, method)(app(site), 5)
    assert site.calls[0].headers.get("authorization") is None
    assert {call.headers.get("authorization") for call in site.calls[1:]} == {_basic()}
    assert held


def test_a_token_is_asked_for_with_service_and_scope_and_kept(lab: Any, app: Any) -> None:
    site = lab.site()
    site.image()
    _guard(site, _token(site))
    client = lab.plain(site, f"credentials: {lab.docker('docker.json', {site.host: USER})}")
    client.content(app(site), 5)
    client.content(app(site), 5)
    (call,) = _tokens(site)
    asked = parse_qs(urlsplit(call.path).query)
    assert asked == {"service": ["the registry"], "scope": ["repository:team/app:pull"], "client_id": ["plimsoll"]}
    assert call.headers["authorization"] == _basic()
    assert [call.headers.get("authorization") for call in site.calls if "/v2/" in call.path][1:] == ["Bearer t0ken"] * 4


def test_a_token_without_credentials_is_asked_for_by_nobody(lab: Any, app: Any) -> None:
    site = lab.site()
    site.image()
    site.answers["/token"] = 200, {}, b'{"access_token": "t0ken"}'
    _guard(site, f"http://{site.host}/token?a=b", more="")
    lab.plain(site).content(app(site), 5)
    (call,) = _tokens(site)
    assert "authorization" not in call.headers
    assert call.path.startswith("/token?a=b&scope=")


def test_the_scope_of_the_challenge_counts(lab: Any, app: Any) -> None:
    site = lab.site()
    site.image()
    _guard(site, _token(site), more=',scope="repository:other:pull"')
    lab.plain(site).content(app(site), 5)
    assert parse_qs(urlsplit(_tokens(site)[0].path).query)["scope"] == ["repository:other:pull"]


@pytest.mark.parametrize(
    "entry",
    [
        {"identitytoken": "r3fresh"},
        {"auth": base64.b64encode(b"<token>:r3fresh").decode()},
    ],
)
def test_an_identity_token_is_posted(entry: Any, lab: Any, app: Any) -> None:
    site = lab.site()
    site.image()
    _guard(site, _token(site))
    lab.plain(site, f"credentials: {lab.docker('docker.json', {site.host: entry})}").content(app(site), 5)
    (call,) = _tokens(site)
    assert (call.method, call.path) == ("POST", "/token")
    assert {key: value[0] for key, value in parse_qs(call.body.decode()).items()} == {
        "grant_type": "refresh_token",
        "refresh_token": "r3fresh",
        "service": "the registry",
        "scope": "repository:team/app:pull",
        "client_id": "plimsoll",
    }
    assert "r3fresh" not in json.dumps([call.headers for call in site.calls])


def test_a_token_is_used_until_it_ends(lab: Any, app: Any) -> None:
    site = lab.site()
    site.image()
    _guard(site, _token(site, expires_in=300))
    client = lab.plain(site)
    client.content(app(site), 5)
    lab.clock.now += 280
    client.content(app(site), 5)
    assert len(_tokens(site)) == 1
    lab.clock.now += 15
    client.content(app(site), 5)
    assert len(_tokens(site)) == 2


@pytest.mark.parametrize("said", [{}, {"expires_in": 1}, {"expires_in": "soon"}, {"expires_in": True}])
def test_a_token_is_good_for_a_minute_at_least(said: Any, lab: Any, app: Any) -> None:
    site = lab.site()
    site.image()
    _guard(site, _token(site, **said))
    client = lab.plain(site)
    client.content(app(site), 5)
    lab.clock.now += 45
    client.content(app(site), 5)
    assert len(_tokens(site)) == 1
    lab.clock.now += 10
    client.content(app(site), 5)
    assert len(_tokens(site)) == 2


def test_a_kept_token_that_is_refused_is_asked_for_anew_once(lab: Any, app: Any) -> None:
    site = lab.site()
    site.image()
    _guard(site, _token(site))
    client = lab.plain(site)
    client.content(app(site), 5)
    site.gates.clear()
    _guard(site, _token(site, token="n3w"), "Bearer n3w")
    client.content(app(site), 5)
    assert len(_tokens(site)) == 2


def test_a_token_that_is_refused_at_once_is_no_loop(lab: Any, app: Any) -> None:
    site = lab.site()
    _guard(site, _token(site), "Bearer another")
    with pytest.raises(Absent, match="wants credentials, and there are none for team/app:1 .401"):
        lab.plain(site).content(app(site), 5)
    assert len(site.calls) == 3


def test_refused_credentials_are_said_and_not_shown(lab: Any, app: Any) -> None:
    site = lab.site()
    _guard(site, f"http://{site.host}/token")
    client = lab.plain(site, f"credentials: {lab.docker('docker.json', {site.host: USER})}")
    for status in (400, 401, 403):
        site.answers["/token"] = status, {}, b'{"details": "robot s3cret"}'
        with pytest.raises(
            Absent, match=f"^{site.host} refuses the credentials that it is given for team/app:1"
        ) as caught:
            client.content(app(site), 5)
        assert "s3cret" not in str(caught.value) and "robot" not in str(caught.value)


def test_a_forbidden_image_is_absent(lab: Any, app: Any) -> None:
    site = lab.site()
    site.answers[MANIFEST] = 403, {}, b'{"errors": [{"code": "DENIED"}]}'
    with pytest.raises(Absent, match=r"wants credentials, and there are none for team/app:1 \(403 DENIED\)"):
        lab.plain(site).content(app(site), 5)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((500, {}, b""), "answers 500 for a token"),
        ((200, {}, b"<html>"), "gives no token: the answer of .* cannot be read: it is no JSON"),
        ((200, {}, b"{}"), "gives no token: the answer of .* holds none"),
        ((200, {}, b'{"token": "a\\r\\nX-Evil: 1"}'), "gives no token: the answer of .* holds none"),
        ((200, {}, b'{"token": ["a"]}'), "gives no token: the answer of .* holds none"),
        ((200, {}, b" " * 70_000), "the answer is longer than 65536 bytes"),
        ((307, {"Location": "/token"}, b""), "redirects, where that is not followed"),
    ],
)
def test_a_token_server_that_fails_is_said(answer: Any, text: str, lab: Any, app: Any) -> None:
    site = lab.site()
    site.answers["/token"] = answer
    _guard(site, f"http://{site.host}/token")
    with pytest.raises(Unanswered, match=text):
        lab.plain(site).content(app(site), 5)
    assert len(_tokens(site)) == 1


def test_a_token_server_with_too_many_requests_rests_the_registry(lab: Any, app: Any) -> None:
    site = lab.site()
    site.answers["/token"] = 429, {"Retry-After": "30"}, b""
    _guard(site, f"http://{site.host}/token")
    with pytest.raises(Unanswered) as caught:
        lab.plain(site).content(app(site), 5)
    assert (caught.value.rest, caught.value.host) == (30, site.host)


@pytest.mark.parametrize(
    ("realm", "text"),
    [
        ("http://169.254.169.254/token", "no public|metadata"),
        ("https://evil.example/token", "its address 127.0.0.1 is .*loopback.*its host is not listed"),
        ("file:///etc/passwd", "an https URL is wanted"),
        ("", "an https URL is wanted"),
        ("https://user:pass@other.example/token", "an https URL is wanted"),
    ],
)
def test_a_realm_keeps_the_rules_of_a_redirect(realm: str, text: str, lab: Any, app: Any) -> None:
    site = lab.site()
    lab.names["169.254.169.254"] = "169.254.169.254"
    _guard(site, realm)
    client = lab.plain(site, f"credentials: {lab.docker('docker.json', {site.host: USER})}")
    with pytest.raises(Unanswered, match=f"^{site.host} gives no token: .*({text})"):
        client.content(app(site), 5)


def test_a_registry_with_tls_cannot_ask_for_a_token_over_http(lab: Any, app: Any) -> None:
    site = lab.site(tls=True)
    _guard(site, "http://auth.example/token")
    lab.docker("docker.json", {site.host: USER})
    client = lab.client(
        f"registries: [{{host: '{site.host}', ca: ca.crt, addresses: [127.0.0.0/8], credentials: docker.json}}]"
    )
    with pytest.raises(Unanswered, match="plain http is only spoken to hosts that are listed as insecure"):
        client.content(app(site), 5)
    assert "auth.example" not in lab.looked


def test_a_realm_on_another_listed_host_gets_the_credentials_of_the_registry(lab: Any, app: Any) -> None:
    site, other = lab.site(), lab.site()
    site.image()
    _guard(site, _token(other))
    lab.docker("docker.json", {site.host: USER, other.host: {"username": "wrong", "password": "wrong"}})
    plain = "insecure: true, addresses: [127.0.0.0/8], credentials: docker.json"
    client = lab.client(f"registries: [{{host: '{site.host}', {plain}}}, {{host: '{other.host}', {plain}}}]")
    client.content(app(site), 5)
    assert other.calls[0].headers["authorization"] == _basic()


def test_a_mirror_gets_its_own_credentials_only(lab: Any, app: Any) -> None:
    site, mirror = lab.site(), lab.site()
    site.image()
    refused = 401, {"WWW-Authenticate": "Basic realm=x"}, b""
    mirror.gates.append(lambda handler: refused)
    plain = "insecure: true, addresses: [127.0.0.0/8]"
    lab.docker("docker.json", {site.host: USER})
    client = lab.client(f"""
        registries:
          - {{host: '{site.host}', {plain}, credentials: docker.json, mirrors: ['{mirror.host}']}}
          - {{host: '{mirror.host}', {plain}, credentials: docker.json}}
        """)
    client.content(app(site), 5)
    assert all("authorization" not in call.headers for call in mirror.calls)


def test_pull_secrets_of_the_pod_are_tried_before_the_file(lab: Any, app: Any) -> None:
    site = lab.site()
    site.image()
    refused = 401, {"WWW-Authenticate": "Basic realm=x"}, b""
    site.gates.append(lambda handler: None if handler.headers.get("Authorization") == _basic() else refused)
    asked = []

    def keys(namespace: str, secrets: tuple[str, ...]) -> Any:
        asked.append((namespace, secrets))
        if not secrets:
            return
        yield {"auths": {site.host: {"username": "old", "password": "old"}}}
        yield {"credsStore": "desktop"}
        yield {"auths": {site.host: USER}}

    client = lab.plain(site, keys=keys)
    with pytest.raises(Absent):
        client.content(app(site), 5)
    assert client.content(app(site), 5, "shop", ("pull", "more")).builds
    assert asked == [("", ()), ("shop", ("pull", "more"))]
    with pytest.raises(Absent):  # what let a pod in lets nobody else in
        client.content(app(site), 5)


def test_our_own_secrets_count_for_every_image(lab: Any, app: Any) -> None:
    site = lab.site()
    site.image()
    refused = 401, {"WWW-Authenticate": "Basic realm=x"}, b""
    site.gates.append(lambda handler: None if handler.headers.get("Authorization") == _basic() else refused)
    client = lab.plain(site, keys=lambda namespace, secrets: [{"auths": {site.host: USER}}])
    assert client.content(app(site), 5).builds


def test_pull_secrets_that_cannot_be_read_are_said(lab: Any, app: Any) -> None:
    site = lab.site()

    def keys(namespace: str, secrets: tuple[str, ...]) -> Any:
        raise Unknown("GET /api/v1/namespaces/shop/secrets/pull: 403")

    with pytest.raises(Unanswered, match="^the pull secrets of shop cannot be read: GET .*403$"):
        lab.plain(site, keys=keys).content(app(site), 5, "shop", ("pull",))
    assert site.calls == []


def test_the_longest_key_of_a_docker_config_counts_first(lab: Any, app: Any) -> None:
    site = lab.site()
    refused = 401, {"WWW-Authenticate": "Basic realm=x"}, b""
    site.gates.append(lambda handler: refused)
    auths = {
        f"https://{site.host}/v2/": {"username": "host", "password": "1"},
        f"{site.host}/team": {"auth": base64.b64encode(b"team:a:b").decode()},
        f"{site.host}/team/app": {"username": "app", "password": "3"},
        f"{site.host}/team/ap": {"username": "no", "password": "4"},
        "other.example": {"username": "no", "password": "5"},
        f"{site.host}/empty": {},
    }
    client = lab.plain(site, f"credentials: {lab.docker('docker.json', auths)}")
    with pytest.raises(Absent, match="refuses the credentials"):
        client.content(app(site), 5)
    sent = [call.headers["authorization"] for call in site.calls if "authorization" in call.headers]
    assert sent == [_basic("app", "3"), _basic("team", "a:b"), _basic("host", "1")]


def test_the_file_of_credentials_is_read_again(lab: Any, app: Any) -> None:
    site = lab.site()
    site.image()
    refused = 401, {"WWW-Authenticate": "Basic realm=x"}, b""
    site.gates.append(lambda handler: None if handler.headers.get("Authorization") == _basic() else refused)
    name = lab.docker(".dockerconfigjson", {site.host: {"username": "old", "password": "old"}})
    client = lab.plain(site, "credentials: '.'")  # a directory, as a Secret is mounted
    with pytest.raises(Absent):
        client.content(app(site), 5)
    lab.docker(name, {site.host: USER})
    lab.clock.now += 61
    assert client.content(app(site), 5).builds
    (lab.folder / name).write_text("{", encoding="utf-8")
    lab.clock.now += 61
    assert client.content(app(site), 5).builds


def test_nothing_shows_a_credential(lab: Any) -> None:
    from webhook.registry.credentials import Credential, entries

    made = Credential("robot", "s3cret", "r3fresh")
    held = entries({"auths": {"registry.example": USER}})
    assert not any(word in f"{made!r} {held!r}" for word in ("robot", "s3cret", "r3fresh"))


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", []),
        ("Basic", [Challenge("basic")]),
        ('Basic realm="a b"', [Challenge("basic", {"realm": "a b"})]),
        (
            'BEARER Realm="https://a/t",service=b , scope="repository:x:pull,push"',
            [Challenge("bearer", {"realm": "https://a/t", "service": "b", "scope": "repository:x:pull,push"})],
        ),
        (
            'Basic realm="x\\"y", Bearer realm="z",error="invalid_token"',
            [Challenge("basic", {"realm": 'x"y'}), Challenge("bearer", {"realm": "z", "error": "invalid_token"})],
        ),
        ("Negotiate, Basic realm=x", [Challenge("negotiate"), Challenge("basic", {"realm": "x"})]),
        ('Bearer realm="never closed', [Challenge("bearer")]),
        (",,, Basic realm = x", [Challenge("basic", {"realm": "x"})]),
    ],
)
def test_challenges_are_read_as_http_writes_them(header: str, found: list[Challenge]) -> None:
    assert list(challenges(header)) == found


def test_a_challenge_of_any_length_and_shape_ends() -> None:
    for piece in ('"', "\\", ",", " ", "a=", 'a="', "a ", 'a="\\', "\t,"):
        list(challenges("Bearer " + piece * 100_000))
