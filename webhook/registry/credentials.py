"""Docker config files: who we are to a registry.

Source of the format: github.com/docker/cli, cli/config/configfile; which key is for which image: Kubernetes' page on
images, "Interpretation of config.json". Keys are hosts, or hosts with the beginning of a repository; the longest
counts first. A `*` in a key has no meaning here: credentials are for the very host that is written.
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from webhook.errors import ConfigError, Problem
from webhook.model.image import HUB, parse

REREAD = 60.0
"""Seconds after which a file is read again: the kubelet replaces mounted Secrets under way."""
SIZE = 2**20
"""Bytes that a file may have, as a Secret."""
NAMES = ("config.json", ".dockerconfigjson")
"""What the file is called in a directory: by docker, and in a mounted Secret of kubernetes.io/dockerconfigjson."""
_PROGRAMS = ("credsStore", "credHelpers")
_HUB_HOSTS = ("index.docker.io", "registry-1.docker.io")
_TOKEN_USER = "<token>"  # noqa: S105 - what docker writes as user name where the password is an identity token


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name and password, or an identity token; never shown."""

    username: str = field(repr=False, default="")
    password: str = field(repr=False, default="")
    identity: str = field(repr=False, default="")


@dataclass(frozen=True, slots=True)
class Entry:
    """A credential, and what it is for: a host, and the beginning of its repositories ('' for all)."""

    host: str
    prefix: str
    credential: Credential

    def fits(self, host: str, repository: str) -> bool:
        """Say whether it is for this repository."""
        return self.host == host and f"{repository}/".startswith(f"{self.prefix}/" if self.prefix else "")


def entries(document: Mapping[str, Any]) -> tuple[Entry, ...]:
    """Return the credentials of a docker config (`auths`). Raises ValueError with a sentence, which shows none."""
    for key in _PROGRAMS:
        if document.get(key):
            raise ValueError(f"{key} names a program, and none is run here; write the credentials into auths")
    auths = document.get("auths")
    if not isinstance(auths, dict):
        raise ValueError("has no auths; wanted a docker config, as docker login writes it")
    return tuple(_entries(auths))


def chosen(held: Iterable[Entry], host: str, repository: str) -> list[Credential]:
    """Return the credentials for a repository, that with the longest key first, each once."""
    fitting = sorted((entry for entry in held if entry.fits(host, repository)), key=lambda one: -len(one.prefix))
    return list(dict.fromkeys(entry.credential for entry in fitting))


def find(path: Path) -> Path:
    """Return the file that a path names: itself, or the docker config in that directory."""
    if path.is_dir():
        return next((path / name for name in NAMES if (path / name).is_file()), path / NAMES[0])
    return path


def read(path: Path) -> tuple[Entry, ...]:
    """Return the credentials of a file, or of the docker config in a directory. Raises ValueError with a sentence."""
    try:
        with find(path).open("rb") as file:
            data = file.read(SIZE + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > SIZE:
        raise ValueError(f"{path} is longer than {SIZE} bytes; wanted a docker config")
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise ValueError(f"{path} is not JSON; wanted a docker config") from None  # the cause would show the text
    if not isinstance(document, dict):
        raise ValueError(f"{path} holds no JSON object; wanted a docker config")
    try:
        return entries(document)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


class File:
    """The credentials of a file, which is read again from time to time; what was read last stays where that fails."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        """Take the path of a file or directory; `clock` counts seconds."""
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._held: tuple[float, tuple[Entry, ...]] | None = None

    def __call__(self) -> tuple[Entry, ...]:
        """Return the credentials. Raises ConfigError where they could never be read."""
        with self._lock:
            now = self._clock()
            if self._held is None or now - self._held[0] >= REREAD:
                try:
                    self._held = now, read(self._path)
                except ValueError as error:
                    if self._held is None:
                        raise ConfigError([Problem(str(self._path), 0, "", str(error))]) from error
                    self._held = now, self._held[1]
            return self._held[1]


def _entries(auths: Mapping[str, Any]) -> Iterator[Entry]:
    for key, value in auths.items():
        credential = _credential(key, value if isinstance(value, dict) else {})
        if credential is not None:
            yield Entry(*_target(key), credential)


def _target(key: str) -> tuple[str, str]:
    """Return host and prefix that a key names; `/v1/` and `/v2/` are of the API, not of a repository."""
    host, _, prefix = key.partition("://")[2].partition("/") if "://" in key else key.partition("/")
    first, _, rest = prefix.strip("/").partition("/")
    prefix = rest if first in ("v1", "v2") else prefix.strip("/")
    if host.lower() in _HUB_HOSTS:
        return HUB, prefix
    try:
        return parse(f"{host}/a/b").registry, prefix
    except ValueError:
        return host.lower(), prefix  # no image is in it, so it fits none


def _credential(key: str, value: Mapping[str, Any]) -> Credential | None:
    """Return what an entry of `auths` holds; None where it is empty, as docker leaves it beside a program."""
    username, password = _text(value, "username"), _text(value, "password")
    if packed := _text(value, "auth"):
        try:
            username, colon, password = base64.b64decode(packed, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise ValueError(f"auths[{key!r}].auth is not base64 of user:password") from None  # nor shown in a cause
        if not colon:
            raise ValueError(f"auths[{key!r}].auth is not base64 of user:password")
    password = password.rstrip("\0")  # docker cuts what old versions padded
    if identity := _text(value, "identitytoken"):
        return Credential(identity=identity)
    if username == _TOKEN_USER:
        return Credential(identity=password)
    return Credential(username, password) if username or password else None


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""
