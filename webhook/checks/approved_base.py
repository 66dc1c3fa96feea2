"""Images are built on an approved base, as their layers prove.

## What it does
Asks the registry for the image of every container (init, sidecar, normal, ephemeral) and compares its layers with
those of the approved bases: the layers of one base, in their order, have to be the first layers of the image
(`rootfs.diff_ids` of its config). The base itself is approved, too. A runtime unpacks each layer and compares it with
that list, so that an image which lies about its layers doesn't start.

- **Platforms**: every build that the pod can run (its node selector says which) has to stand on an approved base's
  build for the same system and architecture. Variants count as one architecture, `arm64` and `arm64/v8`: the layers
  say which it is. An image that has no build for what the pod selects is a finding.
- **A base that was rebuilt**: what a tag stood for before stays good for `graceDays`, the last `keep` of it, so that a
  new base doesn't stop every service at once.
- **What is said is no proof**: the annotations `org.opencontainers.image.base.name` and `.digest`, labels of these
  names and build attestations only help the message, unless `proof` is `annotation`.
- **A base without layers**, or of nothing but the empty layer, approves nothing; everything would stand on it. A
  squashed image stands on nothing: its one layer is nobody's.

Where an image is not known, or no known base approves it and one of the others is not known, the rule is *unknown*,
and `onUnknown` decides (`warn` by default, `deny` where nothing may pass unproved). So it is where a registry says that
there is no such image: it says the same of images that we may not see.

Without `bases` and `locks` nothing is judged. Image volumes are not: their files are mounted, and nothing is started
from them. What lies above the base is not looked at; a later layer can replace its files. Judged is what a tag stands
for while the object is admitted; `image-digest` sees to it that the same runs later.

## Why
The base is where the certificates, the JDK and the fixes of last week's vulnerability come from. Everybody can give an
image a name in the company's registry; that does not make it one that the company keeps.

## Example
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - {name: web, image: "registry.example/shop/web:1.4.2"}   # FROM debian:12
```

## Use instead
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - {name: web, image: "registry.example/shop/web:1.4.3"}   # FROM registry.example/base/java:17
```

## Parameters
- `bases`: the approved bases, by tag (asked for again and again, in the background) or by digest; default none.
- `locks`: bases as `plimsoll images lock` writes them, with the layers, so that no registry is asked for them; default
  none. They count beside `bases`. An image locked is approved as it was then: a rebuilt base wants a new lock.
- `keep`: how many earlier digests of a tag in `bases` stay good; default 3.
- `graceDays`: for how many days they do, from when the tag was last seen to stand for them; default 14.
- `proof`: `layers`, the default; or `annotation`: it is enough where an image says by both annotations which base it is
  built on, and that digest is an approved one. Anybody can write such an annotation into any image. It is for companies
  that squash their images, and trust those who build them.
- `except`: patterns of images that need no base; default none. They are those of
  [approved-image](approved-image.md#parameters).

```yaml
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  values:
    baseLocks:
      - apiVersion: plimsoll.dev/v1
        kind: ImageLock
        images:
          - image: registry.example/base/go:1.25
            digest: sha256:6b8fb3ba8e8c8b0a1e7c0a7a7e5b0c3d2e1f9b2cfd2b0f3d0b6d5a3f2c0f7a4f
            locked: 2026-11-02
            platforms:
              linux/amd64:
                digest: sha256:0f7a4f1b0a6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f9b2cfd2b0f3d0b6d5a3f2c
                layers: [sha256:1b0a6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f9b2cfd2b0f3d0b6d5a3f2c0f7a4f]
  rules:
    - name: approved-base
      check: approved-base
      params:
        bases: [registry.example/base/java:17, registry.example/base/java:21]
        locks: "${values.baseLocks}"
        except: [registry.example/mesh/]
      action: deny
```

[bases.yaml](../examples/bases.yaml) is such a pack, with tests that say what registries would.

## Fix
None. The image has to be built anew; the message says what to write in `FROM`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import takewhile
from typing import Any

from webhook.checks.check import Check, ParamError, Problems, one_of, patterns
from webhook.model import image as images
from webhook.model import lock, oci
from webhook.model.decision import Unsure, Violation
from webhook.model.image import Image, Pattern
from webhook.model.oci import Build, Content, Lookup, Platform
from webhook.model.pods import Container, Pod
from webhook.model.record import record

ID = "approved-base"
_TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string", "minLength": 1}}
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "bases": {**_TEXTS, "description": "References of the approved bases, by tag or digest."},
        "locks": {
            "type": "array",
            "items": {**lock.FILE, "required": ["images"]},
            "description": "Approved bases with their layers, as `plimsoll images lock` writes them.",
        },
        "keep": {
            "type": "integer",
            "minimum": 0,
            "description": "How many earlier digests of a base's tag stay good.",
        },
        "graceDays": {"type": "integer", "minimum": 0, "description": "For how many days they stay good."},
        "proof": {
            "type": "string",
            "enum": ["layers", "annotation"],
            "description": "What proves a base: its layers, or also what an image says of itself.",
        },
        "except": {**_TEXTS, "description": "Patterns of images that need no base."},
    },
}
DEFAULTS: dict[str, Any] = {
    "bases": [],
    "locks": [],
    "keep": 3,
    "graceDays": 14,
    "proof": "layers",
    "except": [],
}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("pod",)
CEL = "it asks registries for the layers of images, and a policy cannot"

# the annotations of github.com/opencontainers/image-spec, annotations.md
BASE_NAME, BASE_DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
# the digest of 1,024 zero bytes, a tar without entries, which is what builders write for steps that change no file
EMPTY_LAYER = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
_DAY = 86400
Path = tuple[str | int, ...]
_REASON, _OUTDATED = "not built on an approved base", "built on a base that was replaced"


@record(frozen=True, slots=True)
class Base:
    """An approved base that registries are asked for: as it is written, and how it is asked for."""

    written: str
    image: Image
    lookup: Lookup


@record(frozen=True, slots=True)
class Stack:
    """The layers of an approved base for one platform, the lowest first.

    `digests` are those by which an image may say that it is built on it: of the index and of the manifest. `start` is
    what one writes in FROM. `age` is how many seconds ago its tag was last seen to stand for it, 0 where it does;
    `good`, whether it still counts.
    """

    name: str
    image: Image
    start: str
    platform: Platform
    layers: tuple[str, ...]
    digests: tuple[str, ...]
    age: float = 0.0
    good: bool = True

    def below(self, layers: tuple[str, ...]) -> bool:
        """Say whether layers begin with these."""
        return layers[: len(self.layers)] == self.layers

    def shared(self, layers: tuple[str, ...]) -> int:
        """Return how many of the lowest layers are the same."""
        return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(self.layers, layers, strict=False))))


@record(frozen=True, slots=True)
class Standard:
    """The parameters of one rule, compiled; `grace` is in seconds."""

    bases: tuple[Base, ...]
    locked: tuple[Stack, ...]
    keep: int
    grace: float
    by_annotation: bool
    excepted: tuple[Pattern, ...]

    @property
    def images(self) -> list[Image]:
        """The references of all bases, known or not."""
        return [*(base.image for base in self.bases), *(stack.image for stack in self.locked)]

    @property
    def starts(self) -> list[str]:
        """What one may write in FROM, in the order of the parameters."""
        return list(dict.fromkeys([*(base.written for base in self.bases), *(stack.start for stack in self.locked)]))


@record(frozen=True, slots=True)
class Known:
    """What a base stands for, or stood for `age` seconds ago; `good`, whether that counts."""

    base: Base
    content: Content
    age: float = 0.0
    good: bool = True


@record(frozen=True, slots=True)
class Hint:
    """What an image says that it is built on; nobody has proved it."""

    image: Image
    digest: str = ""


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for bases that are no references, and locks that cannot be meant."""
    problems: Problems = []
    standard = Standard(
        tuple(_bases(params["bases"], problems)),
        tuple(_locked(params["locks"], problems)),
        params["keep"],
        params["graceDays"] * _DAY,
        params["proof"] == "annotation",
        patterns("except", params["except"], problems),
    )
    if problems:
        raise ParamError(problems)
    if not standard.bases and not standard.locked:
        return Check()
    return Check(
        pod=partial(_judge, standard),
        inspects=partial(_inspects, standard),
        bases=tuple(base.lookup.reference for base in standard.bases),
    )


