"""Rules whose checks look at the same of a pod share one glance; each is asked by itself where that finds something."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from webhook.checks import CHECKS
from webhook.checks.check import Check, Part
from webhook.engine.evaluate import evaluate
from webhook.engine.facts import Facts
from webhook.model.decision import Violation
from webhook.model.pods import Pod
from webhook.packs.rule import Ruleset

PACK = """
mode: enforce
rules:
  - {name: one, check: bit, params: {bit: 1}, action: deny}
  - {name: two, check: bit, params: {bit: 2}, action: deny%s}
  - {name: four, check: bit, params: {bit: 4}, action: deny}
"""


class Bits:
    """A check of one bit of the label `bits`; notes which bits were `asked` by themselves, and the `looks` for all."""

    ID, KINDS, READS = "bit", (), ("pod",)
    PARAMS = {"type": "object", "properties": {"bit": {"type": "integer"}}}
    DEFAULTS = {"bit": 1}
    CEL = "it is a check of the tests"

    def __init__(self, fails: bool = False) -> None:
        self.asked: list[int] = []
        self.looks: list[int] = []
        self.fails = fails

    def build(self, params: Mapping[str, Any]) -> Check:
        return Check(pod=lambda pod: self.one(params["bit"], pod), part=Part(self.look, params["bit"]))

    def look(self, pod: Pod, bits: int) -> int:
        self.looks.append(bits)
        if self.fails:
            raise OSError("no look")
        return int(pod.labels["bits"]) & bits

    def one(self, bit: int, pod: Pod) -> list[Violation]:
        self.asked.append(bit)
        return [Violation("/x", "bit", str(bit), "0")] if int(pod.labels["bits"]) & bit else []


@pytest.fixture
def bits() -> Bits:
    return Bits()


@pytest.fixture
def found(
    load: Callable[..., Ruleset], judge: Callable[..., Any], deployment: Callable[..., Any]
) -> Callable[..., Any]:
    def run(check: Bits, labels: str, more: str = "") -> list[str]:
        packs = load(PACK % more, checks={**CHECKS, "bit": check})
        decision = judge(packs, deployment(template={"labels": {"bits": labels}}), endpoint="validate")
        assert decision.errors == ()
        return [finding.rule for finding in decision.findings]

    return run


def test_one_look_says_of_all_that_they_are_kept(found: Callable[..., Any], bits: Bits) -> None:
    assert found(bits, "8") == []
    assert (bits.looks, bits.asked) == ([7], [])


def test_those_that_are_not_kept_are_asked_what_they_find(found: Callable[..., Any], bits: Bits) -> None:
    assert found(bits, "5") == ["four", "one"]
    assert (bits.looks, bits.asked) == ([7], [1, 4])


def test_a_rule_on_some_of_the_containers_is_asked_by_itself(found: Callable[..., Any], bits: Bits) -> None:
    assert found(bits, "2", ", match: {containers: [web]}") == ["two"]
    assert (bits.looks, bits.asked) == ([5], [2])


def test_a_rule_of_another_namespace_is_not_asked(found: Callable[..., Any], bits: Bits) -> None:
    assert found(bits, "7", ", match: {namespaces: [elsewhere]}") == ["four", "one"]
    assert (bits.looks, bits.asked) == ([5], [1, 4])


def test_a_look_that_fails_leaves_each_to_answer_for_itself(found: Callable[..., Any]) -> None:
    failing = Bits(fails=True)
    assert found(failing, "4") == ["four"]
    assert failing.asked == [1, 2, 4]


def test_the_manifests_of_a_wrapper_are_judged_one_by_one(
    load: Callable[..., Ruleset], judge: Callable[..., Any], deployment: Callable[..., Any], bits: Bits
) -> None:
    manifests = [deployment(template={"labels": {"bits": labels}}) for labels in ("1", "0", "6")]
    work = {
        "apiVersion": "work.open-cluster-management.io/v1",
        "kind": "ManifestWork",
        "metadata": {"name": "shop", "namespace": "cluster1"},
        "spec": {"workload": {"manifests": manifests}},
    }
    packs = load(PACK % "", checks={**CHECKS, "bit": bits})
    assert [one.rule for one in judge(packs, work, endpoint="validate").findings] == ["four", "one", "two"]


def test_where_nobody_waits_any_more_no_look_is_taken(
    load: Callable[..., Ruleset], review: Callable[..., Any], deployment: Callable[..., Any], bits: Bits, now: Any
) -> None:
    packs = load(PACK % "", checks={**CHECKS, "bit": bits})
    asked = review(deployment(template={"labels": {"bits": "0"}}))
    decision = evaluate(packs, asked, Facts(), now, "validate", lambda: True)
    assert (decision.allowed, bits.looks) == (False, [])
    assert [fault.rule for fault in decision.errors] == ["one", "two", "four"]
