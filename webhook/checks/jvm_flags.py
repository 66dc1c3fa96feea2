"""The JVM sees its container: its heap and its threads fit the limits.

## What it does
Finds the containers that run Java, and reads the options of their JVM as the JVM does:

- **Java** is a container whose command starts `java`, also through `sh -c`, `exec`, `tini`, `wait-for-it.sh` and their
  like, or starts a script that everybody knows (`catalina.sh`, `kafka-server-start.sh`); one that has a variable
  `JAVA_TOOL_OPTIONS`, `JDK_JAVA_OPTIONS`, `_JAVA_OPTIONS` or one of `scriptVariables`; one without a `command`, whose
  image is known by `images` to start Java; and the main container of a pod with one of `labels`: the one that
  `kubectl.kubernetes.io/default-container` names, or the first. Of all others nothing is said. Ephemeral containers and
  pods for Windows are not judged.
- **With `fromImages`** the registry is asked for the image's config, and what it says counts: a container without a
  `command` is Java where the image's own entrypoint is; the variables that the image sets are read where the manifest
  does not set them; the version of its JDK is known as `jdk-version` knows it. Without, or where the registry gives no
  answer, the image's own variables and scripts are taken to leave everything as the manifest has it. Where a container
  runs Java and its image is not known, the rule is *unknown* beside what it finds; of others nothing is said.
- **Which option holds**: the last one, in the JVM's order: `JAVA_TOOL_OPTIONS`, then the command line, before whose
  words the launcher puts `JDK_JAVA_OPTIONS` (JDK 9 and later), then `_JAVA_OPTIONS`. What stands behind the jar or the
  main class belongs to the program. `-Xmx` goes before `MaxRAMPercentage`, and that before `MaxRAMFraction`.
- **`JAVA_OPTS` and its like** mean nothing to a JVM, only to scripts. They count where a script in the manifest expands
  them, and where the image's own script is started, which may pass them on; the finding says so. Beside a plain
  `java` they don't count.
- **What cannot be seen** may hold options too. With `envFrom`, a variable of `valueFrom`, a variable that a script sets
  or unsets, what a command prints or an `@argfile`, nothing is called missing, and of what the manifest sets, only what
  stands behind such a variable or file in the order above is judged. In `-Xmx$(HEAP)` only that one size is not seen.

In them it finds

- a largest or first heap (`-Xmx`, `-Xms`, `MaxHeapSize`, `InitialHeapSize`, or its share of `MaxRAM`) that leaves less
  than the headroom within the memory limit: `headroomPercent` of the limit, and at most `headroomMost`,
- `MaxRAMPercentage`, or `100 / MaxRAMFraction`, outside of `minPercentage` to `maxPercentage`,
- a heap that nothing sizes, where the memory limit is 256Mi or more and the manifest has both, a `command` that starts
  `java` and a literal `JAVA_TOOL_OPTIONS`, or where the image is one of `imagesWithoutOptions`, or is known by
  `fromImages`, and nothing but `java` is started,
- `-XX:-UseContainerSupport`,
- `ActiveProcessorCount`, `ParallelGCThreads`, `ConcGCThreads` above the cpu limit, rounded up,
- with `requireProcessors`, neither a cpu limit nor an `ActiveProcessorCount` above 0,
- with `cgroupV2`, a JDK that does not read cgroup v2: before 8u372, 11.0.16 and 15,
- an option that the JDK does not know, so that it refuses to start: `MaxRAMPercentage`, `UseContainerSupport` and
  `ActiveProcessorCount` before 8u191 and 10, and of the old ones `UseCGroupMemoryLimitForHeap` from 11 on,
  `PrintGCDateStamps` from 9, `UseConcMarkSweepGC` from 15, `MaxPermSize` from 17 and their like; but with
  `IgnoreUnrecognizedVMOptions`, and in Semeru, which ignores them.

The version of the JDK is what the manifest declares, then what `images` says, then what the image does. Where none of
them tells enough of it, nothing is said that hangs on it.

Where a container has no limit, the pod's own (`spec.resources`) counts. A value that cannot be read is not judged; what
a `resourceFieldRef` takes from the container's own limits is known.

## Why
A heap as large as the memory limit has no room for threads, classes, buffers and the JVM itself: the kernel ends the
container, without any OutOfMemoryError in the log. Left to itself the JVM takes a quarter of the limit, so that three
quarters are paid for nothing. A JVM that sees the 64 cores of its node starts threads for 64, which share one core.

## Example
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - name: web
      image: registry.example/shop/web:1.4.2
      command: [java, -Xmx2g, -jar, /app/web.jar]
      env:
        - {name: JAVA_TOOL_OPTIONS, value: "-XX:ParallelGCThreads=8"}
      resources:
        limits: {cpu: "2", memory: 2Gi}
```

## Use instead
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - name: web
      image: registry.example/shop/web:1.4.2
      command: [java, -jar, /app/web.jar]
      env:
        - {name: JAVA_TOOL_OPTIONS, value: "-XX:MaxRAMPercentage=75.0"}
      resources:
        limits: {cpu: "2", memory: 2Gi}
```

## Parameters
- `labels` (default: `{plimsoll.dev/runtime: java}`): labels of pods that run Java, each with a glob of its values.
- `scriptVariables` (default: those of Tomcat, Kafka, Elasticsearch, Keycloak and others): variables that scripts pass
  on to the JVM, in the order in which they do.
- `headroomPercent` (default: 15) and `headroomMost` (default: 1Gi): what `-Xmx` leaves of the memory limit.
- `minPercentage` (default: 25) and `maxPercentage` (default: 85): the range of `MaxRAMPercentage`.
- `requireProcessors` (default: true): containers have a cpu limit or say `ActiveProcessorCount`.
- `cgroupV2` (default: true): the nodes have cgroup v2.
- `versionVariables` (default: JAVA_VERSION) and `versionLabels` (default: none): variables of the container and labels
  of the pod that declare the version of the JDK, such as `11.0.15` or `8u352`. `11` alone does not say its update.
- `images` (default: none): what is known of images, by patterns as in `approved-image`: that they start Java, and, with
  `java`, the version of their JDK. The first that matches counts; what the manifest declares goes before it.
- `imagesWithoutOptions` (default: none): images, by patterns as in `approved-image`, that set no options themselves:
  none of the variables above, and no heap in their own scripts.
- `fromImages` (default: false): registries are asked what the images set, start, and have for a JDK.
- `fixPercentage` (default: 75): the `MaxRAMPercentage` that the fix adds.

```yaml
params:
  images:
    - {image: registry.example/java/, java: 17.0.9}
    - {image: registry.example/legacy/billing, java: 8u352}
  imagesWithoutOptions: [registry.example/java/]
  maxPercentage: 80
```

## Fix
Where nothing sizes the heap of a container's only JVM, which goes by a memory limit of the container's own,
`-XX:MaxRAMPercentage` is added at the end of `JAVA_TOOL_OPTIONS`, where that is a literal. Where it is absent it is
only made for `imagesWithoutOptions`, because it would hide the image's own, with its agents; or, with `fromImages`, it
begins with the image's own. A variable of `valueFrom`,
and containers with `envFrom`, are left alone, and so is a JDK that does not know the option and would not start: one
known to be older than 8u191 or 10, or one with `UseCGroupMemoryLimitForHeap`. All the rest is for its owner to say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

from webhook.checks.check import Check, ParamError
from webhook.model import flags, image, java, jdk, jvm, launch, oci, quantity
from webhook.model import pointer as pointers
from webhook.model.decision import Unsure, Violation
from webhook.model.glob import compile_globs
from webhook.model.inspection import alike
from webhook.model.oci import Build, Inspected, Lookup
from webhook.model.patch import Draft
from webhook.model.pods import Container, Pod
from webhook.model.record import record
from webhook.model.resources import Limit, amount_of, limit

_Problem = tuple[tuple[str | int, ...], str]

ID = "jvm-flags"
_TEXTS = {"type": "array", "items": {"type": "string", "minLength": 1}}
_PERCENT = {"type": "number", "minimum": 0, "maximum": 100}
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "labels": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Labels of pods that run Java, with globs of their values.",
        },
        "scriptVariables": {**_TEXTS, "description": "Variables that scripts pass on to the JVM."},
        "headroomPercent": {**_PERCENT, "description": "Percent of the memory limit that a heap leaves."},
        "headroomMost": {"type": "string", "description": "The most memory that a heap has to leave."},
        "minPercentage": {**_PERCENT, "description": "The least MaxRAMPercentage."},
        "maxPercentage": {**_PERCENT, "description": "The most MaxRAMPercentage."},
        "requireProcessors": {"type": "boolean", "description": "A cpu limit or ActiveProcessorCount is there."},
        "cgroupV2": {"type": "boolean", "description": "The nodes have cgroup v2."},
        "versionVariables": {**_TEXTS, "description": "Variables that declare the version of the JDK."},
        "versionLabels": {**_TEXTS, "description": "Labels that declare the version of the JDK."},
        "images": {
            "type": "array",
            "description": "What is known of images: that they start Java, and the version of their JDK.",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["image"],
                "properties": {
                    "image": {"type": "string", "minLength": 1, "description": "A pattern of images."},
                    "java": {"type": "string", "minLength": 1, "description": "The version, such as 17.0.9 or 8u372."},
                },
            },
        },
        "imagesWithoutOptions": {**_TEXTS, "description": "Images that set no options of the JVM themselves."},
        "fromImages": {"type": "boolean", "description": "Registries are asked what is in the images."},
        "fixPercentage": {**_PERCENT, "description": "The MaxRAMPercentage that the fix adds."},
    },
}
DEFAULTS: dict[str, Any] = {
    "labels": {"plimsoll.dev/runtime": "java"},
    "scriptVariables": [
        *("JAVA_OPTIONS", "JAVA_OPTS", "JAVA_OPTS_APPEND", "JVM_OPTS", "SERVER_JVMFLAGS", "JVMFLAGS"),
        *("ES_JAVA_OPTS", "OPENSEARCH_JAVA_OPTS", "LS_JAVA_OPTS"),
        *("KAFKA_HEAP_OPTS", "KAFKA_JVM_PERFORMANCE_OPTS", "KAFKA_OPTS", "CATALINA_OPTS"),
    ],
    "headroomPercent": 15,
    "headroomMost": "1Gi",
    "minPercentage": 25,
    "maxPercentage": 85,
    "requireProcessors": True,
    "cgroupV2": True,
    "versionVariables": ["JAVA_VERSION"],
    "versionLabels": [],
    "images": [],
    "imagesWithoutOptions": [],
    "fromImages": False,
    "fixPercentage": 75,
}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("pod",)
CEL = "it reads commands as a shell does and options as a JVM does, which CEL cannot"

# below about this much memory the JVM goes by MinRAMPercentage (arguments.cpp, set_heap_size)
_SMALL = Fraction(256 * 2**20)
_COUNTS = ("ActiveProcessorCount", "ParallelGCThreads", "ConcGCThreads")
# what else than -Xmx decides on the heap, so that no size of it is missing
_SIZERS = frozenset({"MaxRAM", "MaxRAMPercentage", "MaxRAMFraction", "AggressiveHeap"})


@record(frozen=True, slots=True)
class Known:
    """What is known of the images of a pattern: they start Java, of this version where one is given."""

    images: image.Pattern
    version: jvm.Version | None
    written: str


@record(frozen=True, slots=True)
class Standard:
    """The parameters of one rule, compiled."""

    labels: tuple[tuple[str, Callable[[str], bool]], ...]
    script_variables: tuple[str, ...]
    variables: frozenset[str]
    headroom: Fraction
    headroom_most: Fraction
    least: Fraction
    most: Fraction
    processors: bool
    cgroup_v2: bool
    version_variables: tuple[str, ...]
    version_labels: tuple[str, ...]
    images: tuple[Known, ...]
    bare: tuple[image.Pattern, ...]
    from_images: bool
    flag: str


@record(frozen=True, slots=True)
class Java:
    """One JVM of a container. `alone`: it is the only one; `blind`: its JDK does not read the nodes' cgroup v2.

    `whole`: neither manifest nor image hide an option. `version` is the known one, where it stands, and how. `lenient`:
    it ignores options that it does not know. `own` is what the image has in JAVA_TOOL_OPTIONS.
    """

    container: Container
    machine: java.Machine
    alone: bool
    blind: bool
    whole: bool
    memory: Limit | None
    cpu: Limit | None
    version: tuple[jvm.Version, str, str] | None
    lenient: bool
    own: str

    @property
    def contained(self) -> bool:
        """Whether the JVM goes by the limits of its container."""
        return self.machine.contained and not self.blind

    def violation(self, pointer: str, reason: str, found: str, wanted: str, extent: int = 0) -> Violation:
        """Return a violation of this container."""
        return Violation(pointer, reason, found, wanted, self.container.name, extent=extent)


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for a size that is none, an empty range, or no pattern of images."""
    problems: list[_Problem] = []
    bare = [
        _pattern(text, ("imagesWithoutOptions", number), problems)
        for number, text in enumerate(params["imagesWithoutOptions"])
    ]
    known = [_known(entry, number, problems) for number, entry in enumerate(params["images"])]
    most = amount_of(params["headroomMost"])
    if most is None:
        problems.append((("headroomMost",), f"{params['headroomMost']!r} is no size; wanted one like 1Gi"))
    if not params["minPercentage"] <= params["fixPercentage"] <= params["maxPercentage"] or not params["maxPercentage"]:
        problems.append((("fixPercentage",), "is not between `minPercentage` and `maxPercentage`"))
    if problems:
        raise ParamError(problems)
    standard = Standard(
        labels=tuple((name, compile_globs([glob])) for name, glob in params["labels"].items()),
        script_variables=tuple(params["scriptVariables"]),
        variables=launch.variables(params["scriptVariables"]),
        headroom=Fraction(str(params["headroomPercent"])) / 100,
        headroom_most=most or Fraction(0),
        least=Fraction(str(params["minPercentage"])),
        most=Fraction(str(params["maxPercentage"])),
        processors=params["requireProcessors"],
        cgroup_v2=params["cgroupV2"],
        version_variables=tuple(params["versionVariables"]),
        version_labels=tuple(params["versionLabels"]),
        images=tuple(one for one in known if one is not None),
        bare=tuple(pattern for pattern in bare if pattern is not None),
        from_images=params["fromImages"],
        # with a point: JDK 8 to 12 read no other numbers here
        flag=f"-XX:MaxRAMPercentage={float(params['fixPercentage'])}",
    )
    inspects = partial(_inspects, standard) if standard.from_images else None
    return Check(
        pod=partial(_pod, standard), kept=partial(_kept, standard), fix=partial(_fix, standard), inspects=inspects
    )


