"""A real registry, Debian's docker-registry, in a process of its own, with what it was asked for."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from lab.pki import Authority
from lab.process import Process, start

from registry import install, tokens
from registry.tokens import Account, TokenServer

READY_WITHIN = 30.0
ACCOUNT = Account("crew", "correct-horse")
"""Who may do everything where a registry asks for credentials."""
HTPASSWD = "crew:$2b$05$plimsollregistrytest..tpy2BT2NEhPcKKHK3NvV8y70zeRKwIi\n"
"""The account in the only format that the registry reads, bcrypt, which Python's library lacks."""
Auth = Literal["", "basic", "bearer"]

_LISTENING = re.compile(r'msg="listening on ([^,"\s]+)')
_ACCESS = re.compile(r'^\S+ - \S+ \[[^\]]+\] "(\S+) (\S+) HTTP/[0-9.]+" (\d+) \d+ "[^"]*" "([^"]*)"$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Request:
    """One line of the registry's access log."""

    method: str
    path: str
    status: int
    agent: str


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry that is up: `address` is its `host:port`, as it stands in front of an image's name.

    `bundle` is the CA that its certificate is verified by, None where it speaks plain HTTP. `account` is who it lets
    in, None where that is anybody, and `tokens` the server that gives tokens for it, None where it asks for none.
    """

    process: Process
    address: str
    bundle: Path | None
    account: Account | None
    tokens: TokenServer | None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'https' if self.bundle else 'http'}://{self.address}"

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.address.rpartition(":")[2])

    def requests(self) -> list[Request]:
        """Return all requests so far, refused ones too.

        The line of a request is written before the end of its answer is sent, unless the answer is of more than 4 kB.
        """
        found = _ACCESS.finditer(self.process.log.read_text(errors="replace"))
        return [Request(line[1], line[2], int(line[3]), line[4]) for line in found]

    def counted(self) -> Counter[tuple[str, str]]:
        """Return how many requests there were by method and path; the difference of two counts is a count again."""
        return Counter((request.method, request.path) for request in self.requests())


@contextmanager
def running(directory: Path, auth: Auth = "", ca: Authority | None = None, port: int = 0) -> Iterator[Registry]:
    """Run a registry as long as the context lasts; what is pushed is kept in the directory.

    `ca` gives it a certificate and puts it behind TLS. `port` is for one that comes back where it was, on the same
    directory; 0 is any free one. Fails with what it logged, where it does not come up.
    """
    program = install.locate()
    assert program, f"no {install.PROGRAM} on PATH or in {install.home()}: run `make deps`"
    with ExitStack() as stack:
        giver = None
        if auth == "bearer":
            (directory / "tokens").mkdir(exist_ok=True)
            giver = stack.enter_context(tokens.serving(directory / "tokens", ACCOUNT, ca))
        (directory / "htpasswd").write_text(HTPASSWD)
        file = directory / "registry.yaml"
        file.write_text(yaml.safe_dump(_configuration(directory, auth, giver, ca, port)))
        process, address = _begin(program, file, directory / "registry.log")
        stack.callback(process.stop)
        yield Registry(process, address, ca.bundle if ca else None, ACCOUNT if auth else None, giver)


def _begin(program: Path, file: Path, log: Path) -> tuple[Process, str]:
    before = log.stat().st_size if log.exists() else 0

    def address() -> str:
        found = _LISTENING.search(log.read_bytes()[before:].decode(errors="replace"))
        return found[1] if found else ""

    # nothing else of the environment: any REGISTRY_... would count more than the file
    process = start("docker-registry", [str(program), "serve", str(file)], log, {"PATH": os.environ["PATH"]})
    try:
        process.wait_until(lambda: bool(address()), READY_WITHIN)
    except BaseException:
        process.stop()
        raise
    return process, address()


def _configuration(
    directory: Path, auth: Auth, giver: TokenServer | None, ca: Authority | None, port: int
) -> dict[str, Any]:
    http: dict[str, Any] = {"addr": f"127.0.0.1:{port}", "secret": "of the tests"}
    if ca:
        pair = ca.server("registry")
        http["tls"] = {"certificate": str(pair.certificate), "key": str(pair.key)}
    found: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": False}},
        "storage": {
            "filesystem": {"rootdirectory": str(directory / "storage")},
            "maintenance": {"uploadpurging": {"enabled": False}},
            "delete": {"enabled": True},
        },
        "http": http,
    }
    if auth == "basic":
        found["auth"] = {"htpasswd": {"realm": "tests", "path": str(directory / "htpasswd")}}
    if giver:
        found["auth"] = {
            "token": {
                "realm": giver.url,
                "service": tokens.SERVICE,
                "issuer": tokens.ISSUER,
                "rootcertbundle": str(giver.root),
            }
        }
    return found
