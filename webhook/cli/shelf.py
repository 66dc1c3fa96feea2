"""The objects of all files, packed: what a check keeps of them until they are judged, or looked for by a neighbour.

An object as Python holds it, with its lines, takes twenty times the memory of its text. Whatever may stand beside
another has to be kept until the last file is read, so it is kept as bytes.
"""

from __future__ import annotations

import marshal
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from webhook.cli import crew, objects
from webhook.cli.objects import Manifest
from webhook.cli.progress import bar
from webhook.cli.spool import Spool
from webhook.errors import ConfigError, Problem
from webhook.model.neighbours import NAMESPACE, Found, Ref
from webhook.model.pods import group_of, mapping
from webhook.model.record import record

UNPACKED = 1024
"""Objects that a process keeps as they are, since several look for them."""


class Packed(NamedTuple):
    """A manifest: its value and its marks as bytes, and what it is looked for by."""

    file: str
    value: bytes
    mark: bytes
    namespace: str
    group: str
    kind: str
    name: str


class Stored:
    """A manifest that was packed, and whose bytes are in a spool; else as `Packed`."""

    __slots__ = ("_at", "_mark", "_spool", "_value", "file", "group", "kind", "name", "namespace")

    def __init__(self, packed: Packed, spool: Spool) -> None:
        """Put the bytes of a packed manifest away. Raises ConfigError where there is no room on disk."""
        self.file, self.namespace, self.name = packed.file, sys.intern(packed.namespace), packed.name
        self.group, self.kind = sys.intern(packed.group), sys.intern(packed.kind)
        self._spool = spool
        self._at = spool.put(packed.value + packed.mark)
        self._value, self._mark = len(packed.value), len(packed.mark)

    @property
    def value(self) -> bytes:
        """The object."""
        return self._spool.get(self._at, self._value)

    @property
    def mark(self) -> bytes:
        """Where its parts stand in the file."""
        return self._spool.get(self._at + self._value, self._mark)


Kept = Packed | Stored


class Read(NamedTuple):
    """What a process read, as it goes through a pipe."""

    packed: tuple[Packed, ...]
    strangers: int
    problems: tuple[Problem, ...]


class Batch(NamedTuple):
    """What some files hold: objects in order, how many documents are none, and what could not be read."""

    packed: tuple[Kept, ...]
    strangers: int
    problems: tuple[Problem, ...]


def read(paths: Sequence[str], jobs: int | None = None, progress: bool = False) -> Batch:
    """Return what is at `paths`, as `objects.read` finds it, packed and in a spool; `jobs` processes read it.

    `progress`: a bar shows how far that is. Raises ConfigError where there is no room on disk.
    """
    problems: list[Problem] = []
    names = objects.files(paths, objects.ENDINGS, problems)
    batch = read_files(names, jobs, progress=progress, spool=Spool())
    return batch._replace(problems=(*problems, *batch.problems))


def read_files(
    names: Sequence[str],
    jobs: int | None,
    data: Callable[[str], bytes] = objects.data,
    progress: bool = False,
    spool: Spool | None = None,
) -> Batch:
    """Return what is in files, packed, in a `spool` if there is one; `data` gives the bytes of one.

    `progress`: a bar shows how far that is. Raises ConfigError where there is no room on disk.
    """
    # stdin is this process' own
    processes = 1 if objects.STDIN in names else crew.hands(jobs, len(names))
    packed: list[Kept] = []
    strangers = 0
    problems: list[Problem] = []
    heard = crew.spread(lambda some: _read(some, data), names, processes)
    for batch in bar(heard, crew.parts(len(names)), "reading", progress):
        packed += batch.packed if spool is None else (Stored(one, spool) for one in batch.packed)
        strangers += batch.strangers
        problems += batch.problems
    if spool is not None:
        spool.rest()
    return Batch(tuple(packed), strangers, tuple(problems))


def _read(names: Sequence[str], data: Callable[[str], bytes]) -> Read:
    packed: list[Packed] = []
    strangers = 0
    problems: list[Problem] = []
    for name in names:
        try:
            found = objects.within(name, objects.decoded(name, data(name)))
            inner = [None if manifest is None else pack(manifest) for manifest in found]
        except ConfigError as error:
            problems += error.problems
            continue
        packed += [one for one in inner if one is not None]
        strangers += inner.count(None)
    return Read(tuple(packed), strangers, tuple(problems))


def pack(manifest: Manifest) -> Packed:
    """Return a manifest packed; `unpack` gives it back."""
    obj = manifest.value
    meta = mapping(obj.get("metadata"))
    space, group = _text(meta.get("namespace")), group_of(obj["apiVersion"])
    # marshal, since all of it stays within this program: it is the fastest, and takes every number and text
    value, mark = marshal.dumps(obj), marshal.dumps(manifest.mark)
    return Packed(manifest.file, value, mark, space, group, obj["kind"], _text(meta.get("name")))


def unpack(packed: Kept) -> Manifest:
    """Return the manifest that was packed."""
    return Manifest(packed.file, _value(packed), marshal.loads(packed.mark))  # noqa: S302 - our own bytes


@record(frozen=True, slots=True)
class Shelf:
    """Packed objects, found by what they are; those that name no namespace stand in `namespace`.

    It is a reader of neighbours: `lacking` says why there may be others.
    """

    packed: Sequence[Kept]
    places: Mapping[tuple[str, str, str], Sequence[int]]
    lacking: str

    @classmethod
    def of(cls, packed: Sequence[Kept], namespace: str, lacking: str) -> Shelf:
        """Return a shelf of packed objects."""
        places: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        for number, one in enumerate(packed):
            places[one.namespace or namespace, one.group, one.kind].append(number)
        return cls(packed, places, lacking)

    def namespaces(self) -> Iterable[Mapping[str, Any]]:
        """Yield the Namespaces."""
        return (_value(one) for one in self.packed if NAMESPACE.fits(one.group, one.kind, one.name))

    def find(self, namespace: str, ref: Ref, timeout: float) -> Found:
        """Return the objects that `ref` means in a namespace."""
        among = (self.packed[number] for number in self.places.get((namespace, ref.group, ref.kind), ()))
        return Found(tuple(_neighbour(one) for one in among if ref.name in ("", one.name)), self.lacking)


@lru_cache(maxsize=UNPACKED)
def _neighbour(packed: Kept) -> dict[str, Any]:
    return _value(packed)


def _value(packed: Kept) -> dict[str, Any]:
    value: dict[str, Any] = marshal.loads(packed.value)  # noqa: S302 - our own bytes
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
