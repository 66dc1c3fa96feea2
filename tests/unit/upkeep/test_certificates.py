"""The task that keeps a certificate: who writes, what is said, what is counted. The API server is a dictionary."""

from __future__ import annotations

import base64
import copy
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from webhook.kube.client import ApiError, Client
from webhook.shelf import Shelf
from webhook.tls import issue, store
from webhook.tls.rotate import Terms
from webhook.upkeep.certificates import Certificates, Post

NAMES = ("localhost", "plimsoll.ns.svc")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Api:
    """Two Secrets, empty; a write counts where it names the version that is there."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, Any]] = {
            name: {"metadata": {"name": name, "resourceVersion": "1"}} for name in ("tls", "tls-ca")
        }
        self.refusal: str | None = None
        self.before: list[Callable[[], object]] = []
        self.writes = 0

    def get(self, path: str, timeout: float) -> dict[str, Any]:
        name = path.rpartition("/")[2]
        if name not in self.secrets:
            raise ApiError(f"GET {path}", 404, "NotFound", "not found")
        return copy.deepcopy(self.secrets[name])

    def call(self, method: str, path: str, timeout: float, body: dict[str, Any]) -> dict[str, Any]:
        assert method == "PUT"
        while self.before:
            self.before.pop()()
        if self.refusal:
            raise ApiError(f"PUT {path}", 403, "Forbidden", self.refusal)
        held = self.secrets[path.rpartition("/")[2]]
        if held["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise ApiError(f"PUT {path}", 409, "Conflict", "the object has been modified")
        self.writes += 1
        version = str(int(held["metadata"]["resourceVersion"]) + 1)
        written = {**copy.deepcopy(body), "metadata": {**body["metadata"], "resourceVersion": version}}
        self.secrets[path.rpartition("/")[2]] = written
        return copy.deepcopy(written)

    def value(self, name: str, key: str) -> bytes:
        return base64.b64decode((self.secrets[name].get("data") or {}).get(key, ""))


class Figures:
    """What was told."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []
        self.well: list[bool] = []
        self.seconds = 0.0

    def renewed(self, step: str, result: str) -> None:
        self.steps.append((step, result))

    def expect_renewals(self) -> None:
        """Nothing."""

    def authority(self, secret: str, seconds: float) -> None:
        self.seconds = seconds

    def verified(self, *, well: bool) -> None:
        self.well.append(well)

    def quiet(self, watch: str, seconds: float) -> None:
        """Nothing."""


class Replica:
    """A replica whose clock a test moves."""

    def __init__(self, api: Api, directory: Path, *, writes: bool = True, verify: str = "") -> None:
        self.shelf, self.figures, self.time = Shelf(directory), Figures(), 0.0
        self.trusted: list[bytes] = []

        def verified(bundle: bytes) -> str:
            self.trusted.append(bundle)
            return verify

        post = Post(cast(Client, api), "ns", "tls", self.shelf, self.figures, writes=lambda: writes, verify=verified)
        self.task = Certificates(post, Terms(NAMES, 600.0, tells=False), lambda: self.time, lambda: NOW)

    def turn(self, seconds: float = 0.0) -> None:
        self.time += seconds
        self.task.turn()

    @property
    def reason(self) -> str:
        return (self.shelf.get(store.REASON) or b"").decode()


@pytest.fixture
def api() -> Api:
    return Api()


def test_who_may_write_fills_the_secrets_and_all_serve_them(api: Api, tmp_path: Path) -> None:
    writer, other = Replica(api, tmp_path / "a"), Replica(api, tmp_path / "b", writes=False)
    other.turn()
    assert api.writes == 0 and "has to be made anew" in other.reason
    writer.turn()
    assert writer.figures.steps == [("authority", "done"), ("leaf", "done")]
    for replica in (writer, other):
        replica.turn(1)
    for replica in (writer, other):
        found = store.part(replica.shelf.get(store.PAIR) or b"")
        assert found and found.certificate.strip() == api.value("tls", "tls.crt").strip()
        assert replica.shelf.get(store.BUNDLE) == api.value("tls-ca", "ca.crt")
        assert not issue.state(found.certificate, found.key, NOW, NAMES, replica.shelf.get(store.BUNDLE))
    assert writer.figures.seconds == 3650 * 86400


