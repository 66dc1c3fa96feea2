from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from webhook.errors import ConfigError
from webhook.packs import parse
from webhook.packs.parse import DEPTH, NODES, PROBLEMS, SIZE, Document, documents, render


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        documents("pack.yaml", text)
    return [str(problem) for problem in caught.value.problems]


def one(text: str) -> Document:
    (document,) = documents("pack.yaml", text)
    return document


@pytest.mark.parametrize(
    "text",
    ["on", "off", "yes", "no", "y", "n", "0777", "-012", "12:30:45", "190:20", "2026-12-01", "1_000", "0b1", "0o8"]
    + ["2026-12-01T10:00:00Z", "=", "1.2.3", "+", "-", ".", "0x", "1e", "Nullify", "tRUE", "00", "01.5", "256Mi"],
)
def test_words_that_yaml_1_1_changes_stay_text(text: str) -> None:
    assert one(f"a: {text if text != '-' else '-x'}").value == {"a": text if text != "-" else "-x"}


@pytest.mark.parametrize(
    ("text", "value"),
    [("", None), ("~", None), ("null", None), ("NULL", None), ("true", True), ("False", False), ("0", 0), ("-7", -7)]
    + [
        ("+3", 3),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.50", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("-0.1E-2", -0.001),
    ]
    + [("9223372036854775807", 2**63 - 1), ("-9223372036854775808", -(2**63))],
)
def test_scalars_of_the_core_schema_have_their_type(text: str, value: object) -> None:
    found = one(f"a: {text}").value["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["true", "1", "~", "1.5", "null", ".inf"])
def test_what_is_quoted_is_text(text: str) -> None:
    assert one(f"a: '{text}'\nb: \"{text}\"\nc: |-\n  {text}\n").value == {"a": text, "b": text, "c": text}


@pytest.mark.parametrize(
    "text", [".inf", "-.INF", ".nan", "1e400", "9223372036854775808", "0x8000000000000000", "1" * 5000]
)
def test_numbers_that_json_does_not_have_are_errors(text: str) -> None:
    (mistake,) = mistakes(f"b: 1\na: {text}")
    assert mistake.startswith("pack.yaml:2: a: ")
    assert "quote it" in mistake


def test_all_mistakes_are_told_at_once_each_with_its_line() -> None:
    text = 'a: &x 1\nb: *x\n? [1]\n: 2\n1: x\n<<: {}\na: 2\nc: !!binary aGk=\nd: .inf\ne: "\\0"\n? *x\n: 1\n'
    assert mistakes(text) == [
        "pack.yaml:1: a: anchors (&x) are not allowed; write the value out",
        "pack.yaml:2: b: aliases (*x) are not allowed; write the value out",
        "pack.yaml:3: a mapping or list cannot be a key; wanted text",
        'pack.yaml:5: ["1"]: a key is text, 1 is not; quote it: "1"',
        'pack.yaml:6: ["<<"]: merge keys (<<) are not allowed; write the keys out',
        "pack.yaml:7: a: the key is given twice, first in line 1; keep one",
        "pack.yaml:8: c: tags (tag:yaml.org,2002:binary) are not allowed; leave it out, or quote the text",
        "pack.yaml:9: d: .inf is no number that JSON has; quote it, or write another number",
        "pack.yaml:10: e: the control character U+0000 is not allowed in text",
        "pack.yaml:11: aliases (*x) are not allowed; write the value out",
    ]


@pytest.mark.parametrize("key", ["true", "null", "1.5", "~", ".nan", ""])
def test_a_key_that_is_not_text_is_an_error(key: str) -> None:
    (mistake,) = mistakes(f"a:\n  ? {key}\n  : 1\n")
    assert "a key is text" in mistake


def test_keys_that_only_yaml_1_1_takes_for_something_else_are_text() -> None:
    assert one("on: 1\nyes: 2\n2026-12-01: 3\n'1': 4\n").value == {"on": 1, "yes": 2, "2026-12-01": 3, "1": 4}


def test_a_cycle_is_refused() -> None:
    assert any("aliases" in mistake for mistake in mistakes("a: &x\n  b: *x\n"))


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    bomb = "a: &a [x,x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{f'*{chr(97 + i)},' * 9}]\n" for i in range(9))
    assert all("not allowed" in mistake for mistake in mistakes(bomb))


