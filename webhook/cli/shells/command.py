"""What can be completed: the commands, their flags and words, as their argument parsers know them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag: its names, its help, and what its value may be (`choices`), where it `takes` one."""

    names: tuple[str, ...]
    help: str
    takes: bool
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """A command (`name` has the words before it, too), its flags, the commands below it, or what its words may be.

    A command without `below` and `words` takes files.
    """

    name: tuple[str, ...]
    help: str
    flags: tuple[Flag, ...] = ()
    words: tuple[str, ...] = ()
    below: tuple[Command, ...] = ()

    def all(self) -> Iterator[Command]:
        """Yield this and every command below it, outermost first."""
        yield self
        for command in self.below:
            yield from command.all()


def read(parsers: Mapping[str, tuple[str, argparse.ArgumentParser]]) -> Command:
    """Return `plimsoll` and its commands, from the help and the parser of each."""
    below = tuple(_command((name,), text, parser) for name, (text, parser) in parsers.items())
    flags = (Flag(("-h", "--help"), "show help", False), Flag(("--version",), "show the version", False))
    return Command((), "", flags, below=below)


def _command(name: tuple[str, ...], text: str, parser: argparse.ArgumentParser) -> Command:
    flags: list[Flag] = []
    words: tuple[str, ...] = ()
    below: tuple[Command, ...] = ()
    # argparse has no public way to what was added; these names have been the same since it exists
    for action in parser._actions:
        choices = action.choices
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            below = tuple(_command((*name, word), helps[word], inner) for word, inner in action.choices.items())
        elif action.option_strings:
            options = tuple(str(choice) for choice in choices or ())
            flags.append(Flag(tuple(action.option_strings), _line(action), action.nargs != 0, options))
        elif choices is not None:
            words = tuple(str(choice) for choice in choices)
    return Command(name, text, tuple(flags), words, below)


def _line(action: argparse.Action) -> str:
    return " ".join((action.help or "").replace("%%", "%").split())
