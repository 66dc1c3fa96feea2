"""The node runs what was pushed: the pull policy fits the tag.

## What it does
Looks at the images of all containers (init, sidecar, normal, ephemeral) and of image volumes.

- An image by a tag that moves (`moving`) has the pull policy `Always`. Beside a digest no tag moves.
- `Never` is a finding, unless `allowNever` says otherwise.
- With `onlyMoving: true`, `Always` on an image by digest or by any other tag is a finding, too.
- `imagePullSecrets` of the pod are named in `pullSecrets`.

Where no policy is written, it is what Kubernetes makes of it: `Always` for the tag `latest` or no tag at all, else
`IfNotPresent`. References that are no image are left to the check `approved-image`.

## Why
A node that has an image by some name does not ask for it again: with `IfNotPresent`, a pod by the tag `main` runs
what was pushed today on a new node, and last month's on an old one. Kubernetes sets the policy once, when an
object is created: who changes a tag from `1.4.2` to `main` later keeps `IfNotPresent`. `Never` runs what somebody left
on the node. A pull secret that is not the company's own is somebody's password that nobody renews.

Kubernetes: concepts/containers/images, "Default image pull policy".

## Example
```yaml
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
    - name: web
      image: registry.example/shop/web:main
      imagePullPolicy: IfNotPresent
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
      imagePullPolicy: IfNotPresent
```

## Parameters
- `moving`: globs of tags that are something else tomorrow; default `latest`, `main`, `master`, `develop`, `dev`,
  `edge`, `nightly`, `snapshot`, `*-latest`, `*-SNAPSHOT`, `*-snapshot`.
- `onlyMoving`: whether `Always` is refused for an image that does not move; default `false`, because it only costs a
  question to the registry, and the registry has to be up when a pod starts. Leave it so where the API server runs the
  admission plugin AlwaysPullImages, which allows no other policy.
- `allowNever`: whether `Never` is let through, for nodes whose images are loaded beforehand; default `false`.
- `pullSecrets`: globs of the names that `imagePullSecrets` may have; default `["*"]`, any. A Pod without any gets those
  of its ServiceAccount before it is judged, so they belong in the list as well.

```yaml
params:
  moving: [latest, main, "release-*"]
  pullSecrets: [registry-pull]
```

## Fix
Sets the pull policy: `Always` for a tag that moves, `IfNotPresent` where `Always` or `Never` is refused. Pull secrets
stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from webhook.checks import spoken_image
from webhook.checks.check import Check, ParamError
from webhook.checks.spoken import Each, Mend, Spoken, globbed, literal
from webhook.model import image as images
from webhook.model.decision import Violation
from webhook.model.glob import Globs, compile_globs
from webhook.model.image import Image
from webhook.model.patch import Draft
from webhook.model.pods import LISTS, Pod, listing, mapping
from webhook.model.record import record

ID = "image-pull"
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "moving": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Globs of tags that are something else tomorrow.",
        },
        "onlyMoving": {
            "type": "boolean",
            "description": "Whether the policy Always is refused for images by digest or by a tag that does not move.",
        },
        "allowNever": {"type": "boolean", "description": "Whether the policy Never is let through."},
        "pullSecrets": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Globs of the names that imagePullSecrets may have.",
        },
    },
}
DEFAULTS: dict[str, Any] = {
    "moving": [
        "latest",
        "main",
        "master",
        "develop",
        "dev",
        "edge",
        "nightly",
        "snapshot",
        "*-latest",
        "*-SNAPSHOT",
        "*-snapshot",
    ],
    "onlyMoving": False,
    "allowNever": False,
    "pullSecrets": ["*"],
}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("pod",)

_POLICIES = ("Always", "IfNotPresent", "Never")


@record(frozen=True, slots=True)
class Standard:
    """The parameters of one rule, compiled."""

    moving: Globs
    only_moving: bool
    allow_never: bool
    secrets: Globs


@record(frozen=True, slots=True)
class Pull:
    """One image that a pod pulls: the container or volume, its policy as written, and where that stands."""

    name: str
    image: Image
    written: str
    pointer: str

    @property
    def policy(self) -> str:
        """The policy that counts: as `SetDefaults_Container` fills it in."""
        return self.written or ("Always" if self.image.tag == "latest" else "IfNotPresent")


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for an empty glob, and for a tag written with its colon or its image."""
    problems = []
    for key in ("moving", "pullSecrets"):
        for number, text in enumerate(params[key]):
            if not text or (key == "moving" and set(text) & set(":@/")):
                wanted = "wanted a tag alone, such as main or *-latest" if key == "moving" else "wanted a name"
                problems.append(((key, number), f"{text!r} is not the glob of a {_what(key)}; {wanted}"))
    if problems:
        raise ParamError(problems)
    standard = Standard(
        compile_globs(params["moving"]),
        params["onlyMoving"],
        params["allowNever"],
        compile_globs(params["pullSecrets"]),
    )
    return Check(pod=partial(_pod, standard), kept=partial(_kept, standard), fix=partial(_fix, standard))


def CEL(params: Mapping[str, Any]) -> Spoken:  # noqa: N802 - what the other constants of a check are
    """Return the check in CEL: `pulls` are the images with the policy that counts, `bad` what does not keep it."""
    written, filled, moves = _spoken_pull(params, "u.image", "u.policy")
    pull = f"{{'name': u.name, 'policy': {filled}, 'wanted': {moves} ? 'Always' : 'IfNotPresent'}}"
    passing = [name for name, let in (("Never", params["allowNever"]), ("Always", not params["onlyMoving"])) if let]
    listed = globbed("s.name", compile_globs(params["pullSecrets"]))
    unlisted = f"type(s.?name.orValue(null)) == string && s.name != '' && !({listed})"
    secrets = f"pod.spec.?imagePullSecrets.orValue([]).filter(s, {unlisted}).map(s, 'pull secret ' + s.name)"
    refused = f"u.policy != u.wanted && !(u.policy in {literal(passing)})"
    return Spoken(
        "variables.bad.size() == 0",
        "variables.bad.join('; ')",
        (
            ("uses", spoken_image.USES),
            ("pulls", f"variables.uses.filter(u, {written}).map(u, {pull})"),
            ("bad", f"variables.pulls.filter(u, {refused}).map(u, u.name + ': ' + u.policy) + {secrets}"),
        ),
        fix=_spoken_fix(params, passing),
    )


