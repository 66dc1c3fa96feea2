"""Parameters of the scheduling checks that fit their schema, and cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.checks import dns_config, workload_class
from webhook.checks.check import ParamError


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"nameservers": ["10.0.0.0/8", "dns.example"]}, ("nameservers", 1)),
        ({"nameservers": ["10.0.0.1/8"]}, ("nameservers", 0)),
        ({"searches": ["a.example"], "allowedSearches": ["*.b.example"]}, ("searches", 0)),
        ({"options": [{"name": "ndots", "value": "1"}]}, ("options", 0, "name")),
        ({"options": [{"name": "edns0"}, {"name": "edns0"}]}, ("options", 1, "name")),
        ({"policies": ["ClusterFirst"]}, ("policies",)),
    ],
)
def test_dns_parameters_that_contradict_each_other_are_refused_where_they_stand(
    params: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    with pytest.raises(ParamError) as caught:
        dns_config.build({**dns_config.DEFAULTS, **params})
    assert [where for where, _ in caught.value.problems] == [path]


@pytest.mark.parametrize(
    ("params", "path"),
    [({"classes": [], "others": []}, ("classes",)), ({"classes": ["io"], "others": ["a", "io"]}, ("others", 1))],
)
def test_classes_that_are_none_or_two_things_at_once_are_refused(
    params: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    with pytest.raises(ParamError) as caught:
        workload_class.build({**workload_class.DEFAULTS, **params})
    assert [where for where, _ in caught.value.problems] == [path]
