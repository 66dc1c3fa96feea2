"""The script for bash; source of its words: the Bash Reference Manual, Programmable Completion."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from webhook.cli.shells.command import Command

# without a word of ours bash completes files, as for any command
_SCRIPT = """\
# completes plimsoll in bash: eval "$(plimsoll completion bash)"
_plimsoll() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} command="" word words=""
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$command $word" in
{commands}
        esac
    done
    case "$command $previous" in
{values}
    *)
        case "$command" in
{words}
        esac
        ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o bashdefault -o default -F _plimsoll plimsoll
"""


def script(top: Command) -> str:
    """Return the script that completes `plimsoll` and everything below it."""
    commands = [
        f"        {quote(_before(one))}) command={quote(' '.join(one.name))} ;;" for one in top.all() if one.name
    ]
    values = [line for one in top.all() for line in _values(one)]
    words = [line for one in top.all() for line in _words(one)]
    return _SCRIPT.format(commands="\n".join(commands), values="\n".join(values), words="\n".join(words))


def _before(command: Command) -> str:
    return f"{' '.join(command.name[:-1])} {command.name[-1]}"


def _values(command: Command) -> Iterator[str]:
    """Yield the cases of a flag that waits for its value: of its choices, or nothing of ours."""
    name = " ".join(command.name)
    for flag in command.flags:
        if flag.takes:
            pattern = "|".join(quote(f"{name} {text}") for text in flag.names)
            yield f"    {pattern}) words={quote(' '.join(flag.choices))} ;;"


def _words(command: Command) -> Iterator[str]:
    """Yield the lines of what may stand next to a command: flags after a dash, else commands or words."""
    flags = " ".join(name for flag in command.flags for name in flag.names)
    words = " ".join([*(below.name[-1] for below in command.below), *command.words])
    yield f"        {quote(' '.join(command.name))})"
    yield f"            if [[ $current == -* ]]; then words={quote(flags)}; else words={quote(words)}; fi"
    yield "            ;;"
