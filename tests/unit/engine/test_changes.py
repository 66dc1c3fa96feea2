"""What an update changes: not the API server's bookkeeping, and a 1 is no `true` where it may be kept."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.engine.changes import Changes
from webhook.model.review import parse
from webhook.packs.rule import Ruleset

OLD: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"app": "web"}, "generation": 1, "managedFields": [{"manager": "a"}]},
    "spec": {"replicas": 2, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"hostNetwork": True}}},
    "status": {"replicas": 2},
}
PARTS = ("object", "object.metadata", "object.spec", "object.status", "pod", "labels")


def update(old: dict[str, Any], new: dict[str, Any], group: str = "apps", kind: str = "Deployment") -> Changes:
    asked = {"group": group, "version": "v1", "kind": kind}
    request = {"uid": "1", "operation": "UPDATE", "kind": asked, "object": new, "oldObject": old}
    review = parse({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
    return Changes(review, Ruleset(()))


def changed(changes: Changes) -> set[str]:
    return {part for part in PARTS if not changes.same(part)}


def test_an_update_that_changes_nothing_changes_no_part() -> None:
    assert changed(update(OLD, OLD)) == set()


@pytest.mark.parametrize(
    ("path", "value", "parts"),
    [
        (("status",), {"replicas": 9}, set()),
        (("status",), None, set()),
        (("metadata", "generation"), 2, set()),
        (("metadata", "managedFields"), [], set()),
        (("metadata", "annotations"), {"a": "b"}, {"object", "object.metadata"}),
        (("metadata", "labels"), {}, {"object", "object.metadata", "labels"}),
        (("metadata",), None, {"object", "object.metadata", "labels"}),
        (("spec", "replicas"), 3, {"object", "object.spec"}),
        (("spec", "template", "metadata", "labels"), {}, {"object", "object.spec", "pod"}),
        (("spec", "template", "spec", "hostPID"), True, {"object", "object.spec", "pod"}),
        (("spec",), None, {"object", "object.spec", "pod"}),
        (("more",), {}, {"object"}),
    ],
)
def test_what_differs_changes_the_parts_that_it_lies_in(path: tuple[str, ...], value: Any, parts: set[str]) -> None:
    other = _with(OLD, path, value)
    assert changed(update(OLD, other)) == parts
    assert changed(update(other, OLD)) == parts


@pytest.mark.parametrize(
    ("group", "kind", "parts"),
    [("apps", "Deployment", set()), ("apps.kruise.io", "CloneSet", {"object", "object.spec", "pod"})],
)
def test_a_one_in_place_of_true_is_a_change_where_it_may_be_kept(group: str, kind: str, parts: set[str]) -> None:
    new = _with(OLD, ("spec", "template", "spec", "hostNetwork"), 1)
    assert changed(update(OLD, new, group, kind)) == parts


def test_a_part_that_nobody_compares_does_not_count_as_unchanged() -> None:
    with pytest.raises(KeyError, match="request"):
        update(OLD, OLD).same("request")


def _with(obj: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    key, *below = path
    if below:
        value = _with(obj.get(key, {}), tuple(below), value)
    rest = {name: other for name, other in obj.items() if name != key}
    return rest if value is None else {**rest, key: value}
