"""A registry in memory that implements `Source`: it counts what it is asked, and answers when a test lets it."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from webhook.model.image import Image
from webhook.model.oci import Build, Content, Inspected, Layer, Lookup, Platform
from webhook.registry.images import Images
from webhook.registry.source import Absent

SECONDS = 60.0
"""A deadline that is only met by what never comes."""


def digest(name: str) -> str:
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


def content(of: str, size: int = 0) -> Content:
    """Return the content with a digest; `size` are bytes that its config has."""
    config = {"config": {"Env": [f"OF={of}"]}, "rootfs": {"diff_ids": [digest(of)]}, "history": ["x" * size]}
    return Content(of, (Build(of, Platform("linux", "amd64"), config, (Layer(digest(of), 7),), {"a": "b"}),))


@dataclass
class Registry:
    """`tags` are digests by reference; a digest in `missing`, and a tag that isn't there, is absent.

    `error` is raised by every call while it is set. Calls about a host in `held` wait until `release` is called.
    """

    tags: dict[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    error: Exception | None = None
    size: int = 0
    held: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    given: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    busy: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def digest(self, image: Image, seconds: float, namespace: str = "", secrets: tuple[str, ...] = ()) -> str:
        self._called("digest", image, seconds, (namespace, secrets))
        return self._found(image)

    def content(self, image: Image, seconds: float, namespace: str = "", secrets: tuple[str, ...] = ()) -> Content:
        self._called("content", image, seconds, (namespace, secrets))
        return content(self._found(image), self.size)

    def count(self, what: str) -> int:
        """Return how often it was asked for a `digest` or a `content`."""
        return sum(asked == what for asked, _ in self.asked)

    def hold(self, host: str = "registry.example") -> None:
        with self.changed:
            self.held.add(host)

    def release(self) -> None:
        with self.changed:
            self.held.clear()
            self.changed.notify_all()

    def until(self, test: Callable[[Registry], bool]) -> None:
        """Wait until something is true of what was asked."""
        with self.changed:
            assert self.changed.wait_for(lambda: test(self), SECONDS)

    def _called(self, what: str, image: Image, seconds: float, given: tuple[str, tuple[str, ...]]) -> None:
        host = image.registry
        with self.changed:
            self.asked.append((what, str(image)))
            self.given.append(given)
            self.seconds.append(seconds)
            self.busy[host] += 1
            self.most[host] = max(self.most[host], self.busy[host])
            self.changed.notify_all()
            let = self.changed.wait_for(lambda: host not in self.held, SECONDS)
            self.busy[host] -= 1
            assert let
            if self.error is not None:
                raise self.error

    def _found(self, image: Image) -> str:
        found = image.digest or self.tags.get(str(image), "")
        if not found or found in self.missing:
            raise Absent(f"{image.registry} has no image {image}")
        return found


@pytest.fixture
def registry() -> Registry:
    """A registry with one tag, registry.example/app:1."""
    return Registry({"registry.example/app:1": digest("one")})


@pytest.fixture
def make(registry: Registry, clock: Any) -> Callable[..., Images]:
    """Make an `Images` that asks `registry`, on a clock that moves only when told."""

    def images(*arguments: Any, **options: Any) -> Images:
        return Images(registry, *arguments, **{"clock": clock, "wall": clock, **options})

    return images


@pytest.fixture
def of() -> Callable[..., Inspected]:
    """Look for one image: `of(images, "registry.example/app:1", timeout=..., secrets=(), namespace="shop")`."""

    def look(
        images: Images,
        reference: str = "registry.example/app:1",
        timeout: float = SECONDS,
        secrets: tuple[str, ...] = (),
        namespace: str = "shop",
    ) -> Inspected:
        lookup = Lookup(reference, secrets)
        return images.look([lookup], namespace, timeout)[lookup]

    return look


@pytest.fixture(name="digest")
def digest_fixture() -> Callable[[str], str]:
    """The digest of a name."""
    return digest


@pytest.fixture(name="content")
def content_fixture() -> Callable[..., Content]:
    """The content that the registry has for a digest."""
    return content
