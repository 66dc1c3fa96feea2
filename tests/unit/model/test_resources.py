"""A container's own limit counts, else its pod's."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from webhook.model.pods import subjects
from webhook.model.resources import Limit, amount_of, limit

GIBI = 2**30


@pytest.mark.parametrize(
    ("container", "pod", "wanted"),
    [
        ("1Gi", None, Limit(Fraction(GIBI), True)),
        ("1Gi", "2Gi", Limit(Fraction(GIBI), True)),
        (None, "2Gi", Limit(Fraction(2 * GIBI), False)),
        ("0", "2Gi", Limit(Fraction(2 * GIBI), False)),
        ("1.5G", None, Limit(Fraction(1_500_000_000), True)),
        (1024, None, Limit(Fraction(1024), True)),
        (None, None, None),
        ("1GB", None, None),
    ],
)
def test_a_container_is_limited_by_its_own_limit_or_its_pods(container: Any, pod: Any, wanted: Limit | None) -> None:
    spec = {"resources": {"limits": {"memory": pod}}, "containers": [{"resources": {"limits": {"memory": container}}}]}
    [subject] = subjects({"spec": spec}, "", "Pod", "shop", "web")
    assert limit(subject.pods[0], subject.pods[0].containers[0], "memory") == wanted


@pytest.mark.parametrize("value", ["", "1GB", -1, True, None, []])
def test_what_is_no_amount_is_none(value: Any) -> None:
    assert amount_of(value) is None
