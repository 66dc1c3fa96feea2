"""Services keep no state on a node.

## What it does
Refuses what ties a service to the disk or the memory of one node, or lets it fill them:

- an `emptyDir` without `sizeLimit`, which a volume without a source is too. On disk, a limit of `ephemeral-storage` in
  the pod is a bound as well: the kubelet counts its emptyDirs against it;
- an `emptyDir` of `medium: Memory` larger than the memory that the containers which mount it may use together (or the
  pod, where it has limits of its own): what is written there counts as theirs, and they are killed before it is full;
- storage classes whose volumes lie on a node, in PersistentVolumeClaims and in what workloads claim for their pods
  (`volumeClaimTemplates`, the `volumeClaimPolicies` of a JobSet, the `volumes` of a Volcano Job). Generic ephemeral
  volumes may lie there: they go with their pod. A claim without a class, and one with the class `""`, pass:
  what the cluster makes of them is not in the manifest;
- PersistentVolumes of CSI drivers that keep their data on a node, or are not among `drivers`;
- a disk, which one node at a time can write, in the template of several replicas: `awsElasticBlockStore`, `azureDisk`,
  `cinder`, `fc`, `gcePersistentDisk`, `iscsi`, `rbd`, `vsphereVolume`; and likewise a claim that is not ReadWriteMany.
  The claim is looked for among the files (or in the wrapper), and in a cluster in the namespace; where it cannot be
  seen, and `sharedClaims` does not vouch for its name, the rule is *unknown*, and its `onUnknown` decides. Both are
  judged in every kind with `spec.replicas` but ReplicaSets, which have theirs from a Deployment, and not when a
  workload is scaled. Where an autoscaler sets the number, its `maxReplicas` count;
- with `readOnlyRoot`, containers whose root file system can be written.

PersistentVolumes of the types `hostPath` and `local` and hostPath volumes are the matter of `no-host-path`.

## Why
A node goes: it is drained, replaced, or breaks, and what lay on it is gone or out of reach. An emptyDir without a limit
fills the node's disk, and the kubelet evicts the neighbours. A disk that a second replica waits for stops a rollout.

## Example
```yaml
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: orders
spec:
  serviceName: orders
  selector: {matchLabels: {app: orders}}
  template:
    metadata: {labels: {app: orders}}
    spec:
      containers:
        - name: orders
          image: registry.example/shop/orders:3.1.0
          volumeMounts: [{name: data, mountPath: /data}, {name: tmp, mountPath: /tmp}]
      volumes: [{name: tmp, emptyDir: {}}]
  volumeClaimTemplates:
    - metadata: {name: data}
      spec:
        accessModes: [ReadWriteOnce]
        storageClassName: local-path
        resources: {requests: {storage: 10Gi}}
```

## Use instead
```yaml
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: orders
spec:
  serviceName: orders
  selector: {matchLabels: {app: orders}}
  template:
    metadata: {labels: {app: orders}}
    spec:
      containers:
        - name: orders
          image: registry.example/shop/orders:3.1.0
          volumeMounts: [{name: data, mountPath: /data}, {name: tmp, mountPath: /tmp}]
      volumes: [{name: tmp, emptyDir: {sizeLimit: 1Gi}}]
  volumeClaimTemplates:
    - metadata: {name: data}
      spec:
        accessModes: [ReadWriteOnce]
        storageClassName: replicated
        resources: {requests: {storage: 10Gi}}
```

## Parameters
- `requireSizeLimit` (default: true): an emptyDir needs a bound.
- `memoryShare` (default: 1): how much of the memory limit an emptyDir in memory may take, above 0 and up to 1.
- `localClasses` (default: the usual names): globs of storage classes whose volumes lie on a node.
- `localDrivers` (default: the known ones): globs of CSI drivers whose volumes lie on a node.
- `drivers` (default: all): globs of the CSI drivers that are allowed, where a company names its distributed ones.
- `sharedClaims` (default: all): globs of claims that several replicas may write. With `["shared-*"]`, a Deployment,
  StatefulSet, Rollout or CloneSet of two and more replicas may write no other claim that its template names, whatever
  it is; and those of that name are vouched for where they cannot be seen.
- `readOnlyRoot` (default: false): containers need `securityContext.readOnlyRootFilesystem: true`.

```yaml
params:
  drivers: [rbd.csi.ceph.com, "*.csi.example"]
  sharedClaims: ["shared-*"]
```

A finding about a volume gives the volume's name as its container, so that what an injector brings along can be
exempted by it.

## Fix
None. How much room a service needs, and where its data can live, only its owner knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from functools import partial
from typing import Any

from webhook.checks.check import Check, ParamError
from webhook.model import quantity
from webhook.model.canonical import told
from webhook.model.decision import Unsure, Violation
from webhook.model.glob import Globs, compile_globs
from webhook.model.mount import leads
from webhook.model.neighbours import Ref
from webhook.model.pods import Container, Pod, Subject, Volume, listing, mapping
from webhook.model.record import record
from webhook.model.scaling import AUTOSCALERS, WITH_REPLICAS, scaled_by, whole

ID = "no-local-state"


def _globs(description: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string"}, "description": description}


PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "requireSizeLimit": {"type": "boolean", "description": "An emptyDir needs a bound."},
        "memoryShare": {
            "type": "number",
            "description": "How much of the memory limit an emptyDir in memory may take, above 0 and up to 1.",
        },
        "localClasses": _globs("Globs of storage classes whose volumes lie on a node."),
        "localDrivers": _globs("Globs of CSI drivers whose volumes lie on a node."),
        "drivers": _globs("Globs of the CSI drivers that are allowed."),
        "sharedClaims": _globs("Globs of claims that several replicas may write."),
        "readOnlyRoot": {"type": "boolean", "description": "The root file system of containers is read-only."},
    },
}
DEFAULTS: dict[str, Any] = {
    "requireSizeLimit": True,
    "memoryShare": 1,
    "localClasses": [
        "hostpath",
        "*-hostpath",
        "csi-hostpath-sc",
        "directpv-min-io",
        "local",
        "local-nvme",
        "local-path",
        "local-ssd",
        "local-storage",
        "openebs-device",
        "topolvm-provisioner",
    ],
    "localDrivers": [
        "directpv-min-io",
        "hostpath.csi.k8s.io",
        "local.csi.openebs.io",
        "topolvm.cybozu.com",
        "topolvm.io",
        "zfs.csi.openebs.io",
    ],
    "drivers": ["*"],
    "sharedClaims": ["*"],
    "readOnlyRoot": False,
}
KINDS: tuple[str, ...] = ("PersistentVolume", "PersistentVolumeClaim")
# not `object`: a label or a number that changes would repeat what is said of volumes, which did not. Claim templates
# are compared with the pods for which they are, and a PersistentVolume or its claim whole
READS: tuple[str, ...] = ("pod",)
CEL = "it looks for the claims and the autoscaler that stand beside a workload, and a policy sees one object"

UNSIZED = "emptyDir without a size limit"
TOO_LARGE = "emptyDir in memory above the memory limit"
CLASS = "storage class on the node"
DRIVER = "storage driver that is not allowed"
SHARED = "disk of one node shared by replicas"
ONCE = "claim of one node shared by replicas"
CLAIM = "claim shared by replicas"
ROOT = "root file system can be written"

# ReadWriteOnce by nature: the table "Access Modes" of the page Persistent Volumes of Kubernetes
_DISKS = (
    "awsElasticBlockStore",
    "azureDisk",
    "cinder",
    "fc",
    "gcePersistentDisk",
    "iscsi",
    "rbd",
    "vsphereVolume",
)
_MAY_BE_SHARED = frozenset({*_DISKS, "persistentVolumeClaim"})
# a Deployment's ReplicaSets have its template, and would repeat what is said of it
_REPEATING = ("apps", "ReplicaSet")
_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


@record(frozen=True, slots=True)
class Standard:
    """The parameters, compiled."""

    sized: bool
    share: Fraction
    local_classes: Globs
    local_drivers: Globs
    drivers: Globs
    shared: Globs
    read_only_root: bool


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for a share of the memory that is none."""
    share = params["memoryShare"]
    if isinstance(share, bool) or not 0 < share <= 1:
        raise ParamError([(("memoryShare",), f"is {share}; wanted a number above 0 and up to 1")])
    standard = Standard(
        params["requireSizeLimit"],
        Fraction(str(share)),
        compile_globs(params["localClasses"]),
        compile_globs(params["localDrivers"]),
        compile_globs(params["drivers"]),
        compile_globs(params["sharedClaims"]),
        params["readOnlyRoot"],
    )
    return Check(
        pod=partial(_pod, standard), kept=partial(_kept, standard), subject=partial(_subject, standard), seeks=_seeks
    )


