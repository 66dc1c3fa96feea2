"""Logs go to a volume with a bound, or to standard output.

## What it does
Asks of each application container that its log directory lies on a volume that it can write to and that has a bound,
and that the variables that name the log directory (`LOG_PATH`, ...), where they are set, point into it.

- **Which containers**: those under `containers`. Init containers, native sidecars and ephemeral containers are not
  asked. What an injector adds under `containers` is scoped out by `match.containers`. Pods for Windows (`os.name:
  windows`) are not judged: their paths are others.
- **Which mount counts**: the one that really holds the directory, the deepest of those at the directory or (with
  `parents`) above it. Paths are compared by whole segments, after `//`, `.`, `..` and a trailing `/` are resolved. A
  mount with `readOnly` or `recursiveReadOnly` is not writable. `subPath` and `subPathExpr` are free to use.
- **Which volumes count**: those in `volumeTypes`. A volume that only a StatefulSet's or CloneSet's
  `volumeClaimTemplates` name, or the `volumeClaimPolicies` of a JobSet, is a `persistentVolumeClaim`; so is what a
  Volcano Job mounts by its `volumes`. An `emptyDir` needs a `sizeLimit` above 0.
- **On the node**: a `hostPath` counts only inside `hostLogDirectories`, and only where `subPathExpr` gives each pod a
  directory of its own: by `$(NAME)` of a variable of this container that holds `metadata.name` or `metadata.uid`.
  Names are unique in their namespace only: use the uid, or put `$(POD_NAMESPACE)` before the name.
- **Variables**: `$(NAME)` is expanded as the kubelet does it. A relative path is read from `workingDir`. An empty
  value counts as not set. What a ConfigMap, a Secret, an annotation or `envFrom` holds is not in the manifest, and is
  not judged.
- **Standard output**: with `allowStdout`, the annotation `plimsoll.dev/logs: stdout` on the pod (in a workload: on its
  template) says that all its containers log to standard output, and nothing else is asked of that pod. Any other value
  of it is a finding.

## Why
Logs written into the container's own layer are lost when it restarts, no collector finds them, and they fill the
node's disk until pods that did nothing wrong are evicted. Pods that share one directory of the node write over each
other's files.

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
      env:
        - {name: LOG_PATH, value: /tmp/logs}
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
      env:
        - {name: LOG_PATH, value: /var/log/app}
      volumeMounts:
        - {name: logs, mountPath: /var/log/app}
  volumes:
    - name: logs
      emptyDir: {sizeLimit: 1Gi}
```
Or, where the pack allows it, on standard output:
```yaml
apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations: {plimsoll.dev/logs: stdout}
spec:
  containers:
    - name: web
      image: registry.example/shop/web:1.4.2
```

## Parameters
- `directories` (default: `/var/log/app`): the log directories; one of them is enough. In a segment `*` stands for any
  characters and `?` for one; the segment `**` stands for any number of segments, none included.
- `parents` (default: true): a volume at `/var/log` holds the log directory `/var/log/app` too.
- `volumeTypes` (default: emptyDir, ephemeral, persistentVolumeClaim): the types of volume that count.
- `requireSizeLimit` (default: true): an emptyDir needs a `sizeLimit`.
- `allowMemory` (default: false): an emptyDir with `medium: Memory` counts. Its files use the containers' memory.
- `hostLogDirectories` (default: none): directories of the node in which a hostPath may hold logs.
- `variables` (default: LOG_PATH, LOG_DIR, LOGGING_FILE_PATH): the variables that name a log directory or file.
- `requireVariable` (default: false): one of `variables` has to be set.
- `allowStdout` (default: false): the annotation may declare standard output.
- `fixSizeLimit` (default: 1Gi): the size of the volume that the fix adds.

```yaml
params:
  directories: ["/var/log/*/**"]
  hostLogDirectories: [/var/log/services]
```

## Fix
Where a container has no mount at or above the log directory, an emptyDir of `fixSizeLimit` is added and mounted there,
as `logs`, or `logs-2` and so on where that name is taken; where several containers get it, each has a `subPath` of its
own name. Where the container sets none of `variables` and has no `envFrom`, the first of them is set to the directory.
Nothing that is there is changed: a mount that is read-only, an emptyDir without a limit, a variable that points
elsewhere stay findings. The fix needs one concrete directory: where the first of `directories` is a pattern, it does
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from webhook.checks.check import Check, ParamError
from webhook.model import env
from webhook.model.decision import Violation
from webhook.model.mount import WRITABLE, Mount, bounded, free_name, holding, leads, mounts, over, resolve
from webhook.model.patch import Draft
from webhook.model.path import Pattern, Segments, directory, inside, segments, text
from webhook.model.pods import Container, Pod, Subject, Volume, listing, mapping
from webhook.model.record import record

ID = "log-path"
_FLAG = {"type": "boolean"}
_TEXTS = {"type": "array", "items": {"type": "string", "minLength": 1}}
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "directories": {**_TEXTS, "minItems": 1, "description": "The log directories, or patterns of them."},
        "parents": {**_FLAG, "description": "A volume mounted above the log directory counts too."},
        "volumeTypes": {
            "type": "array",
            "items": {"type": "string", "enum": list(WRITABLE)},
            "description": "The types of volume that may hold logs.",
        },
        "requireSizeLimit": {**_FLAG, "description": "An emptyDir needs a sizeLimit."},
        "allowMemory": {**_FLAG, "description": "An emptyDir of medium Memory may hold logs."},
        "hostLogDirectories": {**_TEXTS, "description": "Directories of the node that may hold logs."},
        "variables": {**_TEXTS, "description": "The variables that name a log directory or file."},
        "requireVariable": {**_FLAG, "description": "One of the variables has to be set."},
        "allowStdout": {**_FLAG, "description": "The annotation plimsoll.dev/logs counts."},
        "fixSizeLimit": {"type": "string", "description": "The sizeLimit of the emptyDir that the fix adds."},
    },
}
DEFAULTS: dict[str, Any] = {
    "directories": ["/var/log/app"],
    "parents": True,
    "volumeTypes": ["emptyDir", "ephemeral", "persistentVolumeClaim"],
    "requireSizeLimit": True,
    "allowMemory": False,
    "hostLogDirectories": [],
    "variables": ["LOG_PATH", "LOG_DIR", "LOGGING_FILE_PATH"],
    "requireVariable": False,
    "allowStdout": False,
    "fixSizeLimit": "1Gi",
}
KINDS: tuple[str, ...] = ()
# claim templates count too: they are compared with the pods for which they are
READS: tuple[str, ...] = ("pod",)
CEL = "it expands variables that name variables, and resolves `..` in paths, and CEL has no loop that carries a value"

ANNOTATION = "plimsoll.dev/logs"
MISSING = "no volume at the log directory"
READ_ONLY = "log volume is read-only"
TYPE = "volume type not allowed for logs"
UNSIZED = "log volume without a size limit"
MEMORY = "logs kept in memory"
SHARED = "log directory of the node shared by pods"
ELSEWHERE = "log variable points elsewhere"
UNSET = "no log variable set"
DECLARED = "unknown declaration of logs"
NOWHERE = "volume does not exist"


@record(frozen=True, slots=True)
class Standard:
    """The parameters, compiled."""

    patterns: tuple[Pattern, ...]
    parents: bool
    types: frozenset[str]
    sized: bool
    memory: bool
    host: tuple[Segments, ...]
    variables: tuple[str, ...]
    names: frozenset[str]
    required: bool
    stdout: bool
    size: str

    @property
    def place(self) -> str:
        """The log directories, as a person reads them."""
        return " or ".join(pattern.written for pattern in self.patterns)

    def above(self, path: Segments) -> bool:
        """Say whether a log directory can lie in `path`, or be `path`."""
        return any([pattern.above(path) for pattern in self.patterns])

    def holds(self, path: Segments) -> bool:
        """Say whether `path` is a log directory, or lies in one."""
        return any([pattern.holds(path) for pattern in self.patterns])


class Variables:
    """All variables of a container, read where somebody asks, and once: each of its mounts may."""

    def __init__(self, container: Container) -> None:
        """Take the container."""
        self._spec = container.spec
        self._known: env.Environment | None = None

    def read(self) -> env.Environment:
        """Return them."""
        if self._known is None:
            self._known = env.read(self._spec)
        return self._known


@record(frozen=True, slots=True)
class Asked:
    """One container that is asked: all its mounts, those that hold a log directory, and its variables."""

    standard: Standard
    container: Container
    mounts: tuple[Mount, ...]
    held: tuple[Mount, ...]
    variables: Variables

    def violation(self, pointer: str, reason: str, found: str, wanted: str, same: tuple[str, ...] = ()) -> Violation:
        """Return a violation of this container."""
        return Violation(pointer, reason, found, wanted, self.container.name, same)

    def good(self) -> list[Mount]:
        """Return the mounts that keep the standard."""
        return [mount for mount in self.held if next(_faults(self, mount), None) is None]


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for directories that are not absolute, or a size that is none."""
    problems: list[tuple[tuple[str | int, ...], str]] = []
    for name, read in (("directories", Pattern.of), ("hostLogDirectories", directory)):
        for number, written in enumerate(params[name]):
            try:
                read(written)
            except ValueError as error:
                problems.append(((name, number), str(error)))
    if not bounded({"sizeLimit": params["fixSizeLimit"]}):
        problems.append((("fixSizeLimit",), f"{params['fixSizeLimit']!r} is no size; wanted one like 1Gi"))
    if params["requireVariable"] and not params["variables"]:
        problems.append((("requireVariable",), "one of `variables` is required, and there are none"))
    if problems:
        raise ParamError(problems)
    standard = Standard(
        patterns=tuple(Pattern.of(written) for written in params["directories"]),
        parents=params["parents"],
        types=frozenset(params["volumeTypes"]),
        sized=params["requireSizeLimit"],
        memory=params["allowMemory"],
        host=tuple(directory(written) for written in params["hostLogDirectories"]),
        variables=tuple(params["variables"]),
        names=frozenset(params["variables"]),
        required=params["requireVariable"],
        stdout=params["allowStdout"],
        size=params["fixSizeLimit"],
    )
    return Check(
        pod=partial(_pod, standard),
        kept=partial(_kept, standard),
        subject=partial(_object, standard),
        fix=partial(_fix, standard),
    )


