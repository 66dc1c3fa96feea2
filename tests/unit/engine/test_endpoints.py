"""Each rule is heard at exactly one of `/validate` and `/advise`."""

from __future__ import annotations

import pytest

RULE = 'rules:\n  - {name: never, expression: "false", action: %s%s}\n'


def heard(judge, packs, obj, **more):
    return [e for e in ("validate", "advise") if judge(packs, obj, endpoint=e, **more).findings]


def test_packs_that_can_deny_are_heard_at_validate(judge, deployment):
    assert heard(judge, RULE % ("deny", ""), deployment()) == ["validate"]


@pytest.mark.parametrize("action", ["warn", "audit"])
def test_packs_that_only_warn_or_audit_are_heard_at_advise(judge, deployment, action):
    assert heard(judge, RULE % (action, ""), deployment()) == ["advise"]


def test_a_pack_in_dry_run_can_deny_nothing(judge, deployment):
    assert heard(judge, "mode: dry-run\n" + RULE % ("deny", ""), deployment()) == ["advise"]


def test_a_pack_that_will_deny_from_a_day_on_is_heard_where_it_will_be(judge, deployment):
    assert heard(judge, "enforceFrom: 2027-01-01\n" + RULE % ("deny", ""), deployment()) == ["validate"]


def test_the_warnings_of_a_pack_that_can_deny_are_heard_with_its_denials(judge, deployment):
    text = RULE % ("deny", "") + '  - {name: other, expression: "false", action: warn}\n'
    assert {f.rule for f in judge(text, deployment(), endpoint="validate").findings} == {"never", "other"}
    assert heard(judge, text, deployment()) == ["validate"]


def test_kinds_without_a_pod_template_are_heard_at_advise_even_by_rules_that_deny(judge):
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    text = RULE % ("deny", ", match: {kinds: [ConfigMap, Deployment]}")
    assert heard(judge, text, config) == ["advise"]
    assert not judge(text, config, endpoint="advise").allowed


def test_a_cel_rule_concerns_every_workload_kind_by_default(load):
    kinds = load(RULE % ("deny", "")).concerned()["validate"]
    assert {("", "Pod"), ("apps", "Deployment"), ("batch", "CronJob"), ("argoproj.io", "Rollout")} <= kinds
    assert ("", "ConfigMap") not in kinds
