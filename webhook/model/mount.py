"""Which volume really holds a path of a container, and of what type it is.

Sources: k8s.io/api core/v1, VolumeMount and VolumeSource; pkg/apis/core/v1 defaults.go of k8s.io/kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from webhook.model import env, quantity
from webhook.model.canonical import told
from webhook.model.path import Pattern, Segments, inside, segments
from webhook.model.pods import LISTS, Container, Pod, Volume, listing, mapping
from webhook.model.record import record

# the types of volume that a container can write to, apart from hostPath
WRITABLE = (
    *("awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "emptyDir", "ephemeral", "fc"),
    *("flexVolume", "gcePersistentDisk", "glusterfs", "iscsi", "nfs", "persistentVolumeClaim", "portworxVolume"),
    *("rbd", "vsphereVolume"),
)
# what of a volume's source says nothing of where it leads; how large an emptyDir may become is said by who asks it
_BESIDE = frozenset({"fsType", "type", "readOnly", "sizeLimit"})


@record(frozen=True, slots=True)
class Mount:
    """One volume mount of a container: what it says, where it is, and which volume (None: not in the pod)."""

    spec: Mapping[str, Any]
    pointer: str
    path: Segments
    name: str
    volume: Volume | None

    @property
    def depth(self) -> int:
        """How many segments its path has."""
        return len(self.path)

    @property
    def source(self) -> tuple[str, Mapping[str, Any], str]:
        """The type of its volume, what stands under it, and its pointer; a claim template's is a claim."""
        if self.volume is None:
            return "persistentVolumeClaim", {}, self.pointer
        kinds = sorted(key for key in self.volume.spec if key != "name")
        if not kinds:
            # a volume without a source is an emptyDir: SetDefaults_Volume
            return "emptyDir", {}, self.volume.pointer
        return " and ".join(kinds), mapping(self.volume.spec[kinds[0]]), f"{self.volume.pointer}/{kinds[0]}"

    @property
    def read_only(self) -> tuple[str, str] | None:
        """The field that makes the mount read-only and its value; None where it can be written to."""
        for field in ("readOnly", "recursiveReadOnly"):
            value = self.spec.get(field)
            if value not in (None, False, "Disabled"):
                return field, "true" if value is True else str(value)
        return None

    @property
    def expression(self) -> str:
        """Its `subPathExpr` as written, empty where there is none."""
        written = self.spec.get("subPathExpr")
        return written if isinstance(written, str) else ""

    def apart(self, environment: env.Environment) -> bool:
        """Say whether `subPathExpr` gives each pod a directory of its own, inside of the volume."""
        value = env.expand(self.expression, environment.find)
        return value.unique and ".." not in (value.text or "").split("/")


def mounts(volumes: Mapping[str, Volume], container: Container) -> tuple[Mount, ...]:
    """Return the volume mounts of a container; of two at one path the later, which the runtime puts on top.

    `volumes` are those of its pod, by name.
    """
    found: dict[Segments, Mount] = {}
    for number, spec in enumerate(listing(container.spec.get("volumeMounts"))):
        said = mapping(spec)
        path, name = said.get("mountPath"), said.get("name")
        if isinstance(path, str) and isinstance(name, str):
            at, parts = f"{container.pointer}/volumeMounts/{number}", segments(path)
            found[parts] = Mount(spec, at, parts, name, volumes.get(name))
    return tuple(found.values())


def over(found: Iterable[Mount], path: Segments) -> Mount | None:
    """Return the mount that really holds a path: the deepest at it or above it."""
    deepest: Mount | None = None
    for one in found:
        if inside(path, one.path) and (deepest is None or one.depth > deepest.depth):
            deepest = one
    return deepest


def holding(found: Iterable[Mount], pattern: Pattern) -> list[Mount]:
    """Return the mounts that hold a directory of a pattern; of several above the whole pattern, only the deepest."""
    above = [mount for mount in found if pattern.above(mount.path)]
    if len(above) < 2:
        return above
    deepest = max((mount.depth for mount in above if mount.depth <= pattern.literal), default=0)
    return [mount for mount in above if mount.depth >= deepest]


def resolve(container: Container, path: str) -> Segments | None:
    """Return a path as a container reads it, from its `workingDir`; None where only the image knows that."""
    working = container.spec.get("workingDir")
    if not path.startswith("/") and not isinstance(working, str):
        return None
    return segments(path, segments(working) if isinstance(working, str) else ())


def leads(volume: Volume) -> str:
    """Return all that says where a volume leads, as one text: the server, the disk, its number, options, the medium."""
    said = []
    for kind in sorted(key for key in volume.spec if key != "name"):
        source = mapping(volume.spec[kind])
        said.append(f"{kind} {told({key: one for key, one in source.items() if key not in _BESIDE and one})}")
    return " ".join(said)


def uses(pod: Pod, volumes: Iterable[Volume]) -> dict[str, tuple[str, ...]]:
    """Return by the names of volumes what containers do with each: which part they mount, and which they may write.

    The place in the container is nothing. Of all at once, since a pod may have thousands of them.
    """
    found: dict[str, list[str]] = {volume.name: [] for volume in volumes}
    for container in pod.everyone if found else ():
        for mount in map(mapping, listing(container.spec.get("volumeMounts"))):
            said = found.get(str(mount.get("name")))
            if said is not None:
                parts = [mount.get("subPath") or "", mount.get("subPathExpr") or ""]
                part = f"{container.name} mounts {told(parts) if any(parts) else ''}"
                said.append(part)
                if mount.get("readOnly") is not True:
                    said.append(f"{part} writable")
    return {name: tuple(said) for name, said in found.items()}


def bounded(empty_dir: Mapping[str, Any]) -> bool:
    """Say whether an emptyDir has a `sizeLimit` above 0: the kubelet enforces no other (pkg/kubelet/eviction)."""
    size = empty_dir.get("sizeLimit")
    try:
        return isinstance(size, str | int | float) and quantity.parse(size).numerator > 0
    except ValueError:
        return False


def free_name(pod: Pod, wanted: str) -> str:
    """Return `wanted`, or the first of `wanted-2`, ... that no volume has and no mount of the pod names."""
    taken = {volume.name for volume in pod.volumes} | set(_named(pod))
    numbers = range(2, len(taken) + 3)
    return next(name for name in (wanted, *(f"{wanted}-{number}" for number in numbers)) if name not in taken)


def _named(pod: Pod) -> Iterator[str]:
    # a mount may also name a claim template, which a StatefulSet would put over a volume of that name
    for field in LISTS:
        for container in listing(pod.spec.get(field)):
            for mount in listing(mapping(container).get("volumeMounts")):
                name = mapping(mount).get("name")
                if isinstance(name, str):
                    yield name
