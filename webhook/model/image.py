"""Image references, normalized, and patterns on them.

A reference is read as github.com/distribution/reference reads it, which every container runtime uses: `nginx` is
`docker.io/library/nginx:latest`, `index.docker.io` is `docker.io`. Beyond it, the host of a registry is written in
small letters and without the port 443, because names of hosts know no case and 443 is the port of HTTPS. And what has
the form of an image ID (`sha256:` and 64 digits) is none: a runtime takes it for the ID of an image on its node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import field
from functools import lru_cache

import re2

from webhook.model.record import record

HUB = "docker.io"
INDEX = "index.docker.io"
LONGEST = 1024
LONGEST_PATH = 255  # RepositoryNameTotalLengthMax
# The grammar, as RE2 has it; `plimsoll export` says it to API servers in the same words.
COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
PATH = rf"{COMPONENT}(?:/{COMPONENT})*"
TAG = r"[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}"
IDENTIFIER = r"[a-f0-9]{64}"
# the algorithms of opencontainers/go-digest, with hexadecimal digits in small letters
DIGEST = r"sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128}"
_DOMAIN, _PATH, _TAG, _IDENTIFIER, _DIGEST = map(re2.compile, (DOMAIN, PATH, TAG, IDENTIFIER, DIGEST))

_HOST_GLOB = re2.compile(r"[a-z0-9*.-]+(?::(?:[0-9]+|\*))?|\[[a-f0-9:]+\](?::(?:[0-9]+|\*))?")
_PATH_GLOB = re2.compile(r"\*\*|[a-z0-9._-]*(?:\*[a-z0-9._-]+)*\*?")
_TAG_GLOB = re2.compile(r"[0-9A-Za-z_.*-]{1,128}")
_DIGEST_GLOB = re2.compile(r"(?:sha256|sha384|sha512):[a-f0-9*]{1,128}|\*")


@record(frozen=True, slots=True)
class Image:
    """A normalized reference: host of the registry, repository in it, tag and digest ('' where there is none).

    Without tag and digest the tag is `latest`; `implied` says that nobody wrote it.
    """

    registry: str
    repository: str
    tag: str
    digest: str
    implied: bool = field(default=False, compare=False)

    @property
    def name(self) -> str:
        """Registry and repository: `docker.io/library/nginx`."""
        return f"{self.registry}/{self.repository}"

    @property
    def written(self) -> str:
        """What was written behind the name: `:1.27@sha256:...`, or nothing."""
        tag = f":{self.tag}" if self.tag and not self.implied else ""
        return f"{tag}@{self.digest}" if self.digest else tag

    def __str__(self) -> str:
        """Return the whole normalized reference."""
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


@record(frozen=True, slots=True)
class Pattern:
    """A compiled pattern; calling it with an image says whether it matches.

    `text` is the pattern as written. `prefix` is the normalized name in front of everything that matches, None
    where the pattern has globs, a tag or a digest; `below`: only what is below it matches.
    """

    text: str
    prefix: str | None
    below: bool
    name: Callable[[str], bool]
    tag: Callable[[str], bool] | None
    digest: Callable[[str], bool] | None

    def __call__(self, image: Image) -> bool:
        """Say whether the image is one that the pattern names."""
        if self.digest is not None:
            if not image.digest or not self.digest(image.digest):
                return False
        elif self.tag is not None and image.digest:
            return False  # beside a digest, a tag is a remark: runtimes don't look at it
        return self.name(image.name) and (self.tag is None or self.tag(image.tag))


def parse(reference: str) -> Image:
    """Return the normalized reference. Raises ValueError with a sentence that names what was written."""
    return _parsed(reference)


def pattern(text: str) -> Pattern:
    """Return the compiled pattern. Raises ValueError with a sentence where it can't be meant.

    - `registry.example` and `registry.example/` match everything in that registry. A first segment with a dot
      or a port, or `localhost`, is a registry; `registry:5000/` too, while `registry:5000` alone is a tag.
    - `registry.example/team` matches that repository and everything below it, `registry.example/team/` only
      what is below it. Neither ever matches `registry.example/team-b` or `registry.example.evil.example/team`.
    - Short patterns are completed like references: `nginx` and `docker.io/nginx` are `docker.io/library/nginx`;
      `team/` is `docker.io/team/`, the account `team` of Docker Hub; `docker.io/library` is the official images.
    - `*` stands for any characters within a segment, in the host of a registry within one label; a first
      segment `*` is any registry. `**` stands for any number of segments. `*` alone matches every image.
    - With `:tag` or `@digest` (globs allowed) the pattern matches exactly that repository. A tag alone
      matches no image with a digest, because the digest decides what runs; write `:1.*@sha256:*` for those.
    """
    shown = _clip(text)
    if not text:
        raise ValueError("an empty pattern names no image; write * for every image")
    if len(text) > LONGEST:
        raise ValueError(f"the pattern {shown} is longer than {LONGEST} characters")
    if "://" in text:
        raise ValueError(f"the pattern {shown} is a URL; write the host without a scheme such as https://")
    rest, at, digest = text.partition("@")
    registry, path, tag, has_tag = _divide(rest)
    if at and not _DIGEST_GLOB.fullmatch(digest):
        raise ValueError(f"the pattern {shown} has no digest behind the @; wanted for instance sha256:*")
    if has_tag and not _TAG_GLOB.fullmatch(tag):
        raise ValueError(f"the pattern {shown} has no valid tag behind the colon")
    exact = has_tag or bool(at)
    if exact and (not path or path.endswith("/")):
        raise ValueError(f"the pattern {shown} has a tag or digest, but no repository in front of it")
    segments = [segment for segment in path.removesuffix("/").split("/") if path]
    host = _checked_host(registry, shown)
    for segment in segments:
        _check_segment(segment, shown)
    below = path.endswith("/") or not path
    prefix = None if exact or "*" in host + path else "/".join([host, *segments])
    return Pattern(
        text,
        prefix,
        below,
        _literal(prefix, below) if prefix is not None else _regex(host, segments, exact, below),
        _glob(tag) if has_tag else None,
        _glob(digest) if at else None,
    )


def named(reference: str, patterns: Iterable[Pattern]) -> bool:
    """Say whether one of the patterns matches a reference as it is written; none matches what is no reference."""
    try:
        image = parse(reference)
    except ValueError:
        return False
    return any(one(image) for one in patterns)


# every rule on images reads the same references, review after review; what is refused is not kept
@lru_cache(maxsize=2048)
def _parsed(reference: str) -> Image:
    shown = _clip(reference)
    if not reference:
        raise ValueError("an empty text names no image")
    if len(reference) > LONGEST:
        raise ValueError(f"{shown} is longer than {LONGEST} characters")
    if _IDENTIFIER.fullmatch(reference) or _DIGEST.fullmatch(reference):
        raise ValueError(f"{shown} is an image ID of one machine, no reference to an image")
    if "://" in reference:
        raise ValueError(f"{shown} is a URL; image references have no scheme such as https://")
    rest, at, digest = reference.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise ValueError(f"{shown} has no valid digest behind the @; wanted sha256: and 64 hexadecimal digits")
    registry, path = _split(rest)
    repository, colon, tag = path.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise ValueError(f"{shown} has no valid tag behind the colon")
    if not _DOMAIN.fullmatch(registry):
        raise ValueError(f"{shown} is no image reference: {_clip(registry)} is no host of a registry")
    if not _PATH.fullmatch(repository):
        raise ValueError(f"{shown} is no image reference: {_why(repository)}")
    if len(repository) > LONGEST_PATH:
        raise ValueError(f"{shown} has a repository name of more than {LONGEST_PATH} characters")
    implied = not colon and not at
    return Image(_host(registry), repository, "latest" if implied else tag, digest, implied)


def _split(rest: str) -> tuple[str, str]:
    """Return host and remainder as `splitDockerDomain` does."""
    first, slash, remainder = rest.partition("/")
    if not slash:
        return HUB, "library/" + rest
    lowered = _host(first)
    if "." not in first and ":" not in first and lowered != "localhost" and first == first.lower():
        return HUB, rest
    if lowered in (HUB, INDEX):
        return HUB, remainder if "/" in remainder else "library/" + remainder
    return first, remainder


def _host(registry: str) -> str:
    """Return a registry's host in small letters and without the port 443; bare words stay as they are."""
    name, colon, port = registry.rpartition(":")
    if colon and port.isascii() and port.isdigit() and port.lstrip("0") == "443":
        registry = name if "." in name or name.startswith("[") or name.lower() == "localhost" else registry
    lowered = registry.lower()
    return lowered if "." in lowered or ":" in lowered or lowered == "localhost" else registry


