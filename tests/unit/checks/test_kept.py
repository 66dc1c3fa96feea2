"""The quick look of a check says that a pod is kept only where the close look finds nothing.

Most pods are kept, and are only glanced at: `_kept` of a check. It may say no of a pod that is fine, which only costs
time; it must never say yes of one in which `_violations` finds something.
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
from webhook.checks import CHECKS, Module
from webhook.model.pods import Pod, group_of, subjects

GLANCING = [name for name, module in CHECKS.items() if hasattr(module, "_kept")]
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


def cases() -> Iterator[Any]:
    """Yield each case of the checks that glance: its name, its parameters, and the object."""
    for name in GLANCING:
        for case in yaml.load((ROOM / f"{name}.cases.yaml").read_text(), LOADER):
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, **case.get("pod", {})}
            yield pytest.param(name, case.get("params", {}), case.get("object", pod), id=f"{name}: {case['name']}")


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


def glanced(module: Module, judge: Any, pod: Pod) -> tuple[bool, list[Any]]:
    """Return what the quick look says of a pod, and what the close one finds."""
    room: Any = module
    # where a text can hold an address does not hang on the parameters
    standard = () if module.ID == "no-ip-address" else judge.args
    return room._kept(*standard, pod), list(room._violations(*judge.args, pod))


def test_there_are_checks_that_glance() -> None:
    assert len(GLANCING) > 9


@pytest.mark.parametrize("name", GLANCING)
def test_a_glance_shows_that_a_usual_pod_is_kept(name: str) -> None:
    [pod] = pods(copy.deepcopy(GOOD))
    assert glanced(CHECKS[name], CHECKS[name].build(CHECKS[name].DEFAULTS).pod, pod) == (True, [])


@pytest.mark.parametrize(
    ("name", "params", "obj"),
    [*(pytest.param(name, {}, GOOD, id=f"{name}: a usual pod") for name in GLANCING), *cases()],
)
def test_no_pod_is_said_to_be_kept_in_which_something_is_found(
    name: str, params: dict[str, Any], obj: dict[str, Any]
) -> None:
    module, times = CHECKS[name], 20 * CHANGES if obj is GOOD else CHANGES
    judge = module.build({**module.DEFAULTS, **params}).pod
    looked = [(done, glanced(module, judge, pod)) for one, done in changed(obj, times) for pod in pods(one)]
    assert [(done, found) for done, (kept, found) in looked if kept and found] == []
