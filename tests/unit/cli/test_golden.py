"""Each directory of tests/golden/cli is one command with its input, and what it prints.

Where it has a directory `after`, its files are those that the command leaves changed, byte for byte.
"""

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
    shutil.copytree(directory, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*PARTS, "command", "after"))
    stdin = directory / "stdin"
    ran = plimsoll(
        *shlex.split((directory / "command").read_text()), stdin=stdin.read_bytes() if stdin.exists() else b""
    )
    found = {"stdout": ran.out.encode(), "stderr": ran.err.encode(), "status": f"{ran.status}\n".encode()}
    if (directory / "after").is_dir():
        given = [path.relative_to(directory) for path in directory.rglob("*") if path.is_file()]
        changed = [path for path in given if (tmp_path / path).exists() and differ(directory / path, tmp_path / path)]
        found |= {f"after/{path}": (tmp_path / path).read_bytes() for path in changed}
    if golden:
        for part, content in found.items():
            (directory / part).parent.mkdir(exist_ok=True)
            (directory / part).write_bytes(content)
    after = [f"after/{path.relative_to(directory / 'after')}" for path in (directory / "after").rglob("*.*")]
    assert found == {part: (directory / part).read_bytes() for part in (*PARTS, *after)}


def differ(one: Path, other: Path) -> bool:
    return one.read_bytes() != other.read_bytes()