def _pattern(text: str, path: tuple[str | int, ...], problems: list[_Problem]) -> image.Pattern | None:
    try:
        return image.pattern(text)
    except ValueError as error:
        problems.append((path, str(error)))
        return None


def _known(entry: Mapping[str, Any], number: int, problems: list[_Problem]) -> Known | None:
    written = entry.get("java", "")
    version = jvm.version(written) if written else None
    if written and version is None:
        problems.append((("images", number, "java"), f"{written!r} is no version of a JDK; wanted 17.0.9 or 8u372"))
    images = _pattern(entry["image"], ("images", number, "image"), problems)
    return None if images is None else Known(images, version, written)


def _inspects(standard: Standard, pod: Pod) -> Iterator[Lookup]:
    for container in pod.containers:
        lookup = _lookup(standard, pod, container)
        if lookup is not None:
            yield lookup


def _lookup(standard: Standard, pod: Pod, container: Container) -> Lookup | None:
    """Return what to ask about a container's image; None where it is not to be asked."""
    asked = standard.from_images and container.role != "ephemeral" and not pod.windows
    return oci.lookup(container.image, pod.spec) if asked else None


def _kept(standard: Standard, pod: Pod) -> bool:
    """Say whether a pod plainly runs no Java, as far as manifests show it."""
    if standard.from_images or standard.images:
        return False
    for container in pod.containers:
        if _labelled(standard, pod, container) or not launch.silent(container, standard.variables):
            return False
    return True


