"""`plimsoll bench`: every rule has its line, the dearest first; it judges its own objects where none are named."""

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
    - {name: no-host-path, check: no-host-path, action: deny}
    - {name: names, expression: "containers.all(c, c.name.matches('^[a-z-]{1,30}$'))", action: warn}
    - {name: volumes, match: {kinds: [PersistentVolume]}, expression: "true", action: warn}
"""
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: a}]}\n"


@pytest.fixture
def bench(plimsoll: Callable[..., Any]) -> Callable[..., Any]:
    def run(*argv: str) -> Any:
        Path("pack.yaml").write_text(PACK)
        Path("pod.yaml").write_text(POD)
        return plimsoll("bench", "--policies", "pack.yaml", "--rounds", "3", *argv)

    return run


def test_every_rule_that_is_asked_has_a_line_and_the_dearest_stands_first(bench: Callable[..., Any]) -> None:
    done = bench("-o", "json", "pod.yaml")
    said = json.loads(done.out)
    assert done.status == 0
    assert {row["name"] for row in said["rules"]} == {"acme/no-host-path", "acme/names"}
    spent = [row["microseconds"] for row in said["rules"]]
    assert spent == sorted(spent, reverse=True)
    assert all(each > 0 for each in spent)
    assert (said["version"], said["objects"], said["skipped"]) == (1, 1, 0)
    parts = sum(row["microseconds"] for row in (*said["rules"], *said["shared"]))
    assert said["microseconds"] == pytest.approx(parts, abs=0.1)


def test_without_manifests_it_judges_a_deployment_and_a_pod_of_its_own(bench: Callable[..., Any]) -> None:
    done = bench()
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[0].split() == ["rule", "CPU", "µs", "a", "review", "share", "objects"]
    assert "2 objects, 3 times each" in lines[-1]


def test_what_no_rule_concerns_is_skipped_and_counted(bench: Callable[..., Any]) -> None:
    Path("map.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    assert json.loads(bench("-o", "json", "map.yaml", "pod.yaml").out)["skipped"] == 1


@pytest.mark.parametrize("rounds", ["0", "many", "1000000"])
def test_a_number_of_rounds_that_is_none_is_refused(bench: Callable[..., Any], rounds: str) -> None:
    done = bench("--rounds", rounds)
    assert (done.status, f"{rounds!r} is no number of rounds; wanted 1 to 100000" in done.err) == (2, True)


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_measured(bench: Callable[..., Any]) -> None:
    done = bench("pod.yaml", "nowhere.yaml")
    assert done.status == 2
    assert "nowhere.yaml: cannot be read" in done.err
    assert "1 object, 3 times each" in done.out