def _spoken_pull(params: Mapping[str, Any], image: str, policy: str) -> tuple[str, str, str]:
    """Return in CEL whether an image is pulled at all, by which policy, and whether it moves."""
    tag, pinned = spoken_image.tag(image), spoken_image.pinned(image)
    written = f"{policy} in {literal([None, '', *_POLICIES])} && {spoken_image.valid(image)}"
    filled = f"({policy} in {literal([None, ''])} ? ({tag} == 'latest' ? 'Always' : 'IfNotPresent') : {policy})"
    return written, filled, f"!{pinned} && ({globbed(tag, compile_globs(params['moving']))})"


def _spoken_fix(params: Mapping[str, Any], passing: list[str]) -> Mend:
    """Return the fix in CEL: `places` are the images with where their policies stand, by the number in their list."""
    places, paths = [], []
    for key in (*LISTS, "volumes"):
        below, image, field, kept = "", "image", "imagePullPolicy", "true"
        if key == "volumes":
            below, image, field, kept = "image.?", "reference", "pullPolicy", "type(e.?image.orValue(null)) == map"
        path = "/".join((*(["image"] if below else []), field))
        found = (
            f"{{'at': '/spec/{key}/' + string(i) + '/{path}', 'image': e.?{below}{image}.orValue(''),"
            f" 'policy': e.?{below}{field}.orValue('')}}"
        )
        places.append(f"pod.spec.?{key}.orValue([]).transformList(i, e, {kept}, {found})")
        paths.append(("spec", key, "*", *path.split("/")))
    written, filled, moves = _spoken_pull(params, "u.image", "u.policy")
    wanted = f"({moves} ? 'Always' : 'IfNotPresent')"
    asked = f"variables.places.filter(u, {written} && {filled} != {wanted} && !({filled} in {literal(passing)}))"
    patch = f"{asked}.map(u, JSONPatch{{op: 'add', path: at + u.at, value: {wanted}}})"
    return Mend((Each(patch, tuple(paths)),), (("places", " + ".join(places)),))


def _what(key: str) -> str:
    return "tag" if key == "moving" else "Secret"


def _kept(standard: Standard, pod: Pod) -> bool:
    """Say whether a pod plainly keeps the standard: no image moves, and each is pulled once."""
    if pod.image_volumes or (pod.spec.get("imagePullSecrets") and not standard.secrets.everything):
        return False
    for container in pod.containers:
        if container.spec.get("imagePullPolicy") != "IfNotPresent":
            return False
        try:
            image = images.parse(container.image)
        except ValueError:
            return False
        if not image.digest and standard.moving(image.tag):
            return False
    return True


def _pod(standard: Standard, pod: Pod) -> Iterator[Violation]:
    for pull in _pulls(pod):
        wanted = _wanted(standard, pull)
        if wanted:
            policy = pull.written or f"{pull.policy} by default"
            named = pull.image.written or "no tag"
            yield Violation(pull.pointer, _reason(pull), f"{policy}, for {named}", wanted, pull.name)
    for number, entry in enumerate(listing(pod.spec.get("imagePullSecrets"))):
        name = mapping(entry).get("name")
        if isinstance(name, str) and name and not standard.secrets(name):
            yield Violation(
                f"{pod.pointer}/spec/imagePullSecrets/{number}/name",
                "pull secret that is not in the list",
                name,
                f"one of {', '.join(standard.secrets.texts)}" if standard.secrets.texts else "no imagePullSecrets",
            )


def _fix(standard: Standard, pod: Pod, draft: Draft) -> None:
    for pull in _pulls(pod):
        wanted = _wanted(standard, pull)
        if wanted:
            draft.put(pull.pointer, wanted)


def _wanted(standard: Standard, pull: Pull) -> str:
    """Return the policy that the image should have; '' where the one that it has will do."""
    moves = not pull.image.digest and standard.moving(pull.image.tag)
    if pull.policy == "Never" and standard.allow_never:
        return ""
    wanted = "Always" if moves else "IfNotPresent"
    if pull.policy == "Always" and not standard.only_moving:
        return ""
    return "" if pull.policy == wanted else wanted


def _reason(pull: Pull) -> str:
    if pull.policy == "Never":
        return "an image that is never pulled"
    return "a moving tag that is not pulled again" if pull.policy == "IfNotPresent" else "pulled each time for nothing"


def _pulls(pod: Pod) -> Iterator[Pull]:
    for container in pod.containers:
        policy = container.spec.get("imagePullPolicy")
        yield from _pull(container.name, container.image, policy, f"{container.pointer}/imagePullPolicy")
    for volume in pod.image_volumes:
        policy = mapping(volume.spec.get("image")).get("pullPolicy")
        yield from _pull(volume.name, volume.image or "", policy, f"{volume.pointer}/image/pullPolicy")


def _pull(name: str, reference: str, policy: Any, pointer: str) -> Iterator[Pull]:
    # another word is no policy: the API server refuses it
    if policy in (None, "") or policy in _POLICIES:
        try:
            yield Pull(name, images.parse(reference), policy or "", pointer)
        except ValueError:
            return
