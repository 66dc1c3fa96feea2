"""`plimsoll serve --record`: what a real server wrote is what `plimsoll impact` reads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACK = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  rules:
    - {name: no-host-path, check: no-host-path, action: ACTION}
"""


def body(name: str, **request: Any) -> bytes:
    spec = {
        "containers": [{"name": "web", "image": "a:1", "env": [{"name": "TOKEN", "value": "hunter2"}]}],
        "volumes": [{"name": "etc", "hostPath": {"path": "/etc"}}],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}
    asked = {
        "uid": f"uid-{name}",
        "operation": "CREATE",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "name": name,
        "namespace": "shop",
        "userInfo": {"username": "jane", "groups": ["dev"], "uid": "hunter2"},
        "object": pod,
        **request,
    }
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": asked}).encode()


@pytest.fixture
def record(start: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Start `plimsoll serve --record` with a pack that warns; keywords are settings."""

    def begin(**settings: object) -> Any:
        (tmp_path / "acme.yaml").write_text(PACK.replace("ACTION", "warn"))
        command = [sys.executable, "-m", "webhook.main", "serve"]
        return start(command=command, policies=tmp_path / "acme.yaml", record=tmp_path / "reviews", **settings)

    return begin


def send(server: Any, data: bytes) -> Any:
    client = server.client()
    client.request("POST", "/validate", data, {"Content-Type": "application/json"})
    answer = client.getresponse()
    return json.loads(answer.read())["response"]


def test_the_workers_record_what_they_are_asked_and_impact_reads_it(record: Callable[..., Any], tmp_path: Path) -> None:
    server = record(workers=2)
    for number in range(6):
        assert send(server, body(f"web-{number}"))["allowed"]
    assert send(server, body("unseen", dryRun=True))["allowed"]
    server.wait(lambda: server.figure('plimsoll_records_total{result="written"}') == 6)
    files = list((tmp_path / "reviews").iterdir())
    text = "".join(file.read_text() for file in files)
    assert "hunter2" not in text
    assert "unseen" not in text
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    (tmp_path / "new.yaml").write_text(PACK.replace("ACTION", "deny"))
    done = subprocess.run(
        [sys.executable, "-m", "webhook.main", "impact", "acme.yaml", "new.yaml", "--reviews", "reviews", "-o", "json"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (1, "")
    found = json.loads(done.stdout)
    assert sorted(change["name"] for change in found["changes"]) == [f"web-{number}" for number in range(6)]
    assert {change["change"] for change in found["changes"]} == {"denied"}


def test_a_directory_that_vanishes_stops_no_review(record: Callable[..., Any], tmp_path: Path) -> None:
    server = record(workers=1)
    (tmp_path / "reviews").rmdir()
    assert send(server, body("one"))["allowed"]
    assert send(server, body("two"))["allowed"]
    server.wait(lambda: server.figure('plimsoll_records_total{result="failed"}') == 2)
    assert len([line for line in server.lines if "can't be recorded" in str(line.get("message"))]) == 1
    (tmp_path / "reviews").mkdir()
    assert send(server, body("three"))["allowed"]
    server.wait(lambda: server.figure('plimsoll_records_total{result="written"}') == 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--record", "file/reviews"), "--record: file/reviews: reviews can't be written there"),
        (("--record", "r", "--record-files", "2"), "2 files are too few for 2 workers"),
        (("--record", "r", "--record-files", "1024", "--record-bytes", "2097152"), "2048 for each of 1024 files"),
    ],
)
def test_a_recording_that_cannot_be_is_2_with_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "webhook.main", "serve", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert words in done.stderr
