"""Which images a cluster runs, so that registries can be asked about them before a review needs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from webhook.kube.client import Client
from webhook.model.pods import subjects

PODS = 10_000
"""So many are looked at, in pages; a cluster with more has its commonest images among them."""
SECONDS = 10.0
"""For each page."""


def images(client: Client, most: int) -> list[str]:
    """Return the images of the pods that run, as they are written, the commonest first, at most `most` of them.

    Raises ApiError. Asks for pages of 500, so that no answer is long.
    """
    found: Counter[str] = Counter()
    query = {"fieldSelector": "status.phase=Running"}
    for number, pod in enumerate(client.items("/api/v1/pods", SECONDS, query)):
        if number == PODS:
            break
        found.update(_images(pod))
    return [name for name, _ in found.most_common(most)]


def _images(pod: Mapping[str, Any]) -> set[str]:
    seen = (one for subject in subjects(pod, "", "Pod", "", "") for one in subject.pods)
    return {container.image for one in seen for container in one.containers if container.image}
