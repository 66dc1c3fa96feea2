"""A check that can glances at a pod first, and looks closely only where the glance does not say that all is well."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from webhook.checks import CHECKS
from webhook.checks.check import Check
from webhook.model.decision import Decision, Violation
from webhook.model.pods import Pod

PACK = "rules: [{name: careful, check: careful, action: deny%s}]"


class Careful:
    """A check of a pod's label `said`; notes which containers it glanced at, and at which it looked closely."""

    ID, KINDS, READS = "careful", (), ("pod",)
    PARAMS: Mapping[str, Any] = {"type": "object", "properties": {}}
    DEFAULTS: Mapping[str, Any] = {}
    CEL = "it is a check of the tests"

    def __init__(self) -> None:
        self.glances: list[str] = []
        self.looks: list[str] = []

    def build(self, params: Mapping[str, Any]) -> Check:
        return Check(pod=self.close, kept=self.kept)

    def kept(self, pod: Pod) -> bool:
        self.glances += [container.name for container in pod.containers]
        if pod.labels["said"] == "odd":
            raise OSError("no glance")
        return bool(pod.labels["said"] == "kept")

    def close(self, pod: Pod) -> list[Violation]:
        self.looks += [container.name for container in pod.containers]
        return [] if pod.labels["said"] == "fine" else [Violation("/x", "bad", pod.labels["said"], "good")]


@pytest.fixture
def careful() -> Careful:
    return Careful()


@pytest.fixture
def ask(load: Callable[..., Any], judge: Callable[..., Any], deployment: Callable[..., Any], careful: Careful) -> Any:
    """Judge a pod of two containers that has the label."""

    def run(said: str, more: str = "") -> Decision:
        containers = [{"name": "web"}, {"name": "proxy"}]
        obj = deployment(pod={"containers": containers}, template={"labels": {"said": said}})
        decision = judge(load(PACK % more, checks={**CHECKS, "careful": careful}), obj)
        assert isinstance(decision, Decision)
        return decision

    return run


def found(decision: Decision) -> list[str]:
    assert decision.errors == ()
    return [finding.violation.found for finding in decision.findings]


def test_a_pod_that_is_kept_at_a_glance_is_looked_at_no_closer(ask: Callable[..., Decision], careful: Careful) -> None:
    assert found(ask("kept")) == []
    assert (careful.glances, careful.looks) == (["web", "proxy"], [])


@pytest.mark.parametrize(("said", "wanted"), [("fine", []), ("bad", ["bad"])])
def test_of_any_other_the_close_look_tells(
    said: str, wanted: list[str], ask: Callable[..., Decision], careful: Careful
) -> None:
    assert found(ask(said)) == wanted
    assert careful.looks == ["web", "proxy"]


@pytest.mark.parametrize(("said", "looks"), [("kept", []), ("bad", ["web"])])
def test_a_rule_on_some_of_the_containers_glances_at_those_alone(
    said: str, looks: list[str], ask: Callable[..., Decision], careful: Careful
) -> None:
    ask(said, ", match: {containers: [web]}")
    assert (careful.glances, careful.looks) == (["web"], looks)


def test_a_glance_that_fails_is_a_rule_that_fails(ask: Callable[..., Decision], careful: Careful) -> None:
    decision = ask("odd")
    assert not decision.allowed
    assert [fault.rule for fault in decision.errors] == ["careful"]
    assert careful.looks == []
