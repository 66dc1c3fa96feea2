"""The JSON Schema of packs as it is published for editors: draft 7, before values are put in.

It has what an editor shows (descriptions, defaults, the words of each check), and what the loader asks for beyond
the schema that it walks. Where a pack extends another, what it could inherit is not missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webhook.packs import manual
from webhook.packs.schema import KIND, CheckModule, params, shape
from webhook.packs.sense import KINDS_OF_RULE, ONLY_WITH
from webhook.packs.walk import unknown_keywords

DRAFT = "http://json-schema.org/draft-07/schema#"
_REFERENCE = {
    "type": "string",
    "pattern": r"^\$\{values(\.[A-Za-z_][A-Za-z0-9_-]*)+\}$",
    "patternErrorMessage": "a reference to one of spec.values: ${values.name}",
}
_INSTEAD = {"$ref": "#/definitions/value"}


def pack_schema(checks: Mapping[str, CheckModule]) -> dict[str, Any]:
    """Return the JSON Schema of a RulePack, with each check's parameters where a rule names that check.

    Raises ValueError for a check whose PARAMS use a keyword that `walk` would not check.
    """
    schema = shape(checks, waiting=True)
    spec = schema["properties"]["spec"]
    parts = spec["properties"]
    rule = _referable(parts["rules"]["items"], top=True)
    rule["properties"]["check"] = _named(checks)
    rule["allOf"] = [_branch(name, checks[name]) for name in sorted(checks)]
    rule["not"] = {
        "anyOf": [{"required": pair} for pair in (["check", "expression"], ["check", "patch"], ["expression", "patch"])]
    }
    parts["rules"] = {**parts["rules"], "items": rule}
    for key in ("match", "exemptions"):
        parts[key] = _referable(parts[key], top=True)
    spec.update({"if": {"required": ["extends"]}, "then": {}, "else": _whole()})
    return {"$schema": DRAFT, "title": f"Plimsoll {KIND}", **schema, "definitions": {"value": _REFERENCE}}


def _named(checks: Mapping[str, CheckModule]) -> dict[str, Any]:
    """Return the schema of `check`: every name, each with its sentence where an editor completes it."""
    names = sorted(checks)
    sentences = [_page(checks[name])[0] for name in names]
    words = {"type": "string", "enum": names, "enumDescriptions": sentences, "markdownEnumDescriptions": sentences}
    return {"description": "The check of Plimsoll that tests the standard.", "anyOf": [words, _INSTEAD]}


def _branch(name: str, check: CheckModule) -> dict[str, Any]:
    """Return what holds for a rule that names a check: its parameters, and what is said of both."""
    schema = params(check)
    if unknown_keywords(schema):
        raise ValueError(f"check {name}: PARAMS use {', '.join(sorted(unknown_keywords(schema)))}")
    schema.pop("required")  # what a rule lacks it may inherit; the loader asks for it
    sentence, what = _page(check)
    said = {"description": sentence, "markdownDescription": f"**{name}**: {sentence}\n\n{what}".strip()}
    then = {"properties": {"check": said, "params": {"description": f"Parameters of {name}.", **_referable(schema)}}}
    return {"if": {"properties": {"check": {"const": name}}, "required": ["check"]}, "then": then}


def _page(check: CheckModule) -> tuple[str, str]:
    """Return the sentence that a check's page begins with, and what it does."""
    head, _, body = manual.page(check).partition("\n")
    return head, body.partition("## What it does\n")[2].partition("\n## ")[0].strip()


def _whole() -> dict[str, Any]:
    """Return what is asked of a pack that inherits nothing (the loader says it in words: `webhook.packs.sense`)."""
    only = {
        key: {"anyOf": [{"required": [kind]} for kind in kinds]} if len(kinds) > 1 else list(kinds)
        for key, kinds in ONLY_WITH.items()
    }
    rule = {
        "required": ["name", "action"],
        "anyOf": [{"required": [kind]} for kind in KINDS_OF_RULE],
        "dependencies": {**only, "patch": ["when"]},
    }
    return {"required": ["rules"], "properties": {"rules": {"items": rule}}}


def _referable(schema: Mapping[str, Any], *, top: bool = False) -> dict[str, Any]:
    """Return the schema with `${values.x}` allowed in place of every value that is not free text anyway.

    In place of what stands at the `top` it is not, only inside.
    """
    inner = dict(schema)
    if "properties" in schema:
        inner["properties"] = {key: _referable(one) for key, one in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            inner[key] = _referable(schema[key])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            inner[key] = [_referable(one, top=True) for one in schema[key]]
    free = schema.get("type") == "string" and not {"enum", "pattern", "format"} & set(schema)
    if top or free or not _asks(schema):
        return inner
    outer: dict[str, Any] = {key: inner.pop(key) for key in ("description", "default") if key in inner}
    return {**outer, "anyOf": [inner, _INSTEAD]}


def _asks(schema: Mapping[str, Any]) -> bool:
    """Say whether a schema asks for anything, and does not take every value."""
    return bool(set(schema) - {"description", "default", "readOnly"})
