"""Where packs are in a cluster: paths, one listing of all, and what is written about them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from webhook.kube.client import ApiError, Client, Object
from webhook.packs.served import GROUP, LABEL, RESOURCE, VERSION

RULEPACKS = f"/apis/{GROUP}/{VERSION}/{RESOURCE}"
LABELLED = {"labelSelector": f"{LABEL}=true"}
PAGE = {"limit": "10"}
"""So many packs fit into one answer (`client.ANSWER_BYTES`), though each be as large as etcd takes it, 1.5 MiB."""
CALL = 10.0
NOT_FOUND = 404
_EVERYWHERE = "default"
"""Where Events on objects of the cluster are (k8s.io/api/core/v1 Event)."""


def configmaps(namespace: str) -> str:
    """Return the path of the ConfigMaps of a namespace."""
    return f"/api/v1/namespaces/{namespace}/configmaps"


def listing(client: Client, namespace: str) -> tuple[list[Object], list[Object]]:
    """Return all RulePacks and our own namespace's ConfigMaps with packs; ApiError.

    Where the CustomResourceDefinition is not installed there are no RulePacks.
    """
    try:
        packs = list(client.items(RULEPACKS, CALL, PAGE))
    except ApiError as error:
        if error.status != NOT_FOUND:
            raise
        packs = []
    return packs, list(client.items(configmaps(namespace), CALL, {**LABELLED, **PAGE}))


def rulepack(client: Client, name: str, timeout: float) -> Object | None:
    """Return a RulePack, None where there is none; ApiError."""
    try:
        return client.get(f"{RULEPACKS}/{quote(name, safe='')}", timeout)
    except ApiError as error:
        if error.status == NOT_FOUND:
            return None
        raise


def write_status(client: Client, name: str, status: Object) -> None:
    """Write the status of a RulePack; ApiError."""
    client.call("PATCH", f"{RULEPACKS}/{quote(name, safe='')}/status", CALL, {"status": status})


def write_event(client: Client, about: Object, unique: str, **said: Any) -> None:
    """Write an Event on the object that `about` describes (kind, apiVersion, name, uid, namespace); ApiError.

    `said` are its type, reason, message, time and host; `unique` is part of its name.
    """
    namespace = str(about.get("namespace") or _EVERYWHERE)
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{about['name']}.{unique}"[-253:].lstrip("-."), "namespace": namespace},
        "involvedObject": about,
        "type": said["type"],
        "reason": said["reason"],
        "message": said["message"],
        "firstTimestamp": said["time"],
        "lastTimestamp": said["time"],
        "count": 1,
        "source": {"component": "plimsoll", "host": said["host"]},
    }
    client.call("POST", f"/api/v1/namespaces/{namespace}/events", CALL, event)
