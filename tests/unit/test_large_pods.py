"""A pod with thousands of containers, mounts and volumes is judged by work that grows with it, not with its square.

An object of 1 MB has room for more than ten thousand of each, and an API server waits for three seconds. What is
counted is opcodes of Python, as in bench/counts.py: the same at every run, but only in plain Python, so that this is
none of the tests that run compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.counts import opcodes
from webhook.checks import jvm_flags, log_path, no_host_path, no_local_state
from webhook.checks.check import Check
from webhook.model.patch import Draft
from webhook.model.pods import subjects

FEW, TIMES = 100, 4
LINEAR = 1.25
"""How much more than TIMES the work may be: what grows with the square is up to TIMES more."""
ON_NODES: dict[str, Any] = {"directories": ["/var/log/*"], "hostLogDirectories": ["/var/log/pods"]}
READ: dict[str, Any] = {"allow": [{"prefix": "/data", "readOnly": True}]}


class Name(str):
    """A name that is compared by Python: a search through a list, which is C's, counts too."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        return str.__hash__(self)


class Text(str):
    """A text that counts the characters through which it is searched, which C does."""

    __slots__ = ()
    searched = 0

    def find(self, *args: Any) -> int:
        found, start = str.find(self, *args), args[1] if len(args) > 1 else 0
        Text.searched += (found if found >= 0 else len(self)) - start
        return found

    def rfind(self, *args: Any) -> int:
        found = str.rfind(self, *args)
        Text.searched += len(self) - max(found, 0)
        return found


def deployment(many: int, source: dict[str, Any], path: str) -> dict[str, Any]:
    limits = {"limits": {"memory": "2Gi"}}
    containers = [
        {"name": Name(f"c{n}"), "resources": limits, "volumeMounts": [{"name": Name(f"v{n}"), "mountPath": path}]}
        for n in range(many)
    ]
    volumes = [{"name": Name(f"v{n}"), **source} for n in range(many)]
    return {"spec": {"replicas": 2, "template": {"spec": {"containers": containers, "volumes": volumes}}}}


def empty(many: int) -> dict[str, Any]:
    return deployment(many, {"emptyDir": {}}, "/tmp")


def memory(many: int) -> dict[str, Any]:
    return deployment(many, {"emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}, "/tmp")


def claims(many: int) -> dict[str, Any]:
    return deployment(many, {"persistentVolumeClaim": {"claimName": "data"}}, "/data")


def logs(many: int) -> dict[str, Any]:
    return deployment(many, {"emptyDir": {}}, "/var/log")


def on_node(many: int) -> dict[str, Any]:
    return deployment(many, {"hostPath": {"path": "/data"}}, "/data")


def host_paths(many: int) -> dict[str, Any]:
    mounts = [{"name": "v", "mountPath": f"/var/log/{n}", "subPathExpr": "$(POD)"} for n in range(many)]
    env = [{"name": Name(f"E{n}"), "value": "x"} for n in range(many)]
    container = {"name": "web", "volumeMounts": mounts, "env": env}
    volumes = [{"name": "v", "hostPath": {"path": "/var/log/pods"}}]
    return {"spec": {"replicas": 2, "template": {"spec": {"containers": [container], "volumes": volumes}}}}


def references(many: int) -> dict[str, Any]:
    """Return what starts as many JVMs as a script may, each with a variable of its own."""
    script = "".join(f"java $A{n} -jar a;" for n in range(many))
    env = [{"name": Name(f"A{n}"), "value": f"-Xmx{n + 1}m"} for n in range(8 * many)]
    container = {"name": "web", "command": ["sh", "-c", script], "env": env}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


def unclosed(many: int) -> dict[str, Any]:
    env = [{"name": Name(f"A{n}"), "value": Text("$(" * many)} for n in range(20)]
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


def count(check: Check, obj: dict[str, Any]) -> int:
    before = Text.searched
    return opcodes(lambda: work(check, obj)) + Text.searched - before


@pytest.mark.parametrize(
    ("check", "made"),
    [
        (no_local_state.build(no_local_state.DEFAULTS), empty),
        (no_local_state.build(no_local_state.DEFAULTS), memory),
        (no_local_state.build(no_local_state.DEFAULTS), claims),
        (log_path.build(log_path.DEFAULTS), logs),
        (log_path.build(log_path.DEFAULTS), empty),
        (log_path.build({**log_path.DEFAULTS, **ON_NODES}), host_paths),
        (no_host_path.build({**no_host_path.DEFAULTS, **READ}), on_node),
        (no_host_path.build(no_host_path.DEFAULTS), on_node),
        (jvm_flags.build(jvm_flags.DEFAULTS), references),
        (jvm_flags.build(jvm_flags.DEFAULTS), unclosed),
    ],
    ids=["empty", "memory", "claims", "logs", "no logs", "logs on nodes", "read only", "on node", "jvms", "unclosed"],
)
def test_work_on_a_large_pod_does_not_grow_with_its_square(check: Check, made: Callable[[int], dict[str, Any]]) -> None:
    few, many = count(check, made(FEW)), count(check, made(FEW * TIMES))
    assert few > FEW, "what is compiled executes no opcodes: `make pure`"
    assert many < few * TIMES * LINEAR
