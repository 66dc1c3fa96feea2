"""What is known of images, as values, and how it is put into a store and read back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import orjson

from webhook.model import image, oci
from webhook.model.image import Image
from webhook.model.oci import Content, Lookup
from webhook.registry.store import Store


@dataclass(frozen=True, slots=True)
class Question:
    """An image, and whose pull secrets it is read with: those of a namespace, or nobody's.

    `key` is the same for all who are told the same: with a digest the tag doesn't count.
    """

    image: Image
    key: str
    namespace: str = ""
    secrets: tuple[str, ...] = ()

    def at(self, digest: str) -> Question:
        """Return the question for a digest in the same repository, read by the same means."""
        return _question(replace(self.image, tag="", digest=digest, implied=False), self.namespace, self.secrets)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a reference stood for, and when it was last seen to do so, in seconds since 1970; `weight` is in bytes."""

    content: Content
    weight: int
    seen: float


@dataclass(frozen=True, slots=True)
class Fact:
    """What a reference stood for, the latest first.

    `current`: the first of it is what the reference stands for, as far as we know; else all of it is former, since the
    registry said that there is no such image any more, or what it is got lost.
    """

    history: tuple[Sighting, ...]
    current: bool = True

    @property
    def latest(self) -> Sighting:
        """What was seen last."""
        return self.history[0]

    @property
    def weight(self) -> int:
        """The bytes of all contents, as JSON."""
        return sum(sighting.weight for sighting in self.history)


def question(lookup: Lookup, namespace: str, pull_secrets: bool) -> Question:
    """Return what a look-up asks; pull secrets count only where they are wanted. ValueError where it names no image."""
    if pull_secrets and lookup.secrets:
        return _question(_named(lookup.reference).image, namespace, lookup.secrets)
    return _named(lookup.reference)


def sighted(content: Content, now: float) -> Sighting:
    """Return that a content was seen now."""
    return Sighting(content, len(orjson.dumps(oci.dump(content))), now)


def after(known: Fact | None, latest: Sighting, former: int) -> Fact:
    """Return what is known once a reference was seen to stand for `latest`: that, and at most `former` before it."""
    before = known.history if known else ()
    others = [sighting for sighting in before if sighting.content.digest != latest.content.digest]
    return Fact((latest, *others[:former]))


@lru_cache(maxsize=4096)
def _named(reference: str) -> Question:
    named = image.parse(reference)
    return _question(replace(named, tag="", implied=False) if named.digest else named)


def _question(named: Image, namespace: str = "", secrets: tuple[str, ...] = ()) -> Question:
    key = str(named)
    if secrets:  # whoever writes a pod gives their names, of any length and with any character
        key += " " + hashlib.sha256(orjson.dumps([namespace, secrets])).hexdigest()
        return Question(named, key, namespace, secrets)
    return Question(named, key)


class Shelf:
    """A store for facts: a document for each digest, and for a tag the digests that it stood for.

    What is read is believed if it has the form of what was written: the contents were made from manifests whose
    digests were verified, and the store keeps damage away. Without a store nothing is kept.
    """

    def __init__(self, store: Store | None) -> None:
        """Take the store."""
        self.store = store

    def fact(self, asked: Question, known: Fact | None) -> Fact | None:
        """Return what is kept, as it was when it was written; None where nothing is, or where it can't be read.

        Contents that are `known` are not read again.
        """
        if self.store is None:
            return None
        had = {sighting.content.digest: sighting for sighting in known.history} if known else {}
        if asked.image.digest:
            found = had.get(asked.image.digest) or self._sighting(asked, 0.0)
            return Fact((found,)) if found else None
        return self._tag(asked, self.store.read(asked.key), had)

    def keep(self, asked: Question, fact: Fact) -> None:
        """Keep what is known."""
        if self.store is None:
            return
        for sighting in fact.history:
            key = asked.at(sighting.content.digest).key
            if not self.store.touch(key):
                self.store.write(key, oci.dump(sighting.content))
        if not asked.image.digest:
            history = [[sighting.content.digest, sighting.seen] for sighting in fact.history]
            self.store.write(asked.key, {"history": history, "current": fact.current})

    def _tag(self, asked: Question, document: Any, had: Mapping[str, Sighting]) -> Fact | None:
        try:
            pairs = [(str(digest), float(seen)) for digest, seen in document["history"]]
            current = bool(document["current"])
        except (KeyError, TypeError, ValueError):
            return None
        found = tuple(self._sightings(asked, pairs, had))
        return Fact(found, current and found[0].content.digest == pairs[0][0]) if found else None

    def _sightings(
        self, asked: Question, pairs: list[tuple[str, float]], had: Mapping[str, Sighting]
    ) -> Iterator[Sighting]:
        for digest, seen in pairs:
            if digest in had:
                yield replace(had[digest], seen=seen)
            elif found := self._sighting(asked.at(digest), seen):
                yield found

    def _sighting(self, asked: Question, seen: float) -> Sighting | None:
        assert self.store is not None
        document = self.store.read(asked.key)
        try:
            content = oci.load(document)
        except ValueError:
            return None
        return sighted(content, seen) if content.digest == asked.image.digest else None
