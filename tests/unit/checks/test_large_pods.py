"""A pod with thousands of containers, mounts and volumes is judged in time that grows with it, not with its square.

An object of 1 MB has room for more than ten thousand of each, and an API server waits for three seconds.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from webhook.checks import jvm_flags, log_path, no_host_path, no_local_state
from webhook.checks.check import Check
from webhook.model.patch import Draft
from webhook.model.pods import subjects

MANY = 6000
SECONDS = 2.0
EMPTY: dict[str, Any] = {"emptyDir": {}}
MEMORY: dict[str, Any] = {"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}
ON_NODES: dict[str, Any] = {"directories": ["/var/log/*"], "hostLogDirectories": ["/var/log/pods"]}
ON_NODE: dict[str, Any] = {"hostPath": {"path": "/data"}}
READ: dict[str, Any] = {"allow": [{"prefix": "/data", "readOnly": True}]}
CLAIM: dict[str, Any] = {"persistentVolumeClaim": {"claimName": "data"}}


def deployment(source: dict[str, Any], path: str) -> dict[str, Any]:
    limits = {"limits": {"memory": "2Gi"}}
    containers = [
        {"name": f"c{n}", "resources": limits, "volumeMounts": [{"name": f"v{n}", "mountPath": path}]}
        for n in range(MANY)
    ]
    volumes = [{"name": f"v{n}", **source} for n in range(MANY)]
    return {"spec": {"replicas": 2, "template": {"spec": {"containers": containers, "volumes": volumes}}}}


def host_paths() -> dict[str, Any]:
    mounts = [{"name": "v", "mountPath": f"/var/log/{n}", "subPathExpr": "$(POD)"} for n in range(MANY)]
    env = [{"name": f"E{n}", "value": "x"} for n in range(MANY)]
    container = {"name": "web", "volumeMounts": mounts, "env": env}
    volumes = [{"name": "v", "hostPath": {"path": "/var/log/pods"}}]
    return {"spec": {"replicas": 2, "template": {"spec": {"containers": [container], "volumes": volumes}}}}


def references() -> dict[str, Any]:
    """Return what starts as many JVMs as a script may, each with a variable of its own."""
    script = "".join(f"java $A{n} -jar a;" for n in range(MANY))
    env = [{"name": f"A{n}", "value": f"-Xmx{n + 1}m"} for n in range(8 * MANY)]
    container = {"name": "web", "command": ["sh", "-c", script], "env": env}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


def unclosed() -> dict[str, Any]:
    env = [{"name": f"A{n}", "value": "$(" * 60_000} for n in range(20)]
    container = {"name": "web", "command": ["java", "-jar", "a"], "env": env}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


def work(check: Check, obj: dict[str, Any]) -> None:
    (subject,) = subjects(obj, "apps", "Deployment", "shop", "web")
    if check.seeks is not None:
        list(check.seeks(subject))
    if check.subject is not None:
        list(check.subject(subject))
    list(check.violations(subject.pods[0]))
    if check.fix is not None:
        check.fix(subject.pods[0], Draft.of(obj))


@pytest.mark.parametrize(
    ("check", "obj"),
    [
        (no_local_state.build(no_local_state.DEFAULTS), deployment(EMPTY, "/tmp")),
        (no_local_state.build(no_local_state.DEFAULTS), deployment(MEMORY, "/tmp")),
        (no_local_state.build(no_local_state.DEFAULTS), deployment(CLAIM, "/data")),
        (log_path.build(log_path.DEFAULTS), deployment(EMPTY, "/var/log")),
        (log_path.build(log_path.DEFAULTS), deployment(EMPTY, "/tmp")),
        (log_path.build({**log_path.DEFAULTS, **ON_NODES}), host_paths()),
        (no_host_path.build({**no_host_path.DEFAULTS, **READ}), deployment(ON_NODE, "/data")),
        (no_host_path.build(no_host_path.DEFAULTS), deployment(ON_NODE, "/data")),
        (jvm_flags.build(jvm_flags.DEFAULTS), references()),
        (jvm_flags.build(jvm_flags.DEFAULTS), unclosed()),
    ],
    ids=["empty", "memory", "claims", "logs", "no logs", "logs on nodes", "read only", "on node", "jvms", "unclosed"],
)
def test_a_large_pod_takes_no_time_that_grows_with_its_square(check: Check, obj: dict[str, Any]) -> None:
    started = time.process_time()
    work(check, obj)
    assert time.process_time() - started < SECONDS
