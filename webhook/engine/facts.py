"""Facts: values from outside the review that a rule needs, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from webhook.model.access import Right
from webhook.model.neighbours import Found, Ref
from webhook.model.oci import Inspected, Lookup
from webhook.model.pods import Subject
from webhook.model.record import record


@record(frozen=True, slots=True)
class Owner:
    """A controller of the object, nearest first; `object` is the whole of it where it is known."""

    group: str
    kind: str
    name: str
    object: Mapping[str, Any]


@record(frozen=True, slots=True)
class Missing:
    """A fact that is not there: not asked for (`reason` is empty), or asked for and not had in time.

    Of owners, `found` are those that were had, nearest first.
    """

    reason: str = ""
    found: tuple[Owner, ...] = ()


NOT_ASKED = Missing()
FORMER = "former"
"""What a decision wants that hangs on the images of the old object."""


@record(frozen=True, slots=True)
class Facts:
    """What was gathered for one review: the Namespace object, the chain of controllers, what stands beside it, what
    its images are, and whether the requester has the right that it hangs on.
    """

    namespace: Mapping[str, Any] | Missing = NOT_ASKED
    owners: tuple[Owner, ...] | Missing = NOT_ASKED
    neighbours: Mapping[Ref, Found] = field(default_factory=dict)
    images: Mapping[Lookup, Inspected] = field(default_factory=dict)
    access: bool | Missing = NOT_ASKED


@record(frozen=True, slots=True)
class Needs:
    """The facts that the rules for one review hang on: by name (`namespace`, `owners`), and neighbours and images
    by reference; and the right that its requester needs.

    `subjects` are those of the review, where they were read to find that out.
    """

    names: frozenset[str] = frozenset()
    neighbours: frozenset[Ref] = frozenset()
    images: frozenset[Lookup] = frozenset()
    right: Right | None = None
    subjects: tuple[Subject, ...] | None = field(default=None, repr=False, compare=False)

    def __bool__(self) -> bool:
        """Say whether there is anything to gather."""
        return bool(self.names or self.neighbours or self.images or self.right)
