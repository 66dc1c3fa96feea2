"""`plimsoll completion`: what the shells offer is what the commands take."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from webhook import main
from webhook.cli.shells import bash, fish, zsh
from webhook.cli.shells.command import read

FISH = 'source plimsoll.sh; complete -C "$LINE"'
# without a terminal zsh has no completion of its own, so its functions are asked what they would say
ZSH = """
compdef() { }
_describe() { print -l ${(P)2} }
_arguments() { print -l -- $@ }
source ./plimsoll.sh
words=(${(Q)${(z)LINE}}); [[ $LINE == *' ' ]] && words+=('')
CURRENT=$#words
_plimsoll
"""
BASH = """
source ./plimsoll.sh
read -ra COMP_WORDS <<< "$LINE"
[[ $LINE == *' ' ]] && COMP_WORDS+=("")
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
_plimsoll
(( ${#COMPREPLY[@]} == 0 )) || printf '%s\\n' "${COMPREPLY[@]}"
"""
SHELLS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
HERE = [name for name in SHELLS if shutil.which(name)]


@pytest.fixture
def offered(plimsoll: Callable[..., Any]) -> Callable[[str, str], set[str]]:
    """What a shell, with our script in it, offers behind a line."""

    def ask(shell: str, line: str) -> set[str]:
        Path("plimsoll.sh").write_text(plimsoll("completion", shell).out)
        done = subprocess.run(
            [shell, "-c", SHELLS[shell]], env={**os.environ, "LINE": line}, capture_output=True, text=True, timeout=30
        )
        assert done.stderr == ""
        # each line is a word, and what is said of it behind a tab (fish), a colon or in brackets (zsh)
        return {re.split(r"[\t:\[]", said.removeprefix("*"))[0] for said in done.stdout.splitlines()}

    return ask


def flags(parser: ArgumentParser) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", parser.format_help().partition("\n\n")[0])) | {"--help"}


def test_bash_is_there_so_that_the_script_is_tried_at_all() -> None:
    assert "bash" in HERE


@pytest.mark.parametrize("shell", HERE)
def test_every_command_is_offered(offered: Callable[..., Any], shell: str) -> None:
    assert offered(shell, "plimsoll ") >= set(main.commands())


@pytest.mark.parametrize("shell", HERE)
@pytest.mark.parametrize("command", main.commands())
def test_every_flag_of_a_command_is_offered(offered: Callable[..., Any], shell: str, command: str) -> None:
    _, parser = main.parsers()[command]
    got = offered(shell, f"plimsoll {command} --")
    assert flags(parser) <= {name if name.startswith("--") else f"--{name}" for name in got}


@pytest.mark.parametrize("shell", [name for name in HERE if name != "zsh"])
@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("plimsoll che", {"check"}),
        ("plimsoll check --name", {"--namespace"}),
        ("plimsoll check -o ", {"text", "json", "sarif", "junit", "github"}),
        ("plimsoll check --output s", {"sarif"}),
        ("plimsoll check a.yaml -n shop --mode ", {"enforce", "dry-run"}),
        ("plimsoll images ", {"inspect", "lock", "why"}),
        ("plimsoll images lock --keep", {"--keep-former"}),
        ("plimsoll completion ", {"bash", "zsh", "fish"}),
        ("plimsoll completion z", {"zsh"}),
    ],
)
def test_exactly_what_may_stand_there_is_offered(
    offered: Callable[..., Any], shell: str, line: str, wanted: set[str]
) -> None:
    assert offered(shell, line) == wanted


def test_where_a_file_may_stand_bash_is_left_to_complete_it(offered: Callable[..., Any]) -> None:
    assert offered("bash", "plimsoll check ") == set()
    assert offered("bash", "plimsoll check --baseline ") == set()


def test_no_flag_of_one_command_is_offered_for_another(offered: Callable[..., Any]) -> None:
    assert "--baseline" not in offered("bash", "plimsoll lint --")
    assert "--keep-former" not in offered("bash", "plimsoll images why --")


HARD = 'it\'s 100%: a "b" [c] \\ $(touch spoilt) `touch spoilt`'


@pytest.mark.parametrize("shell", HERE)
def test_a_help_text_runs_nothing(shell: str, tmp_path: Path) -> None:
    parser = ArgumentParser(prog="plimsoll x")
    parser.add_argument("--hard", choices=("a", "b"), help=HARD.replace("%", "%%"))
    script = {"bash": bash.script, "zsh": zsh.script, "fish": fish.script}[shell](read({"x": (HARD, parser)}))
    (tmp_path / "plimsoll.sh").write_text(script)
    environment = {**os.environ, "LINE": "plimsoll x --h"}
    done = subprocess.run(
        [shell, "-c", SHELLS[shell]], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=30
    )
    assert done.stderr == ""
    assert "hard" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["plimsoll.sh"]


def test_fish_and_zsh_are_told_what_each_flag_means(plimsoll: Callable[..., Any]) -> None:
    said = "judge as if every pack had this mode"
    assert f"-l mode -x -a 'enforce dry-run' -d '{said}'" in plimsoll("completion", "fish").out
    assert f"'*'--mode'[{said}]:value:(enforce dry-run)'" in plimsoll("completion", "zsh").out


def test_a_shell_that_is_not_known_is_refused_with_those_that_are(plimsoll: Callable[..., Any]) -> None:
    ran = plimsoll("completion", "tcsh")
    assert ran.status == 2
    assert "bash" in ran.err


def test_kubectl_calls_it_by_its_own_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, shown in (
        (["check", "--help"], "usage: kubectl plimsoll check "),
        (["--help"], "usage: kubectl plimsoll "),
    ):
        monkeypatch.setattr(sys, "argv", ["kubectl-plimsoll", *arguments])
        with pytest.raises(SystemExit) as end:
            main.kubectl()
        assert end.value.code == 0
        assert capsys.readouterr().out.startswith(shown)
