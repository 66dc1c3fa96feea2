"""`plimsoll serve`: the admission server."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Protocol

from ..ports import Rooms

HELP = "serve admission reviews over TLS"


class Option(Protocol):
    """One setting, as `webhook.settings` lists it; handed in, since rooms of a row don't know each other."""

    @property
    def flag(self) -> str:
        """Its flag: `--keep-alive`."""
        ...

    @property
    def variable(self) -> str:
        """Its environment variable."""
        ...

    @property
    def default(self) -> str:
        """Its default, as text."""
        ...

    @property
    def help(self) -> str:
        """What it does."""
        ...

    @property
    def many(self) -> bool:
        """Whether it may be given several times."""
        ...

    @property
    def switch(self) -> bool:
        """Whether it is a flag without a value."""
        ...


def configure(parser: argparse.ArgumentParser, options: Iterable[Option] = ()) -> None:
    """Add a flag for each of `options`; values stay text, the settings read and judge them."""
    parser.description = (
        "Serves /mutate, /validate and /advise, and /packs for packs that are applied to a cluster, over TLS, and "
        "/healthz, /readyz and /metrics over plain HTTP on a port of their own. SIGHUP reads the packs again (they are "
        "looked at every few seconds too), SIGTERM drains and stops. Every flag has an environment variable, named in "
        "brackets; the flag counts more."
    )
    for option in options:
        default = f"; default {option.default}" if option.default else ""
        text = f"{option.help}{default} [{option.variable}]".replace("%", "%%")
        if option.switch:
            parser.add_argument(option.flag, action="store_true", default=None, help=text)
        elif option.many:
            parser.add_argument(option.flag, action="append", metavar="VALUE", help=text)
        else:
            parser.add_argument(option.flag, metavar="VALUE", help=text)


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Serve until stopped; 0 after a stop, 2 where the server can't start."""
    return rooms.serve(vars(args))
