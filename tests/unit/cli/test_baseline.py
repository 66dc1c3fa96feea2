"""Baselines: what was there is known, what is new fails, and a file that is none is refused with a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PACK = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  rules:
    - {name: equal, check: requests-equal-limits, action: deny}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  containers:
    - {name: a, image: b, resources: {limits: {cpu: 2, memory: 1Gi}, requests: {cpu: 1, memory: 1Gi}}}
    - {name: b, image: b, resources: {limits: {cpu: CPU, memory: 1Gi}, requests: {cpu: 1, memory: 1Gi}}}
"""


@pytest.fixture
def check(plimsoll: Callable[..., Any]) -> Callable[..., Any]:
    def run(*argv: str, cpu: str = "1", name: str = "web", before: str = "") -> Any:
        Path("pack.yaml").write_text(PACK)
        Path("pod.yaml").write_text(before + POD.replace("NAME", name).replace("CPU", cpu))
        return plimsoll("check", "--policies", "pack.yaml", "--baseline", "known.json", *argv, "pod.yaml")

    return run


def test_what_is_in_the_baseline_is_known_and_fails_no_more(check: Callable[..., Any]) -> None:
    assert check("--update-baseline").status == 0
    ran = check()
    assert ran.status == 0
    assert "0 denied" in ran.out and "1 known" in ran.out
    assert json.loads(check("-o", "json").out)["summary"]["known"] == 1


def test_a_new_finding_fails_beside_a_known_one(check: Callable[..., Any]) -> None:
    check("--update-baseline")
    ran = check(cpu="3")
    assert ran.status == 1
    assert "container b" in ran.out and "container a" not in ran.out
    assert "1 finding, 1 known" in ran.out


def test_another_object_and_another_value_are_new_and_another_line_is_not(check: Callable[..., Any]) -> None:
    check("--update-baseline", cpu="3")
    assert check(cpu="3", before="# moved\n\n").status == 0
    assert check(cpu="4").status == 1
    assert check(name="other", cpu="3").status == 1


def test_a_mended_finding_leaves_the_baseline_when_it_is_made_anew(check: Callable[..., Any]) -> None:
    check("--update-baseline", cpu="3")
    assert len(json.loads(Path("known.json").read_text())["findings"]) == 2
    check("--update-baseline")
    (left,) = json.loads(Path("known.json").read_text())["findings"]
    assert left == {
        "pack": "acme", "rule": "equal", "kind": "Pod", "namespace": "default", "name": "web", "container": "a",
        "found": "cpu requests 1, limits 2",
    }  # fmt: skip


def test_processes_find_the_same_as_one(check: Callable[..., Any]) -> None:
    pods = "\n---".join(POD.replace("NAME", f"p{n}").replace("CPU", "2") for n in range(80))
    check("--update-baseline", "-j", "2", before=pods + "\n---")
    two = Path("known.json").read_text()
    check("--update-baseline", "-j", "1", before=pods + "\n---")
    assert Path("known.json").read_text() == two
    assert check("-j", "2", before=pods + "\n---").status == 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "known.json: cannot be read: No such file or directory; make it by --update-baseline"),
        ("{", "known.json:1: this is no JSON"),
        ("[]", "known.json: this is no baseline"),
        ('{"version": 2, "findings": []}', "known.json: version: found 2, wanted 1"),
        ('{"version": 1, "findings": [{"pack": "a"}, 3]}', "known.json: findings[1]: wanted a mapping"),
        ('{"version": 1, "findings": [{"pack": "a"}]}', "known.json: findings[0]: rule: wanted a text"),
    ],
)
def test_a_file_that_is_no_baseline_is_refused(text: str | None, problem: str, check: Callable[..., Any]) -> None:
    if text is not None:
        Path("known.json").write_text(text)
    ran = check()
    assert ran.status == 2
    assert problem in ran.err


def test_no_baseline_is_made_of_files_of_which_one_cannot_be_read_and_that_is_said(check: Callable[..., Any]) -> None:
    check("--update-baseline")
    before = Path("known.json").read_text()
    ran = check("--update-baseline", cpu="3", before="a: [\n---")
    assert ran.status == 2
    assert ran.err.endswith("known.json: is as it was, since not all files could be read; mend them and try again\n")
    assert Path("known.json").read_text() == before


def test_a_baseline_needs_a_file_to_be_made_in(check: Callable[..., Any], plimsoll: Callable[..., Any]) -> None:
    ran = plimsoll("check", "--update-baseline", "pod.yaml")
    assert (ran.status, ran.err) == (2, "--update-baseline: names no file; add --baseline FILE\n")
    Path("known.json").mkdir()
    assert "known.json: cannot be written: Is a directory" in check("--update-baseline").err
