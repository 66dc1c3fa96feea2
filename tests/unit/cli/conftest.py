"""What tests of the commands share: a command run as `main` runs it, and the day that it is."""

from __future__ import annotations

import argparse
import importlib
import io
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from webhook import sources
from webhook.errors import ConfigError
from webhook.ports import Rooms

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Ran(NamedTuple):
    """What came of a command."""

    status: int
    out: str
    err: str


@pytest.fixture
def rooms() -> Rooms:
    """The rooms as `main` gives them, at a fixed time."""

    def never(*args: Any, **options: Any) -> Any:
        raise AssertionError("this command has no business there")

    return Rooms(clock=lambda: NOW, certs=never, read=sources.read, serve=never, shipped=sources.shipped, plain=False)


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
