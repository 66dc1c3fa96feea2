"""Of everything that has a say on one rule the weakest wins; packs are independent, and every finding counts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from webhook.engine.facts import Facts, Missing

RULE = """
rules:
  - {name: never, expression: "false", message: nothing keeps this, action: %s%s}
"""


def namespace(**labels):
    return Facts(namespace={"metadata": {"name": "shop", "labels": labels}})


@pytest.mark.parametrize(
    ("action", "effective", "allowed"), [("deny", "deny", False), ("warn", "warn", True), ("audit", "audit", True)]
)
def test_the_action_of_a_rule_counts(judge, deployment, action, effective, allowed):
    decision = judge(RULE % (action, ""), deployment())
    assert decision.allowed is allowed
    assert [finding.effective for finding in decision.findings] == [effective]


def test_a_disabled_rule_finds_nothing(judge, deployment):
    assert judge(RULE % ("disabled", ""), deployment()).findings == ()


def test_a_pack_in_dry_run_only_audits(judge, deployment):
    decision = judge("mode: dry-run" + RULE % ("deny", ""), deployment())
    assert decision.allowed
    assert [(f.action, f.effective) for f in decision.findings] == [("deny", "audit")]


def test_a_disabled_pack_finds_nothing_and_is_not_enabled_by_the_command_line(judge, load, deployment):
    text = "mode: disabled" + RULE % ("deny", "")
    assert judge(load(text), deployment()).findings == ()
    assert judge(load(text, mode="enforce"), deployment()).findings == ()


def test_the_mode_of_the_command_line_replaces_a_packs_mode(judge, load, deployment):
    assert not judge(load("mode: dry-run" + RULE % ("deny", ""), mode="enforce"), deployment()).allowed
    assert judge(load(RULE % ("deny", ""), mode="dry-run"), deployment()).allowed


def test_the_servers_dry_run_only_audits(judge, load, deployment):
    decision = judge(load(RULE % ("deny", ""), dry_run=True), deployment())
    assert [f.effective for f in decision.findings] == ["audit"]


@pytest.mark.parametrize(
    ("hour", "effective"),
    [
        (datetime(2026, 11, 30, 23, 59, tzinfo=UTC), "warn"),
        (datetime(2026, 12, 1, 0, 0, tzinfo=UTC), "deny"),
    ],
)
@pytest.mark.parametrize("where", ["pack", "rule"])
def test_until_enforce_from_deny_counts_as_warn_by_utc_days(judge, deployment, hour, effective, where):
    text = (
        "enforceFrom: 2026-12-01" + RULE % ("deny", "")
        if where == "pack"
        else RULE % ("deny", ", enforceFrom: 2026-12-01")
    )
    assert [f.effective for f in judge(text, deployment(), now=hour).findings] == [effective]


def test_a_namespace_may_ask_for_dry_run_only_where_the_pack_allows_it(judge, deployment):
    asked = namespace(**{"plimsoll.dev/mode": "dry-run"})
    allowing = "allowNamespaceMode: [dry-run]" + RULE % ("deny", "")
    assert judge(allowing, deployment(), facts=asked).allowed
    assert not judge(RULE % ("deny", ""), deployment(), facts=asked).allowed
    assert not judge(allowing, deployment(), facts=namespace()).allowed


def test_a_namespace_cannot_ask_for_a_mode_that_the_pack_does_not_name(judge, deployment):
    allowing = "allowNamespaceMode: [dry-run]" + RULE % ("deny", "")
    assert not judge(allowing, deployment(), facts=namespace(**{"plimsoll.dev/mode": "disabled"})).allowed


def test_a_namespace_whose_labels_cannot_be_read_has_no_mode_of_its_own(judge, deployment):
    allowing = "allowNamespaceMode: [dry-run]" + RULE % ("deny", "")
    assert not judge(allowing, deployment(), facts=Facts(namespace=Missing("timed out"))).allowed


def test_a_namespace_mode_never_makes_a_rule_stronger(judge, deployment):
    text = "allowNamespaceMode: [dry-run]\nmode: dry-run" + RULE % ("deny", "")
    assert judge(text, deployment(), facts=namespace(**{"plimsoll.dev/mode": "enforce"})).allowed


def test_packs_are_independent_and_every_finding_counts(judge, load, deployment):
    ruleset = load("mode: dry-run" + RULE % ("deny", ""), RULE % ("deny", ""), RULE % ("warn", ""))
    decision = judge(ruleset, deployment())
    assert [(f.pack, f.effective) for f in decision.findings] == [
        ("pack", "audit"),
        ("pack1", "deny"),
        ("pack2", "warn"),
    ]
    assert not decision.allowed
