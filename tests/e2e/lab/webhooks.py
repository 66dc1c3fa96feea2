"""Webhook configurations as a cluster has them: which requests reach Plimsoll, and what if it is away."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from lab.kubectl import Kubectl, Object
from lab.process import eventually

NOWHERE = "https://127.0.0.1:1"
"""Nobody listens on tcpmux: connections are refused at once."""
SYSTEM_NAMESPACES = ["kube-system", "kube-node-lease", "plimsoll"]
KINDS = {"validate": "ValidatingWebhookConfiguration", "mutate": "MutatingWebhookConfiguration"}
KINDS["advise"] = KINDS["validate"]
WATCHED = {
    ("", "v1"): [
        *["pods", "pods/ephemeralcontainers", "pods/resize", "podtemplates"],
        *["replicationcontrollers", "replicationcontrollers/scale"],
    ],
    ("apps", "v1"): [
        *["deployments", "deployments/scale", "replicasets", "replicasets/scale"],
        *["statefulsets", "statefulsets/scale", "daemonsets"],
    ],
    ("batch", "v1"): ["jobs", "cronjobs"],
}
"""What the API server itself serves of the workload kinds, and the subresources that are reviewed."""


def configuration(
    name: str,
    endpoint: str,
    url: str,
    bundle: bytes,
    selector: Object,
    failure: str = "Fail",
    reinvocation: str = "IfNeeded",
) -> Object:
    """Return the configuration that sends the workloads of selected namespaces to one endpoint.

    Its second webhook refuses any ConfigMap labelled `configuration: <name>`: by it `installed` sees that the
    API server has taken notice of the configuration.
    """
    kind = KINDS[endpoint]
    webhook = {
        "name": f"{endpoint}.plimsoll.dev",
        "clientConfig": {"url": f"{url}/{endpoint}", "caBundle": base64.b64encode(bundle).decode()},
        "rules": [
            {
                "apiGroups": [group],
                "apiVersions": [version],
                "operations": ["CREATE", "UPDATE"],
                "resources": names,
            }
            for (group, version), names in WATCHED.items()
        ],
        "failurePolicy": failure,
        "namespaceSelector": selector,
        "timeoutSeconds": 10,  # more than in a cluster: two cores also carry the control plane and the tests
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    probe = {
        **webhook,
        "name": "probe.plimsoll.dev",
        "clientConfig": {"url": f"{NOWHERE}/"},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
        "failurePolicy": "Fail",
        "namespaceSelector": {},
        "objectSelector": {"matchLabels": {"configuration": name}},
    }
    if endpoint == "mutate":
        webhook["reinvocationPolicy"] = reinvocation
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "webhooks": [webhook, probe],
    }


def only(namespace: str) -> Object:
    """Return the selector of one namespace."""
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


def all_but_system() -> Object:
    """Return the selector of all namespaces that a cluster does not need to come up."""
    key = "kubernetes.io/metadata.name"
    return {"matchExpressions": [{"key": key, "operator": "NotIn", "values": SYSTEM_NAMESPACES}]}


@contextmanager
def installed(admin: Kubectl, *configurations: Object) -> Iterator[None]:
    """Keep configurations in the cluster, and in force, as long as the context lasts."""
    names = [f"{each['kind']}/{each['metadata']['name']}" for each in configurations]
    probes = [each["metadata"]["name"] for each in configurations]
    admin.create(*configurations).must()
    try:
        for probe in probes:
            eventually(partial(_acts, admin, probe), what=f"{probe} to act")
        yield
    finally:
        admin("delete", "--ignore-not-found", *names).must()
        for probe in probes:
            eventually(partial(_gone, admin, probe), what=f"{probe} to be gone")


def _gone(admin: Kubectl, name: str) -> bool:
    return not _acts(admin, name)


def _acts(admin: Kubectl, name: str) -> bool:
    metadata: dict[str, Any] = {"name": "probe", "labels": {"configuration": name}}
    answer = admin.create(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}, options=("--dry-run=server",)
    )
    return "probe.plimsoll.dev" in answer.err