def _kept(standard: Standard, pod: Pod) -> bool:
    """Say whether a pod plainly keeps the standard, as most do."""
    if standard.read_only_root:
        for container in pod.containers:
            if not _root_is_read_only(container):
                return False
    for volume in pod.volumes:
        if _is_empty_dir(volume):
            source = mapping(volume.spec.get("emptyDir"))
            if source.get("medium") == "Memory" or not quantity.positive(source.get("sizeLimit")):
                return False
    return True


def _pod(standard: Standard, pod: Pod) -> Iterator[Violation]:
    claimed = {claim.name for claim in pod.claims}  # of one name, the claim is what the controllers put there
    empty = [volume for volume in pod.volumes if _is_empty_dir(volume) and volume.name not in claimed]
    if empty:
        # both asked once: a pod may have thousands of volumes, and of containers
        limited, mounting = _has_storage_limit(pod.everyone), _mounting(pod)
        for volume in empty:
            yield from _empty_dir(standard, pod, volume, mounting.get(volume.name, []), limited=limited)
    if standard.read_only_root and not pod.windows:
        for container in pod.containers:
            if container.role != "ephemeral" and not _root_is_read_only(container):
                at = f"{container.pointer}/securityContext/readOnlyRootFilesystem"
                yield Violation(at, ROOT, "no readOnlyRootFilesystem: true", "readOnlyRootFilesystem: true, and a "
                                "volume where the container writes", container.name)  # fmt: skip


