"""The quick look of a check says that a pod is kept only where the close look finds nothing.

Most pods are kept, and are only glanced at: `Check.kept`. It may say no of a pod that is fine, which only costs time;
it must never say yes of one in which `Check.pod` finds something.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

import webhook.checks
from webhook.checks import CHECKS
from webhook.checks.check import Check
from webhook.model.pods import Pod, group_of, subjects

GLANCING = [name for name, module in CHECKS.items() if module.build(module.DEFAULTS).kept is not None]
ROOM = Path(webhook.checks.__file__).parent
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SEED = 20261127
CHANGES = 25
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 22, -1, 1.5, "", "x", "0", "1Gi", "900m", "64Gi", "Memory", "Always", "/", "/tmp/a"),
    *("10.20.4.11", "$(HOME)/a", "sshd", "/usr/sbin/sshd", "java", "A=b", [], {}, [None], ["x"], [{}], {"x": "y"}),
)
"""What is put in the place of a value."""
PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "failureThreshold": 3}
AMOUNTS = {"cpu": "500m", "memory": "512Mi", "ephemeral-storage": "1Gi"}
GOOD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app": "web"}, "annotations": {"plimsoll.dev/owner": "#shop"}},
    "spec": {
        "volumes": [
            {"name": "logs", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "config", "configMap": {"name": "web"}},
        ],
        "dnsPolicy": "ClusterFirst",
        "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
        "containers": [
            {
                "name": "web",
                "image": "registry.example/shop/web:1.4.2",
                "imagePullPolicy": "IfNotPresent",
                "args": ["--config=/etc/web/config.yaml", "--listen=:8080"],
                "ports": [{"name": "http", "containerPort": 8080}],
                "env": [
                    {"name": "LOG_PATH", "value": "/var/log/app"},
                    {"name": "SHOP", "value": "https://shop.example/"},
                ],
                "resources": {"limits": AMOUNTS, "requests": AMOUNTS},
                "volumeMounts": [
                    {"name": "logs", "mountPath": "/var/log/app"},
                    {"name": "config", "readOnly": True, "mountPath": "/etc/web"},
                ],
                "livenessProbe": {"httpGet": {"path": "/livez", "port": "http"}, **PROBE},
                "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, **PROBE},
                "lifecycle": {"preStop": {"sleep": {"seconds": 10}}},
            }
        ],
    },
}


def build(name: str, params: dict[str, Any]) -> Check:
    return CHECKS[name].build({**CHECKS[name].DEFAULTS, **params})


def cases() -> Iterator[Any]:
    """Yield a usual pod and the cases of each check, where it glances: its name, its parameters, and the object."""
    for name in CHECKS:
        usual = {"name": "a usual pod", "object": GOOD}
        for case in (usual, *yaml.load((ROOM / f"{name}.cases.yaml").read_text(), LOADER)):
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, **case.get("pod", {})}
            params = case.get("params", {})
            if build(name, params).kept is not None:
                yield pytest.param(name, params, case.get("object", pod), id=f"{name}: {case['name']}")


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each place in a document: what holds it, and its key there."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield value, key
        yield from places(item)


def changed(document: dict[str, Any], times: int) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield a document as it is, and with two places changed, each with what was done."""
    random = Random(SEED)
    yield document, "as it is"
    for _ in range(times):
        other, done = copy.deepcopy(document), []
        for _ in range(2):
            holder, key = random.choice([*places(other)])
            if random.random() < 0.2:
                del holder[key]
                done.append(f"{key} removed")
            elif random.random() < 0.2 and isinstance(holder, list):
                holder.append(copy.deepcopy(holder[key]))
                done.append(f"{key} doubled")
            else:
                holder[key] = copy.deepcopy(random.choice(VALUES))
                done.append(f"{key} := {holder[key]!r}")
        yield other, ", ".join(done)


def pods(obj: dict[str, Any]) -> Iterator[Pod]:
    kind = obj.get("kind")
    for subject in subjects(obj, group_of(obj.get("apiVersion")), kind, "shop", "web") if isinstance(kind, str) else ():
        yield from (pod for pod in subject.pods if not pod.unreadable)


def glanced(check: Check, pod: Pod) -> tuple[bool, list[Any]]:
    """Return what the quick look says of a pod, and what the close one finds."""
    assert check.kept is not None and check.pod is not None
    return check.kept(pod), list(check.pod(pod))


def test_there_are_checks_that_glance() -> None:
    assert len(GLANCING) > 11


@pytest.mark.parametrize("name", GLANCING)
def test_a_glance_shows_that_a_usual_pod_is_kept(name: str) -> None:
    [pod] = pods(copy.deepcopy(GOOD))
    assert glanced(build(name, {}), pod) == (True, [])


@pytest.mark.parametrize(("name", "params", "obj"), [*cases()])
def test_no_pod_is_said_to_be_kept_in_which_something_is_found(
    name: str, params: dict[str, Any], obj: dict[str, Any]
) -> None:
    check, times = build(name, params), 20 * CHANGES if obj is GOOD else CHANGES
    looked = [(done, glanced(check, pod)) for one, done in changed(obj, times) for pod in pods(one)]
    assert [(done, found) for done, (kept, found) in looked if kept and found] == []
