"""Events of the core API as we write them: where they lie, what they are called, and which fields they have.

kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1, pkg.go.dev/k8s.io/client-go/tools/record
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from typing import Literal

from webhook.kube.client import ApiError, Client, Object
from webhook.model.record import record

COMPONENT = "plimsoll"
EVERYWHERE = "default"
"""The namespace of Events about objects that lie in none."""
INSTANCE = 128
"""Characters that reportingInstance may have."""
NOT_FOUND = 404
_NO_NAME = re.compile(r"[^a-z0-9.-]+")


@record(frozen=True, slots=True)
class Event:
    """What an Event says: on which object, why in one word, and in a sentence; how often, from when until when.

    `about` has apiVersion, kind, name, uid, and the namespace where it lies in one. `instance` is the replica's name.
    """

    about: Object
    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    first: datetime
    last: datetime
    count: int = 1
    instance: str = ""


def write(client: Client, event: Event, seconds: float) -> str:
    """Write a new Event within so many seconds, and return its name; ApiError."""
    name = f"{_plain(event.about['name'])}.{secrets.token_hex(8)}"
    body = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": _namespace(event.about)},
        "involvedObject": event.about,
        "type": event.type,
        "reason": event.reason,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "reportingInstance": event.instance[:INSTANCE],
        "firstTimestamp": _time(event.first),
        **_again(event),
    }
    client.call("POST", _path(event.about), seconds, body)
    return name


def repeat(client: Client, name: str, event: Event, seconds: float) -> bool:
    """Write the Event `name` anew: it was so again. False where it is gone (they live for an hour); ApiError."""
    try:
        client.call("PATCH", f"{_path(event.about)}/{name}", seconds, _again(event))
    except ApiError as error:
        if error.status == NOT_FOUND:
            return False
        raise
    return True


def _again(event: Event) -> Object:
    return {"message": event.message, "lastTimestamp": _time(event.last), "count": event.count}


def _namespace(about: Object) -> str:
    return str(about.get("namespace") or EVERYWHERE)


def _path(about: Object) -> str:
    return f"/api/v1/namespaces/{_namespace(about)}/events"


def _plain(name: str) -> str:
    """Return a name as an Event's may begin: roles, for one, have colons in theirs."""
    return _NO_NAME.sub("-", name.lower())[:200].strip("-.") or "object"


def _time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