def _pod(standard: Standard, pod: Pod) -> Iterator[Violation | Unsure]:
    for container in pod.containers:
        inspected = _inspected(standard, pod, container)
        builds = _builds(pod, inspected)
        if builds:
            for violation, where in alike(builds, partial(_found, standard, pod, container)):
                yield replace(violation, found=violation.found + where) if where else violation
            continue
        yield from dict.fromkeys(_found(standard, pod, container, None))
        if inspected is not None and inspected.content is None and any(_javas(standard, pod, container, None)):
            yield Unsure(f"{container.image}: {inspected.lacking}", "images")


def _inspected(standard: Standard, pod: Pod, container: Container) -> Inspected | None:
    lookup = _lookup(standard, pod, container)
    return None if lookup is None else pod.images(lookup)


def _builds(pod: Pod, inspected: Inspected | None) -> tuple[Build, ...]:
    """Return what a container may run on Linux, as far as that is known."""
    builds = () if inspected is None or inspected.content is None else inspected.content.on(pod.spec)
    return tuple(build for build in builds if build.platform.os == "linux")


def _found(standard: Standard, pod: Pod, container: Container, build: Build | None) -> Iterator[Violation]:
    for one in _javas(standard, pod, container, build):
        yield from _judge(standard, one)


def _judge(standard: Standard, one: Java) -> Iterator[Violation]:
    yield from _size(standard, one)
    if _unsized(one):
        yield one.violation(
            launch.at(one.container, launch.TOOL) or f"{one.container.pointer}/env",
            "nothing sizes the heap",
            "no -Xmx and no -XX:MaxRAMPercentage: the JVM takes a quarter of the memory limit",
            standard.flag,
        )
    yield from _share(standard, one)
    if not one.machine.contained:
        support = one.machine.held["UseContainerSupport"]
        wanted = "no such option: the JVM reads the limits of its container"
        yield one.violation(support.source.pointer, "container support switched off", support.found, wanted)
    yield from _processors(standard, one)
    if one.blind and one.version is not None:
        _, pointer, found = one.version
        wanted = "8u372, 11.0.16, 15 or later, which read cgroup v2"
        yield one.violation(pointer, "JDK does not see its limits", found, wanted)
    yield from _refused(one)


