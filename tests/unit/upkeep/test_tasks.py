"""The process beside the workers loads what makes certificates only where it keeps one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import webhook


def test_tasks_are_known_without_what_makes_certificates() -> None:
    script = "import sys, webhook.upkeep.tasks; sys.exit(','.join(m for m in sys.modules if m == 'cryptography') or 0)"
    root = Path(webhook.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
