"""What stands beside an object in its namespace: the autoscaler of a workload, its budget, its claims, its namespace.

A check that needs it says by `Check.seeks` what it looks for, so that it is gathered; `Subject.neighbours` and
`Pod.neighbours` give what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from webhook.model.record import record


@record(frozen=True, slots=True)
class Ref:
    """What is looked for: the objects of a kind in the namespace of the judged object, or the one of a name.

    The version in `api_version` (`policy/v1`) is the one that an API server is asked for; manifests count in any.
    A Namespace without a name is the one that the object is in.
    """

    api_version: str
    kind: str
    name: str = ""

    @property
    def group(self) -> str:
        """The API group, '' for the core one."""
        return self.api_version.rpartition("/")[0]

    def __str__(self) -> str:
        """Return what a person calls it: `PersistentVolumeClaim data`, or the kind alone."""
        return f"{self.kind} {self.name}".rstrip()

    def fits(self, group: str, kind: str, name: str) -> bool:
        """Say whether an object of this group, kind and name is meant."""
        return (group, kind) == (self.group, self.kind) and self.name in ("", name)


@record(frozen=True, slots=True)
class Found:
    """The objects that were found; `lacking` says why there may be others, '' where these are all there are.

    `failed`: others may be there since a look-up failed, and not since nobody looks further than the files.
    """

    objects: tuple[Mapping[str, Any], ...] = ()
    lacking: str = ""
    failed: bool = False


Neighbours = Callable[[Ref], Found]
NAMESPACE = Ref("v1", "Namespace")
"""The namespace of the object that is judged."""


def alone(ref: Ref) -> Found:
    """Return that nothing is known of what stands beside an object."""
    return Found(lacking=f"nobody looked for {ref}")


def together(parts: Iterable[Found]) -> Found:
    """Return all objects of several places; others may be elsewhere where any part says so."""
    listed = list(parts)
    lacking = next((part.lacking for part in listed if part.lacking), "")
    objects = tuple(obj for part in listed for obj in part.objects)
    return Found(objects, lacking, any(part.failed for part in listed))
