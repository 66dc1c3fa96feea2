"""`plimsoll completion`: what a shell has to know to complete Plimsoll's commands, flags and words."""

from __future__ import annotations

import argparse

from webhook.cli.shells import bash, fish, zsh
from webhook.cli.shells.command import read
from webhook.ports import Rooms

HELP = "print what completes commands in a shell"
SHELLS = {"bash": bash.script, "zsh": zsh.script, "fish": fish.script}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.description = (
        "Prints a script that completes the commands, flags and words of plimsoll. For bash put "
        '`eval "$(plimsoll completion bash)"` into ~/.bashrc, for zsh the same with zsh into ~/.zshrc, after compinit; '
        "for fish write it to ~/.config/fish/completions/plimsoll.fish. Exit: 0, or 2 for wrong use."
    )
    parser.add_argument("shell", choices=tuple(SHELLS), help="bash, zsh or fish")


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Print the script; return 0."""
    print(SHELLS[args.shell](read(rooms.commands())), end="")
    return 0
