"""Reads the pull secrets that let us see images: Secrets with the docker config of a registry."""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from webhook.kube.cache import Bounds, Cache
from webhook.kube.client import ApiError, Client, weight
from webhook.ports import Unknown

BOUNDS = Bounds(entries=500, weight=4 * 1024 * 1024, fresh=60.0)
"""A renewed password counts after a minute; what was last read serves while the API server errs."""
SECONDS = 2.0
"""For all Secrets of one image together."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")

Config = Mapping[str, Any]


class Secrets:
    """Gives docker configs by the names of Secrets; threads may share it."""

    def __init__(
        self,
        client: Client,
        own: Iterable[str] = (),
        *,
        pods: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read with `client` the Secrets `own` of our namespace, and, with `pods`, those that pods name in theirs."""
        self._client = client
        self._own = tuple((client.access.namespace, name) for name in own)
        self._pods = pods
        self._clock = clock
        self._cache: Cache[tuple[str, str], Config] = Cache(BOUNDS, clock)

    def __call__(self, namespace: str, names: Iterable[str]) -> list[Config]:
        """Return the docker configs that count for a pod of `namespace` with the pull secrets `names`: its own first.

        A Secret that is not there, holds no docker config, or may not be read, gives nothing: the registry then says
        what is missing.
        """
        ends = self._clock() + SECONDS
        own = [self._get(*place, ends) for place in self._own]  # before those that somebody else may name in vain
        asked = [self._get(namespace, name, ends) for name in names] if self._pods else []
        return [config for config in (*asked, *own) if config]

    def _get(self, namespace: str, name: str, ends: float) -> Config:
        if not _NAME.match(namespace) or not _NAME.match(name):
            return {}
        left = max(0.0, ends - self._clock())
        try:
            return self._cache.get((namespace, name), lambda seconds: self._fetch(namespace, name, seconds), left)
        except Unknown:
            return {}

    def _fetch(self, namespace: str, name: str, timeout: float) -> tuple[Config, int]:
        if not timeout:
            raise Unknown("no time is left")
        try:
            secret = self._client.get(f"/api/v1/namespaces/{namespace}/secrets/{name}", timeout)
        except ApiError as error:
            if error.status in (403, 404):
                return {}, 1
            raise Unknown(str(error)) from error
        config = docker_config(secret)
        return config, weight(config)


def docker_config(secret: Mapping[str, Any]) -> Config:
    """Return the docker config of a Secret, as `docker login` writes it; {} where it holds none.

    Of the type kubernetes.io/dockerconfigjson, or of the older kubernetes.io/dockercfg, which is the `auths` alone
    (kubernetes.io/docs/concepts/configuration/secret/#docker-config-secrets).
    """
    data = secret.get("data") or {}
    whole, auths = _decoded(data.get(".dockerconfigjson")), _decoded(data.get(".dockercfg"))
    return whole or ({"auths": auths} if auths else {})


def _decoded(text: object) -> dict[str, Any]:
    if not isinstance(text, str):
        return {}
    try:
        value = orjson.loads(base64.b64decode(text, validate=True))
    except (binascii.Error, orjson.JSONDecodeError):
        return {}
    return value if isinstance(value, dict) else {}
