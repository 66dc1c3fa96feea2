"""Exemptions: who need not keep a rule, why, and until when."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime

from webhook.model.glob import Globs
from webhook.model.image import Pattern
from webhook.model.image import parse as parse_image
from webhook.model.pods import Subject
from webhook.model.record import record
from webhook.packs.match import Known, Lacking, namespace_of


@record(frozen=True, slots=True)
class Exemption:
    """One entry of `exemptions`: every clause that is given must match; `expires` is the last UTC day it holds."""

    rules: frozenset[str]
    reason: str
    owner: str
    expires: date
    namespaces: Globs | None = None
    names: Globs | None = None
    kinds: frozenset[tuple[str, str]] | None = None
    containers: Globs | None = None
    images: tuple[Pattern, ...] | None = None

    @property
    def whole(self) -> bool:
        """Say whether it covers whole objects, not single containers."""
        return self.containers is None and self.images is None


def active(exemption: Exemption, now: datetime) -> bool:
    """Say whether an exemption holds at `now` (with a time zone): through its last UTC day, and never after."""
    return now.astimezone(UTC).date() <= exemption.expires


def covering(
    exemptions: Iterable[Exemption],
    subject: Subject,
    container: str | None,
    image: Callable[[], str | None],
    known: Known,
) -> Exemption | Lacking | None:
    """Return the first exemption that covers a finding, or what is lacking to tell, or None.

    `container` is the name of the finding's container or volume, `image` returns its image as written, each None
    where the finding has none; a clause on them then does not match. It is asked where a clause wants to know: to look
    is dear, and most exemptions are for others.
    """
    lacking: Lacking | None = None
    for exemption in exemptions:
        verdict = _covers(exemption, subject, container, image, known)
        if isinstance(verdict, Lacking):
            lacking = lacking or verdict
        elif verdict:
            return exemption
    return lacking


def _covers(
    exemption: Exemption, subject: Subject, container: str | None, image: Callable[[], str | None], known: Known
) -> bool | Lacking:
    if exemption.kinds is not None and (subject.group, subject.kind) not in exemption.kinds:
        return False
    if exemption.namespaces is not None and not exemption.namespaces(namespace_of(subject)):
        return False
    if exemption.containers is not None and (container is None or not exemption.containers(container)):
        return False
    if exemption.images is not None and not _has_image(exemption.images, image()):
        return False
    if exemption.names is None or exemption.names(subject.name):
        return True
    if isinstance(known.owner_names, str):
        return Lacking("owners", known.owner_names)
    return any(exemption.names(name) for name in known.owner_names)


def _has_image(patterns: tuple[Pattern, ...], image: str | None) -> bool:
    if image is None:
        return False
    try:
        reference = parse_image(image)
    except ValueError:
        return False  # what cannot be read is not exempt
    return any(pattern(reference) for pattern in patterns)
