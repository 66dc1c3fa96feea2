"""The request of an AdmissionReview (`admission.k8s.io/v1`), read and checked once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from webhook.errors import ReviewError
from webhook.model.pods import NOTHING, mapping
from webhook.model.record import record

API_VERSION = "admission.k8s.io/v1"
OPERATIONS = ("CREATE", "UPDATE", "DELETE", "CONNECT")
MIRROR = "kubernetes.io/config.mirror"
DEPTH = 200
"""Levels of nesting that a review may have: Kubernetes' deepest (schemas of CRDs) have some 60. Python's own
comparisons and copies, and the CEL binding, go one frame down a level, and end between 400 and 1,000."""
SMALL = 16 * 1024
"""Bytes of a body up to which its brackets are counted first: more of them than `DEPTH` stand in every larger one."""
SOME = 1024 * 1024
"""Bytes of a body in which nulls are looked for by a pattern."""
_NULL, _NUL = re.compile(rb"null"), re.compile(rb"\\u0000")
_CONTAINERS = frozenset((dict, list))


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
    if b"\\" in body and _NUL.search(body):  # JSON knows no other way to write it; one byte is found at once
        cleaned: dict[str, Any] = clean(document)
        return cleaned
    _settle(document, body)
    return document


def parse(document: Mapping[str, Any]) -> Review:
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


def _settle(document: dict[str, Any], body: bytes) -> None:
    """Do to a decoded body without NUL what `clean` does, in place and for a tenth of the time.

    Goes down level by level, no further than there can be a null to find: each stands in the body as the text `null`.
    """
    few = len(body) <= SMALL and body.count(b"{") + body.count(b"[") <= DEPTH
    if not few and _deep(document):
        raise ReviewError(f"the body is nested more than {DEPTH} levels deep, which no object of Kubernetes is")
    # a pattern takes two thirds of what `count` does, and memory for each that it finds
    nulls = len(_NULL.findall(body)) if len(body) <= SOME else body.count(b"null")
    level: list[Any] = [document]
    while nulls and level:
        nulls -= sum(_drop_nulls(node) for node in level if type(node) is dict and None in node.values())
        if nulls:
            level = [
                item
                for node in level
                for item in (node.values() if type(node) is dict else node)
                if type(item) in _CONTAINERS
            ]


def _deep(document: dict[str, Any]) -> bool:
    """Say whether a decoded body is nested more than `DEPTH` levels deep.

    To write it out again tells that sooner than a walk in Python (0.1 instead of 0.6 ms for 82 KB): orjson stops at a
    depth of its own, and the document is put so much deeper.
    """
    deeper: Any = document
    for _ in range(_writable() - DEPTH):
        deeper = [deeper]
    try:
        orjson.dumps(deeper)
    except orjson.JSONEncodeError:  # whatever else was decoded can be written
        return True
    return False


@lru_cache(maxsize=1)
def _writable() -> int:
    """Return how many levels orjson writes: it is asked, since that number is nobody's promise.

    It reads 1,024, so that looking further is no use. Raises RuntimeError where there is no such bound.
    """
    nested: Any = []
    for levels in range(1, 2 * 1024):
        try:
            orjson.dumps(nested)
        except orjson.JSONEncodeError:
            return levels - 1
        nested = [nested]
    raise RuntimeError("this orjson writes any depth, so it cannot tell how deep a body is nested")


def _drop_nulls(node: dict[str, Any]) -> int:
    keys = [key for key, value in node.items() if value is None]
    for key in keys:
        del node[key]
    return len(keys)


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
        raise ReviewError(f"the body is nested more than {DEPTH} levels deep, which no object of Kubernetes is")
    if isinstance(value, list):
        return [clean(item, levels - 1) for item in value]
    return {_clean_text(key): clean(item, levels - 1) for key, item in value.items() if item is not None}


def _clean_text(text: str) -> str:
    return text.replace("\0", "\ufffd") if "\0" in text else text


def _name(request: Mapping[str, Any], obj: Mapping[str, Any] | None) -> str:
    name = _text(request, "name")
    if name:
        return name
    meta = mapping(mapping(obj).get("metadata"))
    if isinstance(meta.get("name"), str) and meta["name"]:
        return str(meta["name"])
    generate = meta.get("generateName")
    return f"{generate}*" if isinstance(generate, str) and generate else ""


def _text(parent: Mapping[str, Any], key: str, at: str = "request.") -> str:
    value = parent.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ReviewError(f"{at}{key} is {_shown(value)}, wanted a string")
    return value


def _map(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    if value is None:
        return NOTHING
    if not isinstance(value, dict):
        raise ReviewError(f"request.{key} is {_shown(value)}, wanted an object")
    return value


def _object(request: Mapping[str, Any], key: str) -> Mapping[str, Any] | None:
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
