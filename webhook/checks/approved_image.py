"""Images come from approved repositories, and say which version they are.

## What it does
Reads the image of every container (init, sidecar, normal, ephemeral) and of every image volume as a container runtime
does: `nginx` is `docker.io/library/nginx:latest`. Then it asks three things:

- Is the repository approved? One of `repositories` must match, none of `denied`.
- Is the tag allowed? None of `tags.denied` may match. An image without a tag has the tag `latest`, unless a digest
  says what it is: beside a digest, runtimes don't look at the tag, and neither does this rule.
- Is there a digest, where `digest` is `required`?

An image that is no valid reference, or is missing, is a finding. Kubernetes allows nobody to leave it out, in pods and
in pod templates alike; tools that fill it in have to do so before the API server stores the object.

## Why
Code from a registry that nobody looks after runs with the rights of the service. A tag such as `latest` names something
else tomorrow, so that the pod which restarts at night isn't the one that was tested.

## Example
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - {name: web, image: nginx}
    - {name: metrics, image: quay.io/someone/exporter:latest}
```

## Use instead
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - {name: web, image: "registry.example/hub/library/nginx:1.29.3"}
    - {name: metrics, image: "registry.example/platform/exporter:2.1.0"}
```

## Parameters
- `repositories`: patterns, one of which every image must match; default `["*"]`, every registry, so that the rule
  judges tags and digests only. An empty list is an error of the pack, because it would refuse every image.
- `denied`: patterns that no image may match, also where `repositories` does; default none.
- `tags`: `denied`, globs of tags that are refused, default `[latest]`; `require`, whether a tag must be written, also
  beside a digest, so that people can read the version, default `false`.
- `digest`: `required` or `optional`, the default.
- `mirrors`: what the fix rewrites, `{from: docker.io/, to: registry.example/hub/}`; default none.

A pattern always ends where a name ends: `registry.example` and `registry.example/` match everything in that registry,
`registry.example/team` that repository and what is below it, never `registry.example/team-b` or
`registry.example.evil.io/team`. `*` stands for characters within a segment (in the registry's host: within a label),
`**` for any number of segments. Short patterns are read like short references: `nginx` and `docker.io/nginx` are the
official image `docker.io/library/nginx`, `team/` and `docker.io/team/` everything of the account `team` of Docker Hub.
`registry.example/team/app:1.*` matches that repository alone, with these tags and without a digest;
`registry.example/**@sha256:*` all that is pinned.

```yaml
apiVersion: plimsoll.dev/v1
kind: RulePack
metadata: {name: acme}
spec:
  values:
    registries: [registry.example/]
  rules:
    - name: approved-registries
      check: approved-image
      params:
        repositories: "${values.registries}"
        denied: [registry.example/sandbox/]
        tags: {denied: [latest, "*-snapshot"]}
        mirrors: [{from: docker.io/, to: registry.example/hub/}]
      action: deny
      fix: true
```

## Fix
Rewrites images that are not approved by the longest matching `from` of `mirrors`, on the normalized name: with the
mirror above `nginx:1.29.3` becomes `registry.example/hub/library/nginx:1.29.3`. Tag and digest stay as they were
written. An image is only rewritten where the result is approved. Tags and digests are never made up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from webhook.checks import spoken_image
from webhook.checks.check import Check, ParamError, Problems, one_of, pattern, patterns
from webhook.checks.spoken import Spoken, globbed
from webhook.model import image as images
from webhook.model.decision import Violation
from webhook.model.glob import Globs, compile_globs
from webhook.model.image import Image, Pattern
from webhook.model.patch import Draft
from webhook.model.pods import Pod, Use
from webhook.model.record import record

ID = "approved-image"
_PATTERNS: dict[str, Any] = {"type": "array", "items": {"type": "string", "minLength": 1}}
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "repositories": {
            **_PATTERNS,
            "minItems": 1,
            "description": "Patterns on the normalized reference; every image must match one. `*` is every image.",
        },
        "denied": {**_PATTERNS, "description": "Patterns on the normalized reference; no image may match one."},
        "tags": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "denied": {**_PATTERNS, "description": "Globs of tags that are refused where no digest is given."},
                "require": {"type": "boolean", "description": "Whether a tag must be written, beside a digest too."},
            },
            "description": "What tags must be.",
        },
        "digest": {
            "type": "string",
            "enum": ["optional", "required"],
            "description": "Whether images must be named by digest.",
        },
        "mirrors": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["from", "to"],
                "properties": {
                    "from": {"type": "string", "description": "Registry or repository to rewrite, no globs."},
                    "to": {"type": "string", "description": "What stands there instead, with its registry."},
                },
            },
            "description": "What the fix rewrites where an image is not approved.",
        },
    },
}
_TAGS: dict[str, Any] = {"denied": ["latest"], "require": False}
DEFAULTS: dict[str, Any] = {
    "repositories": ["*"],
    "denied": [],
    "tags": _TAGS,
    "digest": "optional",
    "mirrors": [],
}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("pod",)

_EXAMPLE = "a reference such as registry.example/team/app:1.2"


@record(frozen=True, slots=True)
class Mirror:
    """What is rewritten to what: `source` matches, `start` is its name, `target` the name that takes its place."""

    source: Pattern
    start: str
    target: str


@record(frozen=True, slots=True)
class Standard:
    """The parameters of one rule, compiled."""

    repositories: tuple[Pattern, ...]
    denied: tuple[Pattern, ...]
    tags: Globs
    tag_required: bool
    digest_required: bool
    mirrors: tuple[Mirror, ...]

    wanted: str
    """The approved repositories, in words."""

    def approves(self, image: Image) -> bool:
        """Say whether the image's repository is approved."""
        return any(one(image) for one in self.repositories) and not any(one(image) for one in self.denied)


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for patterns and mirrors that can't be meant."""
    problems: Problems = []
    if not params["repositories"]:
        problems.append((("repositories",), 'approves no image at all; write "*" for every registry'))
    tags = {**_TAGS, **params["tags"]}
    standard = Standard(
        patterns("repositories", params["repositories"], problems),
        patterns("denied", params["denied"], problems),
        compile_globs(tags["denied"]),
        tags["require"],
        params["digest"] == "required",
        _mirrors(params["mirrors"], problems),
        one_of(params["repositories"]),
    )
    if problems:
        raise ParamError(problems)

    def fix(pod: Pod, draft: Draft) -> None:
        for use in pod.uses:
            mirrored = _mirrored(use.written, standard)
            if mirrored is not None:
                draft.put(use.pointer, mirrored)

    return Check(pod=partial(_pod, standard), kept=partial(_kept, standard), fix=fix)


