"""What of a review may be kept: everything that rules judge by, as far as it is no secret.

Whether something is one is known by where it stands (the data of a Secret) or by its name (`DB_PASSWORD`). So a
secret under a harmless name stays: a recording is for as few eyes as the cluster itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import re2

from webhook.model.pods import mapping

MARK = "REDACTED"
"""What stands in the place of a secret. Always the same, so that it says nothing of what was there."""
DATA = ("data", "stringData", "binaryData")
"""What is all secret in a Secret, and may be in a ConfigMap."""
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""The whole object once more, as a text that nothing else here would look into."""

_WORDS = (
    r"passw|passphrase|pwd|secret|token|key|credential|cred[^a-z]|cred$|auth|cookie|session|signature|dsn|"
    r"connection_?string"
)
# re2, since what is searched comes from users, and takes time by its length alone
_NAME = re2.compile(rf"(?i){_WORDS}")
_FIELD = re2.compile(r"(?i)(passw(or)?d|passphrase|token|api_?key|private_?key|access_?key|credentials?)$")
_GIVEN = re2.compile(rf"(?i)([\w.\-]*(?:{_WORDS})[\w.\-]*\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;&]+)")
_SPACED = re2.compile(rf"(?i)(\s--?[\w.\-]*(?:{_WORDS})[\w.\-]*\s+)(\"[^\"]*\"|'[^']*'|[^\s\-][^\s;&]*)")
_FLAG = re2.compile(rf"(?i)^--?[\w.\-]*(?:{_WORDS})[\w.\-]*$")
_LOGIN = re2.compile(r"(://)[^/\s@]+@")
_COMMANDS = ("args", "command")


def redact(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `request` of an AdmissionReview without secrets, and without what no rule judges by.

    Gone are managedFields, and of the user all but name and groups. `MARK` stands for: all data of Secrets and
    ConfigMaps; the value of an environment variable or header, of an annotation, and of a field named like a
    password, where the name is that of a secret; what kubectl applied last; in texts of commands and variables
    whatever is given to such a name (`-Dkey.password=x`, `--token x`), and the login in a URL. Names and keys stay.
    """
    kept = {key: value for key, value in request.items() if key not in ("object", "oldObject", "userInfo")}
    user = mapping(request.get("userInfo"))
    kept["userInfo"] = {key: user[key] for key in ("username", "groups") if key in user}
    kept.update({key: _value(request[key]) for key in ("object", "oldObject") if key in request})
    return kept


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return [_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("name"), str) and isinstance(value.get("value"), str):
        # a variable, or a header of a probe
        secret = _NAME.search(value["name"])
        return {**_members(value), "value": MARK if secret else _text(value["value"])}
    kept = _members(value)
    if value.get("kind") in ("Secret", "ConfigMap"):
        kept.update({key: dict.fromkeys(mapping(value[key]), MARK) for key in DATA if key in value})
    return kept


def _members(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _member(key, inner) for key, inner in value.items() if key != "managedFields"}


def _member(key: str, inner: Any) -> Any:
    if key == "annotations" and isinstance(inner, dict):
        return {name: MARK if name == APPLIED or _NAME.search(name) else _value(text) for name, text in inner.items()}
    if key in _COMMANDS and isinstance(inner, list):
        return _command(inner)
    if isinstance(inner, str) and _FIELD.search(key):
        return MARK
    return _value(inner)


def _command(words: list[Any]) -> list[Any]:
    kept: list[Any] = []
    follows = False
    for word in words:
        text = isinstance(word, str)
        kept.append(MARK if follows and text else _text(word) if text else _value(word))
        follows = text and bool(_FLAG.search(word))
    return kept


def _text(text: str) -> str:
    """Return a text without what is given to the name of a secret in it, and without logins in URLs."""
    for pattern in (_GIVEN, _SPACED):
        text = pattern.sub(rf"\1{MARK}", text)
    return str(_LOGIN.sub(rf"\1{MARK}@", text))