def _refused(one: Java) -> Iterator[Violation]:
    """Give the options that the JDK does not know, and does not start with."""
    ignores = one.machine.held.get("IgnoreUnrecognizedVMOptions")
    if one.version is None or one.lenient or (ignores is not None and ignores.option.value == 1):
        return
    version, _, told = one.version
    for flag, held in sorted(one.machine.held.items()):
        knows = flags.refused(flag, version)
        if knows is not None:
            wanted = f"{knows}, or no such option: with it this JVM does not start"
            yield one.violation(
                held.source.pointer, "option that the JDK does not know", f"{held.found}; {told}", wanted
            )


def _size(standard: Standard, one: Java) -> Iterator[Violation]:
    if one.memory is None:
        return
    memory = one.memory.amount
    most = memory - min(memory * standard.headroom, standard.headroom_most)
    wanted = f"at most {_mebi(most)}, within the memory limit of {quantity.show(memory)}"
    largest, first = one.machine.largest, one.machine.held.get("InitialHeapSize")
    if largest is not None and largest[1] > most:
        held, _, how = largest
        reason = "heap too large for its container"
        yield one.violation(held.source.pointer, reason, held.found + how, wanted, -int(memory))
    elif first is not None and first.option.value is not None and first.option.value > most:
        reason = "first heap too large for its container"
        yield one.violation(first.source.pointer, reason, first.found, wanted, -int(memory))


