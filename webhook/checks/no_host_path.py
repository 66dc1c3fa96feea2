"""Pods and PersistentVolumes stay out of the file system of the node.

## What it does
Refuses volumes that reach into the file system of the node: `hostPath` volumes of pods, and PersistentVolumes of the
types `hostPath` and `local`. Paths under `allow` are let through, whole segments only: a prefix `/var/log/app` covers
`/var/log/app` and `/var/log/app/shop`, and neither `/var/log/app-evil` nor `/var/log/app/../../etc`. Paths that are
relative or empty are never let through.

With `readOnly: true`, a path is let through where each container of the pod that mounts the volume (init, sidecar,
normal, ephemeral) does so with `readOnly: true`. A volume that nothing mounts passes: the kubelet leaves it alone, and
a debug container that mounts it later is reviewed when it comes. A PersistentVolume cannot promise to be read only
(its access modes are no write protection), so such a prefix does not cover one.

## Why
A pod with a `hostPath` leaves its container: it reads the node's keys and other pods' files, it fills the node's disk,
and it finds other data after it was moved to another node. A PersistentVolume on a node's path is the same door with a
claim in front of it.

## Example
```yaml
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  containers:
    - name: web
      image: registry.example/shop/web:1.4.2
      volumeMounts:
        - {name: node, mountPath: /host}
  volumes:
    - name: node
      hostPath: {path: /}
```

## Use instead
```yaml
apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  containers:
    - name: web
      image: registry.example/shop/web:1.4.2
      volumeMounts:
        - {name: data, mountPath: /data}
  volumes:
    - name: data
      persistentVolumeClaim: {claimName: web-data}
```

## Parameters
- `allow` (default: none): the places on the node that may be used. Each has a `prefix`, an absolute path; with
  `readOnly: true` it may only be read. Of several that cover a path, the most generous counts. A hostPath follows
  symbolic links on the node: allow only directories in which no workload can make one.

```yaml
params:
  allow:
    - {prefix: /var/log/pods, readOnly: true}
    - {prefix: /srv/cache}
```

`match.containers` does not choose among the volumes, which belong to the whole pod; only a pod that has no container
in that scope is left out. What an injector brings along is exempted by the name of the volume, which each finding
gives as its container. A name is whatever its author writes: where the place on the node is harmless, put it under
`allow` instead.

```yaml
exemptions:
  - rules: [no-host-path]
    match: {namespaces: [shop], containers: [tracing-socket]}
    reason: the tracing injector mounts its socket from the node
    owner: observability team
    expires: 2027-03-31
```

## Fix
None. What the data is, and where else it can live, only its owner knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from webhook.checks.check import Check, ParamError
from webhook.checks.spoken import Spoken, Unspoken, of_kind
from webhook.model.decision import Violation
from webhook.model.mount import uses
from webhook.model.path import Segments, inside, segments, text
from webhook.model.pods import Container, Pod, Subject, Volume, listing, mapping
from webhook.model.record import record

ID = "no-host-path"
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "allow": {
            "type": "array",
            "description": "Places on the node that may be used.",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["prefix"],
                "properties": {
                    "prefix": {
                        "type": "string",
                        "description": "An absolute path; it covers itself and everything below it.",
                    },
                    "readOnly": {
                        "type": "boolean",
                        "description": "Every container that mounts the volume has to mount it read-only.",
                    },
                },
            },
        }
    },
}
DEFAULTS: dict[str, Any] = {"allow": []}
KINDS: tuple[str, ...] = ("PersistentVolume",)
# for a PersistentVolume, which has no pod, its whole object is compared in its place
READS: tuple[str, ...] = ("pod",)

REASON = "path on the node"
WRITABLE = "path on the node mounted writable"


@record(frozen=True, slots=True)
class Allowed:
    """One compiled entry of `allow`."""

    prefix: Segments
    read_only: bool


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for a prefix that is relative or holds `..`."""
    problems = []
    allowed = []
    for number, entry in enumerate(params["allow"]):
        prefix = entry["prefix"]
        if not prefix.startswith("/") or ".." in prefix.split("/"):
            wanted = "wanted an absolute path without `..`, like /var/log/app"
            problems.append((("allow", number, "prefix"), f"{prefix!r} is no prefix; {wanted}"))
        allowed.append(Allowed(segments(prefix), entry.get("readOnly", False)))
    if problems:
        raise ParamError(problems)
    places = tuple(allowed)
    return Check(pod=partial(_pod, places), subject=partial(_persistent_volume, places))


