"""Images are named by digest, and a tag is pinned to its digest at admission.

## What it does
Asks of every container (init, sidecar, normal, ephemeral) and of every image volume that its image has a digest:
`registry.example/shop/web:1.4.2@sha256:...`. The tag may stay, so that people can read the version; beside a digest,
runtimes don't look at it. A text that is no image reference is not judged here; `approved-image` says so.

`approved-image` can ask for the same (`digest: required`), and only refuses. Take one of the two: this one, where
Plimsoll may write the digest, that one, where authors have to.

## Why
A tag is something else tomorrow. The node that joins at night pulls another image than the one that was tested and
admitted, two replicas of one Deployment run two versions, and what a rule found out about the image is no longer true
of what runs.

## Example
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - {name: web, image: "registry.example/shop/web:1.4.2"}
```

## Use instead
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - name: web
      image: registry.example/shop/web:1.4.2@sha256:9b2cfd2b0f3d0b6d5a3f2c0f7a4f1b0a6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f
```

## Parameters
- `images`: patterns of the images that are to have a digest; default `["*"]`, all. Name the registries that Plimsoll
  may ask. An empty list judges nothing.
- `except`: patterns of images that need none, also where `images` matches; default none.

Patterns are those of [approved-image](approved-image.md#parameters).

```yaml
params:
  images: [registry.example/]
  except: [registry.example/sandbox/]
```

## Fix
Asks the registry what the tag stands for, and writes that digest behind the reference as it was written: `web:1.4.2`
becomes `web:1.4.2@sha256:...`, `web` becomes `web@sha256:...`. Of an image for several platforms it is the digest of
the index, so that every node finds its own. One tag is asked for once in a review, and gets one digest everywhere in
it. An image that has a digest is left alone.

Where the registry doesn't answer in time, says that there is no such image, or may not be asked, nothing is pinned, and
the rule is *unknown*: `onUnknown` decides. What is asked for is only asked where a fix can be made, never to find out
whether a digest is there.

- The digest is that of the name as it is written. Nodes with a mirror get the image by that digest from the mirror, or
  not at all.
- An image that another rule rewrites in the same review (`mirrors` of `approved-image`) is not pinned with it: nobody
  has asked for its new name. It is pinned in the Pods. Leave the names that are rewritten out of `images`, because what
  one fix has written no other overwrites.
- A pinned `latest` no longer moves, and `approved-image` does not refuse it. Where it is to be refused, write
  `except: ["*:latest"]`.
- `kubectl apply` of the same manifest, and controllers that compare (Argo CD), see a manifest with a tag and an object
  with a digest. An apply pins anew, to what the tag stands for by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from webhook.checks import spoken_image
from webhook.checks.check import Check, ParamError, Problems, patterns
from webhook.checks.spoken import Spoken, lacking
from webhook.model import image as images
from webhook.model import oci
from webhook.model.decision import Unsure, Violation
from webhook.model.image import Pattern
from webhook.model.oci import Lookup
from webhook.model.patch import Draft
from webhook.model.pods import Pod
from webhook.model.record import record

ID = "image-digest"
_PATTERNS: dict[str, Any] = {"type": "array", "items": {"type": "string", "minLength": 1}}
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "images": {**_PATTERNS, "description": "Patterns of the images that are to have a digest. `*` is every image."},
        "except": {**_PATTERNS, "description": "Patterns of images that need no digest."},
    },
}
DEFAULTS: dict[str, Any] = {"images": ["*"], "except": []}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("pod",)


@record(frozen=True, slots=True)
class Standard:
    """The parameters of one rule, compiled."""

    images: tuple[Pattern, ...]
    excepted: tuple[Pattern, ...]


@record(frozen=True, slots=True)
class Unpinned:
    """One place that names an image without a digest: what is written, where, in which container or volume."""

    written: str
    pointer: str
    name: str
    lookup: Lookup


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for patterns that can't be meant."""
    problems: Problems = []
    standard = Standard(patterns("images", params["images"], problems), patterns("except", params["except"], problems))
    if problems:
        raise ParamError(problems)
    return Check(pod=partial(_judge, standard), fix=partial(_fix, standard), fix_inspects=partial(_inspects, standard))


def CEL(params: Mapping[str, Any]) -> Spoken:  # noqa: N802 - what the other constants of a check are
    """Return the check in CEL. Raises Unspoken for patterns with globs, tags or digests."""
    meant, excepted = (
        spoken_image.matching("u.image", key, patterns(key, params[key], [])) for key in ("images", "except")
    )
    judged = f"{spoken_image.valid('u.image')} && !{spoken_image.pinned('u.image')}"
    bad = f"variables.uses.filter(u, {judged} && ({meant}) && !({excepted})).map(u, u.name + ': ' + u.image)"
    reason = "it asks registries for digests, and a policy cannot"
    return lacking((("uses", spoken_image.USES), ("bad", bad)), fix=reason)


def _unpinned(standard: Standard, pod: Pod) -> Iterator[Unpinned]:
    for use in pod.uses:
        written = use.written
        if not isinstance(written, str) or not images.named(written, standard.images):
            continue
        lookup = oci.lookup(written, pod.spec)
        if lookup is not None and not images.parse(written).digest and not images.named(written, standard.excepted):
            yield Unpinned(written, use.pointer, use.name, lookup)


def _judge(standard: Standard, pod: Pod) -> Iterable[Violation]:
    return _violations(standard, pod) if standard.images else ()


def _violations(standard: Standard, pod: Pod) -> Iterator[Violation]:
    for one in _unpinned(standard, pod):
        wanted = f"{one.written}@sha256:..., with the digest that the registry has for it"
        yield Violation(one.pointer, "image without a digest", f"{one.written}: no digest", wanted, one.name)


def _inspects(standard: Standard, pod: Pod) -> Iterator[Lookup]:
    return (one.lookup for one in _unpinned(standard, pod))


def _fix(standard: Standard, pod: Pod, draft: Draft) -> list[Unsure]:
    """Pin what is known, and return what is not."""
    unsure = []
    for one in _unpinned(standard, pod):
        known = pod.images(one.lookup)
        if known.content is None:
            unsure.append(Unsure(f"{one.written} is not pinned to its digest: {known.lacking}", "images"))
        else:
            draft.put(one.pointer, f"{one.written}@{known.content.digest}")
    return unsure