def _asked(standard: Standard, pod: Pod) -> Iterator[Asked]:
    if pod.windows or (standard.stdout and pod.annotations.get(ANNOTATION) == "stdout"):
        return
    volumes = {volume.name: volume for volume in pod.volumes}
    for container in pod.containers:
        if container.role == "container":
            found = (*mounts(volumes, container), *_claimed(pod))
            held = {
                mount.pointer: mount
                for pattern in standard.patterns
                for mount in holding(found, pattern)
                if standard.parents or pattern.at(mount.path)
            }
            yield Asked(standard, container, found, tuple(held.values()), Variables(container))


def _claimed(pod: Pod) -> Iterator[Mount]:
    """Yield what the controller of a workload mounts into every container by itself, as that of a Volcano Job does."""
    for claim in pod.claims:
        if claim.path:
            yield Mount({}, claim.pointer, segments(claim.path), claim.name, None)


def _kept(standard: Standard, pod: Pod) -> bool:
    """Say whether a pod plainly keeps the standard, as most do."""
    if pod.claims or (standard.stdout and ANNOTATION in pod.annotations):
        return False
    volumes = {volume.name: volume for volume in pod.volumes}
    if len(volumes) != len(pod.volumes):
        return False  # of two with one name, which Kubernetes refuses, nobody can say which it is
    for container in pod.containers:
        if container.role == "container" and not _logs_well(standard, volumes, container):
            return False
    return True


