"""Fixtures of the registry's own tests: a CA, registries that tests share, and those of a test's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "e2e"), str(HERE.parent / "controlplane")]

from lab import pki  # noqa: E402

from registry import faulty, server  # noqa: E402
from registry.pusher import Pusher, pushing  # noqa: E402


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> pki.Authority:
    """The CA of what is behind TLS."""
    return pki.authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Registry]:
    """A registry that anybody may push into, over plain HTTP."""
    with server.running(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture(scope="session", params=["basic", "bearer"])
def guarded(
    request: pytest.FixtureRequest, ca: pki.Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[server.Registry]:
    """A registry behind TLS that asks for credentials, in both ways."""
    with server.running(tmp_path_factory.mktemp("registry"), request.param, ca) as found:
        yield found


@pytest.fixture
def pusher(plain: server.Registry) -> Iterator[Pusher]:
    """Pushes into the plain registry."""
    with pushing(plain) as found:
        yield found


@pytest.fixture(scope="session", params=["plain", "TLS"])
def bad(request: pytest.FixtureRequest, ca: pki.Authority) -> Iterator[faulty.Faulty]:
    """The faulty registry, plain and behind TLS."""
    with faulty.running(ca if request.param == "TLS" else None) as found:
        yield found