def _share(standard: Standard, one: Java) -> Iterator[Violation]:
    share = one.machine.share
    if share is None or any(map(one.machine.given, ("MaxHeapSize", "MaxRAM", "AggressiveHeap"))):
        return
    held, percent = share
    if percent is not None and not standard.least <= percent <= standard.most:
        how = "" if held.option.flag == "MaxRAMPercentage" else f", which is {float(percent):g} percent"
        wanted = f"-XX:MaxRAMPercentage between {float(standard.least)} and {float(standard.most)}"
        yield one.violation(held.source.pointer, "share of the memory out of range", held.found + how, wanted)


def _unsized(one: Java) -> bool:
    """Say whether nothing sizes the heap of a JVM that goes by its memory limit."""
    if not one.whole or not one.contained or one.memory is None or one.memory.amount < _SMALL:
        return False
    return not one.machine.given("MaxHeapSize") and not one.machine.held.keys() & _SIZERS


def _processors(standard: Standard, one: Java) -> Iterator[Violation]:
    if one.cpu is not None:
        most = math.ceil(one.cpu.amount)
        for flag in _COUNTS:
            held = one.machine.held.get(flag)
            if held and held.option.value is not None and held.option.value > most:
                wanted = f"at most {most}, for a cpu limit of {quantity.show(one.cpu.amount)}"
                yield one.violation(held.source.pointer, "more threads than cores", held.found, wanted, -most)
    elif standard.processors and one.machine.complete and not one.machine.given("ActiveProcessorCount"):
        at = f"{one.container.pointer}/resources"
        found = "no cpu limit and no -XX:ActiveProcessorCount"
        yield one.violation(at, "JVM sees the cores of the node", found, "a cpu limit, or -XX:ActiveProcessorCount")


def _fix(standard: Standard, pod: Pod, draft: Draft) -> None:
    for container in pod.containers:
        builds: tuple[Build | None, ...] = _builds(pod, _inspected(standard, pod, container)) or (None,)
        writes = {_write(standard, pod, container, build) for build in builds}
        # what is right for one platform and wrong for another is for the image's owner
        write = writes.pop() if len(writes) == 1 else None
        if write is not None:
            pointer, value = write
            draft.put(pointer, value if pointer.endswith("/value") else {"name": launch.TOOL, "value": value})