def CEL(params: Mapping[str, Any]) -> Spoken:  # noqa: N802 - what the other constants of a check are
    """Return the check in CEL. Raises Unspoken for patterns with globs, tags or digests."""
    tags = {**_TAGS, **params["tags"]}
    denied, approved = (
        spoken_image.matching("u.image", key, patterns(key, params[key], [])) for key in ("denied", "repositories")
    )
    pinned = spoken_image.pinned("u.image")
    refused = globbed(spoken_image.tag("u.image"), compile_globs(tags["denied"]))
    wrong = [
        f"!({spoken_image.valid('u.image')})",
        denied,
        f"!({approved})",
        f"(!{pinned} && ({refused}))",
        *([f"!{spoken_image.tagged('u.image')}"] if tags["require"] else []),
        *([f"!{pinned}"] if params["digest"] == "required" else []),
    ]
    shown = "u.image == '' || u.image == null ? 'no image' : string(u.image)"
    return Spoken(
        "variables.bad.size() == 0",
        f"variables.bad.map(u, u.name + ': ' + ({shown})).join('; ')",
        (("uses", spoken_image.USES), ("bad", f"variables.uses.filter(u, {' || '.join(wrong)})")),
        fix="it writes a reference anew by what it means, for which CEL has no function",
    )


def _kept(standard: Standard, pod: Pod) -> bool:
    """Say whether a pod plainly keeps the standard, by its containers alone."""
    if pod.image_volumes:
        return False
    for container in pod.containers:
        written = container.spec.get("image")
        if not isinstance(written, str) or not _is_fine(standard, written):
            return False
    return True


