"""docs/follow.py: a page is followed as it stands, and what is printed is held against it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLLOW = Path(__file__).parents[2] / "docs" / "follow.py"


def follow(page: Path, text: str, *flags: str) -> tuple[int, str]:
    """Write a page, follow it, and return the exit code and what is said."""
    page.write_text(text)
    run = subprocess.run(
        [sys.executable, str(FOLLOW), *flags, str(page)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return run.returncode, run.stdout


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "page.md"


def test_commands_of_all_blocks_are_one_session(page: Path) -> None:
    text = "```console\n$ a=1; mkdir x; cd x\n$ false\n```\nand\n```console\n$ echo $? $a; basename $PWD\n1 1\nx\n```\n"
    assert follow(page, text)[0] == 0


def test_a_page_begins_in_an_empty_directory_with_plimsoll_on_the_path(page: Path) -> None:
    text = "```console\n$ ls\n$ command -v plimsoll | grep -c .venv/bin/plimsoll\n1\n```\n"
    assert follow(page, text) == (0, f"{page}: as it says\n")


def test_a_block_with_a_title_is_a_file_from_where_the_session_is(page: Path) -> None:
    text = (
        "```console\n$ mkdir x; cd x\n```\n"
        '```yaml title="a/b.yaml"\nprice: $5  # \'`"\n```\n'
        "```console\n$ cat ../x/a/b.yaml\nprice: $5  # '`\"\n```\n"
    )
    assert follow(page, text)[0] == 0


def test_a_line_that_differs_fails_and_is_shown_with_its_place(page: Path) -> None:
    code, said = follow(page, "# T\n\n```console\n$ echo one; echo three\none\ntwo\n```\n")
    assert code == 1
    assert f"{page}:4: $ echo one; echo three\n" in said
    assert " one\n-two\n+three\n" in said


@pytest.mark.parametrize("printed", ["", "one\n", "one\ntwo\nthree\n"])
def test_lines_that_are_missing_or_too_many_fail(page: Path, printed: str) -> None:
    assert follow(page, f"```console\n$ echo one; echo two\n{printed}```\n")[0] == 1


def test_stderr_stands_where_a_terminal_has_it(page: Path) -> None:
    text = "```console\n$ echo one; echo two >&2; echo three\none\ntwo\nthree\n```\n"
    assert follow(page, text)[0] == 0


def test_dots_stand_for_any_text_of_a_line_but_alone_for_themselves(page: Path) -> None:
    assert follow(page, "```console\n$ echo on 2026-11-27, well\non ..., well\n```\n")[0] == 0
    assert follow(page, "```console\n$ echo on 2026-11-27, ill\non ..., well\n```\n")[0] == 1
    assert follow(page, "```console\n$ echo anything\n...\n```\n")[0] == 1


def test_a_shell_that_ends_before_the_page_fails(page: Path) -> None:
    code, said = follow(page, "```console\n$ exit 0\n$ echo never\n```\n")
    assert code == 1
    assert "the shell ended here" in said


def test_update_writes_what_is_printed_and_keeps_dots_that_fit_and_all_else(page: Path) -> None:
    text = "before\n```console\n$ echo at 1; echo new\nat ...\nold\n$ true\n```\nafter ```code```\n"
    assert follow(page, text, "--update")[0] == 0
    assert page.read_text() == text.replace("old", "new")
    assert follow(page, page.read_text())[0] == 0


def test_a_console_block_without_a_command_is_wrong_use(page: Path) -> None:
    code, said = follow(page, "```console\nhello\n```\n")
    assert code == 2
    assert "line 2" in said


def test_what_make_hands_down_is_not_seen(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAKEFLAGS", "w")
    monkeypatch.setenv("MAKELEVEL", "1")
    assert follow(page, "```console\n$ env | grep -c ^MAKE\n0\n```\n")[0] == 0
