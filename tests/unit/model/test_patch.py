"""A draft: writes become a minimal patch, a second writer is refused, and nothing else moves."""

from __future__ import annotations

import copy

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.errors import RuleError
from webhook.model.patch import Conflict, Draft, apply


def draft(document, rule="pack/one"):
    made = Draft.of(document)
    made.rule = rule
    return made


def test_a_write_makes_missing_parents_in_one_operation():
    made = draft({"a": {}})
    assert made.put("/a/b/c", 1)
    assert made.operations == [{"op": "add", "path": "/a/b", "value": {"c": 1}}]
    assert made.document == {"a": {"b": {"c": 1}}}


def test_what_is_there_already_is_not_written_again():
    made = draft({"a": {"b": [1]}})
    assert not made.put("/a/b", [1])
    assert made.operations == []


def test_another_value_replaces():
    made = draft({"a": 1, "b": [1, 2]})
    assert made.put("/a", 2) and made.put("/b/1", 3)
    assert [operation["op"] for operation in made.operations] == ["replace", "replace"]
    assert made.document == {"a": 2, "b": [1, 3]}


def test_appending_makes_the_list_and_never_appends_what_it_has():
    made = draft({})
    assert made.put("/a/-", {"x": 1})
    assert not made.put("/a/-", {"x": 1})
    assert not made.put("/a/-/x", 1)
    assert made.put("/a/-", {"x": 2})
    assert made.document == {"a": [{"x": 1}, {"x": 2}]}
    assert apply({}, made.operations) == made.document


def test_slashes_and_tildes_in_keys_are_kept_apart():
    made = draft({"labels": {"a": {}}})
    assert made.put("/labels/example.com~1team~0x", "y")
    assert made.document == {"labels": {"a": {}, "example.com/team~x": "y"}}
    assert apply({"labels": {"a": {}}}, made.operations) == made.document
    assert made.remove("/labels/example.com~1team~0x")
    assert apply({"labels": {"a": {}}}, made.operations) == {"labels": {"a": {}}}


@pytest.mark.parametrize("pointer", ["/a/b", "/l/x", "/l/7", "/l/0/z", "/l/-1", "/-", "/o/-"])
def test_what_cannot_hold_a_value_is_an_error_that_says_where(pointer):
    made = draft({"a": "text", "l": ["x"], "o": {}})
    with pytest.raises(RuleError, match="nothing can be written at"):
        made.put(pointer, 1)
    assert made.operations == []


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        ("/a", "/a", True),
        ("/a/b", "/a", True),
        ("/a/b/c", "/a/b", True),
        ("/new", "/new/key", False),
        ("/a/b", "/a/c", False),
        ("/ab", "/a", False),
    ],
)
def test_a_second_rule_may_write_beside_but_not_over(first, second, refused):
    made = draft({"a": {"c": 1}})
    made.put(first, {"x": 1})
    made.rule = "pack/two"
    assert made.put(second, 2) is not refused
    assert list(made.conflicts) == ([Conflict("pack/two", second, "pack/one")] if refused else [])


def test_inside_of_what_another_rule_wrote_existing_values_stay_and_new_keys_come():
    made = draft({})
    made.put("/a", {"x": 1})
    made.rule = "pack/two"
    assert not made.put("/a/x", 2)
    assert not made.remove("/a/x")
    assert made.put("/a/y", 2)
    assert made.document == {"a": {"x": 1, "y": 2}}


def test_a_rule_may_write_over_itself():
    made = draft({})
    assert made.put("/a", 1) and made.put("/a", 2)
    assert made.conflicts == {}


def test_taking_back_forgets_who_wrote():
    made = draft({"a": {}})
    made.put("/a/b", 1)
    made.rule = "pack/two"
    made.put("/a/c", 2)
    made.rewind(1)
    assert made.document == {"a": {"b": 1}}
    made.rule = "pack/three"
    assert made.put("/a/c", 3)
    assert not made.put("/a/b", 3)
    assert apply({"a": {}}, made.operations) == made.document


def test_the_original_is_never_touched():
    original = {"a": {"b": [1]}}
    made = draft(original)
    made.put("/a/b/-", 2)
    made.remove("/a/b/0")
    assert original == {"a": {"b": [1]}}
    assert apply(original, made.operations) == made.document
    assert original == {"a": {"b": [1]}}


KEYS = st.sampled_from(["a", "b", "a/b", "~", "0", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(st.characters(codec="utf-8"), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
WRITES = st.lists(
    st.tuples(st.sampled_from(["one", "two"]), st.lists(KEYS | st.just("-"), min_size=1, max_size=3), VALUES),
    max_size=6,
)


@settings(max_examples=150)
@given(st.dictionaries(KEYS, VALUES, max_size=4), WRITES)
def test_the_patch_always_makes_what_the_draft_holds_and_leaves_the_rest_byte_equal(original, writes):
    before = copy.deepcopy(original)
    made = Draft.of(original)
    touched = set()
    for rule, tokens, value in writes:
        made.rule = rule
        pointer = "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in tokens)
        try:
            touched |= {tokens[0]} if made.put(pointer, value) else set()
        except RuleError:
            continue
    assert apply(original, made.operations) == made.document
    assert original == before
    for key in set(original) - touched:
        assert orjson.dumps(made.document[key]) == orjson.dumps(before[key])
