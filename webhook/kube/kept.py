"""A Secret of our own namespace that we follow and write: somebody else made it, and it may be empty."""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable, Mapping

from webhook.kube.client import ApiError, Client, Object
from webhook.kube.watch import Watch

CALL = 5.0


class Kept:
    """One Secret. Rights: `get`, `list`, `watch` and `update` on its name. Threads may share it."""

    def __init__(self, client: Client, namespace: str, name: str, changed: Callable[[], None]) -> None:
        """Follow `name` in `namespace`, once `follow` runs; `changed` is called whenever it is another."""
        self.place = f"{namespace}/{name}"
        self.name = name
        self._client = client
        self._changed = changed
        self._object: Object | None = None
        folder = f"/api/v1/namespaces/{namespace}/secrets"
        self._path = f"{folder}/{name}"
        # a list narrowed to one name is allowed to whom that name is (RBAC, resourceNames)
        self._watch = Watch(client, folder, self, {"fieldSelector": f"metadata.name={name}"})

    @property
    def quiet(self) -> float | None:
        """Seconds since the API server said something; None before the first list."""
        return self._watch.quiet

    def follow(self, stop: threading.Event) -> None:
        """Keep what is known up to date until `stop` is set."""
        self._watch.run(stop)

    def seen(self) -> Object | None:
        """Return the Secret as it was last heard of, or asked for where nothing was; None where there is none.

        Raises ApiError.
        """
        return self.fresh() if self._watch.quiet is None else self._object

    def fresh(self) -> Object | None:
        """Return the Secret as it is now, None where there is none. Raises ApiError."""
        try:
            return self._client.get(self._path, CALL)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def write(self, found: Object, values: Mapping[str, bytes], without: str | None = None) -> None:
        """Write keys of the Secret `found`, and take the annotation `without` off.

        Raises ApiError, with status 409 where it is not as it was found any more: of two writers one wins.
        """
        data = {**(found.get("data") or {}), **{key: base64.b64encode(value).decode() for key, value in values.items()}}
        meta = dict(found.get("metadata") or {})
        if without:
            meta["annotations"] = {key: text for key, text in notes(found).items() if key != without}
        # the resource version in `meta` is what the API server compares
        before = self._object
        written = self._client.call("PUT", self._path, CALL, {**found, "metadata": meta, "data": data})
        if self._object is before:  # else the watch knows more by now
            self._object = written

    def replace(self, objects: list[Object]) -> None:
        """Take what a list holds: this Secret or nothing."""
        self._object = objects[0] if objects else None
        self._changed()

    def put(self, obj: Object) -> None:
        """Take a change."""
        self._object = obj
        self._changed()

    def drop(self, obj: Object) -> None:
        """Take that it is gone."""
        self._object = None
        self._changed()


def value(found: Object | None, key: str) -> bytes:
    """Return a key of a Secret, empty where there is none."""
    text = ((found or {}).get("data") or {}).get(key) or ""
    try:
        return base64.b64decode(text)
    except (binascii.Error, TypeError):
        return b""


def notes(found: Object | None) -> dict[str, str]:
    """Return the annotations of an object."""
    return dict(((found or {}).get("metadata") or {}).get("annotations") or {})
