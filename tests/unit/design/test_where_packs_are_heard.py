"""Each pack stands at exactly one of `/validate` and `/advise`: what can deny must not be let through by Ignore."""

from __future__ import annotations

import pytest

from webhook.engine.facts import Facts, Missing

FAILS = 'rules:\n  - {name: fails, expression: "object.spec.nope == 1", action: %s%s}\n'
LACKS = """
rules:
  - {name: lacks, expression: "false", action: %s, match: {namespaceSelector: {matchLabels: {a: b}}}%s}
"""


@pytest.mark.parametrize("action", ["warn", "audit"])
@pytest.mark.parametrize(("text", "key"), [(FAILS, "onError"), (LACKS, "onUnknown")])
def test_a_pack_whose_errors_or_unknown_facts_deny_is_heard_where_packs_that_deny_are(
    judge, deployment, text, key, action
):
    facts = Facts(namespace=Missing("timed out"))

    def heard(packs):
        answers = {e: judge(packs, deployment(), endpoint=e, facts=facts) for e in ("validate", "advise")}
        return {e: said.allowed for e, said in answers.items() if said.errors or said.unknown}

    assert heard(text % (action, f", {key}: deny")) == {"validate": False}
    assert heard("mode: dry-run\n" + text % (action, f", {key}: deny")) == {"advise": True}
    assert heard(text % (action, f", {key}: warn")) == {"advise": True}
