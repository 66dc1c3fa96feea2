"""The chart as Helm renders it, for tests: its sets of values are in tests/chart/values."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm as helms

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "plimsoll"
PLAIN = ROOT / "charts" / "plain" / "plimsoll.yaml"
VALUES = ROOT / "tests" / "chart" / "values"
SETS = sorted(path.stem for path in VALUES.glob("*.yaml"))
Object = dict[str, Any]


@dataclass(frozen=True)
class Helm:
    """A Helm, and the chart."""

    program: Path

    def __call__(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run Helm with these arguments."""
        return subprocess.run([self.program, *arguments], capture_output=True, text=True, check=False)

    def text(self, values: str = "defaults", *options: str) -> str:
        """Return what the chart gives with a set of values, as text."""
        given = VALUES / f"{values}.yaml"
        done = self("template", "plimsoll", CHART, "--namespace", "plimsoll", "-f", given, *options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *options: str) -> str:
        """Return with which words Helm refuses to render."""
        done = self("template", "plimsoll", CHART, "--namespace", "plimsoll", *options)
        assert done.returncode != 0, "Helm rendered it"
        return done.stderr


def get(name: str) -> Helm:
    """Return a Helm by its name; fails where it is not built."""
    found = helms.locate()
    assert name in found, f"no {name} in {helms.home(name).parent}: run `make deps`"
    return Helm(found[name])
