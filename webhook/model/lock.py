"""What images were on a day: entries of a lock file, which a rule can trust without asking a registry.

`plimsoll images lock` writes them, the check `approved-base` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from webhook.model import image, oci
from webhook.model.oci import Content, Platform
from webhook.model.record import record

API_VERSION = "plimsoll.dev/v1"
KIND = "ImageLock"
_DIGEST = {
    "type": "string",
    "pattern": "^(sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})$",
    "patternErrorMessage": "a digest: sha256: and 64 hexadecimal digits",
}
_PLATFORM: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["layers"],
    "properties": {
        "digest": {**_DIGEST, "description": "The digest of the manifest for this platform."},
        "layers": {
            "type": "array",
            "minItems": 1,
            "items": _DIGEST,
            "description": "The digests of its unpacked layers (`rootfs.diff_ids`), the lowest first.",
        },
    },
}
ENTRY: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image", "digest", "platforms"],
    "properties": {
        "image": {"type": "string", "minLength": 1, "description": "The reference that was locked."},
        "digest": {**_DIGEST, "description": "What it stood for: the digest of its manifest or index."},
        "locked": {"type": "string", "format": "date", "description": "The day of that, in UTC."},
        "platforms": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"type": "string", "pattern": "^[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?$"},
            "additionalProperties": _PLATFORM,
            "description": "By platform (`linux/amd64`) the digest of the manifest, and the layers (`diff_ids`).",
        },
    },
}
"""The shape of one entry, as a JSON Schema; `parse` reads what fits it."""
FILE: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "images"],
    "properties": {
        "apiVersion": {"type": "string", "enum": [API_VERSION], "description": "As it is written."},
        "kind": {"type": "string", "enum": [KIND], "description": "As it is written."},
        "images": {"type": "array", "minItems": 1, "items": ENTRY, "description": "What each image was."},
    },
}
"""The shape of a lock file."""


@record(frozen=True, slots=True)
class Locked:
    """An image for one platform: the digest of its manifest ('' where nobody wrote it), and those of its unpacked
    layers, the lowest first.
    """

    digest: str
    layers: tuple[str, ...]


@record(frozen=True, slots=True)
class Entry:
    """What a reference, normalized, stood for on a day, by platform; the day is '' where nobody wrote it."""

    image: str
    digest: str
    locked: str
    platforms: Mapping[Platform, Locked]

    @property
    def same(self) -> tuple[str, Mapping[Platform, Locked]]:
        """What counts when an entry is compared with a later one: all but the day."""
        return self.digest, self.platforms


def entry(reference: str, content: Content, day: date) -> Entry:
    """Return what is locked of an image on a day. Raises ValueError where it has nothing that could be compared."""
    unlike = [str(build.platform) for build in content.builds if not build.diff_ids]
    if unlike or not content.builds:
        raise ValueError(f"there are no layers in it for {', '.join(unlike) or 'any platform'}; is it an image to run?")
    platforms = {build.platform: Locked(build.digest, build.diff_ids) for build in content.builds}
    return Entry(str(image.parse(reference)), content.digest, day.isoformat(), platforms)


def parse(document: Mapping[str, Any]) -> Entry:
    """Return the entry that a document of the shape ENTRY holds. Raises ValueError where the image is no reference."""
    platforms = {
        oci.platform(name): Locked(found.get("digest", ""), tuple(found["layers"]))
        for name, found in document["platforms"].items()
    }
    return Entry(str(image.parse(document["image"])), document["digest"], document.get("locked", ""), platforms)


def dump(one: Entry) -> dict[str, Any]:
    """Return an entry as plain values, platforms sorted; `parse` reads it back."""
    platforms = {
        str(platform): {**({"digest": locked.digest} if locked.digest else {}), "layers": list(locked.layers)}
        for platform, locked in sorted(one.platforms.items(), key=lambda pair: str(pair[0]))
    }
    day = {"locked": one.locked} if one.locked else {}
    return {"image": one.image, "digest": one.digest, **day, "platforms": platforms}
