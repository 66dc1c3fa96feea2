"""The shape of the tests of packs, `kind: RulePackTest`: the JSON Schema that the loader and editors hold them to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

API_VERSION = "plimsoll.dev/v1"
KIND = "RulePackTest"
SOURCES = ("object", "file", "base")
"""The keys of a case that say which object is judged; it has exactly one."""


def published() -> dict[str, Any]:
    """Return the schema as it is published for editors (draft 7): with what the loader asks for beyond SCHEMA."""
    case = {**_CASE, "allOf": _CONDITIONS, "oneOf": [{"required": [key]} for key in SOURCES]}
    spec = SCHEMA["properties"]["spec"]
    cases = {**spec["properties"]["cases"], "items": case}
    whole = {**spec, "properties": {**spec["properties"], "cases": cases}}
    properties = {**SCHEMA["properties"], "spec": whole}
    title = {"$schema": "http://json-schema.org/draft-07/schema#", "title": f"Plimsoll {KIND}"}
    return {**title, **SCHEMA, "properties": properties}


def _object(description: str, properties: Mapping[str, Any], *required: str, **more: Any) -> dict[str, Any]:
    shape = {"type": "object", "description": description, "properties": dict(properties), "required": list(required)}
    return {**shape, "additionalProperties": False, **more}


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "description": description, **more}


def _word(description: str, *words: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "enum": list(words), "description": description, **more}


def _texts(description: str) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string", "minLength": 1}, "description": description}


def _strings(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": {"type": "string"}, "description": description, **more}


def _any(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": True, "description": description, **more}


def _manifest(description: str) -> dict[str, Any]:
    names = {"apiVersion": _text("The API that the object belongs to."), "kind": _text("What the object is.")}
    return _any(description, required=list(names), properties=names)


def _manifests(description: str) -> dict[str, Any]:
    return {"type": "array", "items": _manifest("A Kubernetes object."), "description": description}


_LAYER = _object(
    "A layer, packed.",
    {
        "digest": _text("Its digest."),
        "size": {"type": "integer", "minimum": 0, "description": "Its size in bytes."},
    },
    "digest",
    "size",
)
_BUILD = _object(
    "The image for one platform.",
    {
        "digest": _text("The digest of its manifest."),
        "platform": {
            "type": "string",
            "pattern": "^[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?$",
            "description": "What it runs on, such as linux/amd64.",
        },
        "config": _any("The config of the image, as the OCI image specification has it."),
        "layers": {"type": "array", "items": _LAYER, "description": "Its layers, the lowest first."},
        "annotations": _strings("The annotations of its manifest."),
        "sources": _texts("Images that its attestations say it was built from."),
    },
    "config",
)
_CONTENT = {
    "digest": _text("What the reference stands for."),
    "index": {"type": "boolean", "description": "Whether that is an index of several platforms."},
    "annotations": _strings("The annotations of the index or the manifest."),
    "builds": {"type": "array", "minItems": 1, "items": _BUILD, "description": "The image for each platform."},
}
_FORMER = _object(
    "What the tag stood for before.",
    {**_CONTENT, "age": {"type": "number", "minimum": 0, "description": "For how many days it no longer does."}},
    "digest",
    "builds",
)
_IMAGE = _object(
    "What a registry would say of an image, or why nothing is known.",
    {
        **_CONTENT,
        "lacking": _text("Why nothing is known."),
        "absent": {"type": "boolean", "description": "Whether the registry says that there is no such image."},
        "former": {"type": "array", "items": _FORMER, "description": "What the tag stood for before, newest first."},
    },
    minProperties=1,
)
_FINDING = _object(
    "One finding.",
    {
        "rule": _text("The rule, or pack/rule."),
        "pointer": {"type": "string", "description": "The JSON pointer to what is wrong; '' is the whole object."},
        "container": _text("The container, or the volume."),
        "effective": _word("What comes of it.", "deny", "warn", "audit"),
    },
    "rule",
    "pointer",
)
_EXPECT = _object(
    "What is to come of it; what is not named is not compared.",
    {
        "action": _word("The strongest that comes of it.", "allow", "warn", "deny", "audit"),
        "findings": {"type": "array", "items": _FINDING, "description": "All findings but exempt ones; []: none."},
        "warnings": _texts("Parts of warnings that must be there; []: there are none."),
        "patched": _any("A part of the object as /mutate leaves it; null: not there.", minProperties=1),
        "annotations": _strings("By key, a part of the audit annotation.", minProperties=1),
    },
    minProperties=1,
)
_OPERATION = _object(
    "One operation of a JSON Patch (RFC 6902).",
    {
        "op": _word("What is done.", "add", "copy", "move", "remove", "replace", "test"),
        "path": {"type": "string", "description": "The JSON pointer to where it is done."},
        "from": {"type": "string", "description": "With copy and move: where the value is taken from."},
        "value": {"description": "With add, replace and test: the value."},
    },
    "op",
    "path",
)
_CHANGES = {
    "description": "What is changed in the base: a JSON Patch (a list) or a merge patch (a mapping).",
    "anyOf": [
        {"type": "array", "items": _OPERATION},
        {"type": "object", "additionalProperties": True},
    ],
}
_FACTS = _object(
    "What is known of things beside the object.",
    {
        "namespace": _manifest("The whole Namespace."),
        "owners": _manifests("The objects of its controllers, nearest first; []: it has none."),
        "neighbours": _manifests("All that stands beside it; []: nothing does."),
        "images": {
            "type": "object",
            "additionalProperties": _IMAGE,
            "minProperties": 1,
            "description": "By reference, what a registry would say of an image.",
        },
    },
    minProperties=1,
)
_CASE = _object(
    "One case: an object, how it is asked about, and what is to come of it.",
    {
        "name": _text("What it claims; once in a document."),
        "object": _manifest("The object that is judged."),
        "file": _text("A file with the object, from this file's directory."),
        "base": _text("The name of one of spec.base."),
        "changes": _CHANGES,
        "operation": _word("What is asked for.", "CREATE", "UPDATE", "DELETE", "CONNECT", default="CREATE"),
        "oldObject": {
            "description": "With UPDATE: the object as it was, or the name of a base.",
            "anyOf": [_manifest("The object as it was."), _text("The name of a base.")],
        },
        "namespace": _text("Where the object goes if it names none.", default="default"),
        "namespaceLabels": _strings("The labels of its namespace."),
        "user": _text("Who asks.", default="plimsoll-test"),
        "groups": _texts("The groups of who asks."),
        "facts": _FACTS,
        "date": {"type": "string", "format": "date", "description": "The UTC day it is judged on; default: today."},
        "endpoint": _word(
            "Who is asked; all: /validate and /advise together.", "validate", "advise", "mutate", "all", default="all"
        ),
        "mode": _word("Judge as if every pack had this mode; default: its own.", "enforce", "dry-run"),
        "subResource": _text("Such as scale, ephemeralcontainers."),
        "expect": _EXPECT,
    },
    "name",
    "expect",
)
SCHEMA: Mapping[str, Any] = _object(
    "Tests of rule packs, which `plimsoll test` runs.",
    {
        "apiVersion": _word("The version of the format.", API_VERSION),
        "kind": _word("What this document is.", KIND),
        "metadata": _object("The name of the test.", {"name": _text("Its name.")}, "name"),
        "spec": _object(
            "The packs and the cases.",
            {
                "packs": {
                    "type": "array",
                    "items": {"type": "string", "minLength": 1},
                    "minItems": 1,
                    "description": "Paths of packs, from this file's directory.",
                },
                "base": {
                    "type": "object",
                    "additionalProperties": _manifest("A Kubernetes object."),
                    "description": "Objects by name, for cases that change them.",
                },
                "cases": {"type": "array", "items": _CASE, "minItems": 1, "description": "The cases."},
            },
            "packs",
            "cases",
        ),
    },
    "apiVersion",
    "kind",
    "metadata",
    "spec",
)
# what webhook.cli.suite says in words
_CONDITIONS = [
    {
        "if": {"properties": {"operation": {"const": "UPDATE"}}, "required": ["operation"]},
        "then": {"required": ["oldObject"]},
    },
    {
        "if": {"required": ["oldObject"]},
        "then": {"required": ["operation"], "not": {"properties": {"operation": {"const": "CREATE"}}}},
    },
    {"if": {"required": ["changes"]}, "then": {"required": ["base"]}},
]
