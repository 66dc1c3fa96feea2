"""The client of the API server: certificates checked, deadlines kept, sizes bounded, tokens renewed."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from urllib3.exceptions import InsecureRequestWarning

from webhook.errors import ConfigError
from webhook.kube import client as module
from webhook.kube.client import Access, ApiError, Client, Credential
from webhook.tls import issue

PATH = "/api/v1/namespaces/shop"


def test_an_object_comes_back_over_one_kept_connection(api: Any) -> None:
    api.answers[PATH] = 200, {"kind": "Namespace"}
    client = api.client()
    for _ in range(5):
        assert client.get(PATH, 5) == {"kind": "Namespace"}
    assert api.connections == 1
    assert api.tokens == ["Bearer old"] * 5


def test_who_is_going_to_wait_for_an_answer_is_told_before(api: Any) -> None:
    told: list[int] = []
    api.answers[PATH] = lambda handler: (200, {"told": len(told)})
    client = Client(api.client().access, waits=lambda: told.append(1))
    assert [client.get(PATH, 5) for _ in range(2)] == [{"told": 1}, {"told": 2}]


def test_an_error_carries_the_status_the_apis_word_and_its_message(api: Any) -> None:
    api.answers[PATH] = 403, {"kind": "Status", "reason": "Forbidden", "message": "namespaces is forbidden"}
    with pytest.raises(ApiError) as caught:
        api.client().get(PATH, 5)
    assert (caught.value.status, caught.value.reason) == (403, "Forbidden")
    assert str(caught.value) == f"GET {PATH}: 403: namespaces is forbidden"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"\xff"])
def test_an_answer_that_is_no_object_is_an_error(body: bytes, api: Any) -> None:
    api.answers[PATH] = 200, body
    with pytest.raises(ApiError, match="isn't"):
        api.client().get(PATH, 5)


def test_a_refused_token_is_read_anew_once(api: Any) -> None:
    api.answers[PATH] = lambda handler: (
        200 if api.tokens[-1] == "Bearer new" else 401,
        {"kind": "Namespace"},
    )
    assert api.client().get(PATH, 5) == {"kind": "Namespace"}
    assert api.tokens == ["Bearer old", "Bearer new"]


def test_a_token_refused_twice_is_an_error_and_not_a_loop(api: Any) -> None:
    api.answers[PATH] = 401, {"reason": "Unauthorized"}
    with pytest.raises(ApiError) as caught:
        api.client().get(PATH, 5)
    assert caught.value.status == 401
    assert len(api.calls) == 2


def test_a_server_that_never_answers_holds_nobody_past_the_deadline(api: Any) -> None:
    def silent(handler: Any) -> tuple[int, Any]:
        time.sleep(0.6)
        return 200, {}

    api.answers[PATH] = silent
    started = time.monotonic()
    with pytest.raises(ApiError) as caught:
        api.client().get(PATH, 0.2)
    assert caught.value.status == 0
    assert time.monotonic() - started < 0.5


def test_a_server_that_drips_holds_nobody_past_the_deadline(api: Any) -> None:
    def drip(handler: Any) -> tuple[int, Any]:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        for _ in range(20):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)
        handler.close_connection = True
        return 0, None

    api.answers[PATH] = drip
    started = time.monotonic()
    with pytest.raises(ApiError, match="in time"):
        api.client().get(PATH, 0.3)
    assert time.monotonic() - started < 0.6


def test_an_answer_without_end_is_cut(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_BYTES", 1000)
    api.answers[PATH] = 200, {"data": "x" * 1000}
    with pytest.raises(ApiError, match="longer than 1000 bytes"):
        api.client().get(PATH, 5)


def test_nobody_there_is_said_in_words(api: Any) -> None:
    client = Client(api.access(url="https://127.0.0.1:1"))
    with pytest.raises(ApiError, match="GET /version: no answer: .*refused"):
        client.get("/version", 1)


def test_a_certificate_of_another_authority_is_refused(api: Any) -> None:
    other = issue.authority(datetime.now(UTC)).certificate
    with pytest.raises(ApiError, match="certificate verify failed"):
        api.client(ca=other).get(PATH, 5)
    assert api.calls == []


def test_a_name_that_the_certificate_does_not_hold_is_refused_and_server_name_mends_it(api: Any) -> None:
    api.answers[PATH] = 200, {}
    far = api.url.replace("127.0.0.1", "127.0.0.2")
    with pytest.raises(ApiError, match="no answer"):
        api.client(url=far).get(PATH, 1)
    with pytest.raises(ApiError, match="other.example"):
        api.client(server_name="other.example").get(PATH, 5)
    assert api.client(server_name="localhost").get(PATH, 5) == {}


def test_insecure_takes_any_certificate_and_python_warns_of_it(api: Any) -> None:
    api.answers[PATH] = 200, {}
    with pytest.warns(InsecureRequestWarning):
        assert api.client(ca=None, insecure=True).get(PATH, 5) == {}


def test_a_redirect_is_an_error_and_the_token_stays_here(api: Any) -> None:
    def away(handler: Any) -> tuple[int, Any]:
        handler.send_response(302)
        handler.send_header("Location", f"{api.url}/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return 0, None

    api.answers[PATH] = away
    with pytest.raises(ApiError) as caught:
        api.client().get(PATH, 5)
    assert caught.value.status == 302
    assert api.calls == [f"GET {PATH}"]


def drops(api: Any) -> Any:
    def dropped(handler: Any) -> tuple[int, Any]:
        if len(api.calls) == 1:
            handler.close_connection = True
            handler.connection.close()
            return 0, None
        return 200, {}

    return dropped


def test_a_read_on_a_connection_that_was_just_closed_is_tried_again_and_a_write_is_not(api: Any) -> None:
    api.answers[PATH] = drops(api)
    assert api.client().get(PATH, 5) == {}
    assert len(api.calls) == 2
    api.calls.clear()
    with pytest.raises(ApiError):
        api.client().call("POST", PATH, 5, {})
    assert len(api.calls) == 1


def test_a_list_is_read_page_by_page(api: Any) -> None:
    api.answers["/api/v1/pods?limit=500&labelSelector=a%3Db"] = (
        200,
        {"items": [1, 2], "metadata": {"continue": "x&y"}},
    )
    api.answers["/api/v1/pods?limit=500&labelSelector=a%3Db&continue=x%26y"] = (
        200,
        {"items": [3], "metadata": {}},
    )
    assert list(api.client().items("/api/v1/pods", 5, {"labelSelector": "a=b"})) == [1, 2, 3]


def test_the_path_of_a_server_behind_a_prefix_is_kept(api: Any) -> None:
    api.answers["/k8s/clusters/c" + PATH] = 200, {"kind": "Namespace"}
    assert api.client(url=api.url + "/k8s/clusters/c/").get(PATH, 5) == {"kind": "Namespace"}


@pytest.mark.parametrize("url", ["", "127.0.0.1:6443", "ftp://host", "https://"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigError, match="no address of an API server"):
        Client(Access(url, lambda refused: Credential()))


def test_a_client_certificate_is_loaded_and_its_key_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pair = issue.authority(datetime.now(UTC))
    access = Access("https://127.0.0.1", lambda refused: Credential())
    module.context(access, Credential(None, pair.certificate, pair.key))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="can't be read"):
        module.context(access, Credential(None, pair.certificate, b"garbage"))
    assert list(tmp_path.iterdir()) == []


def user(name: str) -> issue.KeyPair:
    """Return a certificate that signs itself and may be anybody's."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return issue.KeyPair(made.public_bytes(pem), private)


def test_a_client_certificate_lets_in_and_a_renewed_one_takes_its_place(api: Any) -> None:
    old, new = user("old"), user("new")
    trusted = (old.certificate + new.certificate).decode()
    api.context.load_verify_locations(cadata=trusted)
    api.context.verify_mode = ssl.CERT_REQUIRED
    seen = []

    def who(handler: Any) -> tuple[int, Any]:
        seen.append(ssl.DER_cert_to_PEM_cert(handler.connection.getpeercert(binary_form=True)).encode())
        return (401 if seen[-1] == old.certificate else 200), {}

    api.answers[PATH] = who
    held = [old]

    def credential(refused: bool) -> Credential:
        if refused:
            held[0] = new
        return Credential(None, held[0].certificate, held[0].key)

    client = api.client(credential=credential)
    client.get(PATH, 5)
    client.get(PATH, 5)
    assert seen == [old.certificate, new.certificate, new.certificate]
    with pytest.raises(ApiError, match="certificate required|no answer"):
        api.client().get(PATH, 5)


def test_secrets_are_in_no_repr() -> None:
    assert "hush" not in repr(Credential("hush", b"crt", b"hush"))