def _is_fine(standard: Standard, written: str) -> bool:
    try:
        image = images.parse(written)
    except ValueError:
        return False
    if standard.tag_required or standard.digest_required or not standard.approves(image):
        return False
    return bool(image.digest) or not standard.tags(image.tag)


def _pod(standard: Standard, pod: Pod) -> Iterator[Violation]:
    for use in pod.uses:
        yield from _judge(use, standard)


def _judge(use: Use, standard: Standard) -> Iterator[Violation]:
    def violation(reason: str, found: str, wanted: str, same: tuple[str, ...] = ()) -> Violation:
        return Violation(use.pointer, reason, found, wanted, use.name, same)

    written = use.written
    if written is None or written == "":
        yield violation("no image named", "no image", f"{_EXAMPLE}; Kubernetes fills in none")
        return
    if not isinstance(written, str):
        yield violation("not an image reference", f"a {type(written).__name__}", _EXAMPLE)
        return
    try:
        image = images.parse(written)
    except ValueError as error:
        yield violation("not an image reference", str(error), _EXAMPLE, (written,))
        return
    yield from _named(image, written, standard, violation)


def _named(
    image: Image, written: str, standard: Standard, violation: Callable[[str, str, str], Violation]
) -> Iterator[Violation]:
    found = written if written.startswith(image.name) else f"{written}, which is {image}"
    denied = next((one for one in standard.denied if one(image)), None)
    if denied is not None:
        yield violation("image from a denied repository", found, f"none of {denied.text}")
    elif not standard.approves(image):
        yield violation("image not from an approved repository", found, standard.wanted)
    if not image.digest and image.tag and standard.tags(image.tag):
        tag = "no tag, which means latest" if image.implied else f"tag {image.tag}"
        refused = ", ".join(standard.tags.texts)
        yield violation(
            "image tag not allowed", f"{written}: {tag}", f"a tag that names one version, none of {refused}"
        )
    elif standard.tag_required and (image.implied or not image.tag):
        yield violation("image without a tag", f"{written}: no tag", "a tag that names the version")
    if standard.digest_required and not image.digest:
        yield violation("image without a digest", f"{written}: no digest", "@sha256:... behind the name")


def _mirrored(written: object, standard: Standard) -> str | None:
    """Return the reference that the fix writes instead, None where there is nothing to rewrite or no use in it."""
    if not isinstance(written, str):
        return None
    try:
        image = images.parse(written)
    except ValueError:
        return None  # a finding says so; there is nothing to rewrite
    if standard.approves(image):
        return None
    mirror = next((one for one in standard.mirrors if one.source(image)), None)
    if mirror is None:
        return None
    rewritten = mirror.target + image.name.removeprefix(mirror.start) + image.written
    try:
        return rewritten if standard.approves(images.parse(rewritten)) else None
    except ValueError:
        return None  # together they are longer than a repository's name may be


def _mirrors(entries: list[dict[str, str]], problems: Problems) -> tuple[Mirror, ...]:
    """Return the mirrors, those with the longest `from` first."""
    mirrors = []
    for index, entry in enumerate(entries):
        source = pattern(entry["from"], ("mirrors", index, "from"), problems)
        target = pattern(entry["to"], ("mirrors", index, "to"), problems)
        for key, one in (("from", source), ("to", target)):
            if one is not None and one.prefix is None:
                text = f"{one.text!r} has a glob, tag or digest; wanted a registry or repository"
                problems.append((("mirrors", index, key), text))
        if source is None or target is None or source.prefix is None or target.prefix is None:
            continue
        if target.prefix.startswith(images.HUB) and images.HUB not in entry["to"].lower():
            text = f"{entry['to']!r} doesn't begin with a registry; {target.prefix} would be meant"
            problems.append((("mirrors", index, "to"), text))
        mirrors.append(Mirror(source, source.prefix, target.prefix))
    return tuple(sorted(mirrors, key=lambda mirror: -len(mirror.start)))
