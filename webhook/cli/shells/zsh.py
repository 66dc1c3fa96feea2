"""The script for zsh; source of its words: zshcompsys(1), _arguments and _describe."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote

from webhook.cli.shells.command import Command, Flag

_SCRIPT = """\
#compdef plimsoll
# completes plimsoll in zsh: eval "$(plimsoll completion zsh)", after compinit
{functions}
if [[ $funcstack[1] == _plimsoll ]]; then
    _plimsoll "$@"
else
    compdef _plimsoll plimsoll
fi
"""


def script(top: Command) -> str:
    """Return the script that completes `plimsoll` and everything below it."""
    return _SCRIPT.format(functions="\n".join("\n".join(_function(one)) for one in top.all()))


def _function(command: Command) -> Iterator[str]:
    """Yield the lines of the function that completes one command, of words that begin with its own."""
    yield f"{_called(command)}() {{"
    specs = [_spec(flag) for flag in command.flags]
    if command.below:
        below = " ".join(quote(f"{one.name[-1]}:{one.help.replace(':', chr(92) + ':')}") for one in command.below)
        yield f"    local -a commands=({below})"
        yield "    if (( CURRENT == 2 )); then"
        yield "        _describe command commands"
        yield f"        _arguments {' '.join(specs)}"
        yield "        return"
        yield "    fi"
        yield "    local command=$words[2]"
        yield "    shift words"
        yield "    (( CURRENT-- ))"
        yield "    case $command in"
        yield from (f"    {quote(one.name[-1])}) {_called(one)} ;;" for one in command.below)
        yield "    esac"
    else:
        rest = f":word:({' '.join(command.words)})" if command.words else "*:file:_files"
        yield f"    _arguments {' '.join([*specs, quote(rest)])}"
    yield "}"


def _called(command: Command) -> str:
    return "_plimsoll" + "".join(f"__{word.replace('-', '_')}" for word in command.name)


def _spec(flag: Flag) -> str:
    """Return what `_arguments` is told of a flag: that it may be given again, its help, and its value."""
    said = flag.help
    for mark in "\\[]:":
        said = said.replace(mark, f"\\{mark}")
    value = "" if not flag.takes else f":value:({' '.join(flag.choices)})" if flag.choices else ":value:_files"
    names = flag.names[0] if len(flag.names) == 1 else f"{{{','.join(flag.names)}}}"
    return f"'*'{names}{quote(f'[{said}]{value}')}"
