"""YAML that is written: each reader here takes it for what it was, and so does kubectl's."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as some

from webhook.cli import yamltext
from webhook.cli.emit import yaml_text
from webhook.packs.parse import documents

TEXT = some.text(some.characters(min_codepoint=0x20, max_codepoint=0x7E) | some.sampled_from("\nä☃"), max_size=30)
VALUES = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**53), 2**53) | TEXT,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)


def read(text: str) -> list[Any]:
    """Return what each reader takes a text for."""
    [ours] = documents("x.yaml", text)
    [kubectls] = yamltext.trees("x.yaml", text)
    return [ours.value, kubectls.value, yaml.safe_load(text)]


TRAPS = [
    *("12e45", "1e3", "7e10", "0o17", "0777", "0x1F", ".5", "1_000", "on", "yes", "y", "null", "~", "", "2026-11-26"),
    *(
        "12:30:45",
        ".inf",
        "1e999",
        "a: b",
        "- a",
        "#",
        "a #b",
        "*a",
        "&a",
        "!a",
        " a ",
        "line\nline\n",
        "{a}",
        "'",
        '"',
    ),
]


@pytest.mark.parametrize("text", TRAPS)
def test_text_stays_text(text: str) -> None:
    assert read(yaml_text({"a": text, "b": [text]})) == [{"a": text, "b": [text]}] * 3


@given(VALUES)
def test_values_come_back(value: Any) -> None:
    assert read(yaml_text({"a": value})) == [{"a": value}] * 3


def test_the_same_value_twice_is_written_twice() -> None:
    shared = {"b": [1]}
    assert yaml_text({"x": shared, "z": shared}) == "x:\n  b:\n    - 1\nz:\n  b:\n    - 1\n"
