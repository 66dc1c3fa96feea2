from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

import webhook
from webhook.packs import load as packs_load
from webhook.packs.load import load
from webhook.packs.parse import Document, Place, scan
from webhook.packs.parse import Path as YamlPath

GOLDEN = Path(__file__).parents[2] / "golden" / "packs"


@dataclass(frozen=True)
class Fake:
    ID: str
    PARAMS: dict[str, Any]
    DEFAULTS: dict[str, Any] = field(default_factory=dict)


TEXTS = {"type": "array", "items": {"type": "string"}}
CHECKS = {
    name: Fake(name, {"type": "object", "required": [key], "properties": {key: TEXTS}})
    for name, key in (("requests-equal-limits", "resources"), ("approved-image", "repositories"))
}


def spec(name: str, *lines: str) -> str:
    head = ["apiVersion: plimsoll.dev/v1", "kind: RulePack", f"metadata: {{name: {name}}}", "spec:", '  version: "1"']
    return "\n".join([*head, *(f"  {line}" for line in lines), ""])


SOUND = "rules: [{name: a, action: deny, expression: 'true'}]"


def both(*texts: str) -> tuple[list[str], list[str]]:
    loaded = load([(f"p{number}.yaml", text) for number, text in enumerate(texts)], CHECKS)
    return [pack.value["metadata"]["name"] for pack in loaded.sound], [str(problem) for problem in loaded.problems]


def test_ten_mistakes_give_ten_errors() -> None:
    name = "ten-mistakes.yaml"
    loaded = load([(name, (GOLDEN / name).read_text())], CHECKS)
    wanted = (GOLDEN / "ten-mistakes.txt").read_text().replace("{version}", webhook.__version__)
    assert (loaded.sound, "".join(f"{problem}\n" for problem in loaded.problems)) == ((), wanted)
    assert len(loaded.problems) == 10


def test_the_golden_files_are_these() -> None:
    assert sorted(path.name for path in GOLDEN.glob("ten-*")) == ["ten-mistakes.txt", "ten-mistakes.yaml"]


def test_sound_packs_come_whole() -> None:
    base = spec("base", "values: {names: [x]}", SOUND[:-2] + ", match: {names: '${values.names}'}}]")
    top = spec("top", "extends: base", "values: {names: [y]}")
    loaded = load([("top", top + "---\n" + base)], CHECKS)
    assert loaded.problems == ()
    assert [pack.value["spec"]["rules"][0]["match"]["names"] for pack in loaded.sound] == [["y"]]


def test_a_pack_that_another_one_extends_does_not_judge_by_itself() -> None:
    base, top = spec("base", SOUND), spec("top", "extends: base")
    assert both(base, top) == (["top"], [])
    assert both(base) == (["base"], [])


def test_a_lent_base_may_be_extended_and_judges_never_by_itself() -> None:
    texts, bases = (
        [("top", spec("top", "extends: middle"))],
        [("b", spec("middle", "extends: base")), ("c", spec("base", SOUND))],
    )
    loaded = load(texts, CHECKS, bases)
    assert loaded.problems == ()
    assert [pack.value["metadata"]["name"] for pack in loaded.sound] == ["top"]
    assert [rule["name"] for rule in loaded.sound[0].value["spec"]["rules"]] == ["a"]
    assert load([("top", spec("top", SOUND))], CHECKS, bases).sound[0].value["metadata"]["name"] == "top"


def test_a_pack_of_the_name_of_a_lent_base_takes_its_place() -> None:
    own = spec("base", SOUND.replace("name: a", "name: mine"))
    loaded = load([("own", own), ("top", spec("top", "extends: base"))], CHECKS, [("c", spec("base", SOUND))])
    assert [rule["name"] for rule in loaded.sound[0].value["spec"]["rules"]] == ["mine"]


def test_mistakes_of_reading_and_of_meaning_are_told_together() -> None:
    text = spec("a", SOUND, "mode: &x enforce", "mod: *x", "description: 5")
    assert both(text) == ([], [
        "p0.yaml:7: spec.mode: anchors (&x) are not allowed; write the value out",
        "p0.yaml:8: spec.mod: aliases (*x) are not allowed; write the value out",
        'p0.yaml:9: spec.description: 5 is a number; wanted text: quote it, "5"',
    ])  # fmt: skip


def test_a_mistake_in_a_base_is_told_once() -> None:
    base = spec("base", "rules: [{name: a, expression: 'true', fix: 5}]")
    names, problems = both(base, spec("top", "extends: base"), spec("other", "extends: base"))
    assert names == []
    assert problems == [
        "p0.yaml:6: spec.rules[0].action: is missing; wanted deny, warn, audit or disabled",
        "p0.yaml:6: spec.rules[0].fix: 5 is a number; wanted true or false",
    ]


