"""Options of all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import compiled


def pytest_configure() -> None:
    """What was compiled of a former text is not tested in place of what is typed."""
    if sentences := compiled.stale(Path(__file__).parents[1]):
        raise pytest.UsageError("\n".join(sentences))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Golden files are renewed by `make golden`; read the difference before it is committed."""
    parser.addoption("--golden", action="store_true", help="write golden files instead of comparing with them")
