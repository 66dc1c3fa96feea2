"""Compiled and plain code decide the same, most of all on objects that are none.

mypyc keeps declared types at run time and Python does not, so that a wrong value which passes in one raises in the
other. Every decision on a body of reviews, most of them malformed on purpose, is made by both and compared.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import IO

import pytest

from compiled import bodies
from tools import compiled

ROOT = Path(__file__).resolve().parents[2]
JUDGE = Path(__file__).with_name("judge.py")
SHOWN = 12
AROUND = 160


@dataclass
class Compared:
    """What came of both: how many decisions, where they differ, and which exceptions of Python's own came up."""

    compiled: str = ""
    plain: str = ""
    decisions: int = 0
    differences: list[str] = field(default_factory=list)
    raised: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """Judge the whole body by both, in a process each, and compare what they print line by line."""
    if not list((ROOT / "webhook/engine").glob("evaluate*.so")):
        pytest.fail(
            "webhook/ is not compiled, so there is nothing to compare; run `make compiled` first", pytrace=False
        )
    folder = tmp_path_factory.mktemp("same")
    compiled.plain(ROOT, folder)
    (folder / "packs.json").write_text(json.dumps(bodies.packs()))
    with (folder / "jobs").open("w") as file:
        file.writelines(json.dumps(job) + "\n" for job in bodies.jobs())
    result = Compared()
    with _judging(ROOT, folder) as fast, _judging(folder, folder) as plain:
        assert fast.stdout is not None and plain.stdout is not None
        result.compiled, result.plain = (json.loads(fast.stdout.readline()), json.loads(plain.stdout.readline()))
        for one, other in zip_longest(_lines(fast.stdout), _lines(plain.stdout), fillvalue=("nothing", "[]")):
            result.decisions += 1
            if one[0] != other[0]:
                result.differences.append(_shown(one, other))
            if other[1] != "[]":
                result.raised.append(f"{_where(other[0])}: {other[1]}")
    assert (fast.returncode, plain.returncode) == (0, 0)
    return result


def test_one_is_compiled_and_the_other_is_not(compared: Compared) -> None:
    assert compared.compiled.endswith(".so"), "webhook/ is not compiled; run `make compiled` first"
    assert compared.plain.endswith(".py")


def test_both_decide_the_same(compared: Compared) -> None:
    found = compared.differences
    assert not found, f"{len(found)} of {compared.decisions} decisions differ\n\n" + "\n\n".join(found[:SHOWN])
    assert compared.decisions > 50_000


def test_no_object_makes_a_rule_raise_what_is_no_sentence_of_its_own(compared: Compared) -> None:
    """What it would say differs between both, and tells nobody what to write."""
    found = compared.raised
    assert not found, f"{len(found)} of {compared.decisions} decisions\n\n" + "\n".join(found[:SHOWN])


def _judging(package: Path, folder: Path) -> subprocess.Popen[str]:
    """Start a process that judges the jobs in `folder` by the package `webhook` that stands in `package`."""
    return subprocess.Popen(
        [sys.executable, str(JUDGE), str(folder / "packs.json"), str(folder / "jobs")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(package), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=folder,
    )


def _lines(stream: IO[str]) -> Iterator[tuple[str, str]]:
    """Yield of each line what is compared, and the words of exceptions."""
    for line in stream:
        told, _, raised = line.rstrip("\n").partition("\t")
        yield told, raised


def _where(told: str) -> str:
    job = json.loads(told)
    return f"{job['job']} / {job['rules']} / {job['endpoint']}"


def _shown(compiled: tuple[str, str], plain: tuple[str, str]) -> str:
    """Return which decision differs, and both lines around the place where they part."""
    one, other = compiled[0], plain[0]
    at = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, at - AROUND)
    where = _where(other if other != "nothing" else one)
    cut = [f"{text[start : at + AROUND]}  {raised if raised != '[]' else ''}" for text, raised in (compiled, plain)]
    return f"{where}\n  compiled: ...{cut[0]}\n  plain:    ...{cut[1]}"
