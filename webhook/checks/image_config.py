"""An image is what its owner may run: not as root, not too old, not too large, labelled, built for the node.

## What it does
Asks the registry for the manifest and the config of each container's image, and finds

- with `nonRoot`, an image that starts as root: its `User` is empty, `root` or `0`, or a number above 2147483647, which
  older runtimes cut. What number a name has, the config does not tell. A `runAsUser` of the container or the
  pod goes before it: then that must not be 0. With `runAsNonRoot: true` a `User` that is a name (`app`) is found too,
  because the kubelet cannot tell which number it has, and does not start it. Builds for Windows have other users, and
  are left out: those that an index says are for Windows, and those in a pod that asks for Windows.
- with `platform`, an image that has no build for what `nodeSelector` (`kubernetes.io/os`, `kubernetes.io/arch`) and
  `os.name` of the pod ask for.
- an image that was created longer ago than `maxAge`, is larger than `maxSize`, or has more layers than `maxLayers`.
- an image without one of `labels`, or with another value.
- an image for which one of `conditions` is not true.

An image for several platforms is judged for all that the pod can run on; where not all are found wanting, those that
are are named. Init containers, sidecars and ephemeral containers are judged like all others. Image volumes are not: they
are read, and nobody starts them.

**Creation.** The time is `created` of the config, else the annotation or label `org.opencontainers.image.created`.
Many reproducible builds write none, or 1970 or 1980, so that the same source gives the same bytes; a time before
2013, when there were no such images, is taken as none, and so is one more than a day ahead. Of those `undated` decides.

**Conditions** are written in CEL, with the same libraries as rules in CEL. They are compiled when the pack is loaded, and
see

| word | what it is |
| --- | --- |
| `image.config` | the `config` of the image's config: `User` (`''` where there is none), `Env`, `Entrypoint`, `Cmd`, `ExposedPorts` and so on |
| `image.labels`, `image.annotations` | maps of text; the annotations are the manifest's |
| `image.created`, `image.age` | a timestamp and a duration; where there are none, the condition is not asked, see `undated` |
| `image.size`, `image.layers` | bytes as they are stored, and a list of `{digest, size}`, the lowest first |
| `image.digest`, `image.platform` | of this build; `{os, architecture, variant}` |
| `image.registry`, `image.repository`, `image.tag`, `image.reference` | what the manifest names, normalized; `tag` is `''` beside a digest alone |
| `container`, `pod` | the container as it is written; `metadata` and `spec` of its pod |

One that fails (it reads a label that is not there) makes the rule fail: `onError` decides. `has(image.config.Cmd)` and
`'owner' in image.labels` ask first.

## Why
What runs is the image, not what the manifest says of it. Root in a container is one mistake away from root on the node; an
image that nobody has built for a year has a year of known holes; one of 4 GiB starts after minutes on a new node; and
one that does not say who owns it and from which commit it is, nobody can mend at night.

## Example
An image without `USER` in its Dockerfile, and a node selector that it has no build for:

```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  nodeSelector: {kubernetes.io/arch: arm64}
  containers:
    - {name: web, image: "registry.example/shop/web:1.4.2"}
```

## Use instead
An image with `USER 10001` in its Dockerfile, and built for both platforms: `docker buildx build --platform
linux/amd64,linux/arm64`.

```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  nodeSelector: {kubernetes.io/arch: arm64}
  containers:
    - {name: web, image: "registry.example/shop/web:1.4.3"}
```

## Parameters
- `nonRoot` (default: true): images do not start as root.
- `platform` (default: true): images have a build for the nodes that the pod asks for.
- `maxAge` (default: none): how long ago an image may have been created, in hours, days or weeks: `36h`, `180d`, `26w`.
- `undated`: what becomes of an image without a time of creation, where one is needed. `unknown`, the default, leaves it
  to the rule's `onUnknown`; `find` makes it a finding; `allow` lets it in.
- `maxSize` (default: none): how large an image may be, as its layers are stored and pulled: `500Mi`, `2G`.
- `maxLayers` (default: 0, which is any number): how many layers it may have.
- `labels` (default: none): labels that an image has, each with a glob of its values. `"*"` takes any, but not none.
- `conditions` (default: none): a list of `expression`, which has to be true, with `message`, and, where it is to say
  more, `messageExpression`, which gives the text of what was found. `name` takes the place of a missing `message`.

```yaml
params:
  maxAge: 180d
  maxSize: 1Gi
  labels:
    org.opencontainers.image.revision: "*"
    com.example.owner: "team-*"
  conditions:
    - expression: "image.registry != 'registry.example' || image.config.User.matches('^[1-9][0-9]{3,}$')"
      message: our own images have a user with a number above 999
      messageExpression: "'User ' + image.config.User"
    - expression: "container.name != 'web' || image.age < duration('720h')"
      message: what faces the internet is built every month
```

## Fix
None: the image has to be built anew.
"""  # noqa: E501 (a table)

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import re2

