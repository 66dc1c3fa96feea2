"""Options of all tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Golden files are renewed by `make golden`; read the difference before it is committed."""
    parser.addoption("--golden", action="store_true", help="write golden files instead of comparing with them")
