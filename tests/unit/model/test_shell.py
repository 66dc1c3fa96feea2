"""What command lines start, read through wrappers and shell scripts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.model.shell import starts, unwrapped


def programs(script: str) -> list[str]:
    return [" ".join(start.words) for start in starts(["sh", "-c", script])]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["tini", "-s", "-p", "SIGTERM", "--", "web"], ["web"]),
        (["/usr/bin/dumb-init", "-r", "15:3", "--", "web", "-x"], ["web", "-x"]),
        (["env", "-u", "HOME", "A=b", "gosu", "app:app", "web"], ["web"]),
        (["busybox", "crond", "-f"], ["crond", "-f"]),
        (["command", "-v", "crond"], ["command", "-v", "crond"]),
        (["timeout", "60", "sleep", "infinity"], ["timeout", "60", "sleep", "infinity"]),
        (["tini", "--"], []),
        (["gosu"], []),
        ([], []),
    ],
)
def test_what_only_starts_another_program_is_taken_away(words: list[str], wanted: list[str]) -> None:
    assert list(unwrapped(tuple(words))) == wanted


@pytest.mark.parametrize(
    ("script", "wanted"),
    [
        ("cron && exec web", ["cron", "web"]),
        ("a | b; (c & d) || e", ["a", "b", "c", "d", "e"]),
        ("A=1 B='x y' web \"--name=$HOME\"", ["web --name=$HOME"]),
        ("web # cron\n# cron\n", ["web"]),
        ("web >cron 2>&1 </dev/null &>log", ["web"]),
        ("echo 'cron; sshd' \"&& x\" \\; y", ["echo cron; sshd && x ; y"]),
        ("echo $(hostname) cron", ["hostname", "echo $() cron"]),
        ("cat >f <<-'END'\n\tcron\n\tdon't\n\tEND\nweb", ["cat", "web"]),
        ("grep x <<< cron\nweb", ["grep x", "web"]),
        ('case "$1" in a|b) x ;; cron|sshd) y ;; esac; z', ["x", "y", "z"]),
        ("crond() { echo no; }\nrun=(cron sshd)\nweb", ["echo no", "echo cron sshd", "web"]),
        ("if a; then b; elif ! c; then d; else e; fi", ["a", "b", "c", "d", "e"]),
        ("for x in cron sshd; do run $x; done", ["run $x"]),
        ("bash -euo pipefail -c 'cron -f'", ["cron -f"]),
        ("a \\\n  b", ["a b"]),
        ("web 'unfinished", ["web 'unfinished"]),
    ],
)
def test_a_script_starts_its_simple_commands(script: str, wanted: list[str]) -> None:
    assert programs(script) == wanted


@pytest.mark.parametrize(
    "script",
    [
        "while true; do sleep 30; done",
        "while :\ndo\n  sleep 60 &\n  wait $!\ndone",
        "until false; do sleep 1d; done",
        "while sleep 3600; do :; done",
        "while [ 1 ]; do sleep 5; done;",
    ],
)
def test_a_loop_that_only_waits_is_idle(script: str) -> None:
    assert [(start.idle, start.alone) for start in starts(["sh", "-c", script])] == [(True, True)]


@pytest.mark.parametrize(
    "script",
    [
        "while true; do work; sleep 30; done",
        "while [ ! -f /tmp/ready ]; do sleep 1; done",
        "until nc -z db 5432; do sleep 1; done",
        "for i in 1 2 3; do sleep 1; done",
        "while true; do :; done",
    ],
)
def test_a_loop_that_works_ends_or_never_waits_is_not_idle(script: str) -> None:
    assert not any(start.idle for start in starts(["sh", "-c", script]))


def test_a_program_is_alone_only_where_nothing_else_is_started() -> None:
    assert [start.alone for start in starts(["sleep", "3600"])] == [True]
    assert [start.alone for start in starts(["sh", "-c", "exec sleep 3600"])] == [True]
    assert [start.alone for start in starts(["sh", "-c", "a; sleep 3600"])] == [False, False]


def test_a_script_file_is_not_a_script() -> None:
    assert programs("") == []
    assert [start.words for start in starts(["bash", "-x", "/run.sh", "-c"])] == [("bash", "-x", "/run.sh", "-c")]


def nested(levels: int) -> list[str]:
    script = "cron"
    for _ in range(levels):
        script = "sh -c " + script.replace("\\", "\\\\").replace(" ", "\\ ")
    return ["sh", "-c", script]


def test_shells_in_shells_are_read_only_so_deep() -> None:
    assert [start.words for start in starts(nested(6))] == [("cron",)]
    assert list(starts(nested(10))) == []


def test_of_a_very_long_script_only_the_beginning_is_read() -> None:
    assert programs("cron;" + " " * 100_000 + "sshd") == ["cron"]


@given(st.text(alphabet="ab=$(){}<>|&;'\"`\\# \n!wd", max_size=80) | st.text(max_size=80))
def test_any_text_can_be_read(script: str) -> None:
    assert all(start.words for start in starts(["sh", "-c", script]))


@given(
    st.lists(
        st.sampled_from(["while", "true", "do", "done", "sleep 1", ";", "\n", "case x in", "esac", ")", "(", "for"])
    )
)
def test_any_order_of_keywords_can_be_read(words: list[str]) -> None:
    assert all(start.words for start in starts(["sh", "-c", " ".join(words)]))
