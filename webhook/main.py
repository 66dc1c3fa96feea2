"""The console entry, and what the commands are given of other rooms.

Each room is imported when it is needed, so that `plimsoll --help` and a short command don't pay for the rest.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import importlib
import os
import re
import sys
import threading
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from webhook import __version__, cli
from webhook.errors import ConfigError

if TYPE_CHECKING:
    from webhook.kube.client import Client
    from webhook.model.workloads import Kinds
    from webhook.ports import Cluster, ImageReader, ImageSource, Rooms, Uninstaller

YOUNG = 100_000
"""New objects at which the garbage collector looks for cycles: what a command loads stays, and Python's own 700 would
have it looked through again and again meanwhile."""


def kubectl() -> int:
    """Run `kubectl plimsoll`: kubectl finds the program `kubectl-plimsoll` on the path, and hands its arguments on."""
    return main(program="kubectl plimsoll")


def main(argv: Sequence[str] | None = None, program: str = "plimsoll") -> int:
    """Run `plimsoll` with the arguments `argv` (without the program's name) and return its exit code.

    `program` is what it was called by, for its help. Without `argv` the process is the command, and may end here.

    0: well; 1: findings that deny; 2: wrong use or bad input, with every problem on stderr; 130: interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if argv is not None or arguments[:1] == ["serve"]:
        return _run(arguments, program)
    gc.set_threshold(YOUNG)
    status = _run(arguments, program)
    _leave(status)
    return status


def _leave(status: int) -> None:
    """End the process at once where nobody waits for more of it: no thread, no debugger, profiler or coverage.

    All that a command loaded would be taken down piece by piece, a twentieth of a short check. What others have
    registered to be done at exit is done.
    """
    if threading.active_count() > 1 or sys.gettrace() is not None or sys.getprofile() is not None:
        return
    atexit._run_exitfuncs()
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):  # one that was closed from the start is None
            stream.flush()
    except (OSError, ValueError):
        return  # Python's own end says so
    os._exit(status)


def _run(arguments: list[str], program: str) -> int:
    try:
        return _dispatch(arguments, program)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return 2
    except BrokenPipeError:
        # `plimsoll check | head`: the reader has seen enough. What is still in the buffer must not raise at
        # exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except OSError as error:  # what is written, to a full disk; all that is read has a sentence of its own
        print(f"plimsoll: {error.strerror or error}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2
    except KeyboardInterrupt:
        return 130


def _dispatch(arguments: list[str], program: str) -> int:
    if not arguments or not _is_command(arguments[0]):
        _top(commands(), program).parse_args(arguments or ["--help"])
        return 2  # argparse has printed and left, but for words that it doesn't judge
    name = arguments[0]
    module = importlib.import_module(f"webhook.cli.{name}")
    parser = _parser(name, program)
    status: int = module.run(parser.parse_args(arguments[1:]), rooms())
    sys.stdout.flush()
    return status


def _parser(name: str, program: str) -> argparse.ArgumentParser:
    """Return the argument parser of a command; its module is imported."""
    module = importlib.import_module(f"webhook.cli.{name}")
    # while arguments are added, argparse looks at each with a formatter, which for its width imports what compresses
    narrow = partial(argparse.HelpFormatter, width=80)
    parser = argparse.ArgumentParser(prog=f"{program} {name}", formatter_class=narrow)
    if name == "serve":
        from webhook.settings import options

        module.configure(parser, options())
    else:
        module.configure(parser)
    parser.formatter_class = argparse.HelpFormatter
    return parser


def parsers() -> dict[str, tuple[str, argparse.ArgumentParser]]:
    """Return the help and the argument parser of every command, by its name."""
    return {name: (_help(name) or "", _parser(name, "plimsoll")) for name in commands()}


def commands() -> tuple[str, ...]:
    """Return the names of the commands: the modules of `webhook.cli` that have a HELP."""
    found = (path.stem for path in Path(cli.__path__[0]).glob("*.py"))
    return tuple(sorted(name for name in found if _help(name) is not None))


def _is_command(word: str) -> bool:
    """Say whether a word is among `commands`, without reading all of them."""
    return word.isidentifier() and (Path(cli.__path__[0]) / f"{word}.py").is_file() and _help(word) is not None


def _top(names: Sequence[str], program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Keeps a company's containerization standards for workloads, in a cluster and before it.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n"
        + "\n".join(f"  {name:10} {_help(name)}" for name in names)
        + f"\n\n`{program} <command> --help` explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"plimsoll {__version__}")
    parser.add_argument("command", type=partial(_named, names), metavar="command", help="one of those below")
    return parser


def _named(names: Sequence[str], word: str) -> str:
    """Return the name of a command. Raises ArgumentTypeError with all that there are, and the one that was meant."""
    if word in names:
        return word
    from webhook.packs.suggest import hint

    quoted = ", ".join(map(repr, names))
    raise argparse.ArgumentTypeError(f"invalid choice: {word!r} ({hint(word, names)}choose from {quoted})")


def _help(name: str) -> str | None:
    # Read, not imported: the commands together import everything there is.
    text = (Path(cli.__path__[0]) / f"{name}.py").read_text(encoding="utf-8")
    found = re.search(r'^HELP = "([^"\\\n]*)"$', text, re.MULTILINE)
    return None if found is None else found[1]


def rooms() -> Rooms:
    """Return what the commands need of other rooms; each is imported when it is called."""
    from webhook.ports import Rooms

    def certs(*args: Any, **options: Any) -> list[str]:
        from webhook.tls import dev

        return dev.ensure(*args, **options)

    def read(*args: Any, **options: Any) -> Any:
        from webhook import sources

        return sources.read(*args, **options)

    def shipped() -> list[Path]:
        from webhook import sources

        return sources.shipped()

    def registries(file: str, hosts: Collection[str], docker_config: str) -> ImageSource:
        from webhook.registry.client import Client
        from webhook.registry.named import named

        return Client(named(file, hosts, docker_config))

    def images(source: Any) -> ImageReader:
        from webhook.registry.images import Images

        return Images(source)

    def cluster(kubeconfig: str, context: str, kinds: Kinds) -> Cluster:
        from webhook.kube import inventory

        return inventory.Inventory(_client(kubeconfig, context), kinds)

    def uninstall(kubeconfig: str, context: str) -> Uninstaller:
        from webhook.kube import uninstall

        return uninstall.Uninstaller(_client(kubeconfig, context))

    def serve(flags: Any) -> int:
        from webhook import serving

        return serving.serve(flags)

    return Rooms(
        clock=now,
        certs=certs,
        read=read,
        serve=serve,
        shipped=shipped,
        registries=registries,
        images=images,
        cluster=cluster,
        uninstall=uninstall,
        commands=parsers,
        plain=_plain(),
    )


def _client(kubeconfig: str, context: str) -> Client:
    """Return a client of the cluster of a kubeconfig and a context of it; "" is what kubectl would take."""
    from webhook.kube import kubeconfig as reader
    from webhook.kube.client import Client
    from webhook.settings import place, read

    found = place(read({"kubeconfig": kubeconfig or None}))
    if found.service is not None and not (found.named or context):
        return Client(reader.service_account(*found.service))
    return Client(reader.read([Path(path) for path in found.kubeconfigs], context or None, found.environ))


def _plain() -> bool:
    """Say whether colours are unwanted: elsewhere than on a terminal, and where NO_COLOR is set."""
    if not sys.stdout.isatty():
        return True
    from webhook import settings

    return settings.plain()


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


if __name__ == "__main__":
    sys.exit(main())
