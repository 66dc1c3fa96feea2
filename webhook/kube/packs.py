"""Where packs are in a cluster: paths, one listing of all, and their status."""

from __future__ import annotations

from urllib.parse import quote

from webhook.kube.client import ApiError, Client, Object
from webhook.packs.served import GROUP, LABEL, RESOURCE, VERSION

RULEPACKS = f"/apis/{GROUP}/{VERSION}/{RESOURCE}"
LABELLED = {"labelSelector": f"{LABEL}=true"}
PAGE = {"limit": "10"}
"""So many packs fit into one answer (`client.ANSWER_BYTES`), though each be as large as etcd takes it, 1.5 MiB."""
CALL = 10.0
NOT_FOUND = 404


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
