"""Packs that change while the server runs: good ones count at once, broken ones leave the last good ones in force."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from lab import packs, plimsoll, workloads
from lab.kubectl import Kubectl
from lab.plimsoll import Server
from lab.process import eventually

BAD = workloads.deployment(spec=workloads.pod_spec(workloads.container(resources=workloads.UNEQUAL)))
TEN = Path(__file__).resolve().parents[1] / "golden" / "packs" / "ten-mistakes.yaml"
LINES = (6, 7, 8, 12, 17, 18, 21, 25, 28, 32)
DRY = ("--dry-run=server",)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """The file of a pack that warns."""
    path = tmp_path / "changing.yaml"
    write(path, "warn")
    return path


def write(path: Path, action: str) -> None:
    """Put a pack into the file at once, as a mounted ConfigMap changes."""
    draft = path.with_suffix(".draft")
    draft.write_text(yaml.safe_dump(packs.pack("changing", {**packs.EQUAL_RESOURCES, "action": action})))
    draft.rename(path)


@pytest.fixture
def server(tmp_path: Path, pack: Path) -> Iterator[Server]:
    """A server that looks at its packs often."""
    server = plimsoll.serve(tmp_path, [pack], "--poll", "0.2")
    yield server
    server.process.stop()


def test_a_changed_pack_counts_soon(kubectl: Kubectl, server: Server, pack: Path, guard: Callable[..., None]) -> None:
    guard(kubectl, server, "validate", "advise")
    assert kubectl.apply(BAD, options=DRY).must().warnings != []
    write(pack, "deny")
    eventually(lambda: kubectl.apply(BAD, options=DRY).code == 1, what="the changed pack to count")


def test_a_broken_pack_leaves_the_last_good_one_in_force_and_is_named(
    kubectl: Kubectl, server: Server, pack: Path, guard: Callable[..., None]
) -> None:
    guard(kubectl, server, "validate", "advise")
    pack.write_text(TEN.read_text())
    log = eventually(lambda: "can't be used" in (text := server.process.log.read_text()) and text)
    assert [line for line in LINES if f"{pack}:{line}: " not in str(log)] == []
    assert server.ready()
    assert kubectl.apply(BAD, options=DRY).must().warnings != []
    write(pack, "deny")
    eventually(lambda: kubectl.apply(BAD, options=DRY).code == 1, what="the mended pack to count")


def test_a_server_does_not_start_with_a_broken_pack_and_names_every_mistake(tmp_path: Path) -> None:
    assert plimsoll.run("certs", str(tmp_path / "certs")).returncode == 0
    said = plimsoll.run("serve", "--policies", str(TEN), cwd=tmp_path)
    assert said.returncode == 2
    mistakes = [line for line in said.stderr.decode().splitlines() if line.startswith(f"{TEN}:")]
    assert [int(line.removeprefix(f"{TEN}:").split(":")[0]) for line in mistakes] == list(LINES)
