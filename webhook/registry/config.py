"""The registries file: which registries are asked, and how. Every mistake at once, with its line.

For people: docs/registries.md.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from webhook.errors import ConfigError, Problem
from webhook.model import image, oci
from webhook.model.oci import Platform
from webhook.packs.parse import Document, documents
from webhook.packs.parse import Path as Place
from webhook.packs.suggest import hint, listed
from webhook.packs.walk import walk
from webhook.registry import credentials, manifest
from webhook.registry.address import Network

API_VERSION = "plimsoll.dev/v1"
KIND = "Registries"
HUB_API = "registry-1.docker.io"
"""Docker Hub serves the images of docker.io from here, as every client of it knows (distribution/reference names no
other host than docker.io)."""

_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "array", "items": _TEXT, "uniqueItems": True}


def _object(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


SCHEMA: Mapping[str, Any] = _object(
    {
        "apiVersion": {"type": "string", "enum": [API_VERSION]},
        "kind": {"type": "string", "enum": [KIND]},
        "registries": {
            "type": "array",
            "minItems": 1,
            "items": _object(
                {
                    "host": _TEXT,
                    "mirrors": _TEXTS,
                    "ca": _TEXT,
                    "insecure": {"type": "boolean"},
                    "addresses": _TEXTS,
                    "credentials": _TEXT,
                },
                "host",
            ),
        },
        "platforms": {**_TEXTS, "minItems": 1},
    },
    "apiVersion",
    "kind",
    "registries",
)


@dataclass(frozen=True, slots=True)
class Mirror:
    """Where copies of a registry's images are: the host, and what stands in front of their repositories."""

    host: str
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry that may be asked. `host` is normalized as in image references; `ca` is PEM, '' for none of its own.

    `credentials` is a docker config file, or a directory with one.
    """

    host: str
    mirrors: tuple[Mirror, ...] = ()
    ca: str = ""
    insecure: bool = False
    addresses: tuple[Network, ...] = ()
    credentials: Path | None = None

    @property
    def url(self) -> str:
        """Where its API is: `https://registry.example`."""
        return ("http://" if self.insecure else "https://") + (HUB_API if self.host == image.HUB else self.host)


@dataclass(frozen=True, slots=True)
class Config:
    """All registries that may be asked, by host, and the platforms that are read of an index (none: all)."""

    registries: Mapping[str, Registry] = field(default_factory=dict)
    platforms: tuple[Platform, ...] = ()


def load(source: str, text: str, folder: Path) -> Config:
    """Return what a registries file says; `source` is its name in errors, paths in it start at `folder`.

    The files that it names are read too, so that what is wrong with them is said now. Raises ConfigError with every
    problem.
    """
    found = documents(source, text)
    if len(found) != 1:
        text = f"holds {len(found) or 'no'} documents; wanted exactly one with kind: {KIND}"
        raise ConfigError([Problem(source, 0, "", text)])
    problems = list(walk(found[0], (), found[0].value, SCHEMA))
    if problems:
        raise ConfigError(problems)
    loader = _Loader(found[0], folder)
    config = loader.config()
    if loader.problems:
        raise ConfigError(loader.problems)
    return config


@dataclass(slots=True)
class _Loader:
    document: Document
    folder: Path
    problems: list[Problem] = field(default_factory=list)

    def config(self) -> Config:
        """Return the config; what is wrong with it is in `problems`."""
        registries: dict[str, Registry] = {}
        lines: dict[str, int] = {}
        for number, value in enumerate(self.document.value["registries"]):
            place: Place = ("registries", number)
            host = self._host((*place, "host"), value["host"])
            if host in lines:
                self._say((*place, "host"), f"{host} has an entry already, in line {lines[host]}; keep one")
            elif host:
                lines[host] = self.document.place(place).line
                registries[host] = self._registry(place, host, value)
        self._mirrors_listed(registries)
        return Config(registries, tuple(self._platforms()))

    def _say(self, place: Place, text: str) -> None:
        self.problems.append(self.document.problem(place, text))

    def _registry(self, place: Place, host: str, value: Mapping[str, Any]) -> Registry:
        if value.get("insecure") and "ca" in value:
            self._say((*place, "ca"), "has no use beside insecure: true, which speaks plain HTTP; keep one")
        return Registry(
            host,
            tuple(self._mirrors(place, host, value)),
            self._authorities((*place, "ca"), value["ca"]) if "ca" in value else "",
            bool(value.get("insecure")),
            tuple(self._addresses(place, value)),
            self._credentials((*place, "credentials"), value["credentials"]) if "credentials" in value else None,
        )

    def _host(self, place: Place, text: str) -> str:
        """Return the normalized host, '' where there is none."""
        host, rest = _reference(text)
        if host and not rest:
            return host
        self._say(place, f"{text!r} is no host of a registry; {_host_advice(text)}")
        return ""

    def _mirrors(self, place: Place, host: str, value: Mapping[str, Any]) -> Iterator[Mirror]:
        for number, text in enumerate(value.get("mirrors", ())):
            here = (*place, "mirrors", number)
            mirror = Mirror(*_reference(text))
            if not mirror.host:
                self._say(here, f"{text!r} is no mirror; wanted a host, or host/beginning-of-repositories")
            elif mirror == Mirror(host):
                self._say(here, f"{host} is no mirror of itself")
            else:
                yield mirror

    def _mirrors_listed(self, registries: Mapping[str, Registry]) -> None:
        for number, value in enumerate(self.document.value["registries"]):
            for place, text in enumerate(value.get("mirrors", ())):
                host = _reference(text)[0]
                if host and host not in registries:
                    self._say(
                        ("registries", number, "mirrors", place),
                        f"{host} has no entry of its own, and only hosts with one are asked; "
                        f"{hint(host, registries)}add `- host: {host}`",
                    )

    def _authorities(self, place: Place, name: str) -> str:
        path = self.folder / name
        try:
            text = path.read_text(encoding="ascii")
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
        except OSError as error:  # ssl.SSLError is one too
            reason = "it holds no certificates in PEM" if isinstance(error, ssl.SSLError) else error.strerror
            self._say(place, f"{path} cannot be read: {reason}")
            return ""
        except ValueError:  # not ASCII, or empty
            self._say(place, f"{path} cannot be read: it holds no certificates in PEM")
            return ""
        return text

    def _addresses(self, place: Place, value: Mapping[str, Any]) -> Iterator[Network]:
        for number, text in enumerate(value.get("addresses", ())):
            try:
                yield ip_network(text)
            except ValueError as error:
                here = (*place, "addresses", number)
                self._say(here, f"{text!r} is no range of addresses ({error}); wanted for instance 127.0.0.0/8")

    def _credentials(self, place: Place, name: str) -> Path:
        path = self.folder / name
        try:
            credentials.read(path)
        except ValueError as error:
            self._say(place, str(error))
        return path

    def _platforms(self) -> Iterator[Platform]:
        for number, text in enumerate(self.document.value.get("platforms", ())):
            try:
                yield manifest.normal(oci.platform(text))
            except ValueError as error:
                self._say(("platforms", number), str(error))


def _reference(text: str) -> tuple[str, str]:
    """Return host and repository of `host` or `host/repository`, '' and '' where it is neither."""
    try:
        read = image.parse(f"{text.removesuffix('/')}/a/b")
    except ValueError:
        return "", ""
    written = text.partition("/")[0]
    if read.registry == image.HUB and not written.lower().endswith(image.HUB):
        return "", ""  # a word without dot or port, which is an account of Docker Hub in a reference
    return read.registry, read.repository.removesuffix("a/b").removesuffix("/")


def _host_advice(text: str) -> str:
    wanted = listed(["registry.example", "registry.example:5000"])
    if "://" in text:
        return f"leave the scheme out, as in {wanted} (insecure: true is plain HTTP)"
    if "*" in text:
        return f"each host is written out, as in {wanted}"
    if "/" in text:
        return f"leave the repository out, as in {wanted}"
    return f"wanted a name with a dot or a port, as in {wanted}"
