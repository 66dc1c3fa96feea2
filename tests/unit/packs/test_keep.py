"""Of packs that can't be loaded the last good texts stay; all others go on."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from webhook.errors import ConfigError
from webhook.packs.compile import ruleset
from webhook.packs.keep import Kept, keep

Text = tuple[str, str]


def pack(name: str, action: str = "deny", base: str = "", rule: str = "r", exempt: str = "") -> Text:
    """Return a pack as a source; an action that is none makes it a bad one."""
    head = f"apiVersion: plimsoll.dev/v1\nkind: RulePack\nmetadata: {{name: {name}}}\nspec:\n"
    extends = f"  extends: {base}\n" if base else ""
    body = f"  rules:\n  - {{name: {rule}, action: {action}" + ("}\n" if base else ', expression: "true"}\n')
    exemption = f"{{rules: [{exempt}], match: {{names: [x]}}, reason: r, owner: o, expires: 2027-01-01}}"
    return f"RulePack/{name}", head + extends + body + (f"  exemptions:\n  - {exemption}\n" if exempt else "")


class Attempt:
    """Compiles, and counts how often."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, sources: Sequence[Text]) -> None:
        self.count += 1
        ruleset(sources)


@pytest.fixture
def attempt() -> Attempt:
    return Attempt()


def texts(kept: Kept) -> set[Text]:
    return set(kept.good)


def test_what_can_all_be_loaded_is_tried_once_and_in_force(attempt: Attempt) -> None:
    wanted = [pack("a", "warn"), pack("b")]
    kept = keep([pack("a"), pack("gone")], wanted, attempt)
    assert (texts(kept), kept.problems, attempt.count) == (set(wanted), {}, 1)


def test_a_bad_pack_stays_as_it_was_and_all_other_changes_come(attempt: Attempt) -> None:
    before = [pack(name) for name in "abcdefgh"]
    after = [pack(name, "block" if name == "c" else "warn") for name in "abcdefgh"]
    kept = keep(before, [*after, pack("new")], attempt)
    assert texts(kept) == {*after, pack("new"), pack("c")} - {pack("c", "block")}
    [source] = kept.problems
    [problem] = kept.problems[source]
    assert source == "RulePack/c"
    assert str(problem).startswith("RulePack/c: spec.rules[0].action: 'block' is not allowed")
    assert attempt.count <= 10


def test_a_bad_pack_that_was_never_good_is_out_of_force(attempt: Attempt) -> None:
    kept = keep([], [pack("a"), pack("b", "block")], attempt)
    assert texts(kept) == {pack("a")}
    assert list(kept.problems) == ["RulePack/b"]


def test_a_name_that_comes_twice_stays_with_who_had_it(attempt: Attempt) -> None:
    had = ("ConfigMap/x/a.yaml", pack("a")[1])
    kept = keep([had], [pack("a", "warn"), had], attempt)
    assert texts(kept) == {had}
    [problem] = kept.problems["RulePack/a"]
    assert "loaded twice; the other stands at ConfigMap/x/a.yaml:3" in str(problem)


def test_of_two_new_ones_with_one_name_the_first_counts(attempt: Attempt) -> None:
    other = ("ConfigMap/x/a.yaml", pack("a")[1])
    kept = keep([], [pack("a", "warn"), other], attempt)
    assert texts(kept) == {pack("a", "warn")}
    assert "the other stands at RulePack/a; give" in str(kept.problems["ConfigMap/x/a.yaml"][0])


def test_a_base_that_is_gone_stays_for_those_that_extend_it_and_they_have_the_problem(attempt: Attempt) -> None:
    before = [pack("base"), pack("own", "warn", base="base"), pack("other")]
    kept = keep(before, [before[1], pack("other", "warn")], attempt)
    assert texts(kept) == {before[0], before[1], pack("other", "warn")}
    assert list(kept.problems) == ["RulePack/own"]
    assert "no pack is named base" in str(kept.problems["RulePack/own"][0])


def test_a_base_whose_change_breaks_those_that_extend_it_is_held_back_and_both_say_so(attempt: Attempt) -> None:
    before = [pack("base", rule="old"), pack("own", "warn", base="base", rule="more-of-old", exempt="old")]
    before[1] = pack("own", "warn", base="base", rule="old", exempt="old")
    after = [pack("base", rule="new"), before[1]]
    kept = keep(before, after, attempt)
    assert texts(kept) == set(before)
    assert set(kept.problems) == {"RulePack/base", "RulePack/own"}


def test_two_that_belong_together_change_together_though_another_is_bad(attempt: Attempt) -> None:
    before = [pack("base", rule="old"), pack("own", "warn", base="base", rule="old", exempt="old"), pack("z")]
    after = [pack("base", rule="new"), pack("own", "warn", base="base", rule="new", exempt="new"), pack("z", "block")]
    kept = keep(before, after, attempt)
    assert texts(kept) == {*after[:2], before[2]}
    assert list(kept.problems) == ["RulePack/z"]


def test_a_pack_whose_base_is_bad_waits_for_it(attempt: Attempt) -> None:
    kept = keep([], [pack("base", "block"), pack("own", "warn", base="base")], attempt)
    assert texts(kept) == set()
    assert set(kept.problems) == {"RulePack/base", "RulePack/own"}
    kept = keep([], [pack("own", "warn", base="base"), pack("base"), pack("bad", "block")], attempt)
    assert texts(kept) == {pack("base"), pack("own", "warn", base="base")}


def test_what_is_no_yaml_and_what_is_empty_is_bad_as_well(attempt: Attempt) -> None:
    for text in ("", "a: [", "- 1", "\x00"):
        kept = keep([pack("a")], [("RulePack/a", text), pack("b")], attempt)
        assert texts(kept) == {pack("a"), pack("b")}
        assert kept.problems["RulePack/a"]


def test_a_rule_that_waits_for_an_unknown_base_is_no_bug(attempt: Attempt) -> None:
    with pytest.raises(ConfigError, match="no pack is named nope"):
        ruleset([pack("own", "warn", base="nope")])