def CEL(params: Mapping[str, Any]) -> Spoken:  # noqa: N802 - what the other constants of a check are
    """Return the check in CEL. Raises Unspoken where places are allowed."""
    if params["allow"]:
        raise Unspoken("`allow` means paths as they resolve, and every mount of a volume, which CEL cannot follow")
    return Spoken(
        "variables.bad.size() == 0",
        "variables.bad.map(v, v.?name.orValue('') + ': hostPath ' + v.hostPath.?path.orValue('')).join('; ')",
        (("bad", "pod.spec.?volumes.orValue([]).filter(v, has(v.hostPath))"),),
        others=Spoken(
            f"!{of_kind('', 'PersistentVolume')} || ['hostPath', 'local'].all(s, !(s in object.spec))",
            "'PersistentVolume with ' + ['hostPath', 'local'].filter(s, s in object.spec).join(', ')",
        ),
    )


def _pod(allowed: tuple[Allowed, ...], pod: Pod) -> Iterator[Violation]:
    volumes = [volume for volume in pod.volumes if "hostPath" in volume.spec]
    use = uses(pod, volumes)
    writing = _writing(pod) if volumes and allowed else {}
    for volume in volumes:
        source, at = volume.spec["hostPath"], f"{volume.pointer}/hostPath"
        path = mapping(source).get("path")
        covering = _covering(allowed, path)
        if not covering:
            yield _refused(allowed, at, path, f"hostPath {_shown(path)}", volume.name, use[volume.name])
        elif all(place.read_only for place in covering):
            yield from _written(writing.get(volume.name, []), volume, str(path))


def _writing(pod: Pod) -> dict[str, list[tuple[Container, int, Mapping[str, Any]]]]:
    """Return by the names of volumes the mounts that may write: of all at once, since there may be thousands."""
    found: dict[str, list[tuple[Container, int, Mapping[str, Any]]]] = {}
    for container in pod.everyone:
        for number, mount in enumerate(map(mapping, listing(container.spec.get("volumeMounts")))):
            name = mount.get("name")
            if isinstance(name, str) and mount.get("readOnly") is not True:
                found.setdefault(name, []).append((container, number, mount))
    return found


def _written(mounts: list[tuple[Container, int, Mapping[str, Any]]], volume: Volume, path: str) -> Iterator[Violation]:
    for container, number, mount in mounts:
        found = f"{path} at {mount.get('mountPath')} in {container.name}, without readOnly: true"
        yield Violation(
            pointer=f"{container.pointer}/volumeMounts/{number}",
            reason=WRITABLE,
            found=found,
            wanted=f"readOnly: true in every container that mounts {volume.name}",
            container=volume.name,
            same=(f"{found} {mount.get('subPath') or ''} {mount.get('subPathExpr') or ''}",),
        )


def _persistent_volume(allowed: tuple[Allowed, ...], subject: Subject) -> Iterator[Violation]:
    if (subject.group, subject.kind) != ("", "PersistentVolume"):
        return
    writable = tuple(place for place in allowed if not place.read_only)
    spec = mapping(subject.object.get("spec"))
    for source in ("hostPath", "local"):
        if source in spec:
            path = mapping(spec[source]).get("path")
            if not _covering(writable, path):
                at = f"{subject.pointer}/spec/{source}"
                yield _refused(writable, at, path, f"PersistentVolume with {source} {_shown(path)}", None)


def _covering(allowed: tuple[Allowed, ...], path: Any) -> list[Allowed]:
    if not isinstance(path, str) or not path.startswith("/"):
        return []
    parts = segments(path)
    return [place for place in allowed if inside(parts, place.prefix)]


def _refused(
    allowed: tuple[Allowed, ...], at: str, path: Any, found: str, name: str | None, reach: tuple[str, ...] = ()
) -> Violation:
    places = sorted({text(place.prefix) + (" (read-only)" if place.read_only else "") for place in allowed})
    wanted = f"a path inside {' or '.join(places)}" if places else "a volume that is not on the node"
    return Violation(at if path is None else f"{at}/path", REASON, found, wanted, name, reach=reach)


def _shown(path: Any) -> str:
    if not isinstance(path, str):
        return "without a path"
    return f"{path} (resolved: {text(segments(path))})" if ".." in path.split("/") else path or "''"
