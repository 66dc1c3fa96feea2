"""The registry is a real one: it comes up on a free port, asks for credentials, and tells what it was asked for."""

from __future__ import annotations

import ssl
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import urllib3
from lab import pki
from lab.process import Ended

from registry import artifact, server
from registry.pusher import Pusher, Refused, pushing
from registry.tokens import PUBLIC, Account

SMALL = artifact.image([artifact.layer({"a": "b"})])


def test_what_is_pushed_outlives_a_restart_on_the_same_port(tmp_path: Path) -> None:
    with server.running(tmp_path) as first, pushing(first) as pusher:
        pusher.push(SMALL, "team/app", "1")
    assert first.process.popen.poll() is not None
    with server.running(tmp_path, port=first.port) as second, pushing(second) as pusher:
        assert second.address == first.address
        assert pusher.manifest("team/app", "1") == (artifact.MANIFEST, SMALL.content)


def test_a_registry_that_does_not_come_up_says_what_it_logged(tmp_path: Path, plain: server.Registry) -> None:
    with pytest.raises(Ended, match="address already in use"), server.running(tmp_path, port=plain.port):
        pass


def test_every_request_is_counted_by_method_and_path(plain: server.Registry, pusher: Pusher) -> None:
    pusher.push(SMALL, "counted/app", "1")
    before = plain.counted()
    for _ in range(50):
        pusher.manifest("counted/app", "1")
    with pytest.raises(Refused, match="MANIFEST_UNKNOWN"):
        pusher.manifest("counted/app", "2")
    manifests = "/v2/counted/app/manifests"
    assert plain.counted() - before == Counter({("GET", f"{manifests}/1"): 50, ("GET", f"{manifests}/2"): 1})
    last = plain.requests()[-1]
    assert (last.method, last.path, last.status) == ("GET", f"{manifests}/2", 404)
    assert last.agent.startswith("python-urllib3/")


def test_nobody_pulls_or_pushes_without_credentials(guarded: server.Registry) -> None:
    with pushing(guarded, server.ACCOUNT) as owner:
        owner.push(SMALL, "team/app", "1")
        assert owner.manifest("team/app", "1")[1] == SMALL.content
    with pushing(guarded) as stranger:
        with pytest.raises(Refused, match="401"):
            stranger.manifest("team/app", "1")
        with pytest.raises(Refused, match="401"):
            stranger.push(SMALL, "team/app", "2")
    assert guarded.account == server.ACCOUNT


def test_layers_of_another_repository_are_mounted(guarded: server.Registry) -> None:
    before = guarded.counted()
    with pushing(guarded, server.ACCOUNT) as owner:
        owner.push(SMALL, "first/app", "1")
        owner.push(SMALL, "second/app", "1")
        assert owner.blob("second/app", artifact.digest(SMALL.blobs[1])) == SMALL.blobs[1]
    uploads = [path for method, path in (guarded.counted() - before) if method == "PUT" and "/uploads/" in path]
    assert len(uploads) == 2
    assert all(path.startswith("/v2/first/app/") for path in uploads)


def test_a_wrong_password_does_not_help(guarded: server.Registry) -> None:
    with pushing(guarded, Account("crew", "guess")) as guesser, pytest.raises(Refused, match="401"):
        guesser.manifest("team/app", "1")


@pytest.mark.parametrize("guarded", ["bearer"], indirect=True)
class TestBearer:
    """The registry verifies the tokens that our token server signs."""

    def test_anybody_may_pull_what_is_public_and_not_push_it(self, guarded: server.Registry) -> None:
        with pushing(guarded, server.ACCOUNT) as owner, pushing(guarded) as stranger:
            owner.push(SMALL, f"{PUBLIC}app", "1")
            assert stranger.manifest(f"{PUBLIC}app", "1")[1] == SMALL.content
            with pytest.raises(Refused, match="401"):
                stranger.push(SMALL, f"{PUBLIC}app", "2")

    def test_the_token_server_tells_who_asked_for_what(self, guarded: server.Registry) -> None:
        assert guarded.tokens
        before = len(guarded.tokens.asked)
        with pushing(guarded, server.ACCOUNT) as owner:
            owner.push(SMALL, "team/told", "1")
        asked = guarded.tokens.asked[before:]
        assert {(each.method, each.account, each.status) for each in asked} == {("GET", "crew", 200)}
        (scope,) = asked[0].scopes
        kind, name, actions = scope.split(":")
        assert (kind, name, set(actions.split(","))) == ("repository", "team/told", {"pull", "push"})  # in any order

    def test_a_refresh_token_gets_a_token_that_the_registry_takes(
        self, guarded: server.Registry, ca: pki.Authority
    ) -> None:
        assert guarded.tokens
        with pushing(guarded, server.ACCOUNT) as owner:
            owner.push(SMALL, "team/app", "1")
        fields = {
            "grant_type": "refresh_token",
            "refresh_token": guarded.tokens.refresh,
            "service": server.tokens.SERVICE,
            "scope": "repository:team/app:pull",
        }
        url = f"{guarded.url}/v2/team/app/manifests/1"
        with urllib3.PoolManager(ca_certs=str(ca.bundle)) as http:
            answer = http.request("POST", guarded.tokens.url, fields=fields, encode_multipart=False)
            header = {"Authorization": f"Bearer {answer.json()['access_token']}", "Accept": artifact.MANIFEST}
            assert http.request("GET", url, headers=header).status == 200
            wrong = http.request(
                "POST", guarded.tokens.url, fields={**fields, "refresh_token": "guess"}, encode_multipart=False
            )
            assert wrong.status == 401

    def test_a_token_signed_by_somebody_else_is_refused(
        self, guarded: server.Registry, ca: pki.Authority, tmp_path: Path
    ) -> None:
        assert guarded.tokens
        (tmp_path / "tokens").mkdir()
        with server.tokens.serving(tmp_path / "tokens", server.ACCOUNT, ca) as other:
            signers = {404: guarded.tokens, 401: replace(guarded.tokens, signer=other.signer)}
        with urllib3.PoolManager(ca_certs=str(ca.bundle)) as http:
            for status, signer in signers.items():
                token = signer.token("crew", ("repository:team/none:pull",))["token"]
                header = {"Authorization": f"Bearer {token}"}
                url = f"{guarded.url}/v2/team/none/manifests/1"
                assert http.request("GET", url, headers=header).status == status


def test_a_client_that_trusts_another_ca_does_not_connect(guarded: server.Registry, tmp_path: Path) -> None:
    other = replace(guarded, bundle=pki.authority(tmp_path).bundle)
    with (
        pushing(other, server.ACCOUNT) as client,
        pytest.raises(urllib3.exceptions.SSLError, match="certificate verify failed"),
    ):
        client.manifest("team/app", "1")


def test_certificates_pass_the_strict_rules_of_later_pythons(guarded: server.Registry) -> None:
    assert guarded.bundle
    context = ssl.create_default_context(cafile=guarded.bundle)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with urllib3.PoolManager(ssl_context=context) as http:
        assert http.request("GET", f"{guarded.url}/v2/").status == 401