def _is_empty_dir(volume: Volume) -> bool:
    """Say whether a volume is an emptyDir, which it is without a source too (SetDefaults_Volume, pkg/apis/core/v1)."""
    return not any(source is not None for key, source in volume.spec.items() if key not in ("name", "emptyDir"))


def _empty_dir(
    standard: Standard, pod: Pod, volume: Volume, mounting: list[Container], *, limited: bool
) -> Iterator[Violation]:
    source, at = mapping(volume.spec.get("emptyDir")), f"{volume.pointer}/emptyDir"
    size, memory = _amount(source.get("sizeLimit")), source.get("medium") == "Memory"
    if size is None:
        if standard.sized and (memory or not limited):
            written = source.get("sizeLimit")
            found = f"volume {volume.name} without sizeLimit" if written is None else f"sizeLimit: {written}"
            wanted = "sizeLimit above 0, like 1Gi" + ("" if memory else ", or a limit of ephemeral-storage")
            yield Violation(at, UNSIZED, found, wanted, volume.name, (f"{found} {leads(volume)}",))
    elif memory:
        limit = _memory(pod, mounting)
        if limit is not None and size > limit * standard.share:
            found = f"sizeLimit {source['sizeLimit']}, memory limit {quantity.show(limit)}"
            wanted = f"sizeLimit up to {quantity.show(limit * standard.share)}, or more memory"
            yield Violation(f"{at}/sizeLimit", TOO_LARGE, found, wanted, volume.name)


def _has_storage_limit(containers: tuple[Container, ...]) -> bool:
    # the kubelet bounds the pod, with its emptyDirs, by the sum where any container has a limit:
    # podEphemeralStorageLimitEviction, pkg/kubelet/eviction/eviction_manager.go
    return any(_limit(container.spec, "ephemeral-storage") is not None for container in containers)


