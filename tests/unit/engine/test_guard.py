"""Who sets a namespace's mode needs a right of their own; nobody else's namespace is ever in the way."""

from __future__ import annotations

import pytest

from webhook.engine.evaluate import evaluate, needs
from webhook.engine.facts import Facts, Missing, Needs
from webhook.engine.guard import CLUSTER_ROLE
from webhook.model import answer
from webhook.model.access import Right

NEVER = 'rules:\n  - {name: never, expression: "containers.size() == 0", action: deny}\n'
ALLOWING = "allowNamespaceMode: [dry-run]\ncontact: platform team\n" + NEVER
RIGHT = Right("set-mode", "plimsoll.dev", "namespaces", "shop")
MODE = {"plimsoll.dev/mode": "dry-run"}
YES, NO = Facts(access=True), Facts(access=False)


def space(name="shop", **labels):
    labels = {key.replace("mode", "plimsoll.dev/mode"): value for key, value in labels.items()}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


@pytest.fixture
def ask(load, review, now):
    """Ask about a write of the namespace shop; returns what is needed for it, and what comes of it."""

    def make(obj, old=None, packs=ALLOWING, facts=NO, endpoint="advise", **request):
        rules = packs if not isinstance(packs, str) else load(packs)
        asked = review(obj, old, namespace="shop", **request)
        return needs(rules, asked, endpoint), evaluate(rules, asked, facts, now, endpoint)

    return make


@pytest.mark.parametrize(
    ("obj", "old"),
    [
        (space(mode="dry-run"), None),
        (space(mode="dry-run"), space()),
        (space(mode="dry-run"), space(mode="enforce")),
        (space(mode="enforce"), space(mode="dry-run")),
        (space(mode=""), space()),
    ],
    ids=["made with it", "set", "changed", "changed to what nothing honours", "set to nothing"],
)
def test_whoever_sets_or_changes_the_mode_needs_the_right(ask, obj, old):
    needed, decision = ask(obj, old)
    assert needed == Needs(right=RIGHT)
    assert not decision.allowed
    assert ask(obj, old, facts=YES)[1].findings == ()
    assert ask(obj, old, facts=YES)[1].allowed


@pytest.mark.parametrize(
    ("obj", "old", "request_"),
    [
        (space(), None, {}),
        (space(team="a"), space(), {}),
        (space(), space(mode="dry-run"), {}),
        (space(mode="dry-run", team="a"), space(mode="dry-run"), {}),
        (None, space(mode="dry-run"), {"operation": "DELETE"}),
    ],
    ids=["made without it", "another label", "taken away", "kept", "deleted"],
)
@pytest.mark.parametrize("facts", [NO, Facts(access=Missing("timed out")), Facts()], ids=["no", "unknown", "not asked"])
def test_a_write_that_leaves_the_mode_alone_needs_none(ask, obj, old, request_, facts):
    needed, decision = ask(obj, old, facts=facts, **request_)
    assert needed == Needs()
    assert (decision.allowed, decision.findings, decision.unknown) == (True, (), ())


@pytest.mark.parametrize("subresource", ["status", "finalize"])
def test_it_is_asked_for_by_whatever_subresource_the_label_is_written(ask, subresource):
    needed, decision = ask(space(mode="dry-run"), space(), subResource=subresource)
    assert needed == Needs(right=RIGHT)
    assert not decision.allowed


@pytest.mark.parametrize("packs", [NEVER, "mode: disabled\n" + ALLOWING], ids=["none allows it", "disabled"])
def test_where_no_pack_honours_the_label_anybody_may_write_it(ask, packs):
    needed, decision = ask(space(mode="dry-run"), packs=packs)
    assert needed == Needs()
    assert decision.allowed


@pytest.mark.parametrize("endpoint", ["validate", "mutate", "all"])
def test_it_is_asked_for_where_namespaces_are_judged_alone(ask, endpoint):
    needed, decision = ask(space(mode="dry-run"), endpoint=endpoint)
    assert needed == Needs()
    assert decision.allowed


def test_the_label_on_another_kind_is_nobodys_concern(ask, deployment):
    assert ask(deployment(metadata={"labels": MODE}))[0] == Needs()
    assert ask(deployment(metadata={"labels": MODE}))[1].allowed


def test_a_pack_on_trial_guards_the_label_that_will_count_when_it_is_in_force(ask):
    assert not ask(space(mode="dry-run"), packs="mode: dry-run\n" + ALLOWING)[1].allowed


def test_a_server_in_dry_run_refuses_nobody(ask, load):
    _, decision = ask(space(mode="dry-run"), packs=load(ALLOWING, dry_run=True))
    assert decision.allowed
    assert [finding.effective for finding in decision.findings] == ["audit"]


def test_an_answer_that_cannot_be_had_is_no_yes(ask):
    _, decision = ask(space(mode="dry-run"), facts=Facts(access=Missing("timed out")))
    assert not decision.allowed
    [fault] = decision.unknown
    assert (fault.fact, fault.effective) == ("access", "deny")
    assert "timed out" in fault.message


def test_a_name_that_is_still_to_be_made_needs_the_right_on_any(ask):
    obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "shop-", "labels": MODE}}
    assert ask(obj)[0] == Needs(right=Right("set-mode", "plimsoll.dev", "namespaces", ""))


def test_what_the_rules_say_of_the_namespace_is_said_too(ask):
    text = ALLOWING + (
        '  - name: team\n    expression: "has(object.metadata.labels.team)"\n    action: warn\n'
        "    match: {kinds: [Namespace]}\n"
    )
    _, decision = ask(space(mode="dry-run"), packs=text)
    assert [(f.pack, f.rule, f.effective) for f in decision.findings] == [
        ("pack", "team", "audit"),
        ("plimsoll", "namespace-mode", "deny"),
    ]


def test_the_sentence_says_who_lacks_what_and_which_role_gives_it(load, review, now):
    asked = review(space(mode="dry-run"), namespace="shop")
    decision = evaluate(load(ALLOWING), asked, NO, now, "advise")
    message = answer.message(asked, decision)
    for part in ("user jane", "set-mode on namespaces.plimsoll.dev shop", CLUSTER_ROLE, "ClusterRoleBinding"):
        assert part in message, message
    assert "at:     /metadata/labels/plimsoll.dev~1mode" in message
    assert "(ask platform team)" in message


def test_namespaces_are_registered_where_the_label_counts(load):
    assert ("", "Namespace") in load(ALLOWING).concerned()["advise"]
    assert ("", "Namespace") not in load(NEVER).concerned()["advise"]
