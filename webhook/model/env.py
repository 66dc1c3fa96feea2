"""The environment of a container as far as its manifest says it, `$(NAME)` expanded as by the kubelet.

Source: k8s.io/kubernetes pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables) and
third_party/forked/golang/expansion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from webhook.model import quantity
from webhook.model.pods import listing, mapping
from webhook.model.record import record

# two pods of a namespace never have the same name at one time; a uid is never given twice
UNIQUE = frozenset({"metadata.name", "metadata.uid"})
LONGEST = 128 * 1024
"""Characters of one expanded text. Linux starts no program with a longer word or variable (execve(2), MAX_ARG_STRLEN),
and forty variables that each name the one before twice would be a terabyte."""
MOST = 6 * 2**20
"""Characters of all texts that one container starts with: execve(2) takes no more, whatever the limit of the stack."""


@record(frozen=True, slots=True)
class Value:
    """What a variable holds: its text, or None where the manifest cannot say it.

    A field of the pod stands in the text as `{metadata.name}`: such a value has no `/` in it and is no `..`.
    `unique` says that a value that only this pod has (`UNIQUE`) is part of it.
    """

    text: str | None
    unique: bool = False


UNKNOWN = Value(None)
Lookup = Callable[[str], Value | None]


@record(frozen=True, slots=True)
class Environment:
    """The variables that `env` sets, the last of a name counting. `open`: `envFrom` may set others too."""

    values: Mapping[str, Value]
    open: bool

    def find(self, name: str) -> Value | None:
        """Return the value of a variable; None where nothing in the manifest sets it."""
        return _find(name, self.values, self.open)


def read(container: Mapping[str, Any], keep: bool = False) -> Environment:
    """Return the environment of a container's spec.

    With `keep`, a reference in a literal to a value that the manifest cannot say stays as written; else it makes the
    whole text unknown.
    """
    values: dict[str, Value] = {}
    left = MOST
    has_sources = bool(listing(container.get("envFrom")))
    for entry in listing(container.get("env")):
        name = mapping(entry).get("name")
        if isinstance(name, str):
            if left > 0:
                value = _value(container, entry, lambda wanted: _find(wanted, values, has_sources), keep)
            else:
                value = UNKNOWN
            left -= len(value.text or "")
            values[name] = value
    return Environment(values, has_sources)


def some(container: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Value]:
    """Return the values of those of `names` that are set; others are read only where one of these refers to them."""
    entries = {
        entry["name"]: entry
        for entry in listing(container.get("env"))
        if isinstance(entry, dict) and entry.get("name") in names
    }
    if any("$" in entry["value"] for entry in entries.values() if isinstance(entry.get("value"), str)):
        whole = read(container).values
        return {name: whole[name] for name in entries}
    return {name: _value(container, entry, lambda _: None, False) for name, entry in entries.items()}


def expand(template: str, lookup: Lookup, keep: bool = False) -> Value:
    """Return `template` with every `$(NAME)` replaced; `$$` is `$`, a name not set stays as written.

    A value that is not known makes the whole unknown, or, with `keep`, stays as written too; and so does the whole
    where it comes to more than LONGEST characters.
    """
    if "$" not in template:
        return Value(template)
    text, known, unique = "", True, False
    for literal, name in _parts(template):
        value = Value(literal) if name is None else lookup(name)
        if value is None or (keep and value.text is None):
            value = Value(literal)
        known = known and value.text is not None
        unique = unique or value.unique
        text += value.text or ""
        if len(text) > LONGEST:
            return Value(template if keep else None, unique)
    return Value(text if known else None, unique)


def words(texts: Iterable[str], lookup: Lookup, keep: bool = False) -> Iterator[Value]:
    """Yield what the words of a command line expand to; those behind MOST characters are not known."""
    left = MOST
    for text in texts:
        value = expand(text, lookup, keep) if left > 0 else UNKNOWN
        left -= len(value.text or "")
        yield value


def _find(name: str, values: Mapping[str, Value], has_sources: bool) -> Value | None:
    if name in values:
        return values[name]
    # a Service of the namespace gives WEB_SERVICE_HOST, WEB_PORT_80_TCP and their like
    return UNKNOWN if has_sources or "_SERVICE_" in name or "_PORT" in name else None


def _value(container: Mapping[str, Any], entry: Mapping[str, Any], lookup: Lookup, keep: bool) -> Value:
    literal, source = entry.get("value"), mapping(entry.get("valueFrom"))
    if literal:
        return expand(literal, lookup, keep) if isinstance(literal, str) else UNKNOWN
    if not source:
        return Value("")
    if "resourceFieldRef" in source:
        return Value(_resource(container, mapping(source["resourceFieldRef"])))
    field = mapping(source.get("fieldRef")).get("fieldPath")
    # annotations hold any text; names, labels, uids and addresses are single segments of a path
    if not isinstance(field, str) or field.startswith("metadata.annotations"):
        return UNKNOWN
    return Value(f"{{{field}}}", field in UNIQUE)


def _resource(container: Mapping[str, Any], field: Mapping[str, Any]) -> str:
    """Return a resource of the container by a `resourceFieldRef`, `{resource}` where the node or others decide on it.

    Source: k8s.io/kubernetes pkg/api/v1/resource/helpers.go, ExtractContainerResourceValue, rounds up.
    """
    kind, _, resource = str(field.get("resource")).partition(".")
    try:
        amount = quantity.read(mapping(mapping(container.get("resources")).get(kind)).get(resource))
        divisor = quantity.read(field.get("divisor") or "1")
    except ValueError:
        return "{resource}"
    known = field.get("containerName") in (None, "", container.get("name"))
    return str(math.ceil(amount / (divisor or 1))) if known and amount > 0 else "{resource}"


def _parts(template: str) -> Iterator[tuple[str, str | None]]:
    """Give (text, None) for text that stands for itself, and (as written, NAME) for a reference."""
    at, last = 0, template.rfind(")")
    while at <= last:
        dollar = template.find("$", at)
        if dollar < 0 or dollar + 1 == len(template):
            break
        yield template[at:dollar], None
        follows = template[dollar + 1]
        end = template.find(")", dollar) if follows == "(" else -1
        if end >= 0:
            yield template[dollar : end + 1], template[dollar + 2 : end]
            at = end + 1
        else:
            yield "$" if follows == "$" else "$" + follows, None
            at = dollar + 2
    # behind the last bracket there are no references, however many begin there
    yield template[at:].replace("$$", "$"), None
