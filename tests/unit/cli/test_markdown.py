"""The Markdown of our pages is readable in a terminal."""

from __future__ import annotations

import re

import pytest

from webhook.checks import CHECKS
from webhook.cli.page import check
from webhook.cli.page.markdown import Markdown
from webhook.packs import manual
from webhook.packs.rule import Ruleset


def shown(text: str, width: int = 60, colour: bool = False) -> list[str]:
    return list(Markdown(width, colour).lines(text))


def bare(lines: list[str]) -> list[str]:
    return [re.sub(r"\033\[[0-9;]*m", "", line) for line in lines]


def test_headings_are_underlined_without_colours_and_painted_with():
    assert shown("# Name\n\n## Why\nBecause.") == ["Name", "====", "", "Why", "---", "", "Because."]
    assert shown("## Why", colour=True) == ["\033[1;4mWhy\033[0m"]


def test_paragraphs_are_joined_and_wrapped():
    assert shown("one two\nthree four five six", width=20) == ["one two three four", "five six"]


def test_items_hang_and_inner_ones_stay_inner():
    text = "- first item\n  goes on\n- second\n  - inner one which was long"
    assert shown(text, width=24) == ["- first item goes on", "- second", "  - inner one which was", "    long"]


def test_code_is_indented_and_never_wrapped_nor_read_as_markdown():
    text = "```yaml\n# no heading\na: **b**\n\nlong: " + "x" * 80 + "\n```"
    assert shown(text, width=40) == ["    # no heading", "    a: **b**", "", "    long: " + "x" * 80]


@pytest.mark.parametrize("colour", [False, True])
def test_stars_in_code_are_no_emphasis(colour):
    (line,) = bare(shown("**Logs** lie in `/data/logs/**` or `/srv/**`.", colour=colour))
    ticks = "" if colour else "`"
    assert line == f"Logs lie in {ticks}/data/logs/**{ticks} or {ticks}/srv/**{ticks}."


def test_links_show_where_they_lead_when_a_reader_can_go_there():
    text = "[Rollouts](https://rollouts.example/a) and [packs](../packs.md#rules)"
    assert shown(text) == ["Rollouts (https://rollouts.example/a) and packs"]


TABLE = "| key | meaning |\n| --- | --- |\n| `a` | one \\| two |\n| `long-key` | three |"


def test_a_table_has_columns_and_where_they_do_not_fit_it_is_a_list():
    assert shown(TABLE) == ["key         meaning", "`a`         one | two", "`long-key`  three"]
    assert shown(TABLE, width=40) == ["- key: meaning", "- `a`: one | two", "- `long-key`: three"]


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("width", [40, 100])
def test_the_page_of_every_check_fits_and_loses_no_word(name, width):
    plain = list(check.lines(CHECKS[name], Ruleset(), Markdown(width, False)))
    fenced = re.findall(r"```\w*\n(.*?)```", manual.page(CHECKS[name]), re.DOTALL)
    code = {f"    {line}".rstrip() for block in fenced for line in block.split("\n")}
    loose = [line for line in plain if len(line) > width and line not in code]
    # a word is not broken
    assert not [line for line in loose if len(line.split()) > 2]
    assert not any("**" in line and "`" not in line for line in plain if line not in code)
    words = re.sub(r"```\w*|\]\([^)]*\)|\\\||[-*#|\[\]`:=]", " ", manual.page(CHECKS[name])).split()
    there = re.sub(r"[-*#|\[\]`:=]", " ", "\n".join(plain)).split()
    assert not set(words) - set(there)
