"""What stands beside an object in its namespace: the autoscaler of a workload, its budget, its claims, its namespace.

A check that needs it says by `Check.seeks` what it looks for; what was found stands at `Subject.neighbours` and
`Pod.neighbours`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Ref:
    """What is looked for: the objects of a kind in the namespace of the judged object, or the one of a name.

    The version in `api_version` (`policy/v1`) is the one that an API server is asked for; manifests count in any.
    A Namespace is looked for by its own name.
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


@dataclass(frozen=True, slots=True)
class Found:
    """The objects that were found; `lacking` says why there may be others, '' where these are all there are.

    `failed`: others may be there since a look-up failed, and not since nobody looks further than the files.
    """

    objects: tuple[Mapping[str, Any], ...] = ()
    lacking: str = ""
    failed: bool = False


Neighbours = Mapping[Ref, Found]
NAMESPACE = ("", "Namespace")


def namespace(name: str) -> Ref:
    """Return the reference to the Namespace of this name."""
    return Ref("v1", "Namespace", name)


def together(parts: Iterable[Found]) -> Found:
    """Return all objects of several places; others may be elsewhere where any part says so."""
    listed = list(parts)
    lacking = next((part.lacking for part in listed if part.lacking), "")
    objects = tuple(obj for part in listed for obj in part.objects)
    return Found(objects, lacking, any(part.failed for part in listed))
