"""semver, isSemver and their methods: semantic versions 2.0.0.

Source: k8s.io/apiserver/pkg/cel/library/semverlib.go, which uses github.com/blang/semver. As there,
the second argument `true` normalizes: a leading `v` goes, leading zeros go, missing parts are 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from webhook.checks.cellib.function import Function
from webhook.checks.cellib.opaque import unwrap, wrap

KIND = "semver"
NUMBER = re.compile(r"0|[1-9][0-9]*")
WORD = re.compile(r"[0-9A-Za-z-]+")
UINT64 = 2**64
# Sorts after every prerelease identifier list: a release comes after its prereleases.
RELEASE = ((2,),)


def order(wrapped: Mapping[Any, Any]) -> tuple[Any, ...]:
    """Return a tuple that sorts as SemVer 2.0.0 section 11 says; build metadata does not count."""
    core, _, prerelease = unwrap(KIND, wrapped).partition("-")
    numbers = tuple(int(part) for part in core.split("."))
    if not prerelease:
        return (numbers, RELEASE)
    return (numbers, tuple(_rank(part) for part in prerelease.split(".")))


def _rank(identifier: str) -> tuple[Any, ...]:
    return (0, int(identifier)) if identifier.isdigit() else (1, identifier)


def _number(text: str, name: str) -> str:
    if not NUMBER.fullmatch(text) or int(text[:21]) >= UINT64:
        raise ValueError(f"{name} of a semantic version is a number without leading zeros, not {text!r}")
    return text


def _canonical(text: str) -> str:
    """Return the version without its build metadata, which no comparison looks at."""
    parts = text.split(".", 2)
    if len(parts) != 3:
        raise ValueError(f"{text!r} is no semantic version: No Major.Minor.Patch elements found")
    rest, plus, build = parts[2].partition("+")
    patch, dash, prerelease = rest.partition("-")
    core = [_number(parts[0], "major"), _number(parts[1], "minor"), _number(patch, "patch")]
    words = (prerelease.split(".") if dash else []) + (build.split(".") if plus else [])
    if not all(WORD.fullmatch(word) for word in words):
        raise ValueError(f"{text!r} is no semantic version: empty or bad prerelease or build identifier")
    for identifier in prerelease.split(".") if dash else []:
        if identifier.isdigit():
            _number(identifier, "a numeric prerelease identifier")
    return ".".join(core) + dash + prerelease


def _normalized(text: str) -> str:
    parts = [_strip(part) for part in text.removeprefix("v").split(".", 2)]
    if len(parts) < 3:
        if any(sign in parts[-1] for sign in "+-"):
            raise ValueError("short version cannot contain PreRelease/Build meta data")
        parts += ["0"] * (3 - len(parts))
    return ".".join(parts)


def _strip(part: str) -> str:
    if len(part) < 2:
        return part
    stripped = part.lstrip("0")
    return stripped if stripped[:1] in tuple("0123456789") else "0" + stripped


def _parse(text: str) -> dict[int, str]:
    return wrap(KIND, _canonical(text))


def _parse_normalized(text: str, normalize: bool) -> dict[int, str]:
    return _parse(_normalized(text) if normalize else text)


def _is_semver(text: str) -> bool:
    return _is_semver_normalized(text, False)


def _is_semver_normalized(text: str, normalize: bool) -> bool:
    try:
        _parse_normalized(text, normalize)
    except ValueError:
        return False
    return True


def _part(wrapped: Mapping[Any, Any], index: int) -> int:
    found: int = order(wrapped)[0][index]
    if found >= 2**63:
        raise ValueError(f"{found} does not fit into an integer of CEL")
    return found


def _major(wrapped: Mapping[Any, Any]) -> int:
    return _part(wrapped, 0)


def _minor(wrapped: Mapping[Any, Any]) -> int:
    return _part(wrapped, 1)


def _patch(wrapped: Mapping[Any, Any]) -> int:
    return _part(wrapped, 2)


FUNCTIONS = (
    Function("semver", ("STRING",), False, "MAP", _parse),
    Function("semver", ("STRING", "BOOL"), False, "MAP", _parse_normalized),
    Function("isSemver", ("STRING",), False, "BOOL", _is_semver),
    Function("isSemver", ("STRING", "BOOL"), False, "BOOL", _is_semver_normalized),
    Function("major", ("MAP",), True, "INT", _major),
    Function("minor", ("MAP",), True, "INT", _minor),
    Function("patch", ("MAP",), True, "INT", _patch),
)
