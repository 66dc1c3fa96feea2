"""What asks a registry, as the cache of image facts sees it; `client.py` is the one that does."""

from __future__ import annotations

from typing import Protocol

from webhook.model.image import Image
from webhook.model.oci import Content
from webhook.ports import Unknown


class Unanswered(Unknown):
    """A registry did not tell; `rest` is for how many seconds it asked not to be asked again (Retry-After), else 0.

    `host` is the registry that the answer is true of as a whole (it is down, it sends 429), '' where it is about this
    image alone.
    """

    def __init__(self, text: str, rest: float = 0.0, host: str = "") -> None:
        """Take a sentence for people."""
        self.rest = rest
        self.host = host
        super().__init__(text)


class Absent(Unknown):
    """The registry says that there is no such image, or none that we may see; the text says which."""


class Source(Protocol):
    """Asks registries. Safe to call from many threads; `seconds` bound a whole call, redirects, tokens and all.

    `namespace` and `secrets` name pull secrets of a pod, where those count. All raise Unanswered or Absent.
    """

    def digest(self, image: Image, seconds: float, namespace: str = "", secrets: tuple[str, ...] = ()) -> str:
        """Return the digest that a reference stands for now, in one small request."""
        ...

    def content(self, image: Image, seconds: float, namespace: str = "", secrets: tuple[str, ...] = ()) -> Content:
        """Return all that an image is: manifest or index, and the config of every platform, each digest verified."""
        ...
