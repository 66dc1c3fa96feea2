"""Recorded reviews: redacted, bounded, readable by us alone, and never in the way of a review."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from zlib import crc32

import pytest

from webhook.errors import ConfigError
from webhook.model.decision import Decision
from webhook.model.review import Review
from webhook.observe import record
from webhook.observe.record import Both, Recording, Terms

NOTHING = Decision()


class Counted(Counter[str]):
    """What the recording told of each review."""

    def __call__(self, result: str) -> None:
        self[result] += 1

    def wait(self, number: int) -> None:
        """Wait until so many reviews are through."""
        ends = time.monotonic() + 30
        while self.total() < number:
            assert time.monotonic() < ends, f"{self} after 30 s"
            time.sleep(0.01)


@pytest.fixture
def counted() -> Counted:
    return Counted()


@pytest.fixture
def recording(tmp_path: Path, counted: Counted) -> Callable[..., Recording]:
    def make(**terms: int) -> Recording:
        return Recording(tmp_path / "reviews", Terms(**terms), lambda: datetime.now(UTC), counted)

    return make


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    def read() -> list[dict[str, Any]]:
        files = sorted((tmp_path / "reviews").iterdir())
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    return read


@pytest.fixture
def pods(review: Callable[..., Review], pod: Callable[..., Any]) -> Callable[..., Review]:
    def make(name: str = "web", size: int = 0, **request: Any) -> Review:
        return review(pod(name, metadata={"annotations": {"filler": "x" * size}}), **request)

    return make


def test_a_review_is_a_line_with_the_question_and_a_summary_of_the_answer(
    recording: Callable[..., Recording],
    kept: Callable[[], Any],
    counted: Counted,
    judge: Callable[..., Decision],
    review: Callable[..., Review],
    pod: Callable[..., Any],
) -> None:
    env = [{"name": "PASSWORD", "value": "hunter2"}]
    obj = pod(spec={"containers": [{"name": "web", "image": "nginx", "env": env}]})
    decision = judge("rules: [{name: approved-image, check: approved-image, action: deny}]", obj)
    recording().record("validate", review(obj), decision, 0.001)
    counted.wait(1)
    (line,) = kept()
    assert (line["version"], line["endpoint"], line["answer"]["allowed"]) == (1, "validate", decision.allowed)
    assert line["review"]["kind"] == "AdmissionReview"
    assert line["review"]["request"]["object"]["spec"]["containers"][0]["env"][0]["value"] == "REDACTED"
    assert [finding["rule"] for finding in line["answer"]["findings"]] == [f.rule for f in decision.findings]


@pytest.mark.parametrize(
    "request_", [{"dryRun": True}, {"operation": "DELETE"}, {"operation": "CONNECT"}, {"subResource": "status"}]
)
def test_dry_runs_and_what_no_rule_judges_leave_no_trace(
    request_: dict[str, Any],
    recording: Callable[..., Recording],
    pods: Callable[..., Review],
    kept: Callable[[], Any],
    counted: Counted,
) -> None:
    made = recording()
    made.record("validate", pods("unseen", **request_), NOTHING, 0.0)
    made.record("validate", pods("seen"), NOTHING, 0.0)
    counted.wait(1)
    assert [line["review"]["request"]["name"] for line in kept()] == ["seen"]


def test_files_are_readable_by_us_alone(
    recording: Callable[..., Recording], pods: Callable[..., Review], counted: Counted, tmp_path: Path
) -> None:
    before = os.umask(0)
    try:
        recording().record("validate", pods(), NOTHING, 0.0)
        counted.wait(1)
    finally:
        os.umask(before)
    (file,) = (tmp_path / "reviews").iterdir()
    assert oct((tmp_path / "reviews").stat().st_mode & 0o777) == "0o700"
    assert oct(file.stat().st_mode & 0o777) == "0o600"


def test_one_review_of_so_many_is_kept(
    recording: Callable[..., Recording], pods: Callable[..., Review], kept: Callable[[], Any], counted: Counted
) -> None:
    made = recording(every=3)
    uids = [str(UUID(int=random.Random(number).getrandbits(128), version=4)) for number in range(300)]
    drawn = [uid for uid in uids if crc32(uid.encode()) % 3 == 0]
    assert 70 < len(drawn) < 130
    for uid in uids:
        made.record("validate", pods(uid=uid), NOTHING, 0.0)
    counted.wait(len(drawn))
    assert [line["review"]["request"]["uid"] for line in kept()] == drawn


def test_the_oldest_goes_first_and_all_together_take_no_more_than_was_said(
    recording: Callable[..., Recording],
    pods: Callable[..., Review],
    kept: Callable[[], Any],
    counted: Counted,
    tmp_path: Path,
) -> None:
    made = recording(files=4, size=40_000)
    for number in range(60):
        made.record("validate", pods(f"web-{number:02}", size=2000), NOTHING, 0.0)
        counted.wait(number + 1)
        sizes = [file.stat().st_size for file in (tmp_path / "reviews").iterdir()]
        assert len(sizes) <= 4
        assert sum(sizes) <= 40_000
    names = [line["review"]["request"]["name"] for line in kept()]
    assert names == [f"web-{number:02}" for number in range(60 - len(names), 60)]
    assert len(names) >= 8


def test_a_recording_leaves_the_files_of_others_alone_but_for_old_reviews(
    recording: Callable[..., Recording], pods: Callable[..., Review], counted: Counted, tmp_path: Path
) -> None:
    directory = tmp_path / "reviews"
    directory.mkdir()
    (directory / "notes.txt").write_text("mine")
    for number in range(5):
        (directory / f"reviews-2020010{number}T000000000000-1-1.jsonl").write_text("{}\n")
    recording(files=3).record("validate", pods(), NOTHING, 0.0)
    counted.wait(1)
    names = sorted(file.name for file in directory.iterdir())
    assert names[0] == "notes.txt"
    assert names[1:3] == [f"reviews-2020010{number}T000000000000-1-1.jsonl" for number in (3, 4)]
    assert len(names) == 4


def test_a_file_that_another_worker_removed_is_begun_anew(
    recording: Callable[..., Recording],
    pods: Callable[..., Review],
    kept: Callable[[], Any],
    counted: Counted,
    tmp_path: Path,
) -> None:
    made = recording()
    made.record("validate", pods("first"), NOTHING, 0.0)
    counted.wait(1)
    for file in (tmp_path / "reviews").iterdir():
        file.unlink()
    made.record("validate", pods("second"), NOTHING, 0.0)
    counted.wait(2)
    assert [line["review"]["request"]["name"] for line in kept()] == ["second"]


def test_a_review_larger_than_a_file_may_be_is_dropped_and_counted(
    recording: Callable[..., Recording], pods: Callable[..., Review], counted: Counted
) -> None:
    recording(files=4, size=40_000).record("validate", pods(size=20_000), NOTHING, 0.0)
    counted.wait(1)
    assert counted == {"dropped": 1}


def test_what_cannot_wait_any_more_is_dropped_and_counted(
    recording: Callable[..., Recording],
    pods: Callable[..., Review],
    counted: Counted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(record, "PENDING", 100)
    recording().record("validate", pods(), NOTHING, 0.0)
    assert counted == {"dropped": 1}


def test_an_error_of_the_disk_is_said_once_and_each_review_counted_until_it_is_over(
    recording: Callable[..., Recording],
    pods: Callable[..., Review],
    kept: Callable[[], Any],
    counted: Counted,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    directory = tmp_path / "reviews"
    made = recording()
    shutil.rmtree(directory)
    with caplog.at_level(logging.ERROR):
        for number in range(3):
            made.record("validate", pods(f"web-{number}"), NOTHING, 0.0)
        counted.wait(3)
    assert counted == {"failed": 3}
    assert [line.getMessage() for line in caplog.records] == ["reviews can't be recorded: No such file or directory"]
    directory.mkdir()
    made.record("validate", pods("late"), NOTHING, 0.0)
    counted.wait(4)
    assert [line["review"]["request"]["name"] for line in kept()] == ["late"]


def test_a_directory_that_cannot_be_made_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"--record: .*/file/reviews: reviews can't be written there"):
        Recording(tmp_path / "file" / "reviews", Terms(), lambda: datetime.now(UTC))


def test_both_recorders_are_told(pods: Callable[..., Review]) -> None:
    told: list[tuple[int, str]] = []

    class Listener:
        def __init__(self, number: int) -> None:
            self.number = number

        def record(self, endpoint: str, review: Review, decision: Decision, seconds: float) -> None:
            told.append((self.number, endpoint))

    Both(Listener(1), Listener(2)).record("advise", pods(), NOTHING, 0.0)
    assert told == [(1, "advise"), (2, "advise")]