def _bases(written: Iterable[str], problems: Problems) -> Iterator[Base]:
    for number, text in enumerate(written):
        try:
            image = images.parse(text)
        except ValueError as error:
            problems.append((("bases", number), f"{error}; wanted one image, such as registry.example/base/java:17"))
        else:
            yield Base(text, image, Lookup(str(image)))


def _locked(locks: Iterable[Mapping[str, Any]], problems: Problems) -> Iterator[Stack]:
    for number, file in enumerate(locks):
        for index, entry in enumerate(file["images"]):
            at: Path = ("locks", number, "images", index)
            try:
                image = images.parse(entry["image"])
            except ValueError as error:
                problems.append(((*at, "image"), str(error)))
                continue
            for name in entry["platforms"]:
                yield from _locked_for(name, entry, image, (*at, "platforms", name), problems)


def _locked_for(name: str, entry: Mapping[str, Any], image: Image, at: Path, problems: Problems) -> Iterator[Stack]:
    """Yield the layers that a lock has for one platform, where they can be meant."""
    one = entry["platforms"][name]
    layers, digests = tuple(one["layers"]), (entry["digest"], one.get("digest", ""))
    start = entry["image"] if image.digest else f"{entry['image']}@{entry['digest']}"
    try:
        platform = oci.platform(name)
    except ValueError as error:
        problems.append((at, str(error)))
        return
    if _holds(layers):
        yield Stack(entry["image"], image, start, platform, layers, digests)
    else:
        problems.append((at, "has no layer but the empty one, and would approve every image; lock another base"))