def _logs_well(standard: Standard, volumes: Mapping[str, Volume], container: Container) -> bool:
    """Say whether one mount alone holds logs, by a good volume, and all variables lead onto it."""
    place: Segments = ()
    volume = ""
    elsewhere: list[Segments] = []
    for mount in listing(container.spec.get("volumeMounts")):
        said = mapping(mount)
        path, name = said.get("mountPath"), said.get("name")
        if not isinstance(path, str) or not isinstance(name, str):
            return False
        parts = segments(path)
        if not standard.above(parts):
            elsewhere.append(parts)
        elif place or said.get("readOnly") not in (None, False) or "recursiveReadOnly" in said:
            return False
        else:
            place, volume = parts, name
    if not place or not standard.parents:
        return False
    named = volumes.get(volume)
    return named is not None and _is_good(standard, named) and _leads_to(standard, container, place, elsewhere)


def _is_good(standard: Standard, volume: Volume) -> bool:
    """Say whether a volume, by itself, is one for logs; of the usual types alone."""
    if len(volume.spec) != 2 or "name" not in volume.spec:
        return False  # an emptyDir by default, or of two types
    if "emptyDir" in volume.spec:
        source = mapping(volume.spec["emptyDir"])
        fits = (not standard.sized or bounded(source)) and (standard.memory or source.get("medium") != "Memory")
        return fits and "emptyDir" in standard.types
    claim = mapping(volume.spec.get("persistentVolumeClaim"))
    return bool(claim) and "persistentVolumeClaim" in standard.types and claim.get("readOnly") is not True


