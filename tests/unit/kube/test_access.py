"""What somebody may do is asked of the API server, each time anew; no answer is neither yes nor no."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from webhook.kube.access import PATH, Rights
from webhook.model.access import Right
from webhook.ports import AccessReader, Unknown

RIGHT = Right("set-mode", "plimsoll.dev", "namespaces", "shop")
JANE = {"username": "jane", "groups": ["dev", "system:authenticated"], "uid": "u", "extra": {"scopes": ["a", "b"]}}


def said(allowed: bool, **more: Any) -> tuple[int, Any]:
    return 201, {"kind": "SubjectAccessReview", "status": {"allowed": allowed, **more}}


@pytest.mark.parametrize("allowed", [True, False])
def test_the_question_is_about_the_requester_as_the_review_describes_him(api: Any, allowed: bool) -> None:
    api.answers[PATH] = said(allowed)
    reader: AccessReader = Rights(api.client())
    assert reader.may(JANE, RIGHT, 5) is allowed
    assert api.calls == [f"POST {PATH}"]
    assert api.bodies == [
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": "jane",
                "groups": ["dev", "system:authenticated"],
                "uid": "u",
                "extra": {"scopes": ["a", "b"]},
                "resourceAttributes": {
                    "verb": "set-mode",
                    "group": "plimsoll.dev",
                    "resource": "namespaces",
                    "name": "shop",
                },
            },
        }
    ]


def test_nothing_is_remembered(api: Any) -> None:
    reader = Rights(api.client())
    for allowed in (True, False, True):
        api.answers[PATH] = said(allowed)
        assert reader.may(JANE, RIGHT, 5) is allowed


def test_an_authorizer_that_failed_is_no_yes(api: Any) -> None:
    api.answers[PATH] = said(False, evaluationError="the webhook authorizer is away")
    assert Rights(api.client()).may(JANE, RIGHT, 5) is False


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        ((403, {"message": "cannot create subjectaccessreviews"}), "needs the verb create on subjectaccessreviews"),
        ((500, {"message": "etcd is away"}), "etcd is away"),
        ((201, {"kind": "SubjectAccessReview"}), "no status.allowed"),
        ((201, {"status": {"allowed": "yes"}}), "no status.allowed"),
    ],
)
def test_an_error_is_unknown(api: Any, answer: Any, part: str) -> None:
    api.answers[PATH] = answer
    with pytest.raises(Unknown, match=part):
        Rights(api.client()).may(JANE, RIGHT, 5)


def test_a_kept_connection_that_was_closed_is_asked_on_anew(api: Any) -> None:
    def once(handler: BaseHTTPRequestHandler) -> tuple[int, Any]:
        if len(api.calls) > 1:
            return said(True)
        handler.close_connection = True
        return 0, None

    api.answers[PATH] = once
    assert Rights(api.client()).may(JANE, RIGHT, 5) is True
    assert len(api.calls) == 2
