"""The registries of a command line: a file's, and others by host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from webhook.errors import ConfigError
from webhook.registry.config import Registry
from webhook.registry.named import named

FILE = """\
apiVersion: plimsoll.dev/v1
kind: Registries
registries:
  - {host: registry.example, credentials: theirs.json}
  - {host: mirror.example, insecure: true}
platforms: [linux/amd64]
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A registries file, and two docker configs."""
    (tmp_path / "registries.yaml").write_text(FILE)
    for name in ("theirs.json", "ours.json"):
        (tmp_path / name).write_text(json.dumps({"auths": {}}))
    return tmp_path


def test_a_host_is_asked_with_nothing_special() -> None:
    assert named("", ["registry.example"], "").registries == {"registry.example": Registry("registry.example")}


def test_nobody_is_asked_where_nobody_is_named() -> None:
    assert named("", [], "").registries == {}


def test_what_the_file_says_of_a_host_holds(files: Path) -> None:
    found = named(str(files / "registries.yaml"), ["mirror.example", "other.example"], "")
    assert {host: entry.insecure for host, entry in found.registries.items()} == {
        "registry.example": False,
        "mirror.example": True,
        "other.example": False,
    }
    assert [str(one) for one in found.platforms] == ["linux/amd64"]


def test_a_docker_config_is_for_those_of_which_the_file_says_nothing(files: Path) -> None:
    found = named(str(files / "registries.yaml"), ["other.example"], str(files / "ours.json"))
    assert {host: entry.credentials and entry.credentials.name for host, entry in found.registries.items()} == {
        "registry.example": "theirs.json",
        "mirror.example": "ours.json",
        "other.example": "ours.json",
    }


@pytest.mark.parametrize(
    ("file", "docker_config", "said"),
    [
        ("no.yaml", "", "no.yaml: cannot be read: No such file or directory"),
        ("theirs.json", "", "theirs.json:1: "),
        ("binary.yaml", "", "binary.yaml: this is not UTF-8; save it as UTF-8"),
        ("", "no.json", "--docker-config: no.json cannot be read: No such file or directory"),
        ("", "registries.yaml", "--docker-config: registries.yaml is not JSON; wanted a docker config"),
    ],
)
def test_what_cannot_be_used_is_said(
    files: Path, monkeypatch: pytest.MonkeyPatch, file: str, docker_config: str, said: str
) -> None:
    (files / "binary.yaml").write_bytes(b"\xff\xfe")
    monkeypatch.chdir(files)
    with pytest.raises(ConfigError) as raised:
        named(file, [], docker_config)
    assert str(raised.value).startswith(said)
