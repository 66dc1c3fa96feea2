"""What tests of the commands share: a command run as `main` runs it, and the day that it is."""

from __future__ import annotations

import argparse
import hashlib
import importlib
import io
import sys
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from webhook import main, sources
from webhook.errors import ConfigError
from webhook.model.image import Image
from webhook.model.oci import Build, Content, Layer, Platform
from webhook.ports import Rooms
from webhook.registry.images import Images
from webhook.registry.source import Absent, Unanswered

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Ran(NamedTuple):
    """What came of a command."""

    status: int
    out: str
    err: str


def digest(name: str) -> str:
    """A digest that is told apart by a name."""
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


def _build(*layers: str, platform: str = "linux/amd64", annotations: dict[str, str] | None = None, **run: Any) -> Build:
    """An image for one platform, made from layers of these names; `run` is the `config` of its config."""
    os, machine = platform.split("/")
    config = {
        "created": "2026-11-20T10:00:00Z",
        "os": os,
        "architecture": machine,
        "config": run,
        "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
    }
    stored = tuple(Layer(digest(f"{layer}.gz"), 1024 * 1024) for layer in layers)
    return Build(digest(f"{layers} {platform}"), Platform(os, machine), config, stored, annotations or {})


@pytest.fixture
def build() -> Callable[..., Build]:
    """Make an image for one platform: `build("os", "jdk", platform="linux/arm64", User="app")`."""
    return _build


@pytest.fixture
def image() -> Callable[..., Content]:
    """Make what a reference stands for: of layers by name, or an index of several builds."""

    def make(*parts: str | Build, **options: Any) -> Content:
        builds = tuple(part for part in parts if isinstance(part, Build))
        return _content(*builds) if builds else _content(_build(*map(str, parts), **options))

    return make


def _content(*builds: Build) -> Content:
    return Content(digest(str(builds)) if len(builds) > 1 else builds[0].digest, builds, len(builds) > 1)


class Shelf:
    """A Source that has what a test puts there: references with their content, or why there is none.

    `asked` is what was asked for; `given` what it was made with: the file, the hosts, and the docker config.
    """

    def __init__(self) -> None:
        self.images: dict[str, Content | str] = {}
        self.asked: list[str] = []
        self.given: tuple[str, tuple[str, ...], str] | None = None

    def content(self, image: Image, seconds: float, namespace: str = "", secrets: tuple[str, ...] = ()) -> Content:
        self.asked.append(str(image))
        by_digest = (c for c in self.images.values() if isinstance(c, Content) and c.digest == image.digest)
        found = self.images.get(str(image)) or next(by_digest, None)
        if isinstance(found, str):
            raise Unanswered(found)
        if found is None:
            raise Absent(f"{image.registry} says that there is no such image")
        return found

    def digest(self, image: Image, seconds: float, namespace: str = "", secrets: tuple[str, ...] = ()) -> str:
        return self.content(image, seconds).digest


@pytest.fixture
def registry() -> Shelf:
    """What registries have."""
    return Shelf()


@pytest.fixture
def rooms(registry: Shelf) -> Rooms:
    """The rooms as `main` gives them, at a fixed time, with one Source for all registries."""

    def never(*args: Any, **options: Any) -> Any:
        raise AssertionError("this command has no business there")

    def registries(file: str, hosts: Collection[str], credentials: str) -> Shelf:
        registry.given = (file, tuple(hosts), credentials)
        return registry

    return Rooms(
        clock=lambda: NOW,
        certs=never,
        read=sources.read,
        serve=never,
        shipped=sources.shipped,
        registries=registries,
        images=Images,
        cluster=never,
        uninstall=never,
        commands=main.parsers,
        plain=False,
    )


@pytest.fixture
def plimsoll(
    rooms: Rooms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Callable[..., Ran]:
    """Run `plimsoll <argv>` in an empty directory; `stdin` is what stands there."""
    monkeypatch.chdir(tmp_path)

    def run(*argv: str, stdin: bytes = b"") -> Ran:
        module = importlib.import_module(f"webhook.cli.{argv[0]}")
        parser = argparse.ArgumentParser(prog=f"plimsoll {argv[0]}")
        module.configure(parser)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        try:
            status = module.run(parser.parse_args(argv[1:]), rooms)
        except ConfigError as error:  # as webhook.main does
            for problem in error.problems:
                print(problem, file=sys.stderr)
            status = 2
        except SystemExit as end:  # argparse
            status = int(end.code or 0)
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return Ran(status, out.decode(), err.decode())

    return run


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written anew (`pytest --golden`)."""
    return bool(request.config.getoption("--golden", default=False))
