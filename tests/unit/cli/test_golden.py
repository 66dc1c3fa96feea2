"""Each directory of tests/golden/cli is one command with its input, and what it prints."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[2] / "golden" / "cli"
PARTS = ("stdout", "stderr", "status")


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.iterdir()))
def test_a_command_prints_what_its_golden_files_say(
    name: str, plimsoll: Callable[..., Any], tmp_path: Path, golden: bool
) -> None:
    directory = GOLDEN / name
    shutil.copytree(directory, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*PARTS, "command"))
    stdin = directory / "stdin"
    ran = plimsoll(
        *shlex.split((directory / "command").read_text()), stdin=stdin.read_bytes() if stdin.exists() else b""
    )
    found = {"stdout": ran.out, "stderr": ran.err, "status": f"{ran.status}\n"}
    if golden:
        for part, text in found.items():
            (directory / part).write_text(text)
    assert found == {part: (directory / part).read_text() for part in PARTS}
