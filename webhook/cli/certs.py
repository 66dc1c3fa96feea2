"""`plimsoll certs`: a development authority and a server certificate in a directory."""

from __future__ import annotations

import argparse
from pathlib import Path

from webhook.ports import Rooms

HELP = "make or renew development certificates"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    parser.description = (
        "Makes ca.crt, ca.key, tls.crt and tls.key in a directory, for localhost, 127.0.0.1, ::1 and "
        "the names that a cluster calls the webhook by. What is there and good is kept; what is expired, "
        "past two thirds of its life, broken or without a name that is asked for is made anew."
    )
    parser.add_argument("directory", nargs="?", type=Path, default=Path("certs"), help="default: ./certs")
    parser.add_argument("--service", default="plimsoll", metavar="NAME", help="the Service's name (default: plimsoll)")
    parser.add_argument("--namespace", default="plimsoll", metavar="NAME", help="its namespace (default: plimsoll)")
    parser.add_argument(
        "--san",
        action="append",
        default=[],
        metavar="NAME",
        help="one more name or IP address (repeatable)",
    )
    parser.add_argument("--force", action="store_true", help="make all of it anew, the authority too")


def run(args: argparse.Namespace, rooms: Rooms) -> int:
    """Do it and print a line for each certificate; 0. ConfigError for bad names and unwritable directories."""
    lines = rooms.certs(
        args.directory,
        rooms.clock(),
        service=args.service,
        namespace=args.namespace,
        extra=args.san,
        force=args.force,
    )
    for line in lines:
        print(line)
    return 0
