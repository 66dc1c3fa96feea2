"""The body of objects that two packs are compared over, each as it would be asked about, and what was left out."""

from __future__ import annotations

import marshal
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from webhook.cli.judge import admission, placed
from webhook.cli.shelf import Kept, Packed
from webhook.errors import Problem
from webhook.model.review import Review, parse

NO_OBJECT = "documents that are no Kubernetes objects"
NO_RULE = "objects that no rule concerns"
AGAIN = "requests about an object that was sent again later"
DRY = "dry runs"
OTHER = "requests that are not judged (other operations and subresources)"
SYSTEM = "objects of kube-system and kube-node-lease, about which no webhook is asked"

Key = tuple[str, ...]


class Case(NamedTuple):
    """One request about an object. `request` holds, as bytes, what the request has besides the object; a manifest
    has none.

    `source` is where it was found (`deploy.yaml:12`), `when` the time of the request where there is one.
    """

    packed: Kept
    source: str
    operation: str = "CREATE"
    request: bytes = b""
    when: str = ""

    @classmethod
    def of(cls, obj: Mapping[str, Any], source: str, operation: str, request: Mapping[str, Any], when: str) -> Case:
        """Return the case of an object; namespace and name are the request's, where it says them."""
        told = request.get("namespace")
        obj = placed(obj, told) if isinstance(told, str) and told else dict(obj)  # a sent object need not name it
        kept = {key: value for key, value in request.items() if key != "object"}
        review = _asked(obj, "", operation, kept)
        kind = review.kind
        packed = Packed(source, marshal.dumps(dict(obj)), b"", review.namespace, kind.group, kind.kind, review.name)
        return cls(packed, source, operation, marshal.dumps(kept), when)

    def review(self, namespace: str) -> Review:
        """Return the review; `namespace` is where a manifest goes that names none. Raises ReviewError."""
        obj = marshal.loads(self.packed.value)  # noqa: S302 - our own bytes
        if not self.request:
            return _asked(obj, namespace, self.operation, {})
        return _asked(obj, "", self.operation, marshal.loads(self.request))  # noqa: S302 - our own bytes


def _asked(obj: Mapping[str, Any], namespace: str, operation: str, more: Mapping[str, Any]) -> Review:
    document = admission(obj, namespace, operation)
    document["request"].update(more)
    return parse(document)


@dataclass(slots=True)
class Body:
    """Cases by what tells that they are about one object; how many of what were left out; what could not be read."""

    cases: dict[Key, Case] = field(default_factory=dict)
    left: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    def add(self, case: Case, *more: str) -> None:
        """Add a case. Of several about one object the last in time counts, as it is what the cluster has.

        `more` tells apart what is about one object all the same. What gets its name from the API server is
        an object of its own each time.
        """
        packed = case.packed
        key: Key = (packed.namespace, packed.group, packed.kind, packed.name, *more)
        if not packed.name or packed.name.endswith("*"):
            key += (case.source,)
        known = self.cases.get(key)
        if known is not None:
            self.left[AGAIN] += 1
        if known is None or known.when <= case.when:
            self.cases[key] = case