def test_depth_is_limited() -> None:
    assert one("a: " + "[" * (DEPTH - 1) + "]" * (DEPTH - 1)).value["a"] is not None
    assert "deeper than 64" in mistakes("a: " + "[" * DEPTH + "]" * DEPTH)[0]
    assert "deeper than 64" in mistakes("a: " + "[" * 500_000)[0]
    assert "deeper than 64" in mistakes("".join(" " * i + "a:\n" for i in range(DEPTH + 1)))[0]


def test_size_is_limited_in_bytes() -> None:
    fits = "a: " + "é" * ((SIZE - 3) // 2)
    assert one(fits)
    assert mistakes(fits + "é") == [
        f"pack.yaml: too large: {SIZE + 1} bytes; at most {SIZE} (1 MiB) are read; split it"
    ]


def test_the_number_of_values_is_limited() -> None:
    assert "more than 100000 keys and values" in mistakes("a: [" + "1," * NODES + "]")[0]


def test_the_number_of_mistakes_is_limited() -> None:
    assert len(mistakes("".join(f"k{i}: *x\n" for i in range(1000)))) == PROBLEMS


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x7f", "\ud800", "\ufffe"])
def test_binary_is_refused_with_its_line(character: str) -> None:
    (mistake,) = mistakes(f"a: 1\nb: '{character}'")
    assert mistake.startswith("pack.yaml:2: the character U+")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a:\n\t- b\n", 2, "indent with spaces"),
        ("a: @x\n", 1, "cannot begin with @"),
        ("a: 1\nb: `x`\n", 2, "cannot begin with `"),
        ("a: [1\nb: 2\n", 2, "begins with [ is not closed"),
        ("a: {b: 1\n", 2, "begins with { is not closed"),
        ("a: 'x\n\n", 3, "quote is opened and never closed (begun in line 1)"),
        ("a: b\n c: d\n", 2, "check the indentation"),
        ("a: b: c\n", 1, "quote the text"),
        ("a:\n  b: 1\n c: 2\n", 3, "indentation does not fit"),
        ('a: "\\q"\n', 1, "escape is not known"),
        ("a: 1\n...\nb: 1\n", 3, "after the end of the document"),
        ("a: !u!x 1\n", 1, "tags (!) are not allowed"),
    ],
)
def test_a_syntax_error_is_told_in_plain_words(text: str, line: int, words: str) -> None:
    (mistake,) = mistakes(text)
    assert mistake.startswith(f"pack.yaml:{line}: ")
    assert words in mistake


def test_the_python_parser_gives_the_same_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["a:\n\t- b\n", "a: @x\n", "a: b\n c: d\n", "a: b: c\n", "a:\n  b: 1\n c: 2\n", "a: *x\nb: &y 1\na: 2"]
    before = [mistakes(text) for text in texts]
    monkeypatch.setattr(parse, "_LOADER", yaml.SafeLoader)
    assert [mistakes(text) for text in texts] == before


def test_what_comes_before_a_syntax_error_is_told_too() -> None:
    assert len(mistakes("a: 1\na: 2\nb: [\n")) == 2


def test_a_document_that_is_no_mapping_is_an_error() -> None:
    assert mistakes("a: 1\n---\n- 1\n---\ntext\n") == [
        "pack.yaml:3: the document is a list; wanted a mapping (`key: value`)",
        "pack.yaml:5: the document is a single value; wanted a mapping (`key: value`)",
    ]


def test_empty_documents_are_left_out() -> None:
    assert documents("pack.yaml", "# nothing\n---\n---\na: 1\n---\n") == [one("\n\n\na: 1")]
    assert documents("pack.yaml", "") == []


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert one("\ufeffa: 1").value == {"a": 1}


