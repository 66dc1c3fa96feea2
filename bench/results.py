"""Figures: what a run gives, how it is kept, and how it differs from the last one that was kept."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bench import ROOT

KEPT = ROOT / "bench" / "results"
MOST = 0.10
"""By how much a figure may be worse than before without being flagged."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure, the smaller the better; `aim` is what it should be at most.

    `steady` figures (CPU time, ratios, counts, memory) are compared with those kept; wall times, which other
    work on the machine changes, are only shown. `relative` ones mean the same on every machine.
    """

    name: str
    value: float
    unit: str
    aim: float | None = None
    text: str = ""
    steady: bool = True
    relative: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """All figures of one run, with where they come from: never a host's name or a path."""

    date: str
    commit: str
    machine: dict[str, Any]
    quick: bool
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A figure beside the one kept; `share` is what was added, as a part of it."""

    name: str
    before: float
    now: float
    share: float

    @property
    def worse(self) -> bool:
        """Say whether it is flagged."""
        return self.share > MOST


def machine() -> dict[str, Any]:
    """Return the shape of this machine: cores, memory, the processor's model, kernel and Python."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = next(int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal:"))
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**20),
        "model": model,
        "linux": ".".join(platform.release().split(".")[:2]),
        "python": platform.python_version(),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


def commit() -> str:
    """Return the commit that is checked out, with `+` where files differ from it; empty outside of a repository."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return git("rev-parse", "--short=10", "HEAD") + ("+" if git("status", "--porcelain", "--", "webhook") else "")


def keep(run: Run, directory: Path = KEPT) -> Path:
    """Write a run into the directory and return the file; files sort by date."""
    directory.mkdir(parents=True, exist_ok=True)
    stamp = datetime.fromisoformat(run.date).strftime("%Y-%m-%dT%H%M%S")
    path = directory / f"{stamp}-{run.commit.rstrip('+')}.json"
    path.write_text(json.dumps(asdict(run), indent=1) + "\n", encoding="utf-8")
    return path


def last(directory: Path = KEPT) -> Run | None:
    """Return the run that was kept last, None where there is none."""
    found = sorted(directory.glob("*.json"))
    if not found:
        return None
    document = json.loads(found[-1].read_text(encoding="utf-8"))
    return Run(**{**document, "figures": tuple(Figure(**each) for each in document["figures"])})


def compare(run: Run, before: Run) -> list[Change]:
    """Return the changes of the figures that both have, where they can be compared, the worst first.

    On a machine of another shape only ratios and counts mean the same.
    """
    old = {figure.name: figure for figure in before.figures}
    same = run.machine == before.machine
    changes = [
        Change(new.name, old[new.name].value, new.value, _share(old[new.name].value, new.value))
        for new in run.figures
        if new.name in old and new.steady and (same or new.relative)
    ]
    return sorted(changes, key=lambda change: -change.share)


def _share(before: float, now: float) -> float:
    if before == 0:
        return 0.0 if now == 0 else float("inf")
    return (now - before) / before


def of(figures: Sequence[Figure], quick: bool, now: datetime) -> Run:
    """Return a run of these figures."""
    return Run(now.isoformat(timespec="seconds"), commit(), machine(), quick, tuple(figures))
