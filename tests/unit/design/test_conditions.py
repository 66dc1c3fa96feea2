"""`matchConditions` mean what they mean in admissionregistration.k8s.io: one that is false wins over one that fails."""

from __future__ import annotations

import pytest

from webhook.engine.facts import Facts, Missing

FAILS = '{name: fails, expression: "object.spec.nope == 1"}'
FALSE = "{name: no, expression: \"request.userInfo.username != 'jane'\"}"
TRUE = "{name: yes, expression: \"request.userInfo.username == 'jane'\"}"
SPACE = "{name: space, expression: \"namespaceObject.metadata.name == 'shop'\"}"
# CEL would take a namespace that is not there for an answer here, and not fail
NULL = '{name: there, expression: "namespaceObject != null"}'
RULE = """
match: {matchConditions: [%s]}
rules:
  - {name: r, expression: "%s", action: deny, onError: deny, onUnknown: deny, match: {matchConditions: [%s]}}
"""


@pytest.mark.parametrize(
    ("pack", "rule", "error"),
    [
        (f"{FAILS}, {FALSE}", TRUE, False),
        (f"{FALSE}, {FAILS}", TRUE, False),
        (FAILS, FALSE, False),
        (FALSE, FAILS, False),
        (f"{FAILS}, {TRUE}", TRUE, True),
        (TRUE, FAILS, True),
    ],
)
def test_a_condition_that_is_false_wins_over_one_that_fails(judge, deployment, pack, rule, error):
    decision = judge(RULE % (pack, "containers.size() > 0", rule), deployment())
    assert bool(decision.errors) is error
    assert decision.allowed is not error


@pytest.mark.parametrize(
    ("pack", "rule", "unknown"),
    [
        (SPACE, FALSE, False),
        (FALSE, SPACE, False),
        (f"{SPACE}, {FALSE}", TRUE, False),
        (SPACE, TRUE, True),
        (TRUE, SPACE, True),
        (FAILS, SPACE, True),
        (NULL, TRUE, True),
        (NULL, FALSE, False),
    ],
)
def test_a_condition_that_is_false_wins_over_a_namespace_that_is_not_there(judge, deployment, pack, rule, unknown):
    text = RULE % (pack, "containers.size() > 0", rule)
    decision = judge(text, deployment(), facts=Facts(namespace=Missing("timed out")))
    assert [fault.fact for fault in decision.unknown] == (["namespace"] if unknown else [])
    assert decision.errors == ()
    assert decision.allowed is not unknown


def test_a_rule_that_reads_the_namespace_is_not_asked_where_it_is_out_of_scope(judge, deployment):
    text = RULE % (TRUE, "has(namespaceObject.metadata.labels)", FALSE)
    assert judge(text, deployment(), facts=Facts(namespace=Missing("timed out"))).unknown == ()
    text = RULE % (TRUE, "has(namespaceObject.metadata.labels)", TRUE)
    assert not judge(text, deployment(), facts=Facts(namespace=Missing("timed out"))).allowed


@pytest.mark.parametrize(("names", "allowed"), [("[web]", True), ("[other]", False)])
def test_an_exempt_object_is_not_denied_for_a_fact_that_its_rule_lacks(judge, deployment, names, allowed):
    exempt = f"exemptions:\n  - {{rules: [r], match: {{names: {names}}}, reason: r, owner: o, expires: 2027-03-31}}\n"
    decision = judge(
        RULE % (TRUE, "containers.size() > 0", SPACE) + exempt,
        deployment(),
        facts=Facts(namespace=Missing("timed out")),
    )
    assert decision.allowed is allowed
    assert bool(decision.unknown) is not allowed
