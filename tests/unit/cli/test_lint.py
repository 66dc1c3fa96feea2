"""`plimsoll lint`: exit codes, and advice only where it is certain."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PACK = """
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  contact: us
  rules:
    - {name: no-host-path, check: no-host-path, action: deny, remediation: use another volume}
  exemptions:
    - {rules: [no-host-path], match: MATCH, reason: r, owner: o, expires: 2027-11-23}
"""


@pytest.fixture
def lint(plimsoll: Callable[..., Any]) -> Callable[..., Any]:
    def run(*argv: str, match: str = "{names: [a]}", old: str = "", new: str = "") -> Any:
        Path("pack.yaml").write_text(PACK.replace("MATCH", match).replace(old, new))
        return plimsoll("lint", *argv, "pack.yaml")

    return run


def test_a_pack_without_anything_to_say_exits_with_zero_and_prints_nothing(lint: Callable[..., Any]) -> None:
    assert lint("--strict") == (0, "", "1 pack with 1 rule: no mistakes, 0 pieces of advice\n")


def test_advice_exits_with_one_only_when_strict(lint: Callable[..., Any]) -> None:
    change = {"old": "contact: us", "new": "description: x"}

    assert (lint(**change).status, lint("--strict", **change).status) == (0, 1)
    assert "pack.yaml:5: spec.contact: is missing" in lint(**change).out


def test_mistakes_exit_with_two(lint: Callable[..., Any]) -> None:
    ran = lint(old="action: deny", new="action: dny")

    assert (ran.status, ran.out) == (2, "")
    assert "did you mean deny?" in ran.err


@pytest.mark.parametrize(
    ("match", "everything"),
    [
        ('{names: ["*"]}', True),
        ('{names: [a, "*"], namespaces: ["*"]}', True),
        ('{names: ["*"], namespaces: [a]}', False),
        ('{containers: ["*"]}', False),  # findings on a whole object have no container
        ("{kinds: [PersistentVolume]}", False),
    ],
)
def test_only_an_exemption_that_covers_everything_is_said_to(
    lint: Callable[..., Any], match: str, everything: bool
) -> None:
    assert ("covers all that rule no-host-path judges" in lint(match=match).out) is everything


def test_the_packs_that_come_with_plimsoll_have_no_mistakes(plimsoll: Callable[..., Any]) -> None:
    assert plimsoll("lint").status == 0


def test_an_inherited_rule_is_said_once_and_where_it_stands(lint: Callable[..., Any], plimsoll: Any) -> None:
    lint(old=", remediation: use another volume", new="")
    child = "apiVersion: plimsoll.dev/v1\nkind: RulePack\nmetadata: {name: child}\nspec: {extends: acme, contact: we}\n"
    Path("child.yaml").write_text(child)

    ran = plimsoll("lint", "pack.yaml", "child.yaml")

    assert [line.partition(": ")[0] for line in ran.out.splitlines()] == ["pack.yaml:8"]


@pytest.mark.parametrize(
    ("day", "said"),
    [
        ("2026-11-22", "is over"),
        ("2026-11-23", "ends in 0 days"),
        ("2026-12-23", "ends in 30 days"),
        ("2026-12-24", ""),
    ],
)
def test_an_exemption_is_said_to_end_from_thirty_days_before(lint: Callable[..., Any], day: str, said: str) -> None:
    ran = lint(old="2027-11-23", new=day)

    assert (said in ran.out) if said else (ran.out == "")


def test_a_value_that_no_rule_reads_is_named_with_the_one_that_was_meant(plimsoll: Callable[..., Any]) -> None:
    child = "apiVersion: plimsoll.dev/v1\nkind: RulePack\nmetadata: {name: acme}\nspec:\n  contact: us\n"
    Path("pack.yaml").write_text(child + "  extends: containerization\n  values: {registrys: [a.example/]}\n")
    assert (
        "pack.yaml:7: spec.values.registrys: no rule reads the value registrys; did you mean registries?"
        in plimsoll("lint", "pack.yaml").out
    )
    Path("pack.yaml").write_text(child + "  extends: containerization\n  values: {registries: [a.example/]}\n")
    assert "reads the value" not in plimsoll("lint", "pack.yaml").out
