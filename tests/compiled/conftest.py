"""Puts `tests` on the path, so that the modules here can be imported as `compiled`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