def test_json_is_read_with_places() -> None:
    document = one(json.dumps({"a": {"b": ["x", 1.5, None, True]}}, indent=2))
    assert document.value == {"a": {"b": ["x", 1.5, None, True]}}
    assert document.place(("a", "b", 3)).line == 7


TEXT = """\
a:
  b:
    - x
    - {c: 12}
  d: |
    text
---
e: 1
"""


def test_every_key_and_element_has_its_place() -> None:
    document, other = documents("pack.yaml", TEXT)
    lines = {path: (place.line, place.column) for path, place in document.places.items()}
    assert lines == {
        (): (1, 1),
        ("a",): (1, 1),
        ("a", "b"): (2, 3),
        ("a", "b", 0): (3, 7),
        ("a", "b", 1): (4, 7),
        ("a", "b", 1, "c"): (4, 8),
        ("a", "d"): (5, 3),
    }
    assert other.place(("e",)).line == 8


def test_a_value_has_a_place_of_its_own_and_what_was_written() -> None:
    document, _ = documents("pack.yaml", TEXT)
    assert (document.value_place(("a", "b", 1, "c")).column, document.value_place(("a", "b", 1, "c")).text) == (
        11,
        "12",
    )
    assert document.value_place(("a", "b")).line == 3
    assert document.value_place(("a", "d")).text == ""


def test_an_unknown_path_has_the_place_of_its_nearest_ancestor() -> None:
    document, _ = documents("pack.yaml", TEXT)
    assert document.place(("a", "b", 1, "z", 7)).line == 4
    assert str(document.problem(("a", "b", 1, "z"), "is missing")) == "pack.yaml:4: a.b[1].z: is missing"
    assert document.place(("nothing",)).line == 1


def test_paths_are_written_as_people_read_them() -> None:
    assert render(("spec", "rules", 2, "action")) == "spec.rules[2].action"
    assert render(("metadata", "labels", "a.b/c")) == 'metadata.labels["a.b/c"]'
    assert render(()) == ""


SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=8)
TREES = st.dictionaries(
    WORDS,
    st.recursive(
        SCALARS | WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3)
    ),
    max_size=4,
)


@given(TREES)
def test_json_comes_back_as_it_was(tree: dict[str, object]) -> None:
    found = one(json.dumps(tree, ensure_ascii=False))
    assert found.value == tree
    assert repr(found.value) == repr(tree)


@given(TREES)
def test_every_place_lies_in_the_text_and_leads_to_a_value(tree: dict[str, object]) -> None:
    text = json.dumps(tree, indent=1, ensure_ascii=False)
    document = one(text)
    for path, place in document.places.items():
        value: object = document.value
        for part in path:
            value = value[part]  # type: ignore[index]
        assert 1 <= place.line <= text.count("\n") + 1
        assert place.path == path


PIECES = [
    "a",
    ": ",
    "- ",
    "\n",
    "  ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&x",
    "*x",
    "!",
    "!!int",
    "|",
    ">",
    "'",
    '"',
    "? ",
    "<<",
]
PIECES += [
    "\\",
    "\t",
    "#",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "%TAG ! x\n",
    "1",
    "1e999",
    ".inf",
    "0x",
    "\\ud800",
    "\ufeff",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=40).map("".join))
def test_any_text_gives_documents_or_a_config_error(text: str) -> None:
    try:
        found = documents("pack.yaml", text)
    except ConfigError as error:
        assert all(problem.source == "pack.yaml" and problem.text for problem in error.problems)
        breaks = sum(text.count(character) for character in "\n\r\x85\u2028\u2029")
        assert all(0 <= problem.line <= breaks + 2 for problem in error.problems)
    else:
        assert all(isinstance(document.value, dict) for document in found)
        json.dumps([document.value for document in found], allow_nan=False).encode()


@given(st.text(st.characters()))
def test_no_text_at_all_brings_the_parser_down(text: str) -> None:
    try:
        documents("pack.yaml", text)
    except ConfigError as error:
        assert error.problems


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_written_by_json_keep_their_value(number: float) -> None:
    found = one(f"a: {json.dumps(number)}").value["a"]
    assert found == number