def _why(repository: str) -> str:
    if repository != repository.lower():
        return "the name of a repository is in small letters"
    if repository != repository.strip():
        return "there is space around it"
    return f"{_clip(repository)} is no name of a repository"


def _divide(rest: str) -> tuple[str, str, str, bool]:
    """Return registry, path, tag, and whether there is a tag, of a pattern without its digest."""
    first, slash, remainder = rest.partition("/")
    name, colon, tag = first.partition(":")
    if not slash:
        port = tag.isascii() and tag.isdigit()
        if name in ("*", "**"):
            return "*", "**", tag, bool(colon)
        if first.startswith("[") or (("." in name or name == "localhost") and (port or not colon or tag == "*")):
            return _known(first), "", "", False
        return HUB, "library/" + name, tag, bool(colon)
    if first in ("*", "**") or any(char in first for char in ".:[") or first == "localhost":
        registry = _known(first)
        path, colon, tag = remainder.partition(":")
        if registry == HUB and path and "/" not in path and path not in ("*", "**", "library"):
            path = "library/" + path
        return registry, path, tag, bool(colon)
    path, colon, tag = rest.partition(":")
    return HUB, path, tag, bool(colon)


def _known(registry: str) -> str:
    host = _host(registry)
    return HUB if host == INDEX else host