def _holds(layers: tuple[str, ...]) -> bool:
    """Say whether there is anything in these layers, so that not every image stands on them."""
    return any(layer != EMPTY_LAYER for layer in layers)


def _asked(standard: Standard, container: Container, pod: Pod) -> Lookup | None:
    """Return how the image of a container is asked for; None where it needs no base, or is no reference."""
    lookup = oci.lookup(container.image, pod.spec)
    return None if lookup is None or images.named(container.image, standard.excepted) else lookup


def _inspects(standard: Standard, pod: Pod) -> list[Lookup]:
    found = [lookup for one in pod.containers if (lookup := _asked(standard, one, pod)) is not None]
    return [*found, *(base.lookup for base in standard.bases)] if found else []


def _judge(standard: Standard, pod: Pod) -> Iterator[Violation | Unsure]:
    bases: tuple[Known, ...] | None = None
    for container in pod.containers:
        lookup = _asked(standard, container, pod)
        if lookup is None:
            yield from _unread(container)
            continue
        inspected = pod.images(lookup)
        if inspected.content is None:
            yield Unsure(f"whether {container.image} is built on an approved base: {inspected.lacking}", "images")
            continue
        if bases is None:
            bases = tuple(_known(standard, pod))
        yield from _container(standard, bases, pod, container, inspected.content)


def _unread(container: Container) -> Iterator[Violation]:
    try:
        images.parse(container.image)
    except ValueError as error:
        wanted = "a reference such as registry.example/team/app:1.2"
        yield Violation(
            f"{container.pointer}/image",
            "not an image reference",
            str(error),
            wanted,
            container.name,
            (container.image,),
        )


def _known(standard: Standard, pod: Pod) -> Iterator[Known]:
    """Yield what bases stand for, then what they stood for: most images are built on what is there now."""
    found = [(base, pod.images(base.lookup)) for base in standard.bases]
    for base, known in found:
        if known.content is not None:
            yield Known(base, known.content)
    for base, known in found:
        for number, former in enumerate(known.former):
            yield Known(base, former.content, former.age, number < standard.keep and former.age <= standard.grace)


def _stacks(standard: Standard, bases: Iterable[Known]) -> Iterator[Stack]:
    """Yield the layers of all bases that hold anything."""
    yield from standard.locked
    for known in bases:
        written, content = known.base.written, known.content
        for one in content.builds:
            layers, digests = one.diff_ids, (content.digest, one.digest)
            if _holds(layers):
                yield Stack(*(written, known.base.image, written, one.platform, layers, digests, known.age, known.good))


def _container(
    standard: Standard, bases: tuple[Known, ...], pod: Pod, container: Container, content: Content
) -> Iterator[Violation | Unsure]:
    written, at = container.image, f"{container.pointer}/image"
    builds = content.on(pod.spec)
    if not builds:
        found = f"{written} is for {_platforms(content.builds)}"
        wanted = "an image for the nodes that the pod selects"
        yield Violation(at, "no build that the pod can run", found, wanted, container.name)
        return
    failing = [build for build in builds if not _stands(standard, bases, build)]
    if not failing:
        return
    stacks = tuple(_stacks(standard, bases))  # most images stand on a base, and need none of this
    if standard.by_annotation:
        failing = [build for build in failing if not _says(stacks, content, build)]
    lacking = _lacking(standard, pod)
    if failing and lacking:
        why = f"no known base is below its layers, and of others nothing is known: {'; '.join(lacking)}"
        yield Unsure(f"whether {written} is built on an approved base: {why}", "images")
    elif failing:
        reason, found, wanted = _told(standard, stacks, content, failing[0])
        more = f"; likewise {_platforms(failing[1:])}" if failing[1:] else ""
        yield Violation(at, reason, f"{written} ({failing[0].platform}) {found}{more}", wanted, container.name)


def _lacking(standard: Standard, pod: Pod) -> list[str]:
    """Return a sentence on each base of which nothing is known now."""
    found = [(base.written, pod.images(base.lookup)) for base in standard.bases]
    return [f"{name}: {known.lacking}" for name, known in found if known.content is None]


def _platforms(builds: Iterable[Build]) -> str:
    return ", ".join(str(build.platform) for build in builds) or "no platform at all"


