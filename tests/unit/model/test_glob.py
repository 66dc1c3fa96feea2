"""Globs match whole names, and nothing in a name or a glob makes them slow."""

from __future__ import annotations

import pytest

from webhook.model.glob import compile_globs


@pytest.mark.parametrize(
    ("globs", "name", "matches"),
    [
        (["web"], "web", True),
        (["web"], "web-1", False),
        (["web"], "my-web", False),
        (["web-*"], "web-", True),
        (["web-*"], "web", False),
        (["we?"], "web", True),
        (["we?"], "we", False),
        (["?*"], "", False),
        (["*"], "", True),
        (["a", "b*"], "bcd", True),
        ([], "web", False),
        (["w.b"], "web", False),
        (["w[ae]b"], "web", False),
        (["a|web"], "web", False),
        (["*"], "line\nline", True),
        (["a?b*"], "a\nb\u2028", True),
        (["ü*"], "übung", True),
        (["Web"], "web", False),
    ],
)
def test_a_glob_matches_the_whole_of_a_name_and_only_stars_and_question_marks_are_special(globs, name, matches):
    assert compile_globs(globs)(name) is matches


def test_only_a_lone_star_is_everything():
    assert compile_globs(["x", "*"]).everything
    assert not compile_globs(["**"]).everything


def test_a_glob_of_many_stars_on_a_long_name_ends():
    assert not compile_globs(["*a" * 40 + "b"])("a" * 20_000)


def test_a_name_is_judged_the_same_however_often_and_however_long():
    globs = compile_globs(["web-*"])
    for name in ("web-1", "api-1", "web-" + "x" * 1000, "api-" + "x" * 1000):
        assert [globs(name) for _ in range(3)] == [name.startswith("web-")] * 3