def _leads_to(standard: Standard, container: Container, place: Segments, elsewhere: list[Segments]) -> bool:
    """Say whether all log variables hold log directories on the volume at `place`, and no other mount is in between."""
    told = False
    for entry in listing(container.spec.get("env")):
        name = mapping(entry).get("name")
        if isinstance(name, str) and name in standard.names:
            value, told = entry.get("value"), True
            if not isinstance(value, str) or not value.startswith("/") or "$" in value:
                return False
            path = segments(value)
            if not inside(path, place) or not standard.holds(path) or any([inside(path, one) for one in elsewhere]):
                return False
    return told or not standard.required


def _pod(standard: Standard, pod: Pod) -> Iterator[Violation]:
    value = pod.annotations.get(ANNOTATION, "stdout")
    if standard.stdout and value != "stdout" and not pod.windows:
        at = f"{pod.pointer}/metadata/annotations/plimsoll.dev~1logs"
        yield Violation(at, DECLARED, f"{ANNOTATION}: {value}", f"{ANNOTATION}: stdout, or no such annotation")
    for asked in _asked(standard, pod):
        good = asked.good()
        if not asked.held:
            yield _missing(asked, pod)
        elif not good:
            yield from _faults(asked, max(asked.held, key=lambda mount: mount.depth))
        yield from _variables(asked, good)


def _missing(asked: Asked, pod: Pod) -> Violation:
    wanted = f"a writable volume at {asked.standard.place}"
    if asked.standard.stdout:
        wanted += f", or the annotation {ANNOTATION}: stdout on the pod"
    elif pod.annotations.get(ANNOTATION) == "stdout":
        wanted += "; logs on standard output are not allowed here"
    # always the same words: a mount added elsewhere does not make an old finding a new one
    return asked.violation(f"{asked.container.pointer}/volumeMounts", MISSING, "nothing is mounted there", wanted)


def _faults(asked: Asked, mount: Mount) -> Iterator[Violation]:
    """Give what is wrong with a mount that holds a log directory; nothing for a good one."""
    standard, where = asked.standard, f"volume {mount.name}"
    if mount.read_only is not None:
        field, value = mount.read_only
        found = f"{where} mounted with {field}: {value}"
        yield asked.violation(f"{mount.pointer}/{field}", READ_ONLY, found, "a writable mount")
    kind, source, at = mount.source
    if kind == "hostPath" and standard.host:
        yield from _host(asked, mount, source, at)
    elif kind not in standard.types:
        wanted = " or ".join(sorted(standard.types)) or "another way to keep logs"
        found = f"{where} is {kind}"
        yield asked.violation(at, TYPE, found, wanted, _leading(mount, found))
    elif kind == "emptyDir":
        limit = source.get("sizeLimit")
        if standard.sized and not bounded(source):
            found = f"{where} is emptyDir " + ("without sizeLimit" if limit is None else f"with sizeLimit: {limit}")
            yield asked.violation(at, UNSIZED, found, "sizeLimit above 0, like 1Gi", _leading(mount, found))
        if source.get("medium") == "Memory" and not standard.memory:
            found = f"{where} is emptyDir with medium: Memory"
            yield asked.violation(f"{at}/medium", MEMORY, found, "an emptyDir on disk (no medium)")
    elif source.get("readOnly") is True:
        found = f"{where} is {kind} with readOnly: true"
        yield asked.violation(f"{at}/readOnly", READ_ONLY, found, "a writable volume")


def _leading(mount: Mount, found: str) -> tuple[str, ...]:
    """Return what a finding on a volume was there before by: it, and all that says where the volume leads."""
    return (found,) if mount.volume is None else (f"{found} {leads(mount.volume)}",)


