"""Paths by whole segments, and patterns of them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.model.path import Pattern, directory, inside, segments, text


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/", ()),
        ("", ()),
        ("/a/b", ("a", "b")),
        ("//a///b//", ("a", "b")),
        ("/a/./b/.", ("a", "b")),
        ("/a/../b", ("b",)),
        ("/../../a", ("a",)),
        ("/a/b/../..", ()),
        ("a/b", ("a", "b")),
        ("/a/...", ("a", "...")),
        ("/a/ b", ("a", " b")),
    ],
)
def test_a_path_is_its_resolved_segments(path: str, found: tuple[str, ...]) -> None:
    assert segments(path) == found


def test_a_relative_path_is_read_from_its_base() -> None:
    assert segments("logs/../x", ("srv", "web")) == ("srv", "web", "x")
    assert segments("../../../etc", ("srv", "web")) == ("etc",)
    assert segments("/abs", ("srv",)) == ("abs",)


def test_a_directory_holds_itself_and_what_lies_below_it() -> None:
    assert inside(segments("/a/b"), segments("/a/b"))
    assert inside(segments("/a/b/c"), segments("/a/b"))
    assert not inside(segments("/a/bc"), segments("/a/b"))
    assert not inside(segments("/a"), segments("/a/b"))


@given(st.lists(st.sampled_from(["a", "b", "..", ".", ""]), max_size=8))
def test_what_is_written_out_reads_the_same_again(parts: list[str]) -> None:
    once = segments("/" + "/".join(parts))
    assert segments(text(once)) == once
    assert ".." not in once


@pytest.mark.parametrize(
    ("pattern", "path", "at", "above", "holds"),
    [
        ("/a/b", "/a/b", True, True, True),
        ("/a/b", "/a", False, True, False),
        ("/a/b", "/a/b/c", False, False, True),
        ("/a/b", "/", False, False, False),
        ("/a/*", "/a/x", True, True, True),
        ("/a/*", "/a", False, True, False),
        ("/a/**", "/a", True, True, True),
        ("/a/**", "/a/x/y", True, True, True),
        ("/a/**/z", "/a/x/y", False, True, False),
        ("/a/**/z", "/a/x/z/q", False, True, True),
        ("/a/**/z", "/a/z", True, True, True),
        ("/a/**/**/z", "/a/z", True, True, True),
        ("/a/x?/z", "/a/x/z", False, False, False),
    ],
)
def test_a_pattern_says_what_is_at_above_and_below_it(
    pattern: str, path: str, at: bool, above: bool, holds: bool
) -> None:
    compiled, found = Pattern.of(pattern), segments(path)
    assert (compiled.at(found), compiled.above(found), compiled.holds(found)) == (at, above, holds)


def test_no_pattern_takes_more_than_linear_time() -> None:
    pattern = Pattern.of("/a" + "/**/x" * 20 + "/y*z*" * 5)
    started = time.monotonic()
    assert not pattern.at(segments("/a" + "/x" * 2000))
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("written", ["logs", "/", "/var/../log", ""])
def test_a_directory_is_absolute_and_says_where_it_is(written: str) -> None:
    for read in (directory, Pattern.of):
        with pytest.raises(ValueError, match="is no directory; wanted an absolute path"):
            read(written)


def test_a_directory_that_is_written_out_has_no_pattern() -> None:
    assert directory("/var/log/") == ("var", "log")
    with pytest.raises(ValueError, match="holds a pattern"):
        directory("/var/*/log")


@pytest.mark.parametrize(
    ("written", "sentence"), [("/*/log", "begins with a pattern"), ("/var/a**", "inside a segment")]
)
def test_a_pattern_begins_in_plain_text_and_has_its_stars_apart(written: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Pattern.of(written)
