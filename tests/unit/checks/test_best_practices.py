"""probes, image-pull and required-labels beyond their cases: parameters, hostile objects, fixes that leave alone."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.checks import image_pull, probes, required_labels
from webhook.checks.check import Check, ParamError
from webhook.model.patch import Draft
from webhook.model.pods import Subject, subjects


def pod(container: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


def seen(obj: dict[str, Any]) -> Subject:
    (subject,) = subjects(obj, "", "Pod", "shop", "web")
    return subject


def places(build: Any, params: dict[str, Any]) -> list[tuple[str | int, ...]]:
    with pytest.raises(ParamError) as error:
        build(params)
    return [path for path, _ in error.value.problems]


def fixed(check: Check, obj: dict[str, Any]) -> Any:
    draft = Draft.of(obj)
    subject = seen(draft.document)
    if check.fix_subject is not None:
        check.fix_subject(subject, draft)
    assert check.fix is not None
    check.fix(subject.pods[0], draft)
    return draft.document


@pytest.mark.parametrize(
    "odd", [None, 1, "x", [], {}, [None], {"httpGet": []}, {"exec": {"command": "x"}}, {"grpc": 1}]
)
def test_probes_of_shapes_that_the_api_refuses_are_passed_over(odd: Any) -> None:
    check = probes.build(probes.DEFAULTS)
    container = {"name": "web", "livenessProbe": odd, "readinessProbe": odd, "startupProbe": odd, "ports": odd}
    assert list(check.violations(seen(pod(container)).pods[0])) == []


@pytest.mark.parametrize("number", [True, -1, 0, "5", None, 1.5])
def test_a_time_that_is_none_counts_as_kubernetes_default(number: Any) -> None:
    check = probes.build({**probes.DEFAULTS, "startupSeconds": 31})
    live = {"tcpSocket": {"port": 1}, "periodSeconds": number, "failureThreshold": number}
    (violation,) = check.violations(seen(pod({"name": "web", "livenessProbe": live})).pods[0])
    assert violation.found == "killed when not started after 30 s (0 s + 3 x 10 s)"


@pytest.mark.parametrize("glob", ["", ":main", "shop/web:main", "sha256@x"])
def test_a_moving_tag_is_a_tag_alone(glob: str) -> None:
    assert places(image_pull.build, {**image_pull.DEFAULTS, "moving": ["main", glob]}) == [("moving", 1)]


def test_a_pull_secret_has_a_name() -> None:
    assert places(image_pull.build, {**image_pull.DEFAULTS, "pullSecrets": [""]}) == [("pullSecrets", 0)]


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"name": "owner of it"}, "name"),
        ({"name": "acme.example/"}, "name"),
        ({"name": "tier", "places": []}, "places"),
        ({"name": "tier", "pattern": "("}, "pattern"),
        ({"name": "tier", "pattern": "(?=x)"}, "pattern"),
        ({"name": "tier", "default": "not a label"}, "default"),
        ({"name": "tier", "default": ""}, "default"),
        ({"name": "tier", "pattern": "front|back", "default": "backend"}, "default"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused_with_its_place(entry: dict[str, Any], place: str) -> None:
    assert places(required_labels.build, {"labels": [{"name": "team"}, entry], "annotations": []}) == [
        ("labels", 1, place)
    ]


def test_a_label_is_asked_for_once_and_may_be_an_annotation_too() -> None:
    twice = {"labels": [{"name": "team"}, {"name": "team"}], "annotations": [{"name": "team"}]}
    assert places(required_labels.build, twice) == [("labels", 1, "name")]


@pytest.mark.parametrize("labels", ["team", ["team"], 1])
def test_labels_that_are_no_mapping_are_found_and_not_written_over(labels: Any) -> None:
    check = required_labels.build({"labels": [{"name": "team", "default": "shop"}], "annotations": []})
    assert check.subject is not None
    obj = pod({"name": "web"}, labels=labels)
    assert [violation.reason for violation in check.subject(seen(obj))] == ["label is missing"]
    assert fixed(check, obj) == obj


def test_a_value_that_is_no_text_does_not_fit() -> None:
    check = required_labels.build({"labels": [{"name": "team", "default": "shop"}], "annotations": []})
    assert check.subject is not None
    obj = pod({"name": "web"}, labels={"team": 7})
    assert [violation.found for violation in check.subject(seen(obj))] == ["team: 7"]
    assert fixed(check, obj) == obj
