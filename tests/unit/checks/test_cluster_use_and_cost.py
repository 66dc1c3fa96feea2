"""Parameters of the checks of the packs cluster-use and cost that fit their schema and cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.checks import CHECKS
from webhook.checks.check import ParamError


@pytest.mark.parametrize(
    ("check", "params", "path"),
    [
        ("job-cleanup", {"maxTtlSeconds": 60}, ("defaultTtlSeconds",)),
        ("api-list-scope", {"resources": ["pods", "*"]}, ("resources", 1)),
        ("api-list-scope", {"resources": ["Pod"]}, ("resources", 0)),
        ("api-list-scope", {"namespaced": ["pods/log"]}, ("namespaced", 0)),
        ("resource-shape", {"container": {"cpu": {"min": "lots"}}}, ("container", "cpu", "min")),
        ("resource-shape", {"container": {"memory": {"step": 0}}}, ("container", "memory", "step")),
        ("resource-shape", {"pod": {"memory": {"min": "2Gi", "max": "1Gi"}}}, ("pod", "memory", "min")),
        ("resource-shape", {"pod": {"gibPerCore": {"min": 8, "max": 1}}}, ("pod", "gibPerCore", "min")),
        ("resource-shape", {"pod": {"shapes": [{"cpu": "1", "memory": "1GB"}]}}, ("pod", "shapes", 0, "memory")),
        ("resource-shape", {"pod": {"from": {"cpu": "-1", "memory": "1Gi"}}}, ("pod", "from", "cpu")),
    ],
)
def test_a_parameter_that_cannot_be_meant_is_named(
    check: str, params: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    module = CHECKS[check]
    with pytest.raises(ParamError) as caught:
        module.build({**module.DEFAULTS, **params})
    assert [where for where, _ in caught.value.problems] == [path]