def test_of_two_that_believe_they_may_write_one_wins(api: Api, tmp_path: Path) -> None:
    first, second = Replica(api, tmp_path / "a"), Replica(api, tmp_path / "b")
    api.before.append(second.turn)
    first.turn()
    assert first.figures.steps == [("authority", "conflict")]
    assert second.figures.steps == [("authority", "done"), ("leaf", "done")]
    first.turn(1)
    assert first.shelf.get(store.PAIR) == second.shelf.get(store.PAIR)
    assert api.writes == 2


def test_a_write_that_is_refused_is_said_once_counted_and_tried_again(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    replica = Replica(api, tmp_path / "a")
    api.refusal = 'secrets "tls-ca" is forbidden'
    with caplog.at_level(logging.ERROR):
        for _ in range(4):
            replica.turn(1)
    assert replica.figures.steps == [("authority", "failed")], "and not once a second"
    assert len(caplog.records) == 1 and "is forbidden" in replica.reason
    api.refusal = None
    replica.turn(5)
    assert replica.shelf.get(store.PAIR)


def test_an_answer_that_quotes_the_secret_is_not_passed_on(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    replica = Replica(api, tmp_path / "a")
    api.refusal = "denied: data: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t"
    replica.turn(1)
    assert "LS0t" not in caplog.text + replica.reason
    assert "can't be written" in replica.reason


def test_a_missing_secret_is_said_with_the_command_that_makes_it(api: Api, tmp_path: Path) -> None:
    del api.secrets["tls"]
    replica = Replica(api, tmp_path / "a")
    replica.turn()
    assert "kubectl -n ns create secret generic tls" in replica.reason and "tls-ca;" not in replica.reason
    assert api.writes == 0


def test_what_is_asked_for_by_an_annotation_is_done_once_and_other_annotations_stay(api: Api, tmp_path: Path) -> None:
    replica = Replica(api, tmp_path / "a")
    replica.turn()
    before = api.value("tls", "tls.crt")
    api.secrets["tls"]["metadata"]["annotations"] = {"plimsoll.dev/renew": "now", "team": "platform"}
    replica.turn(10)
    replica.turn(10)
    assert replica.figures.steps[2:] == [("leaf", "done")]
    assert api.value("tls", "tls.crt") != before
    assert api.secrets["tls"]["metadata"]["annotations"] == {"team": "platform"}


def test_a_new_authority_goes_through_its_steps_with_the_time_in_between(api: Api, tmp_path: Path) -> None:
    replica = Replica(api, tmp_path / "a")
    replica.turn()
    api.secrets["tls-ca"]["metadata"]["annotations"] = {"plimsoll.dev/renew": "now"}
    seen = []
    for _ in range(150):
        replica.turn(10)
        seen.append((len(replica.figures.steps), len(issue.split(replica.shelf.get(store.BUNDLE) or b""))))
    assert replica.figures.steps[2:] == [("authority", "done"), ("leaf", "done"), ("bundle", "done")]
    assert [seen.count(each) * 10 for each in ((3, 2), (4, 2))] == [600, 600], "seconds"
    assert seen[-1] == (5, 1)


@pytest.mark.parametrize("problem", ["", "self-signed certificate in certificate chain"])
def test_what_callers_make_of_us_is_a_figure_and_a_line(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture, problem: str
) -> None:
    replica = Replica(api, tmp_path / "a", verify=problem)
    replica.turn()
    replica.turn(10)
    assert replica.figures.well == [not problem]
    assert replica.trusted == [api.value("tls-ca", "ca.crt")]
    assert ("can't verify what we serve" in caplog.text) is bool(problem)
    assert replica.reason == "", "it is served on"
