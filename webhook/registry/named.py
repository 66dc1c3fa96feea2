"""The registries that a person names on a command line."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from webhook.errors import ConfigError, Problem
from webhook.registry import config, credentials
from webhook.registry.config import Config, Registry


def named(file: str, hosts: Collection[str], docker_config: str) -> Config:
    """Return the registries of a registries file, and others by host, normalized, with nothing special.

    `docker_config` says who we are to those whose entry says nothing: a file, or a directory with one. '' is no file.
    Raises ConfigError with every mistake in the files.
    """
    found = _read(file) if file else Config()
    registries = {**{host: Registry(host) for host in hosts}, **found.registries}
    if docker_config:
        path = Path(docker_config)
        try:
            credentials.read(path)
        except ValueError as error:
            raise ConfigError([Problem("--docker-config", 0, "", str(error))]) from error
        registries = {
            host: entry if entry.credentials else replace(entry, credentials=path) for host, entry in registries.items()
        }
    return Config(registries, found.platforms)


def _read(file: str) -> Config:
    try:
        text = Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(file, 0, "", "this is not UTF-8; save it as UTF-8")]) from error
    except OSError as error:
        raise ConfigError([Problem(file, 0, "", f"cannot be read: {error.strerror}")]) from error
    return config.load(file, text, Path(file).parent)
