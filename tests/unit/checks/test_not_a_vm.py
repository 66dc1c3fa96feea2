"""not-a-vm beyond its cases: parameters, wrapped manifests, hostile objects."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.checks import not_a_vm
from webhook.checks.check import ParamError
from webhook.model.decision import Violation
from webhook.model.pods import group_of, subjects


def found(obj: dict[str, Any], **params: Any) -> list[Violation]:
    check = not_a_vm.build({**not_a_vm.DEFAULTS, **params})
    return [
        violation
        for subject in subjects(obj, group_of(obj["apiVersion"]), obj["kind"], "shop", "x")
        for pod in subject.pods
        for violation in check.violations(pod)
    ]


def running(*command: Any, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "spec": {"containers": [{"name": "web", "command": list(command), **spec}]},
    }


@pytest.mark.parametrize("glob", ["", "service cron"])
def test_a_glob_that_names_no_program_is_refused_with_its_place(glob: str) -> None:
    with pytest.raises(ParamError) as error:
        not_a_vm.build({**not_a_vm.DEFAULTS, "crons": ["cron", glob]})
    assert [path for path, _ in error.value.problems] == [("crons", 1)]


@pytest.mark.parametrize(
    ("glob", "program", "hit"),
    [
        ("cron*", "/usr/sbin/crond", True),
        ("/opt/*/agentd", "/opt/acme/agentd", True),
        ("/opt/*/agentd", "agentd", False),
        ("agentd", "/opt/acme/agentd-ctl", False),
    ],
)
def test_a_glob_with_a_slash_is_one_on_the_whole_path(glob: str, program: str, hit: bool) -> None:
    assert bool(found(running(program), supervisors=[glob], crons=[])) == hit


@pytest.mark.parametrize(
    ("argv", "alive"),
    [
        (["sleep", "3599"], False),
        (["sleep", "1h"], True),
        (["sleep", "30m", "30m"], True),
        (["sleep", "0.5d"], True),
        (["sleep", "$(SECONDS_TO_WAIT)"], False),
        (["sh", "-c", "run; sleep 3600"], False),
        (["sh", "-c", "run; sleep 1d"], True),
        (["tail", "-n0", "-f", "/dev/null"], True),
        (["tail", "--follow=name", "/dev/null"], True),
        (["tail", "/dev/null"], False),
        (["tail", "-F", "/var/log/web.log", "/dev/null"], False),
    ],
)
def test_what_counts_as_kept_alive(argv: list[str], alive: bool) -> None:
    assert [v.reason for v in found(running(*argv))] == (["kept alive without doing anything"] if alive else [])


def test_a_wrapped_manifest_is_judged_where_it_stands() -> None:
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": running("crond", "-f")}}
    work = {
        "apiVersion": "work.open-cluster-management.io/v1",
        "kind": "ManifestWork",
        "spec": {"workload": {"manifests": [deployment]}},
    }
    at = "/spec/workload/manifests/0/spec/template/spec/containers/0/command"
    assert [v.pointer for v in found(work)] == [at]


@pytest.mark.parametrize("value", [None, 1, "sshd", {}, [None], [[]], [{"a": 1}], ["", ""], [True]])
def test_shapes_that_the_api_refuses_are_passed_over(value: Any) -> None:
    odd = running(args=value, ports=value, lifecycle=value)
    odd["spec"]["containers"][0]["command"] = value
    odd["spec"] |= {"hostPID": value if value != [True] else "true"}
    assert found(odd) == []