def _host(asked: Asked, mount: Mount, source: Mapping[str, Any], at: str) -> Iterator[Violation]:
    path, allowed = source.get("path"), asked.standard.host
    absolute = isinstance(path, str) and path.startswith("/")
    if not absolute or not any(inside(segments(str(path)), place) for place in allowed):
        wanted = f"a hostPath inside {' or '.join(sorted(text(place) for place in allowed))}"
        yield asked.violation(at, TYPE, f"volume {mount.name} is hostPath {path}", wanted)
        return
    if not mount.apart(asked.variables.read()):
        expression = mount.expression
        found = f"subPathExpr: {expression}" if expression else "no subPathExpr"
        wanted = "subPathExpr with $(NAME) of a variable here that is from fieldRef metadata.name or metadata.uid"
        place = mount.pointer + ("/subPathExpr" if expression else "")
        found = f"volume {mount.name} is hostPath {path}, {found}"
        yield asked.violation(place, SHARED, found, wanted, (f"{found} {mount.spec.get('subPath') or ''}",))


def _variables(asked: Asked, good: list[Mount]) -> Iterator[Violation]:
    standard, at = asked.standard, f"{asked.container.pointer}/env"
    values = env.some(asked.container.spec, standard.variables)
    for name in standard.variables:
        text = values[name].text if name in values else None
        wrong = _elsewhere(asked, text, good) if text else None
        if wrong is not None:
            last = max(n for n, entry in enumerate(asked.container.spec["env"]) if _name(entry) == name)
            yield asked.violation(f"{at}/{last}", ELSEWHERE, f"{name}={text}{wrong}", f"a path in {standard.place}")
    if standard.required and all(value.text == "" for value in values.values()) and not asked.variables.read().open:
        names = " or ".join(standard.variables)
        yield asked.violation(at, UNSET, "no such variable", f"{names}, set to a path in {standard.place}")


def _elsewhere(asked: Asked, value: str, good: list[Mount]) -> str | None:
    """Return None where a log variable is right, else what is to be said behind its value."""
    working = asked.container.spec.get("workingDir")
    path = resolve(asked.container, value)
    if path is None:
        return " (relative, and no workingDir)"
    if not asked.standard.holds(path):
        return "" if value.startswith("/") else f" (in workingDir {working})"
    # without any good volume the missing volume is the finding, not the variable
    if not good or over(asked.mounts, path) in good:
        return None
    return ", not on the volume at " + " or ".join(text(mount.path) for mount in good)


def _object(standard: Standard, subject: Subject) -> Iterable[Violation]:
    claims = {claim.name for claim in subject.claims}
    for pod in subject.pods:
        names = claims.union([volume.name for volume in pod.volumes])
        for container in pod.containers:
            for mount in listing(container.spec.get("volumeMounts")):
                if _name(mount) not in names:
                    return _dangling(standard, subject)
    return ()


def _dangling(standard: Standard, subject: Subject) -> Iterator[Violation]:
    """Give mounts of volumes that neither the pod nor the claim templates of its workload have."""
    names = {claim.name for claim in subject.claims}
    for pod in subject.pods:
        for asked in _asked(standard, pod):
            for mount in asked.held:
                if mount.volume is None and mount.name not in names:
                    found = f"volume {mount.name} is not in the pod"
                    yield asked.violation(f"{mount.pointer}/name", NOWHERE, found, "a volume of that name")


def _fix(standard: Standard, pod: Pod, draft: Draft) -> None:
    first = standard.patterns[0]
    if first.plain is None:
        return
    everyone = list(_asked(standard, pod))
    lacking = [asked for asked in everyone if "emptyDir" in standard.types and _bare(asked, first)]
    place, volume = text(first.plain), free_name(pod, "logs")
    if lacking:
        value = {"name": volume, "emptyDir": {"sizeLimit": standard.size}}
        draft.put(f"{pod.pointer}/spec/volumes/-", value)
    mended = {asked.container.pointer for asked in lacking}
    for asked in lacking:
        mount = {"name": volume, "mountPath": place}
        if len(lacking) > 1:
            mount["subPath"] = asked.container.name
        draft.put(f"{asked.container.pointer}/volumeMounts/-", mount)
    for asked in everyone:
        free = not asked.variables.read().open and not set(standard.variables) & set(asked.variables.read().values)
        on_volume = standard.required and over(asked.mounts, first.plain) in asked.good()
        if standard.variables and free and (on_volume or asked.container.pointer in mended):
            draft.put(f"{asked.container.pointer}/env/-", {"name": standard.variables[0], "value": place})


def _bare(asked: Asked, pattern: Pattern) -> bool:
    """Say whether nothing is mounted where, or above where, logs may be."""
    return not asked.held and not any(pattern.above(mount.path) for mount in asked.mounts)


def _name(value: Any) -> str:
    name = mapping(value).get("name")
    return name if isinstance(name, str) else ""
