"""Requests to the API server over one connection, for tests that send hundreds, and what policies said to them."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import urllib3
import yaml

from lab.controlplane import ControlPlane
from lab.kubectl import Object

User = tuple[str, tuple[str, ...]]
ADMIN: User = ("admin", ("system:masters", "system:authenticated"))
FAILURE = "validation.policy.admission.k8s.io/validation_failure"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the API server answered, and under which ID the request stands in the audit log."""

    status: int
    body: Object
    audit_id: str


class Rest:
    """A cluster administrator's connection to the API server."""

    def __init__(self, plane: ControlPlane, name: str = "rest") -> None:
        """Connect as the administrator of `plane`, with the certificate of its kubeconfig, in files called `name`."""
        user = yaml.safe_load(plane.kubeconfig("admin", "system:masters").read_text())["users"][0]["user"]
        files = {}
        for part in ("certificate", "key"):
            files[part] = plane.directory / f"{name}.{part}"
            files[part].write_bytes(base64.b64decode(user[f"client-{part}-data"]))
        self._url = plane.url
        self._pool = urllib3.PoolManager(
            ca_certs=str(plane.ca.bundle),
            cert_file=str(files["certificate"]),
            key_file=str(files["key"]),
            retries=False,
        )

    def __enter__(self) -> Rest:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.clear()

    def send(self, method: str, path: str, body: Object | None = None, user: User = ADMIN) -> Reply:
        """Send one request, as another user where one is named."""
        audit_id = str(uuid.uuid4())
        headers = urllib3.HTTPHeaderDict({"Content-Type": "application/json", "Audit-ID": audit_id})
        if user != ADMIN:
            headers.add("Impersonate-User", user[0])
            for group in user[1]:
                headers.add("Impersonate-Group", group)
        content = None if body is None else json.dumps(body).encode()
        response = self._pool.request(method, self._url + path, body=content, headers=headers)
        plain = "json" not in response.headers.get("Content-Type", "")  # a path that is not served yet
        answer = {"message": response.data.decode()} if plain else json.loads(response.data)
        return Reply(response.status, answer, audit_id)

    def dry(self, method: str, path: str, body: Object, user: User = ADMIN) -> Reply:
        """Send one request that is judged and not stored."""
        return self.send(method, f"{path}?dryRun=All", body, user)


def failures(plane: ControlPlane, replies: Iterable[Reply]) -> dict[str, list[dict[str, Any]]]:
    """Return by audit ID what policies had against requests, from the audit log, which is written before the answer."""
    wanted = {reply.audit_id for reply in replies}
    found: dict[str, list[dict[str, Any]]] = {audit_id: [] for audit_id in wanted}
    with plane.audit_log.open() as lines:
        for event in map(json.loads, lines):
            if event["auditID"] in wanted:
                found[event["auditID"]] = json.loads(event.get("annotations", {}).get(FAILURE, "[]"))
    return found
