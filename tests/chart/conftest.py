"""Fixtures of the chart's tests, which need Helm and nothing else. Nothing here skips."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import yaml

sys.path.append(str(Path(__file__).resolve().parents[1] / "helm"))

import chart  # noqa: E402
import helm as helms  # noqa: E402


@pytest.fixture(scope="session", params=helms.NAMES)
def helm(request: pytest.FixtureRequest) -> chart.Helm:
    """Each of the Helms."""
    return chart.get(request.param)


@pytest.fixture(scope="session")
def rendered() -> Callable[..., list[chart.Object]]:
    """Return the objects that the chart gives with a set of values and options, by Helm 4."""

    @cache
    def render(values: str = "defaults", *options: str) -> list[chart.Object]:
        return [each for each in yaml.safe_load_all(chart.get("helm4").text(values, *options)) if each]

    return render


@pytest.fixture(scope="session")
def one(rendered: Callable[..., list[chart.Object]]) -> Callable[..., chart.Object]:
    """Return the only object of a kind, or the one of a name, that a set of values gives."""

    def find(kind: str, values: str = "defaults", *options: str, name: str = "") -> chart.Object:
        found = [each for each in rendered(values, *options) if each["kind"] == kind]
        found = [each for each in found if not name or each["metadata"]["name"] == name]
        assert len(found) == 1, f"{len(found)} of kind {kind}"
        return found[0]

    return find