def _write(standard: Standard, pod: Pod, container: Container, build: Build | None) -> tuple[str, str] | None:
    """Return where the fix writes JAVA_TOOL_OPTIONS, and what; None where there is nothing to mend."""
    one = next((java for java in _javas(standard, pod, container, build) if _unsized(java) and _mendable(java)), None)
    if one is None:
        return None
    pointer, value = launch.at(container, launch.TOOL), launch.literal(container, launch.TOOL)
    if pointer and value is None:
        return None
    before = one.own if value is None else value
    gap = "" if not before or before[-1:].isspace() else " "
    return f"{pointer}/value" if pointer else f"{container.pointer}/env/-", f"{before}{gap}{standard.flag}"


def _mendable(one: Java) -> bool:
    """Say whether nobody else has a share in the memory, and the JVM starts with the option."""
    if one.memory is None or not one.memory.own or not one.alone:
        return False
    old = one.version is not None and one.version[0].reaches(jvm.CGROUP_V1) is not True
    return not old and "UseCGroupMemoryLimitForHeap" not in one.machine.held


def _javas(standard: Standard, pod: Pod, container: Container, build: Build | None) -> Iterator[Java]:
    """Give each JVM that a container starts, as far as the manifest shows them, and the image where it is known."""
    if container.role == "ephemeral" or pod.windows:
        return
    known = _of_image(standard, container)
    told = _labelled(standard, pod, container) or (known is not None and not container.spec.get("command"))
    if not told and launch.silent(container, standard.variables, build):
        return
    start = launch.start(container, standard.script_variables, build)
    if not start.runs and not told:
        return
    version = _version(standard, pod, start) or _version_of(container, known) or _version_in(container, build)
    # where the image can set nothing that is not seen
    seen = start.direct and (build is not None or launch.literal(container, launch.TOOL) is not None)
    shown = seen or image.named(container.image, standard.bare)
    memory, cpu = limit(pod, container, "memory"), limit(pod, container, "cpu")
    blind = standard.cgroup_v2 and version is not None and version[0].reads_cgroup_v2 is False
    lenient = build is not None and jdk.vendor(build) == "semeru"
    inherited = start.inherited.get(launch.TOOL)
    own = (inherited.text if inherited else None) or ""
    for one in start.machines(launcher=version is None or version[0].major >= 9):
        alone, whole = len(start.lines) < 2, one.complete and shown
        yield Java(container, one, alone, blind, whole, memory, cpu, version, lenient, own)


def _labelled(standard: Standard, pod: Pod, container: Container) -> bool:
    for name, matches in standard.labels:
        value = pod.labels.get(name)
        if isinstance(value, str) and matches(value):
            return container.role == "container" and container.name == pod.main
    return False


def _of_image(standard: Standard, container: Container) -> Known | None:
    """Return what is known of a container's image."""
    return next((one for one in standard.images if image.named(container.image, (one.images,))), None)


def _version_of(container: Container, known: Known | None) -> tuple[jvm.Version, str, str] | None:
    if known is None or known.version is None:
        return None
    return known.version, f"{container.pointer}/image", f"{container.image}, known to have Java {known.written}"


def _version_in(container: Container, build: Build | None) -> tuple[jvm.Version, str, str] | None:
    """Return what the image itself tells of its JDK."""
    known = None if build is None else jdk.read(build)
    if known is None or known.version is None:
        return None
    return (
        known.version,
        f"{container.pointer}/image",
        f"{container.image}, which has Java {known.version}: {known.told}",
    )


def _version(standard: Standard, pod: Pod, start: launch.Start) -> tuple[jvm.Version, str, str] | None:
    """Return the declared version, where it stands, and how."""
    for name in standard.version_variables:
        value = start.environment.values.get(name)
        version = jvm.version(value.text) if value is not None and value.text else None
        if version is not None and value is not None:
            return version, launch.at(start.container, name), f"{name}: {value.text}"
    for name in standard.version_labels:
        label = pod.labels.get(name)
        version = jvm.version(label) if isinstance(label, str) else None
        if version is not None:
            return version, pointers.join(pod.pointer, "metadata", "labels", name), f"{name}: {label}"
    return None


def _mebi(value: Fraction) -> str:
    return f"{int(value // 2**20)}Mi"