from webhook.checks import cel
from webhook.checks.check import Check, ParamError
from webhook.errors import RuleError
from webhook.model import image as images
from webhook.model import oci, pointer
from webhook.model.decision import Unsure, Violation
from webhook.model.glob import Globs, compile_globs
from webhook.model.inspection import alike, inspections, lookups
from webhook.model.oci import Build, Content, Inspected
from webhook.model.pods import Container, Pod, mapping
from webhook.model.record import record
from webhook.model.resources import amount_of

ID = "image-config"
_TEXT = {"type": "string", "minLength": 1}
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "nonRoot": {"type": "boolean", "description": "Images do not start as root."},
        "platform": {"type": "boolean", "description": "Images have a build for the nodes that the pod asks for."},
        "maxAge": {
            "type": "string",
            # which text is an age, `build` says, with all that is wrong in the conditions
            "patternErrorMessage": "hours, days or weeks: 36h, 180d, 26w",
            "description": "How long ago an image may have been created: 36h, 180d, 26w.",
        },
        "undated": {
            "type": "string",
            "enum": ["unknown", "find", "allow"],
            "description": "What becomes of an image without a time of creation.",
        },
        "maxSize": {"type": "string", "description": "How large an image may be, as its layers are stored."},
        "maxLayers": {"type": "integer", "minimum": 0, "description": "How many layers it may have; 0: any number."},
        "labels": {
            "type": "object",
            "additionalProperties": {"type": "string", "minLength": 1},
            "description": "Labels that an image has, with globs of their values.",
        },
        "conditions": {
            "type": "array",
            "description": "CEL expressions over `image`, `container` and `pod` that have to be true.",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["expression"],
                "properties": {
                    "name": {**_TEXT, "description": "What the condition is called."},
                    "expression": {**_TEXT, "description": "CEL that has to be true."},
                    "message": {**_TEXT, "description": "What is wanted."},
                    "messageExpression": {**_TEXT, "description": "CEL that gives what was found."},
                },
            },
        },
    },
}
DEFAULTS: dict[str, Any] = {
    "nonRoot": True,
    "platform": True,
    "maxAge": "",
    "undated": "unknown",
    "maxSize": "",
    "maxLayers": 0,
    "labels": {},
    "conditions": [],
}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("pod",)
CEL = "it asks registries what images are, and a policy cannot"

