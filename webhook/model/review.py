"""The request of an AdmissionReview (`admission.k8s.io/v1`), read and checked once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import re2

from webhook.errors import ReviewError
from webhook.model.pods import mapping
from webhook.model.record import record

API_VERSION = "admission.k8s.io/v1"
OPERATIONS = ("CREATE", "UPDATE", "DELETE", "CONNECT")
MIRROR = "kubernetes.io/config.mirror"
DEPTH = 200
"""Levels of nesting that a review may have: Kubernetes' deepest (schemas of CRDs) have some 60. Python's own
comparisons and copies, and the CEL binding, go one frame down a level, and end between 400 and 1,000."""
_BACKSLASH, _NUL = ord("\\"), re2.compile(rb"\\u0000")


@record(frozen=True, slots=True)
class Kind:
    """A GroupVersionKind; `str()` gives what a person writes (`Deployment`, `argoproj.io/Rollout`)."""

    group: str
    version: str
    kind: str

    def __str__(self) -> str:
        """Return `group/Kind`, or the kind alone for a group of Kubernetes' own."""
        return f"{self.group}/{self.kind}" if "." in self.group else self.kind


@record(frozen=True, slots=True)
class Review:
    """What an API server asks: who wants to do what to which object.

    `object` and `old_object` are as sent, but without null members and NUL characters (see `parse`);
    None where the API server sends null. `name` may be a `generateName` with a `*` behind it.
    `request` is the whole `request`, as CEL sees it.
    """

    uid: str
    kind: Kind
    resource: str
    resource_group: str
    subresource: str
    name: str
    namespace: str
    operation: str
    user: str
    groups: tuple[str, ...]
    object: Mapping[str, Any] | None
    old_object: Mapping[str, Any] | None
    dry_run: bool
    request: Mapping[str, Any]

    @property
    def labels(self) -> Mapping[str, Any]:
        """The labels of the object, empty where there are none."""
        return mapping(mapping(mapping(self.object).get("metadata")).get("labels"))

    @property
    def title(self) -> str:
        """What a person calls the object: `Deployment shop/web`."""
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {name}" if name else str(self.kind)


def decode(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`. Raises ReviewError (400) with a sentence where there is none.

    orjson refuses NaN, lone surrogates and other encodings than UTF-8; of duplicate keys the last counts, as in
    the API server. Nesting beyond `DEPTH` is refused here.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ReviewError(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ReviewError(f"the body is a JSON {_json_type(document)}, wanted an AdmissionReview object")
    if _BACKSLASH in body and _NUL.search(body):  # JSON knows no other way to write it; one byte is found at once
        cleaned: dict[str, Any] = clean(document)
        return cleaned
    _settle(document, DEPTH)
    return document


def parse(document: dict[str, Any]) -> Review:
    """Return the review in a decoded AdmissionReview. Raises ReviewError (400) naming the field that is wrong."""
    version, kind = document.get("apiVersion"), document.get("kind")
    if kind != "AdmissionReview":
        raise ReviewError(f"kind is {_shown(kind)}, wanted AdmissionReview")
    if version != API_VERSION:
        raise ReviewError(f"apiVersion is {_shown(version)}, wanted {API_VERSION}; set admissionReviewVersions: [v1]")
    request = document.get("request")
    if not isinstance(request, dict):
        raise ReviewError(f"request is {_shown(request)}, wanted an object; is this an answer, not a question?")
    uid = _text(request, "uid")
    if not uid:
        raise ReviewError("request.uid is missing; the answer must carry it")
    operation = _text(request, "operation")
    if operation not in OPERATIONS:
        raise ReviewError(f"request.operation is {_shown(operation)}, wanted one of {', '.join(OPERATIONS)}")
    gvk, resource, user = _map(request, "kind"), _map(request, "resource"), _map(request, "userInfo")
    obj, old = _object(request, "object"), _object(request, "oldObject")
    if not _text(gvk, "kind", "request.kind."):
        raise ReviewError("request.kind.kind is missing; wanted the kind of the object")
    groups = user.get("groups")
    return Review(
        uid=uid,
        kind=Kind(_text(gvk, "group"), _text(gvk, "version"), _text(gvk, "kind")),
        resource=_text(resource, "resource", "request.resource."),
        resource_group=_text(resource, "group", "request.resource."),
        subresource=_text(request, "subResource"),
        name=_name(request, obj if obj is not None else old),
        namespace=_text(request, "namespace"),
        operation=operation,
        user=_text(user, "username", "request.userInfo."),
        groups=tuple(g for g in groups if isinstance(g, str)) if isinstance(groups, list) else (),
        object=obj,
        old_object=old,
        dry_run=request.get("dryRun") is True,
        request=request,
    )


def _settle(node: dict[str, Any], levels: int) -> None:
    """Do to a decoded body without NUL what `clean` does, in place. Raises as that does.

    It is the way around all of a large body, and takes of each value no more than its type; most maps of
    `managedFields` are empty.
    """
    if not levels:
        raise _too_deep()
    null = False
    for value in node.values():
        if isinstance(value, str):
            continue
        if isinstance(value, dict):
            if value or levels == 1:
                _settle(value, levels - 1)
        elif isinstance(value, list):
            if value or levels == 1:
                _settle_list(value, levels - 1)
        elif value is None:
            null = True
    if null:
        for key in [key for key, value in node.items() if value is None]:
            del node[key]


def _settle_list(node: list[Any], levels: int) -> None:
    if not levels:
        raise _too_deep()
    for value in node:
        if isinstance(value, str):
            continue
        if isinstance(value, dict):
            if value or levels == 1:
                _settle(value, levels - 1)
        elif isinstance(value, list) and (value or levels == 1):
            _settle_list(value, levels - 1)


def _too_deep() -> ReviewError:
    return ReviewError(f"the body is nested more than {DEPTH} levels deep, which no object of Kubernetes is")


def clean(value: Any, levels: int = DEPTH) -> Any:
    """Return `value` without null members, and with U+FFFD for NUL; lists keep their length.

    Raises ReviewError where it is nested more than `levels` deep.

    An API server sends `null` for maps that are not set, and reads it as absent. CEL's strings end at a
    NUL here, so that `"ok\\0evil" == "ok"` would be true.
    """
    if isinstance(value, str):
        return _clean_text(value)
    if not isinstance(value, dict | list):
        return value
    if not levels:
        raise _too_deep()
    if isinstance(value, list):
        return [clean(item, levels - 1) for item in value]
    return {_clean_text(key): clean(item, levels - 1) for key, item in value.items() if item is not None}


def _clean_text(text: str) -> str:
    return text.replace("\0", "\ufffd") if "\0" in text else text


def _name(request: dict[str, Any], obj: dict[str, Any] | None) -> str:
    name = _text(request, "name")
    if name:
        return name
    meta = mapping(mapping(obj).get("metadata"))
    if isinstance(meta.get("name"), str) and meta["name"]:
        return str(meta["name"])
    generate = meta.get("generateName")
    return f"{generate}*" if isinstance(generate, str) and generate else ""


def _text(parent: dict[str, Any], key: str, at: str = "request.") -> str:
    value = parent.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ReviewError(f"{at}{key} is {_shown(value)}, wanted a string")
    return value


def _map(parent: dict[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ReviewError(f"request.{key} is {_shown(value)}, wanted an object")
    return value


def _object(request: dict[str, Any], key: str) -> dict[str, Any] | None:
    return None if request.get(key) is None else _map(request, key)


def _shown(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:60] + "…")
    return f"a JSON {_json_type(value)}"


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "value")
