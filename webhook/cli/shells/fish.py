"""The script for fish; source of its words: complete(1) of fish."""

from __future__ import annotations

from collections.abc import Iterator

from webhook.cli.shells.command import Command, Flag


def script(top: Command) -> str:
    """Return the script that completes `plimsoll` and everything below it."""
    lines = ["# completes plimsoll in fish: plimsoll completion fish > ~/.config/fish/completions/plimsoll.fish"]
    for command in top.all():
        lines += _lines(command)
    return "\n".join(lines) + "\n"


def _lines(command: Command) -> Iterator[str]:
    """Yield what is told of one command: where its words have been written and no command below it."""
    here = [f"__fish_seen_subcommand_from {word}" for word in command.name] or ["true"]
    if command.below:
        below = " ".join(one.name[-1] for one in command.below)
        here.append(f"not __fish_seen_subcommand_from {below}")
    head = f"complete -c plimsoll -n {_quoted('; and '.join(here))}"
    for one in command.below:
        yield f"{head} -f -a {one.name[-1]} -d {_quoted(one.help)}"
    for word in command.words:
        yield f"{head} -f -a {_quoted(word)}"
    for flag in command.flags:
        yield f"{head} {_names(flag)}{_value(flag)} -d {_quoted(flag.help)}"


def _names(flag: Flag) -> str:
    return " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names)


def _value(flag: Flag) -> str:
    if flag.choices:
        return f" -x -a {_quoted(' '.join(flag.choices))}"
    return " -r" if flag.takes else ""


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
