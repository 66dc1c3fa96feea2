"""An image for people: what matters of it, by platform."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from webhook.checks.approved_base import BASE_DIGEST, BASE_NAME
from webhook.cli.report.text import plain
from webhook.model.image import Image
from webhook.model.oci import Build, Content

_JAVA = ("JAVA_", "JDK_", "_JAVA_")
"""How the variables begin that say which Java it is, and with which options. Others may hold secrets."""


def lines(image: Image, content: Content) -> Iterator[str]:
    """Yield the lines on an image."""
    yield str(image)
    yield from _row("digest", [content.digest])
    yield from _row("is", ["an index of images by platform" if content.index else "one image"])
    yield from _row("base", _bases(content.annotations))
    for build in content.builds:
        yield ""
        yield str(build.platform)
        yield from _build(build)


def _build(build: Build) -> Iterator[str]:
    run = build.execution
    yield from _row("digest", [build.digest])
    yield from _row("created", _texts(build.config.get("created")))
    yield from _row("user", [_user(run.get("User"))])
    for name in ("Entrypoint", "Cmd", "WorkingDir"):
        yield from _row(name.lower(), _texts(run.get(name)))
    yield from _row("env", [f"{key}={value}" for key, value in sorted(build.environment.items()) if _matters(key)])
    yield from _row("labels", [f"{key}={value}" for key, value in sorted(build.labels.items())])
    count = len(build.layers)
    yield from _row("size", [f"{size(build.size)} in {count} layer{'' if count == 1 else 's'}"])
    yield from _row("base", _bases(build.annotations))
    yield from _row("attested", [f"{source} (says a build attestation; no proof)" for source in build.sources])


def size(number: int) -> str:
    """Return a number of bytes for people: `187.2 MiB`."""
    scaled = float(number)
    for unit in ("bytes", "KiB", "MiB"):
        if scaled < 1024:
            return f"{number} bytes" if unit == "bytes" else f"{scaled:.1f} {unit}"
        scaled /= 1024
    return f"{scaled:.1f} GiB"


def _row(name: str, values: Sequence[str]) -> Iterator[str]:
    for number, value in enumerate(values):
        yield f"  {'' if number else name:10}  {plain(value)}"


def _matters(variable: str) -> bool:
    return variable.startswith(_JAVA)


def _user(user: Any) -> str:
    return str(user) if user else "root (the image names none)"


def _bases(annotations: Mapping[str, str]) -> list[str]:
    name, digest = annotations.get(BASE_NAME, ""), annotations.get(BASE_DIGEST, "")
    base = "@".join(part for part in (name, digest) if part)
    return [f"{base} (says an annotation; no proof)"] if base else []


def _texts(value: Any) -> list[str]:
    if not value:
        return []
    return [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)]