def _fits(one: Platform, other: Platform) -> bool:
    return one.architecture == other.architecture and one.os == other.os


def _stands(standard: Standard, bases: Iterable[Known], build: Build) -> bool:
    """Say whether the lowest layers of a build are those of a base that counts."""
    layers = build.diff_ids
    if any(stack.below(layers) for stack in standard.locked if _fits(stack.platform, build.platform)):
        return True
    of_bases = (
        one.diff_ids
        for known in bases
        if known.good
        for one in known.content.builds
        if _fits(one.platform, build.platform)
    )
    return any(layers[: len(below)] == below and _holds(below) for below in of_bases)


def _says(stacks: Iterable[Stack], content: Content, build: Build) -> bool:
    """Say whether a build names a base that counts, and its digest."""
    said = _annotated(content, build)
    return (
        said is not None
        and bool(said.digest)
        and any(
            stack.good
            and said.digest in stack.digests
            and said.image.name == stack.image.name
            and _fits(stack.platform, build.platform)
            for stack in stacks
        )
    )


def _annotated(content: Content, build: Build) -> Hint | None:
    """Return what the annotations, or the labels of these names, say."""
    said = {**build.labels, **content.annotations, **build.annotations}
    return _hint(said.get(BASE_NAME, ""), said.get(BASE_DIGEST, ""))


def _hint(name: str, digest: str = "") -> Hint | None:
    try:
        image = images.parse(name)
    except ValueError:
        return None
    return Hint(image, digest or image.digest)


def _told(standard: Standard, stacks: tuple[Stack, ...], content: Content, build: Build) -> tuple[str, str, str]:
    """Return reason, what was found and what is wanted of a build that is on no base."""
    layers = build.diff_ids
    fitting = [stack for stack in stacks if _fits(stack.platform, build.platform)]
    former = next((stack for stack in fitting if stack.below(layers)), None)
    if former is not None:
        found = f"is built on {former.name} as it was until {_ago(former.age)} ({_short(former.digests[0])})"
        good = f"what it was before is good for {standard.grace / _DAY:.0f} days, the last {standard.keep} of it"
        return _OUTDATED, found, f"a new build, FROM {former.start}; {good}"
    current = [stack for stack in fitting if stack.good]
    nearest = max(current, key=lambda stack: stack.shared(layers), default=None)
    hint = _telling(standard, content, build)
    named = next((stack for stack in current if hint is not None and _means(hint, stack.image)), None)
    if named is not None:
        parting = f"; it {_parting(named, layers)}" if named.shared(layers) else ""
        found = f"says that it is built on {named.name}, but its layers are not that image's{parting}"
        return _REASON, found, f"FROM {named.start}"
    if hint is not None and not any(_means(hint, image) for image in standard.images):
        near = nearest.start if nearest is not None and nearest.shared(layers) else one_of(standard.starts)
        return _REASON, f"says that it is built on {hint.image}, which is no approved base", f"FROM {near}"
    if nearest is not None and nearest.shared(layers):
        return _REASON, _parting(nearest, layers, f" of {nearest.name}"), f"FROM {nearest.start}"
    if not layers:
        found = "has no layers in its config"
    elif nearest is None:
        found = "is for a platform for which no approved base has layers"
    else:
        found = f"shares no layer with an approved base; it has {len(layers)}"
    return _REASON, found, f"FROM {one_of(standard.starts)}"


def _telling(standard: Standard, content: Content, build: Build) -> Hint | None:
    """Return what an image says of its base: its annotations, else an approved base that its attestation names.

    An attestation names all that went into a build, such as the image of the compiler.
    """
    sources = [hint for source in build.sources if (hint := _hint(source)) is not None]
    attested = (hint for hint in sources if any(_means(hint, image) for image in standard.images))
    return _annotated(content, build) or next(attested, None)


def _means(hint: Hint, base: Image) -> bool:
    """Say whether a hint means a base: its name, and its tag where there are both."""
    one = hint.image
    return one.name == base.name and (not one.tag or not base.tag or one.tag == base.tag)


def _parting(stack: Stack, layers: tuple[str, ...], of: str = "") -> str:
    """Say how far layers go along with those of a base, whose name `of` may add."""
    shared = stack.shared(layers)
    end = ", and has no more" if shared == len(layers) else f"; layer {shared + 1} differs"
    return f"shares the first {shared} of {len(stack.layers)} layers{of}{end}"


def _ago(age: float) -> str:
    """Return an age in seconds as people say it: `40 days ago`."""
    days = int(age // _DAY)
    return f"{days} days ago" if days > 1 else "yesterday" if days else "today"


def _short(digest: str) -> str:
    return digest[: len("sha256:") + 12]