_AGE = re2.compile(r"([0-9]{1,6})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}
_CREATED = "org.opencontainers.image.created"
# Docker was first shown in March 2013
_FIRST = datetime(2013, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=1)  # that the clock of who built it may be, and its time without a zone
_MORE: Mapping[str, cel.Static] = {
    "image": "DYN",
    "container": "DYN",
    "image.created": "TIMESTAMP",
    "image.age": "DURATION",
}
_WORDS = frozenset({"image", "container", "pod"})
_DATED = re2.compile(r"\bimage\s*\.\s*(?:created|age)\b")
_USER = "USER with a number in its Dockerfile, such as USER 10001, or runAsUser in the securityContext"

# as Go's strconv reads it, for the kubelet and for runtimes: +0 is 0
_NUMBER = re2.compile(r"[+-]?[0-9]+")
_DIGITS = 20  # that are looked at; a number of more is none of a user
# a larger one older runtimes cut to 32 bits, and 4294967296 is root (CVE-2024-40635)
_LARGEST = 2**31 - 1

_Problem = tuple[tuple[str | int, ...], str]


@record(frozen=True, slots=True)
class Condition:
    """One condition, compiled; `dated`: it asks when the image was created."""

    holds: cel.Program
    says: cel.Program | None
    reason: str
    wanted: str
    dated: bool


@record(frozen=True, slots=True)
class Standard:
    """The parameters of one rule, compiled; `age` and `written` are the most that is allowed, None for any."""

    non_root: bool
    platform: bool
    age: timedelta | None
    written: str
    undated: str
    size: int | None
    layers: int
    labels: tuple[tuple[str, str, Globs], ...]
    conditions: tuple[Condition, ...]


@record(frozen=True, slots=True)
class Lack:
    """What is wrong with an image; `unsure`: it may be. `at` is where it stands below the object, else at the image."""

    reason: str
    found: str
    wanted: str
    unsure: bool = False
    at: str = ""


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for an age or a size that is none, and for CEL that cannot be compiled."""
    problems: list[_Problem] = []
    standard = Standard(
        params["nonRoot"],
        params["platform"],
        _age(params["maxAge"], problems),
        params["maxAge"],
        params["undated"],
        _size(params["maxSize"], problems),
        params["maxLayers"],
        tuple((name, glob, compile_globs([glob])) for name, glob in params["labels"].items()),
        tuple(_conditions(params["conditions"], problems)),
    )
    if problems:
        raise ParamError(problems)
    return Check(pod=partial(_pod, standard), inspects=lookups)


def _age(text: str, problems: list[_Problem]) -> timedelta | None:
    found = _AGE.fullmatch(text)
    if text and found is None:
        problems.append((("maxAge",), f"{text!r} is no age; wanted hours, days or weeks: 36h, 180d, 26w"))
    return timedelta(hours=int(found[1]) * _HOURS[found[2]]) if found else None


def _size(text: str, problems: list[_Problem]) -> int | None:
    amount = amount_of(text) if text else None
    if text and amount is None:
        problems.append((("maxSize",), f"{text!r} is no size; wanted one like 500Mi"))
    return None if amount is None else int(amount)


def _conditions(entries: list[Mapping[str, str]], problems: list[_Problem]) -> Iterator[Condition]:
    for number, entry in enumerate(entries):
        path = ("conditions", number)
        holds = _program((*path, "expression"), entry["expression"], "bool", problems)
        says = None
        if "messageExpression" in entry:
            says = _program((*path, "messageExpression"), entry["messageExpression"], "string", problems)
        if holds is not None:
            told = entry.get("message") or entry.get("name", "")
            dated = any(_DATED.search(text) for text in (entry["expression"], entry.get("messageExpression", "")))
            yield Condition(holds, says, told or "condition not met", told or entry["expression"], dated)


def _program(path: tuple[str | int, ...], text: str, wants: cel.Wants, problems: list[_Problem]) -> cel.Program | None:
    try:
        return cel.compile(text, wants=wants, words=_WORDS, more=_MORE)
    except cel.CelError as error:
        problems += [(path, cel.placed(problem)) for problem in error.problems]
        return None


def _pod(standard: Standard, pod: Pod) -> Iterator[Violation | Unsure]:
    for container, inspected in inspections(pod):
        if inspected.content is None:
            yield Unsure(f"{container.image}: {inspected.lacking}", "images")
            continue
        judge = partial(_judge, standard, pod, container, inspected)
        lacks = [*_nowhere(standard, pod, inspected.content), *alike(inspected.content.on(pod.spec), judge)]
        for lack, where in lacks:
            if lack.unsure:
                yield Unsure(f"{container.image}: {lack.reason}{where}: {lack.found}", "images")
            else:
                at = lack.at or f"{container.pointer}/image"
                yield Violation(at, lack.reason, lack.found + where, lack.wanted, container.name)


def _nowhere(standard: Standard, pod: Pod, content: Content) -> Iterator[tuple[Lack, str]]:
    """Give that an image has no build for a pod, where that is so."""
    if standard.platform and not content.fitting(pod.spec):
        built = sorted({str(build.platform) for build in content.builds})
        selector = mapping(pod.spec.get("nodeSelector"))
        asked = [f"{name}: {selector[name]}" for name in (oci.OS_LABEL, oci.ARCH_LABEL) if name in selector]
        system = mapping(pod.spec.get("os")).get("name")
        asked += [f"os.name: {system}"] if system else []
        wanted = f"a build for {', '.join(asked)}, or another nodeSelector"
        yield Lack("no build for the pod's nodes", f"built for {', '.join(built)}", wanted), ""


def _judge(standard: Standard, pod: Pod, container: Container, inspected: Inspected, build: Build) -> Iterator[Lack]:
    asked, content = inspected.asked, inspected.content
    if standard.non_root and content is not None and not content.for_windows(build, pod.spec):
        yield from _root(pod, container, build)
    created = _created(build, asked)
    dated = created is not None and asked is not None
    if not dated and standard.undated != "allow" and (standard.age or any(one.dated for one in standard.conditions)):
        wanted = "created in the image's config, as docker build writes it"
        yield Lack("image does not tell its age", _shown(build), wanted, unsure=standard.undated == "unknown")
    age = asked - created if created is not None and asked is not None else None
    if created is not None and age is not None and standard.age is not None and age > standard.age:
        found = f"created {created.date()}, {age.days} days ago"
        yield Lack("image too old", found, f"created within {standard.written}; build it anew, on today's base")
    yield from _measured(standard, build)
    yield from _labelled(standard, build)
    conditions = [one for one in standard.conditions if dated or not one.dated]
    if conditions:
        yield from _unmet(conditions, pod, container, build, (created, age))


def _root(pod: Pod, container: Container, build: Build) -> Iterator[Lack]:
    """Give that a container starts as root, or as somebody of whom the kubelet cannot tell.

    Source: k8s.io/kubernetes pkg/kubelet/kuberuntime/security_context.go, `verifyRunAsNonRoot`.
    """
    user, at = _secured(pod, container, "runAsUser")
    if isinstance(user, int):
        if user == 0:
            yield Lack("container runs as root", "runAsUser: 0", "another user, or none, and USER in the image", at=at)
        return
    written = str(build.execution.get("User") or "")
    name = written.partition(":")[0]
    number = int(name[:_DIGITS]) if _NUMBER.fullmatch(name) else None
    if name in ("", "root") or number == 0:
        yield Lack("image runs as root", f"User: {written}" if written else "no User", _USER)
    elif number is not None and not 0 < number <= _LARGEST:
        found = f"User: {written}, which is no number of a user; the largest is {_LARGEST}"
        yield Lack("user of the image has no valid number", found, _USER)
    elif number is None and _secured(pod, container, "runAsNonRoot")[0] is True:
        found = f"User: {written}, and runAsNonRoot: true"
        yield Lack("user of the image has no number", found, f"{_USER}: the kubelet cannot tell who a name is")


def _secured(pod: Pod, container: Container, field: str) -> tuple[Any, str]:
    """Return a field of the security context that counts for a container, and where it stands."""
    places = (container.spec, container.pointer), (pod.spec, f"{pod.pointer}/spec")
    for spec, place in places:
        value = mapping(spec.get("securityContext")).get(field)
        if value is not None:
            return value, pointer.join(place, "securityContext", field)
    return None, ""


def _created(build: Build, asked: datetime | None) -> datetime | None:
    """Return when an image was created; None where it does not tell, or tells a time at which there were none yet."""
    latest = datetime.max.replace(tzinfo=UTC) if asked is None else asked + _AHEAD
    for text in (build.config.get("created"), build.annotations.get(_CREATED), build.labels.get(_CREATED)):
        try:
            time = datetime.fromisoformat(text) if isinstance(text, str) else None
        except ValueError:
            continue
        if time is not None:
            aware = time if time.tzinfo else time.replace(tzinfo=UTC)
            if _FIRST <= aware <= latest:
                return aware
    return None


def _shown(build: Build) -> str:
    written = build.config.get("created")
    return f"created: {written}" if written else "no created in its config"


def _measured(standard: Standard, build: Build) -> Iterator[Lack]:
    if standard.size is not None and build.size > standard.size:
        wanted = f"at most {-(-standard.size // 2**20)}Mi; leave build tools and caches out of the last stage"
        yield Lack("image too large", f"{-(-build.size // 2**20)}Mi", wanted)
    if 0 < standard.layers < len(build.layers):
        wanted = f"at most {standard.layers}; join RUN instructions, or begin with a smaller base"
        yield Lack("image of too many layers", f"{len(build.layers)} layers", wanted)


def _labelled(standard: Standard, build: Build) -> Iterator[Lack]:
    labels = build.labels
    for name, glob, matches in standard.labels:
        value = labels.get(name, "")
        if not value:
            yield Lack("image without a label", f"no label {name}", f"LABEL {name} in its Dockerfile, like {glob}")
        elif not matches(value):
            yield Lack("label of the image not allowed", f"{name}: {value}", f"{name} like {glob}")


def _unmet(
    conditions: list[Condition],
    pod: Pod,
    container: Container,
    build: Build,
    times: tuple[datetime | None, timedelta | None],
) -> Iterator[Lack]:
    """Give the conditions that are not true. Raises RuleError by one that fails, or where CEL cannot see the config."""
    seen = _seen(container, build)
    for place, why in cel.unfit(seen):
        raise RuleError(f"{container.image}: what its registry says cannot be judged: {place}: {why}")
    shared: dict[str, Any] = {
        "image": seen,
        "container": container.spec,
        "pod": {"metadata": dict(pod.metadata), "spec": pod.spec},
    }
    created, age = times
    if created is not None and age is not None:
        shared |= {"image.created": created, "image.age": age}
    activation = cel.activation(shared, _MORE)
    for one in conditions:
        if not one.holds(activation):
            yield Lack(one.reason, _said(one.says, activation) or container.image, one.wanted)


def _seen(container: Container, build: Build) -> dict[str, Any]:
    """Return what CEL sees as `image`."""
    named = images.parse(container.image)
    platform = build.platform
    return {
        "config": {"User": "", **build.execution},
        "labels": dict(build.labels),
        "annotations": dict(build.annotations),
        "size": build.size,
        "layers": [{"digest": layer.digest, "size": layer.size} for layer in build.layers],
        "digest": build.digest,
        "platform": {"os": platform.os, "architecture": platform.architecture, "variant": platform.variant},
        "registry": named.registry,
        "repository": named.repository,
        "tag": named.tag,
        "reference": str(named),
    }


def _said(says: cel.Program | None, activation: object) -> str:
    """Return the messageExpression's text; where it fails the fixed message alone serves, as in Kubernetes."""
    try:
        return "" if says is None else str(says(activation))
    except RuleError:
        return ""
