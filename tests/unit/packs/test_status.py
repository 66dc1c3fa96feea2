"""The status of a pack says what is in force, what is not and why, and is written for a difference only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from webhook.errors import Problem
from webhook.packs.rule import Ruleset
from webhook.packs.served import last_good, rulepack
from webhook.packs.status import ROOM, Counted, change, condition, differs, status, told

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
RULES = [{"name": name, "expression": "true", "action": "deny"} for name in ("one", "two")]
PACK: dict[str, Any] = {
    "apiVersion": "plimsoll.dev/v1",
    "kind": "RulePack",
    "metadata": {"name": "acme", "generation": 3},
    "spec": {"version": "7", "rules": RULES},
}
SOURCE = "RulePack/acme"
WRONG = [Problem(SOURCE, 0, "spec.mode", "'x' is not allowed"), Problem(SOURCE, 0, "spec.rules[0]", "is odd")]


def compiled() -> Ruleset:
    from webhook.packs.compile import ruleset

    return ruleset([rulepack(PACK)])


def made(obj: dict[str, Any] = PACK, good: bool = True, wrong: list[Problem] | None = None, **more: Any) -> Any:
    rules = more.pop("rules", None) or compiled()
    return status(obj, SOURCE, frozenset([SOURCE] if good else []), wrong or [], rules, more.pop("now", NOW), **more)


def test_a_pack_in_force_says_which_version_and_how_many_rules() -> None:
    found = made()
    [loaded] = found["conditions"]
    assert (loaded["type"], loaded["status"], loaded["reason"]) == ("Loaded", "True", "Loaded")
    assert (found["version"], found["rules"], found["observedGeneration"]) == ("7", 2, 3)
    assert loaded["lastTransitionTime"] == "2026-11-27T12:00:00Z"


def test_all_mistakes_stand_in_the_condition_with_what_is_in_force_meanwhile() -> None:
    [kept] = made(wrong=WRONG)["conditions"]
    assert (kept["status"], kept["reason"]) == ("False", "LastGoodKept")
    assert kept["message"].splitlines()[1:] == [str(problem) for problem in WRONG]
    [never] = made(wrong=WRONG, good=False)["conditions"]
    assert (never["reason"], "not in force" in never["message"]) == ("Invalid", True)


def test_a_condition_that_stays_keeps_its_time() -> None:
    first = made()
    obj = {**PACK, "status": first}
    later = made(obj, now=NOW + timedelta(hours=1))
    assert later == first and not differs(obj, later)
    broken = made(obj, wrong=WRONG, now=NOW + timedelta(hours=1))
    assert broken["conditions"][0]["lastTransitionTime"] == "2026-11-27T13:00:00Z"
    assert differs(obj, broken)
    assert condition({**PACK, "status": broken})["status"] == "False"


def test_counts_are_those_of_one_pod_and_say_so() -> None:
    findings = {("acme", "two", "deny"): 3, ("acme", "one", "warn"): 1, ("acme", "one", "none"): 9}
    counted = Counted("plimsoll-0", NOW, {**findings, ("other", "one", "deny"): 5})
    found = made(counted=counted)["findings"]
    assert found == {
        "observedBy": "plimsoll-0",
        "since": "2026-11-27T12:00:00Z",
        "denied": 3,
        "rules": [{"name": "one", "warned": 1}, {"name": "two", "denied": 3}],
    }
    assert not differs({**PACK, "status": made()}, made(counted=counted)), "counts alone are no difference"


def test_a_rule_that_was_taken_out_of_the_pack_is_counted_no_more() -> None:
    counted = Counted("plimsoll-0", NOW, {("acme", "gone", "deny"): 3, ("acme", "one", "deny"): 1})
    found = made(counted=counted)["findings"]
    assert (found["denied"], found["rules"]) == (1, [{"name": "one", "denied": 1}])


def test_a_pack_that_another_extends_is_loaded_and_judges_no_more_by_itself(load: Callable[..., Ruleset]) -> None:
    found = made(rules=load("rules: [{name: r, expression: 'true', action: deny}]"))
    assert (found["conditions"][0]["reason"], found["rules"], found["version"]) == ("Extended", 0, None)


def test_a_long_message_is_cut_between_lines_with_a_count() -> None:
    many = [Problem(SOURCE, 0, f"spec.rules[{number}]", "x" * 50) for number in range(100)]
    text = told(many, "lead", 1000)
    assert len(text) <= 1000
    assert text.endswith(f"... and {100 - text.count('spec.rules')} more")
    assert len(told([Problem(SOURCE, 0, "", "x" * 5000)], "lead", 1000)) <= 1000


def test_the_last_good_text_is_kept_while_another_is_written_and_taken_away_when_that_loads() -> None:
    broken = {**PACK, "spec": {**PACK["spec"], "mode": "x"}}
    text = rulepack(PACK)[1]
    found = made(broken, wrong=WRONG, kept=text)
    assert found["lastGood"] == text
    stored = {**broken, "status": found}
    assert last_good(stored) == (SOURCE, text)
    assert "lastGood" not in change(stored, made(stored, wrong=WRONG, kept=text)), "it is not sent again"
    mended = {**PACK, "status": found}
    assert change(mended, made(mended))["lastGood"] is None


def test_a_replica_that_has_no_good_text_leaves_the_one_that_is_kept() -> None:
    stored = {**PACK, "status": {"lastGood": rulepack(PACK)[1]}}
    assert "lastGood" not in made(stored, good=False, wrong=WRONG)


def test_a_pack_that_is_good_but_for_another_needs_no_copy() -> None:
    assert made(wrong=WRONG, kept=rulepack(PACK)[1])["lastGood"] is None


def test_what_is_too_large_to_be_kept_is_said() -> None:
    text = rulepack({**PACK, "spec": {**PACK["spec"], "description": "x" * ROOM}})[1]
    found = made(wrong=WRONG, kept=text)
    assert found["lastGood"] is None
    [condition] = found["conditions"]
    assert "too large to be kept for one that starts" in condition["message"].splitlines()[0]


def test_a_text_that_is_kept_is_of_its_own_pack_and_of_no_other() -> None:
    other = rulepack({**PACK, "metadata": {"name": "other"}})[1]
    assert last_good({**PACK, "status": {"lastGood": other}}) == rulepack(PACK)
    for odd in ("", "{", "[]", "7", 7, None, "[" * 5000):
        assert last_good({**PACK, "status": {"lastGood": odd}}) is None