def _memory(pod: Pod, mounting: list[Container]) -> Fraction | None:
    """Return how much memory can be written to a volume that containers mount, in bytes.

    None where nothing bounds it or nobody mounts it.
    """
    running = [container for container in mounting if container.role in ("container", "sidecar")]
    whole = _limit(pod.spec, "memory")
    limits = [_limit(container.spec, "memory") for container in running or mounting]
    if not mounting or None in limits:
        return whole if mounting else None
    total = sum((limit for limit in limits if limit is not None), Fraction(0))
    return total if whole is None else min(whole, total)


def _mounting(pod: Pod) -> dict[str, list[Container]]:
    """Return by the name of each volume the containers that mount it, each once."""
    found: dict[str, list[Container]] = {}
    for container in pod.everyone:
        for name in {name for name, _ in _mounts(container)}:
            found.setdefault(name, []).append(container)
    return found


def _mounts(container: Container) -> Iterator[tuple[str, bool]]:
    """Yield the volume's name of each mount of a container, and whether it is read-only."""
    for mount in map(mapping, listing(container.spec.get("volumeMounts"))):
        name = mount.get("name")
        if isinstance(name, str):
            yield name, mount.get("readOnly") is True


def _limit(spec: Mapping[str, Any], resource: str) -> Fraction | None:
    return _amount(mapping(mapping(spec.get("resources")).get("limits")).get(resource))


def _amount(value: object) -> Fraction | None:
    """Return a quantity above 0; None for what is no limit."""
    try:
        amount = quantity.read(value)
    except ValueError:
        return None
    return amount if amount > 0 else None


def _root_is_read_only(container: Container) -> bool:
    return mapping(container.spec.get("securityContext")).get("readOnlyRootFilesystem") is True


def _subject(standard: Standard, subject: Subject) -> Iterable[Violation | Unsure]:
    if subject.group == "" and subject.kind in ("PersistentVolumeClaim", "PersistentVolume"):
        return _storage(standard, subject)
    replicas = _replicas(subject) if _may_share(subject) else 0
    return _workload(standard, subject, replicas) if subject.claims or replicas > 1 else ()


def _storage(standard: Standard, subject: Subject) -> Iterator[Violation]:
    spec, at = mapping(subject.object.get("spec")), f"{subject.pointer}/spec"
    if subject.kind == "PersistentVolumeClaim":
        yield from _class(standard, mapping(subject.object.get("metadata")), spec, at, None)
    else:
        yield from _driver(standard, spec, at)


def _may_share(subject: Subject) -> bool:
    """Say whether a pod has a volume that replicas may not share: most have none, however many replicas there are."""
    for pod in subject.pods:
        for volume in pod.volumes:
            if not _MAY_BE_SHARED.isdisjoint(volume.spec):
                return True
    return False


def _workload(standard: Standard, subject: Subject, replicas: int) -> Iterator[Violation | Unsure]:
    for claim in subject.claims if subject.pods else ():
        yield from _class(standard, claim.metadata, claim.spec, claim.pointer, claim.name or None)
    if replicas > 1:
        for pod in subject.pods:
            read = _only_read(pod)
            for volume in pod.volumes:
                if volume.name not in read:
                    yield from _shared(standard, pod, volume, replicas)


def _class(
    standard: Standard, metadata: Mapping[str, Any], spec: Mapping[str, Any], at: str, name: str | None
) -> Iterator[Violation]:
    # the annotation counts before the field: GetPersistentVolumeClaimClass, pkg/apis/core/v1/helper
    old = mapping(metadata.get("annotations")).get(_CLASS_ANNOTATION)
    chosen = old if isinstance(old, str) else spec.get("storageClassName")
    if isinstance(chosen, str) and chosen and standard.local_classes(chosen):
        wanted = "a class of distributed storage"
        yield Violation(f"{at}/storageClassName", CLASS, f"storage class {chosen}", wanted, name)


