"""Image references in CEL: the regular expressions of `model.image`, on references as they are written.

CEL has no function that reads a reference. What a normalized name begins with can still be asked of the raw text: a
pattern becomes an expression that matches each spelling of its names (`nginx`, `docker.io/library/nginx`,
`INDEX.docker.io:443/nginx`). All of them are for valid references only; `valid` says which are.
"""

from __future__ import annotations

from collections.abc import Iterable

import re2

from webhook.checks.spoken import Unspoken, literal
from webhook.model import image as images
from webhook.model.image import Pattern

# `docker.io/` as registries' hosts are written: in letters of any size, and with the port of HTTPS
_HTTPS = "(?::0*443)?"
_HUB = f"(?i:{re2.escape(images.HUB)}|{re2.escape(images.INDEX)}){_HTTPS}/"
# a first segment with a dot, a colon or a capital letter is a registry, and so is `localhost`
_REGISTRY = "(?:[^/]*[.:A-Z][^/]*|localhost)/"
_BEHIND = "(?:[:@][^/]*)?$"  # a tag and a digest, or none; no slash, so that `a:5000/b` is none
_GRAMMAR = f"^(?:{images.DOMAIN}/)?{images.PATH}(?::{images.TAG})?(?:@(?:{images.DIGEST}))?$"
_SHORT = f"^(?:{_REGISTRY})?[^:@]{{1,{images.LONGEST_PATH}}}{_BEHIND}"
_OFFICIAL = "library/"
# What the grammar takes, and is no reference: the ID of an image, a registry that is none (`[a]/b`, `a_b.c/d`), and a
# name of one segment that is too long with `library/` in front.
_NONE = "|".join(
    (
        f"^(?:{images.IDENTIFIER}|{images.DIGEST})$",
        r"^\[[a-f0-9]+\]/",
        r"^[^/:@]*_[^/:@]*\.[^/:@]*/",
        r"^[^/:@]*\.[^/:@]*_[^/:@]*/",
        f"^(?:{_HUB})?[^/:@]{{{images.LONGEST_PATH - len(_OFFICIAL) + 1},}}{_BEHIND}",
    )
)


USES = (
    "containers.map(c, {'name': c.?name.orValue(''), 'image': c.?image.orValue(''),"
    " 'policy': c.?imagePullPolicy.orValue('')})"
    " + pod.spec.?volumes.orValue([]).filter(v, type(v.?image.orValue(null)) == map)"
    ".map(v, {'name': v.?name.orValue(''), 'image': v.image.?reference.orValue(''),"
    " 'policy': v.image.?pullPolicy.orValue('')})"
)
"""The images of containers and image volumes in CEL: maps with name, image and policy as written, empty without."""


def valid(text: str) -> str:
    """Return what says in CEL whether a value is a reference, as `image.parse` takes it."""
    length = f"type({text}) == string && {text}.size() <= {images.LONGEST}"
    kept = f"{text}.matches({literal(_GRAMMAR)}) && {text}.matches({literal(_SHORT)})"
    return f"{length} && {kept} && !{text}.matches({literal(_NONE)})"


def tag(text: str) -> str:
    """Return in CEL the tag of a valid reference: `latest` without tag and digest, empty with a digest alone."""
    last = f"{text}.substring({text}.lastIndexOf('/') + 1)"
    written = f"{last}.split('@')[0]"
    return f"({tagged(text)} ? {written}.split(':')[1] : {pinned(text)} ? '' : 'latest')"


def tagged(text: str) -> str:
    """Return what says in CEL whether a tag is written in a valid reference."""
    return f"{text}.matches('^(?:[^@]*/)?[^/:@]+:[^/]*$')"


def pinned(text: str) -> str:
    """Return what says in CEL whether a valid reference has a digest."""
    return f"{text}.contains('@')"


def matching(text: str, key: str, patterns: Iterable[Pattern]) -> str:
    """Return what says in CEL whether one of the patterns of the parameter `key` matches a valid reference.

    Raises Unspoken for patterns with globs, a tag or a digest; `*` alone is every image.
    """
    everything, hub, starts = False, False, []
    for pattern in patterns:
        if pattern.prefix is None and pattern.text != "*":
            raise Unspoken(
                f"`{key}` has {pattern.text!r}; of patterns with globs, a tag or a digest it has no form in CEL, only "
                "of registries and repositories as they are"
            )
        everything = everything or pattern.prefix is None
        hub = hub or pattern.prefix == images.HUB
        starts += _spellings(pattern.prefix, pattern.below) if pattern.prefix else []
    if everything:
        return "true"
    parts = [f"{text}.matches({literal('^(?:' + '|'.join(starts) + ')')})"] if starts else []
    parts += [f"!{text}.matches({literal(f'^{_REGISTRY}')})"] if hub else []
    return " || ".join(parts) or "false"


def _spellings(prefix: str, below: bool) -> list[str]:
    """Return what the spellings of names begin with that are `prefix` (unless `below`), or below it."""
    host, *segments = prefix.split("/")
    end = "/" if below else "(?:/|[:@]|$)"
    path = "/".join(map(re2.escape, segments))
    if host != images.HUB:
        return [_host(host) + "/" + (path + end if path else "")]
    if not segments:
        return [_HUB]  # and what has no registry at all
    named = "." not in segments[0] and segments[0] != "localhost"  # else it would be a registry itself
    found = [f"(?:{_HUB})?{path}/" if named else f"{_HUB}{path}/"]
    if not below and len(segments) > 1:
        found.append(f"(?:{_HUB})?{path}{_BEHIND}" if named else f"{_HUB}{path}{_BEHIND}")
    if segments == ["library"]:
        found.append(f"(?:{_HUB})?[^/]+$")
    elif segments[0] == "library" and len(segments) == 2 and not below:
        found.append(f"(?:{_HUB})?{re2.escape(segments[1])}{_BEHIND}")
    return found


def _host(host: str) -> str:
    """Return the spellings of a registry's normalized host; bare words and `[a]` are read as they are written."""
    any_case = "." in host or ":" in host or host == "localhost"
    port = "" if ":" in host and not host.endswith("]") else _HTTPS
    return f"(?{'i' if any_case else ''}:{re2.escape(host)}){port}"