def _checked_host(host: str, shown: str) -> str:
    if host in ("*", "**"):
        return host
    last = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    if "**" in host or not _HOST_GLOB.fullmatch(host) or not all(last.split(".")):
        raise ValueError(f"the pattern {shown} is no pattern of images: {_clip(host)} is no host of a registry")
    if "*" in last.rpartition(".")[2]:
        raise ValueError(
            f"the pattern {shown} has a * in the last label of its registry, which would match hosts of strangers; "
            "write the end of the host's name"
        )
    return host


def _check_segment(segment: str, shown: str) -> None:
    if not segment:
        raise ValueError(f"the pattern {shown} has an empty segment between two slashes")
    if segment != segment.lower():
        raise ValueError(f"the pattern {shown} matches nothing: repositories are in small letters")
    if "**" in segment and segment != "**":
        raise ValueError(f"the pattern {shown} has ** beside other characters; ** is a whole segment")
    if not _PATH_GLOB.fullmatch(segment) or ("*" not in segment and not _PATH.fullmatch(segment)):
        raise ValueError(f"the pattern {shown} is no pattern of images: {_clip(segment)} is in no repository's name")


def _literal(prefix: str, below: bool) -> Callable[[str], bool]:
    inside = prefix + "/"
    if below:
        return lambda name: name.startswith(inside)
    return lambda name: name == prefix or name.startswith(inside)


def _regex(host: str, segments: list[str], exact: bool, below: bool) -> Callable[[str], bool]:
    hosts = {"*": "[^/]+", "**": "[^/]+(?:/[^/]+)*?"}
    regex = hosts.get(host) or _escaped(host, "[^/.:]*")
    for segment in segments:
        regex += "(?:/[^/]+)*" if segment == "**" else "/" + _escaped(segment, "[^/]*")
    compiled = re2.compile(regex + ("" if exact else "(?:/[^/]+)+" if below else "(?:/[^/]+)*"))
    return lambda name: compiled.fullmatch(name) is not None


def _glob(text: str) -> Callable[[str], bool]:
    if "*" not in text:
        return lambda value: value == text
    compiled = re2.compile(_escaped(text, ".*"))
    return lambda value: compiled.fullmatch(value) is not None


def _escaped(text: str, star: str) -> str:
    return star.join(re2.escape(part) for part in text.split("*"))


def _clip(text: str) -> str:
    return repr(text if len(text) <= 100 else text[:100] + "…")
