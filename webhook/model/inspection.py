"""The images of a pod's containers, with what registries say of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

from webhook.model import oci
from webhook.model.oci import Build, Inspected, Lookup
from webhook.model.pods import Container, Pod

T = TypeVar("T", bound=Hashable)


def lookups(pod: Pod) -> Iterator[Lookup]:
    """Give what to ask about the images of a pod's containers; nothing of an image that is no reference."""
    for container in pod.containers:
        lookup = oci.lookup(container.image, pod.spec)
        if lookup is not None:
            yield lookup


def inspections(pod: Pod) -> Iterator[tuple[Container, Inspected]]:
    """Give each container of a pod whose image is a reference, with what is known of that image."""
    for container in pod.containers:
        lookup = oci.lookup(container.image, pod.spec)
        if lookup is not None:
            yield container, pod.images(lookup)


def alike(builds: Iterable[Build], said: Callable[[Build], Iterable[T]]) -> Iterator[tuple[T, str]]:
    """Give what is said of an image's builds, each once, and of which platforms; '' where it is said of all."""
    listed = tuple(builds)
    found: dict[T, list[str]] = {}
    for build in listed:
        for one in dict.fromkeys(said(build)):
            found.setdefault(one, []).append(str(build.platform))
    for one, platforms in found.items():
        yield one, "" if len(platforms) == len(listed) else f" on {', '.join(platforms)}"
