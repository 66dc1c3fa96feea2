"""Asks the API server what somebody may do: a SubjectAccessReview, made anew for each question.

Nothing is remembered: the questions are rare, and a right that was taken away is to be gone at once. The fields:
k8s.io/api/authorization/v1, SubjectAccessReviewSpec; what is created there is answered and never stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from webhook.kube.client import ApiError, Client, Object
from webhook.model.access import Right
from webhook.model.pods import mapping
from webhook.ports import Unknown

PATH = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class Rights:
    """A `ports.AccessReader` over the API server; threads may share it."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        """Ask with `client`; `clock` counts seconds and never goes back."""
        self._client = client
        self._clock = clock

    def may(self, user: Mapping[str, Any], right: Right, timeout: float) -> bool:
        """Say within `timeout` seconds whether a user of an AdmissionReview (`userInfo`) has a right.

        Raises Unknown where the API server errs, does not let us ask, or its answer is none. An authorizer that
        failed beside others that said nothing counts as no, as it does for the API server itself.
        """
        deadline = self._clock() + timeout
        body = question(user, right)
        try:
            try:
                answer = self._client.call("POST", PATH, timeout, body)
            except ApiError as error:
                if error.status or (left := deadline - self._clock()) <= 0:
                    raise
                # A kept connection that was just closed; nothing is written by this, so that it can be asked again.
                answer = self._client.call("POST", PATH, left, body)
        except ApiError as error:
            advice = "Plimsoll needs the verb create on subjectaccessreviews: " if error.status == 403 else ""
            raise Unknown(f"{advice}{error}") from error
        allowed = mapping(answer.get("status")).get("allowed")
        if not isinstance(allowed, bool):
            raise Unknown(f"POST {PATH}: the answer has no status.allowed")
        return allowed


def question(user: Mapping[str, Any], right: Right) -> Object:
    """Return the SubjectAccessReview that asks for a right of a user, as `userInfo` of a review describes him."""
    spec: Object = {
        "user": user.get("username"),
        "groups": user.get("groups"),
        "uid": user.get("uid"),
        "extra": user.get("extra"),
    }
    attributes = {"verb": right.verb, "group": right.group, "resource": right.resource, "name": right.name}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {**{key: value for key, value in spec.items() if value}, "resourceAttributes": attributes},
    }
