"""`plimsoll serve` as it is installed: real packs, loaded at start and again when they change."""

from __future__ import annotations

import json
import os
import signal
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
metadata: {{name: acme}}
spec:
  version: "1"
  rules:
    - name: labelled
      expression: "has(object.metadata.labels)"
      message: an object has labels
      action: {action}
"""


@pytest.fixture
def serve(tmp_path: Path, start: Callable[..., Any]) -> Callable[..., Any]:
    """Start `plimsoll serve` over one pack whose rule has an action; keywords are settings."""

    def begin(action: str = "deny", **settings: object) -> Any:
        (tmp_path / "acme.yaml").write_text(PACK.format(action=action), encoding="utf-8")
        command = [sys.executable, "-m", "webhook.main", "serve"]
        return start(command=command, policies=tmp_path, **settings)

    return begin


def allowed(answer: Any) -> bool:
    verdict: bool = json.loads(answer.text)["response"]["allowed"]
    return verdict


def test_a_pack_decides_over_tls(serve: Callable[..., Any], post: Callable[..., Any]) -> None:
    server = serve()
    answer = post(server.client())
    response = json.loads(answer.text)["response"]
    assert (answer.status, response["allowed"], response["status"]["code"]) == (200, False, 403)
    name = 'plimsoll_findings_total{action="deny",effective="deny",pack="acme"'
    server.wait(lambda: server.figure(name) == 1)  # it is told a few times a second
    (line,) = [line for line in server.lines if line.get("uid")]
    assert (line["rules"], line["kind"], line["name"]) == (["acme/labelled"], "Pod", "web")


def test_mode_on_the_command_line_makes_every_pack_dry(serve: Callable[..., Any], post: Callable[..., Any]) -> None:
    assert allowed(post(serve(mode="dry-run").client()))


def test_a_changed_pack_is_used_and_a_broken_one_leaves_the_last_good(
    serve: Callable[..., Any], post: Callable[..., Any], tmp_path: Path
) -> None:
    server = serve()
    client = server.client()
    assert not allowed(post(client))
    (tmp_path / "acme.yaml").write_text(PACK.format(action="dney"), encoding="utf-8")
    server.wait(lambda: server.figure("plimsoll_pack_load_failed") == 1)
    server.wait(lambda: any("acme.yaml:11" in str(line.get("problems")) for line in server.lines))
    assert not allowed(post(client)), "the last good pack"
    assert server.ready()
    (tmp_path / "acme.yaml").write_text(PACK.format(action="audit"), encoding="utf-8")
    server.wait(lambda: server.figure("plimsoll_pack_load_failed") == 0)
    assert server.figure("plimsoll_packs_loaded") == 1
    server.wait(lambda: allowed(post(server.client())))
    assert allowed(post(client)), "over the connection made before"


def test_the_process_that_looks_after_packs_is_replaced_and_knows_the_last_good(
    serve: Callable[..., Any], post: Callable[..., Any], tmp_path: Path
) -> None:
    server = serve()
    (tmp_path / "acme.yaml").write_text(PACK.format(action="audit"), encoding="utf-8")
    server.wait(lambda: allowed(post(server.client())))
    (tmp_path / "acme.yaml").write_text(PACK.format(action="dney"), encoding="utf-8")
    server.wait(lambda: server.figure("plimsoll_pack_broken") == 1)
    [upkeep] = server.upkeep()
    os.kill(upkeep, signal.SIGKILL)
    server.wait(lambda: server.said("the upkeep process"))
    for worker in server.workers():  # so that all start from what the master knows
        os.kill(worker, signal.SIGKILL)
    server.wait(lambda: server.figure("plimsoll_pack_load_failed") == 1)
    server.wait(lambda: "2 workers" in server.probe("/readyz")[1])
    assert all(allowed(post(server.client())) for _ in range(10)), "the last good, and not that of the start"
    (tmp_path / "acme.yaml").write_text(PACK.format(action="deny"), encoding="utf-8")
    server.wait(lambda: not allowed(post(server.client())))


def test_packs_that_vanish_leave_the_last_good(
    serve: Callable[..., Any], post: Callable[..., Any], tmp_path: Path
) -> None:
    server = serve()
    (tmp_path / "acme.yaml").unlink()
    server.wait(lambda: server.figure("plimsoll_pack_load_failed") == 1)
    assert not allowed(post(server.client()))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `plimsoll serve` to its end, which must come by itself."""
    return subprocess.run(
        [sys.executable, "-m", "webhook.main", "serve", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=20,
    )


def test_packs_that_cannot_be_used_are_all_said_and_exit_2(tmp_path: Path) -> None:
    for name in ("one", "two"):
        text = PACK.format(action="dney").replace("acme", name)
        (tmp_path / f"{name}.yaml").write_text(text, encoding="utf-8")
    done = run("--policies", str(tmp_path))
    assert done.returncode == 2
    assert "one.yaml:11" in done.stderr
    assert "two.yaml:11" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_without_a_certificate_says_how_to_make_one_and_exits_2(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(PACK.format(action="deny"), encoding="utf-8")
    done = run("--policies", str(tmp_path / "acme.yaml"), "--certificate", str(tmp_path / "none.crt"))
    assert done.returncode == 2
    assert "plimsoll certs" in done.stderr


def test_packs_from_stdin_are_refused_since_they_are_read_again() -> None:
    done = run("--policies", "-")
    assert done.returncode == 2
    assert "stdin" in done.stderr
