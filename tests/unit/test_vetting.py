"""A pack that is applied is judged beside those in force: all mistakes, or advice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from webhook.model import answer
from webhook.model.review import Review
from webhook.packs.compile import ruleset
from webhook.packs.served import rulepack
from webhook.vetting import Vetter

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
RULE = {"name": "r", "expression": "object.metadata.name != 'x'", "action": "deny", "remediation": "x"}
Pack = dict[str, Any]


def pack(name: str, *rules: Pack, **spec: Any) -> Pack:
    made = {"contact": "me", **spec, **({"rules": list(rules)} if rules else {})}
    return {"apiVersion": "plimsoll.dev/v1", "kind": "RulePack", "metadata": {"name": name}, "spec": made}


def configmap(text: str, namespace: str = "plimsoll", label: str = "true") -> Pack:
    meta = {"name": "packs", "namespace": namespace, "labels": {"plimsoll.dev/rule-packs": label}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a.yaml": text}}


@pytest.fixture
def ask(review: Callable[..., Review]) -> Callable[..., tuple[list[str], list[str]]]:
    """Vet an object beside packs in force."""

    def make(obj: Pack | None, *in_force: Pack, old: Pack | None = None, stored: Any = None, **request: Any) -> Any:
        sources = [rulepack(each) for each in in_force]
        known = {each["metadata"]["name"]: each for each in stored or ()}
        bases = [rulepack(pack("shipped", RULE))]
        vetter = Vetter(
            lambda: sources,
            lambda texts: ruleset(texts, bases=bases),
            bases,
            namespace="plimsoll",
            stored=known.get,
            now=lambda: NOW,
        )
        some = obj or old or {}
        return vetter(review(obj, old, namespace=some["metadata"].get("namespace", ""), **request))

    return make


def test_a_good_pack_is_let_in_and_a_wrong_one_has_all_its_mistakes(ask: Any) -> None:
    assert ask(pack("a", RULE)) == ([], [])
    problems, _ = ask(pack("a", {**RULE, "action": "x", "odd": 1}, mode="y"))
    assert [line.partition(":")[0] for line in problems] == ["RulePack/a"] * 3


def test_advice_is_about_the_pack_that_is_applied_alone(ask: Any) -> None:
    careless = {**RULE, "remediation": None}
    careless.pop("remediation")
    problems, advice = ask(pack("a", careless), pack("b", careless))
    assert (problems, len(advice)) == ([], 1)
    assert advice[0].startswith("RulePack/a: spec.rules[0].remediation: is missing")


def test_a_name_in_force_is_taken_but_for_the_pack_itself(ask: Any) -> None:
    assert ask(pack("a", RULE), pack("a", RULE, mode="dry-run"), pack("ab", RULE)) == ([], [])
    text = orjson.dumps(pack("a", RULE)).decode()
    [problem] = ask(configmap(text), pack("a", RULE))[0]
    assert "the pack a is loaded twice; the other stands at RulePack/a;" in problem


def test_a_base_may_be_shipped_in_force_or_only_stored_yet(ask: Any) -> None:
    assert ask(pack("own", extends="shipped"))[0] == []
    assert ask(pack("own", extends="base"), pack("base", RULE))[0] == []
    assert ask(pack("own", extends="base"), stored=[pack("base", extends="deep"), pack("deep", RULE)])[0] == []
    assert "no pack is named base" in ask(pack("own", extends="base"))[0][0]


def test_a_base_is_judged_with_those_that_extend_it(ask: Any) -> None:
    more = {"rules": ["old"], "match": {"names": ["x"]}, "reason": "r", "owner": "o", "expires": "2027-01-01"}
    own = pack("own", extends="base", exemptions=[more])
    problems, _ = ask(pack("base", {**RULE, "name": "new"}), pack("base", {**RULE, "name": "old"}), own)
    assert [
        line for line in problems if line.startswith("RulePack/own: spec.exemptions[0].rules[0]: the pack has no rule")
    ]


@pytest.mark.parametrize(
    "request_",
    [
        {"subResource": "status"},
        {"operation": "DELETE"},
    ],
    ids=str,
)
def test_what_changes_no_pack_is_let_in(ask: Any, request_: dict[str, Any]) -> None:
    assert ask(pack("a", {"name": "bad"}), **request_) == ([], [])


def test_a_wrong_pack_that_is_there_may_be_labelled_and_deleted(ask: Any) -> None:
    wrong = pack("a", {"name": "bad"})
    labelled = {**wrong, "metadata": {"name": "a", "labels": {"x": "y"}}}
    assert ask(labelled, old=wrong) == ([], [])
    leaving = {**pack("a", {"name": "other"}), "metadata": {"name": "a", "deletionTimestamp": "2026-11-27T00:00:00Z"}}
    assert ask(leaving, old=wrong) == ([], [])


def test_only_configmaps_of_our_own_namespace_with_the_label_are_packs(ask: Any) -> None:
    assert ask(configmap("a: ["))[0]
    assert ask(configmap("a: [", namespace="shop")) == ([], [])
    assert ask(configmap("a: [", label="false")) == ([], [])
    assert ask({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}}) == ([], [])


@pytest.mark.parametrize("spec", [None, [], "x", {"rules": None}, {"rules": [None]}, {"extends": []}, {"match": 1}])
def test_bad_input_is_a_mistake_and_no_bug(ask: Any, spec: Any) -> None:
    assert ask({**pack("a"), "spec": spec})[0]


def test_the_answer_has_all_that_fits_and_counts_the_rest() -> None:
    few = orjson.loads(answer.vetted("u", "RulePack a", ["one", "two"], []))["response"]
    assert few["status"]["message"] == "RulePack a can't be loaded (2 mistakes):\n\none\ntwo"
    assert (few["uid"], few["allowed"], few["status"]["code"]) == ("u", False, 403)
    many = [f"RulePack/a: spec.rules[{number}]: " + "x" * 100 for number in range(200)]
    message = orjson.loads(answer.vetted("u", "RulePack a", many, []))["response"]["status"]["message"]
    assert len(message.encode()) <= answer.MESSAGE_BYTES
    shown = message.count("spec.rules[")
    assert message.endswith(f"... and {200 - shown} more; `plimsoll lint` on the file shows all")
    fine = orjson.loads(answer.vetted("u", "RulePack a", [], ["line\nbreak", "é" * 500]))["response"]
    assert fine["allowed"] and fine["warnings"][0] == "line break"
    assert all(len(line) <= answer.ADVICE_CHARACTERS for line in fine["warnings"])
