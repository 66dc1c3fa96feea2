"""Companies add their own workload kinds as rows."""

from __future__ import annotations

import pytest

from webhook.model.pods import subjects
from webhook.model.workloads import Row, row, table


def test_a_row_is_a_kind_its_resource_and_where_its_template_stands() -> None:
    assert row("acme.example/Service:services:spec.parts.*.template") == Row(
        "acme.example", "Service", "services", (("spec", "parts", "*", "template"),)
    )


def test_the_pods_of_a_row_are_found() -> None:
    obj = {"spec": {"parts": [{"template": {"spec": {"containers": [{"name": "a"}]}}}]}}
    kinds = table([row("acme.example/Service:services:spec.parts.*.template")])
    [subject] = subjects(obj, "acme.example", "Service", "shop", "x", kinds)
    assert [pod.pointer for pod in subject.pods] == ["/spec/parts/0/template"]


@pytest.mark.parametrize(
    "text", ["", "a", "Kind:res:spec.template", "g/K:r", "g/K::p", "g/K:r:", "g/K:r:a..b", "g/:r:p"]
)
def test_what_is_no_row_is_an_error_that_shows_one(text: str) -> None:
    with pytest.raises(ValueError, match="such as acme.example/Service:services:spec.template"):
        row(text)