def test_a_wrong_value_is_told_once_however_many_rules_use_it() -> None:
    rules = ", ".join(
        f"{{name: r{i}, action: deny, check: approved-image, params: {{repositories: '${{values.a}}'}}}}"
        for i in range(2)
    )
    problems = both(spec("a", "values: {a: [5]}", f"rules: [{rules}]"))[1]
    assert problems == [
        'p0.yaml:6: spec.values.a[0]: 5 is a number; wanted text: quote it, "5" (used by rule r0, params.repositories)'
    ]


def test_sound_packs_are_given_beside_the_mistakes_of_others() -> None:
    names, problems = both(spec("good", SOUND), spec("bad", SOUND, "mode: x"), "a: [")
    assert names == ["good"]
    assert [problem.split(":")[0] for problem in problems] == ["p1.yaml", "p2.yaml"]


def test_no_pack_of_a_text_with_a_mistake_is_sound_nor_one_that_extends_it() -> None:
    names, _ = both(spec("base", SOUND) + "---\n- 1\n", spec("top", "extends: base"))
    assert names == []


def test_a_base_that_could_not_be_read_is_not_said_to_be_unknown() -> None:
    assert len(both("metadata: {name: base\n", spec("top", "extends: base"))[1]) == 1
    assert "no pack is named base" in both(spec("top", "extends: base"))[1][0]


def test_a_text_without_a_pack_is_an_error() -> None:
    assert both("", "# only words\n---\n")[1] == [
        f"p{number}.yaml: holds no pack; wanted a document with kind: RulePack" for number in range(2)
    ]


def test_documents_of_other_kinds_are_one_error_each() -> None:
    problems = both(spec("a", SOUND) + "---\nkind: RulePackTest\n---\nkind: ConfigMap\n---\nkind: Pod\n")[1]
    assert [problem.split(" is no pack")[0] for problem in problems] == [
        "p0.yaml:8: kind: a RulePackTest",
        "p0.yaml:10: kind: a ConfigMap",
        "p0.yaml:12: kind: 'Pod'",
    ]


def test_a_list_as_kubectl_prints_it_is_taken_apart_and_keeps_its_places() -> None:
    listed = "apiVersion: v1\nkind: List\nitems:\n" + "".join(
        "- " + spec(name, *lines).replace("\n", "\n  ").rstrip() + "\n"
        for name, lines in (("a", (SOUND,)), ("b", (SOUND, "mode: x")))
    )
    names, problems = both(listed)
    assert names == ["a"]
    assert problems == ["p0.yaml:16: items[1].spec.mode: 'x' is not allowed; allowed: enforce, dry-run, disabled"]


def test_a_name_loaded_twice_names_both_places() -> None:
    problems = both(spec("a", SOUND), spec("a", SOUND))[1]
    assert problems == [
        "p1.yaml:3: metadata.name: the pack a is loaded twice; the other stands at p0.yaml:3; "
        "give one another name, or load one"
    ]


LINES = st.sampled_from(
    (GOLDEN / "ten-mistakes.yaml").read_text().splitlines() + ["---", "  extends: ten-mistakes", "  - {}"]
)


@given(st.lists(LINES, max_size=40).map("\n".join))
def test_whatever_a_text_holds_it_gives_packs_or_problems(text: str) -> None:
    loaded = load([("p.yaml", text)], CHECKS)
    packs, problems = loaded.sound, loaded.problems
    assert packs or problems
    assert all(problem.source == "p.yaml" for problem in problems)


@pytest.mark.parametrize("line", range(len((GOLDEN / "ten-mistakes.yaml").read_text().splitlines())))
def test_a_pack_that_is_cut_off_is_never_sound(line: int) -> None:
    text = "\n".join((GOLDEN / "ten-mistakes.yaml").read_text().splitlines()[:line])
    assert load([("p.yaml", text)], CHECKS).sound == ()


class Counted(dict[YamlPath, Place]):
    """Places that count how often they are gone through."""

    passes = 0

    def items(self) -> Any:
        self.passes += 1
        return super().items()


def test_a_long_list_is_taken_apart_in_one_pass() -> None:
    ((document,), _) = scan("p.yaml", "kind: List\nitems:\n" + "- {kind: RulePack}\n" * 50)
    places = Counted(document.places)
    assert len(packs_load._listed(Document(document.value, places, document.starts))) == 50
    assert places.passes == 1
