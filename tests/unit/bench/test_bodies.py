"""The bodies of the benchmark are what they say they are."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import yaml

from bench import bodies, packs
from webhook import sources
from webhook.engine.evaluate import evaluate
from webhook.engine.facts import Facts
from webhook.model.decision import Decision
from webhook.model.review import decode, parse
from webhook.packs import compile as compiler

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def decided(texts: list[tuple[str, str]], body: bytes) -> Decision:
    return evaluate(compiler.ruleset(texts, "enforce"), parse(decode(body)), Facts(), NOW, "validate")


@pytest.mark.parametrize(("name", "size"), [("small", 3_250), ("managed", 7_500), ("large", 82_000), ("broken", 3_250)])
def test_a_body_has_the_size_that_figures_name(name: str, size: int) -> None:
    assert len(bodies.bodies()[name]) == pytest.approx(size, rel=0.04)


def test_bodies_are_the_same_at_every_run() -> None:
    assert bodies.bodies() == bodies.bodies()


@pytest.mark.parametrize("name", ["small", "managed", "large", "update"])
def test_what_is_to_be_allowed_keeps_every_shipped_pack(name: str) -> None:
    shipped = [(source.name, source.text) for source in sources.read([str(path) for path in sources.shipped()])]
    decision = decided(shipped, bodies.bodies()[name])
    assert decision.allowed
    assert not decision.findings


def test_the_broken_pod_breaks_each_core_rule_once() -> None:
    decision = decided([("core", yaml.safe_dump(packs.core()))], bodies.bodies()["broken"])
    assert sorted(finding.rule for finding in decision.findings) == sorted(packs.CORE)


def test_the_rules_of_g_are_the_core_rules_and_twenty_expressions() -> None:
    assert tuple(rule["name"] for rule in packs.sources("four")) == packs.CORE
    assert len(packs.sources("twenty")) == 20


def test_the_pack_of_400_rules_has_20_for_a_namespace() -> None:
    rules = packs.many()["spec"]["rules"]
    assert len(rules) == 400
    assert sum(rule["match"]["namespaces"] == [bodies.NAMESPACE] for rule in rules) == 20