def _driver(standard: Standard, spec: Mapping[str, Any], at: str) -> Iterator[Violation]:
    driver = mapping(spec.get("csi")).get("driver")
    if isinstance(driver, str) and (standard.local_drivers(driver) or not standard.drivers(driver)):
        every = standard.drivers.everything
        wanted = "a driver of distributed storage" if every else " or ".join(standard.drivers.texts)
        disk = told({key: spec["csi"].get(key) for key in ("driver", "volumeHandle", "volumeAttributes")})
        yield Violation(f"{at}/csi/driver", DRIVER, f"driver {driver}", wanted or "no CSI driver", same=(disk,))


def _replicas(subject: Subject) -> int:
    """Return how many replicas may share the template of a workload; 0 where it is not judged by them.

    An autoscaler may go up to its most, and rests at 0.
    """
    if (subject.group, subject.kind) == _REPEATING:
        return 0
    written = whole(mapping(subject.object.get("spec")).get("replicas"))
    scalers = scaled_by(subject, subject.neighbours(AUTOSCALERS)) if written != 0 else ()
    return max([written or 0, *(one.high or 0 for one in scalers)])


def _shared(standard: Standard, pod: Pod, volume: Volume, replicas: int) -> Iterator[Violation | Unsure]:
    for kind in _DISKS:
        if kind in volume.spec and mapping(volume.spec[kind]).get("readOnly") is not True:
            wanted = "a claim for each replica, or a volume that many nodes can write"
            at, found = f"{volume.pointer}/{kind}", f"volume {volume.name} is {kind}, with {replicas} replicas"
            yield Violation(at, SHARED, found, wanted, volume.name, (leads(volume),))
    claim = _claimed(volume)
    if claim is None:
        return
    at = f"{volume.pointer}/persistentVolumeClaim/claimName"
    same, more = f"claim {claim}", f", with {replicas} replicas"
    if not standard.shared(claim):
        wanted = "a claim for each replica, or one of " + (", ".join(standard.shared.texts) or "none")
        yield Violation(at, CLAIM, same + more, wanted, volume.name, (same,))
        return
    known = pod.neighbours(_ref(claim))
    for obj in known.objects:
        modes = [mode for mode in listing(mapping(obj.get("spec")).get("accessModes")) if isinstance(mode, str)]
        if "ReadWriteMany" not in modes:
            same = f"claim {claim} is {', '.join(modes) or 'of no access mode'}"
            wanted = "a claim for each replica, or one that is ReadWriteMany"
            yield Violation(at, ONCE, same + more, wanted, volume.name, (same,))
    if not known.objects and known.lacking and standard.shared.everything:
        yield Unsure(f"whether several replicas can write {_ref(claim)}: {known.lacking}")


def _claimed(volume: Volume) -> str | None:
    """Return the claim that a volume writes to, None where there is none."""
    source = mapping(volume.spec.get("persistentVolumeClaim"))
    claim = source.get("claimName")
    return claim if isinstance(claim, str) and source.get("readOnly") is not True else None


def _ref(claim: str) -> Ref:
    return Ref("v1", "PersistentVolumeClaim", claim)


def _seeks(subject: Subject) -> Iterable[Ref]:
    return _sought(subject) if _may_share(subject) else ()


def _sought(subject: Subject) -> Iterator[Ref]:
    kind = (subject.group, subject.kind)
    written = whole(mapping(subject.object.get("spec")).get("replicas"))
    scaled = kind in WITH_REPLICAS and kind != _REPEATING and (written is None or written == 1)
    if not scaled and _replicas(subject) < 2:
        return
    read = [(pod, _only_read(pod)) for pod in subject.pods]
    writing = [volume for pod, only in read for volume in pod.volumes if volume.name not in only]
    claims = [claim for claim in map(_claimed, writing) if claim]
    if scaled and (claims or any(disk in volume.spec for volume in writing for disk in _DISKS)):
        yield AUTOSCALERS
    yield from map(_ref, claims)


def _only_read(pod: Pod) -> set[str]:
    """Return the names of the volumes that containers mount, all of them read-only."""
    read, written = set[str](), set[str]()
    for container in pod.everyone:
        for name, only in _mounts(container):
            (read if only else written).add(name)
    return read - written
