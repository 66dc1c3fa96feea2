"""The admission endpoints: what is refused and how, and what a bug of ours answers."""

from __future__ import annotations

import logging
import time
from typing import Any

import orjson
import pytest
from flask import Response
from flask.testing import FlaskClient

from webhook.model.decision import Decision
from webhook.model.review import Review
from webhook.web.admission import Limits, duration
from webhook.web.app import create_app


class Service:
    """Keeps what it was asked, and raises for a name."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Review, float | None]] = []

    def decide(self, endpoint: str, review: Review, deadline: float | None) -> Decision:
        self.asked.append((endpoint, review, deadline))
        if review.name == "bug":
            raise KeyError("hunter2")
        return Decision()


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def client(service: Service) -> FlaskClient:
    return create_app(service, Limits(body=20_000)).test_client()


def review(**changes: Any) -> dict[str, Any]:
    request = {
        "uid": "u-1",
        "operation": "CREATE",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "name": "web",
        "namespace": "shop",
        "userInfo": {"username": "me"},
        "object": {"metadata": {"name": "web"}},
        **changes,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


@pytest.mark.parametrize("endpoint", ["validate", "advise", "mutate"])
def test_a_review_is_answered_with_its_uid(client: FlaskClient, service: Service, endpoint: str) -> None:
    answer = client.post(f"/{endpoint}", json=review())
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert orjson.loads(answer.data)["response"]["uid"] == "u-1"
    assert [asked[0] for asked in service.asked] == [endpoint]


def test_a_charset_in_the_content_type_is_fine(client: FlaskClient) -> None:
    answer = client.post("/validate", data=orjson.dumps(review()), content_type="application/json; charset=utf-8")
    assert answer.status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/yaml", "application/jsonp", ""])
def test_another_content_type_is_415(client: FlaskClient, kind: str) -> None:
    answer = client.post("/validate", data=orjson.dumps(review()), content_type=kind)
    assert answer.status_code == 415
    assert b"wanted application/json" in answer.data


def test_a_body_over_the_limit_is_413_by_its_length_alone(client: FlaskClient, service: Service) -> None:
    answer = client.post(
        "/validate",
        data=b"{",
        content_type="application/json",
        environ_overrides={"CONTENT_LENGTH": "20001"},
    )
    assert answer.status_code == 413
    assert b"--body-limit" in answer.data
    assert service.asked == []


def test_a_body_without_a_length_is_cut_at_the_limit(client: FlaskClient) -> None:
    class Endless:
        taken = 0

        def read(self, size: int = -1) -> bytes:
            self.taken += size
            return b" " * size

        def readinto(self, buffer: bytearray) -> int:
            self.taken += len(buffer)
            buffer[:] = b" " * len(buffer)
            return len(buffer)

    body = Endless()
    answer = client.post(
        "/validate",
        content_type="application/json",
        environ_overrides={
            "wsgi.input": body,
            "wsgi.input_terminated": True,
            "HTTP_TRANSFER_ENCODING": "chunked",
        },
    )
    assert answer.status_code == 413
    assert body.taken <= 200_000


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "array"),
        (b"NaN", "not JSON"),
        (b"[" * 5000, "not JSON"),
        (b"\xff\xfe{\x00}\x00", "not JSON"),
        (orjson.dumps(review()) + b"x", "not JSON"),
        (orjson.dumps({**review(), "kind": "Pod"}), "wanted AdmissionReview"),
        (orjson.dumps({**review(), "apiVersion": "admission.k8s.io/v1beta1"}), "admission.k8s.io/v1"),
        (orjson.dumps(review(uid="")), "uid"),
        (orjson.dumps({**review(), "request": None}), "request"),
    ],
)
def test_what_is_no_review_is_400_with_a_sentence(client: FlaskClient, body: bytes, sentence: str) -> None:
    answer = client.post("/validate", data=body, content_type="application/json")
    assert (answer.status_code, answer.mimetype) == (400, "text/plain")
    assert sentence in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
def test_another_method_is_405_and_names_the_right_one(client: FlaskClient, method: str) -> None:
    answer = client.open("/validate", method=method)
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/", "/validate/", "/metrics", "/static/x"])
def test_another_path_is_404(client: FlaskClient, path: str) -> None:
    assert client.post(path, json=review()).status_code == 404


def test_a_bug_of_the_server_denies_on_validate(client: FlaskClient) -> None:
    answer = client.post("/validate", json=review(name="bug"))
    response = orjson.loads(answer.data)["response"]
    assert answer.status_code == 200
    assert (response["uid"], response["allowed"], response["status"]["code"]) == ("u-1", False, 500)


@pytest.mark.parametrize("endpoint", ["advise", "mutate"])
def test_a_bug_of_the_server_takes_nothing_down_on_the_other_endpoints(client: FlaskClient, endpoint: str) -> None:
    response = orjson.loads(client.post(f"/{endpoint}", json=review(name="bug")).data)["response"]
    assert (response["uid"], response["allowed"]) == ("u-1", True)
    assert response["warnings"]
    assert "patch" not in response


def test_a_bug_tells_the_caller_nothing_of_itself(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = client.post("/validate", json=review(name="bug"))
    assert "hunter2" not in answer.text
    assert "KeyError" not in answer.text
    assert caplog.records[0].fields == {"endpoint": "validate", "uid": "u-1"}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("query", "seconds"),
    [("", 10.0), ("?timeout=3s", 2.8), ("?timeout=30s", 10.0), ("?timeout=100ms", 0.0), ("?timeout=x", 10.0)],
)
def test_the_deadline_is_the_callers_less_the_way_back_or_our_own(
    client: FlaskClient, service: Service, query: str, seconds: float
) -> None:
    client.post(f"/validate{query}", json=review())
    deadline = service.asked[0][2]
    assert deadline is not None
    assert deadline - time.monotonic() == pytest.approx(seconds, abs=0.1)


def test_the_deadline_counts_from_the_requests_first_byte(client: FlaskClient, service: Service) -> None:
    begun = time.monotonic() - 1
    client.post("/validate?timeout=3s", json=review(), environ_overrides={"plimsoll.started": begun})
    assert service.asked[0][2] == pytest.approx(begun + 2.8)


def test_of_a_query_the_first_timeout_counts_and_the_rest_says_nothing(client: FlaskClient, service: Service) -> None:
    client.post("/validate?x=1&timeout=2s&timeout=9s&=", json=review())
    deadline = service.asked[0][2]
    assert deadline is not None
    assert deadline - time.monotonic() == pytest.approx(1.8, abs=0.1)


@pytest.mark.parametrize("body", [review(), review(name="bug"), {"kind": "Pod"}], ids=["review", "bug", "no review"])
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_the_short_way_and_flasks_own_answer_alike(service: Service, body: dict[str, Any], kind: str) -> None:
    short, own = create_app(service), create_app(service)
    seen: list[int] = []

    @own.after_request
    def look(response: Response) -> Response:
        seen.append(response.status_code)
        return response

    sent = {"data": orjson.dumps(body), "content_type": kind}
    one, other = (app.test_client().post("/validate", **sent) for app in (short, own))
    assert (one.status_code, one.data, dict(one.headers)) == (other.status_code, other.data, dict(other.headers))
    assert seen == [other.status_code], "a hook sees every request"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3s", 3.0),
        ("1.5s", 1.5),
        ("500ms", 0.5),
        ("1m0s", 60.0),
        ("", None),
        ("3", None),
        ("s", None),
        ("-3s", None),
        ("1.2.3s", None),
        ("9" * 400 + "s", None),
        ("nans", None),
    ],
)
def test_durations_are_read_as_go_prints_them(text: str, seconds: float | None) -> None:
    assert duration(text) == seconds


def test_packs_have_an_endpoint_where_somebody_judges_them() -> None:
    def vet(asked: Any, until: float | None) -> tuple[list[str], list[str]]:
        if asked.name == "bug":
            raise ZeroDivisionError("secret")
        return (["a: mistake"], []) if asked.name == "bad" else ([], ["some advice"])

    app = create_app(Service(), Limits(body=20_000), vet).test_client()
    refused = app.post("/packs", json=review(name="bad")).json["response"]
    assert (refused["uid"], refused["allowed"]) == ("u-1", False)
    assert refused["status"]["message"].endswith("a: mistake")
    fine = app.post("/packs", json=review(name="good")).json["response"]
    assert (fine["allowed"], fine["warnings"]) == (True, ["some advice"])
    bug = app.post("/packs", json=review(name="bug")).json["response"]
    assert bug["allowed"] and "secret" not in str(bug), "the loader judges it again"
    assert app.post("/packs", data=b"{}", content_type="text/plain").status_code == 415
    assert app.post("/packs", json={"kind": "x"}).status_code == 400
    assert app.post("/packs", data=b" " * 30_000, content_type="application/json").status_code == 413


@pytest.mark.parametrize("endpoint", ["validate", "packs"])
def test_what_is_no_review_is_logged_at_every_endpoint(endpoint: str, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(Service(), Limits(body=20_000), lambda asked, until: ([], [])).test_client()
    with caplog.at_level(logging.INFO):
        app.post(f"/{endpoint}", json={**review(operation=""), "kind": "Pod"})
    assert [record.fields for record in caplog.records] == [{"endpoint": endpoint, "uid": "u-1"}]  # type: ignore[attr-defined]
    assert caplog.records[0].getMessage().startswith("no review: ")


def test_packs_have_none_where_nobody_does(client: FlaskClient) -> None:
    assert client.post("/packs", json=review()).status_code == 404
