"""Measures what a review costs, beside a webhook written by hand in Go. How to read it: bench/README.md."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# how programs are built from Go modules, and how processes are started and ended, the tests know already
sys.path[:0] = [str(ROOT / "tests" / "controlplane"), str(ROOT / "tests" / "e2e")]
