"""The CustomResourceDefinition of RulePacks, from the schema that packs are loaded by.

Its schema describes and hardly judges. An API server that finds one mistake itself never asks our webhook, and its
users would learn of the others one by one, in other words. So no word, pattern or length is asked for here, and the
value of a key may be anything, as `${values.x}` may stand there, too. What is no pack at all (a `spec` that is a list)
the API server refuses. It prunes keys that a schema does not know, silently where a client does not ask for more: here
it keeps them, so that our webhook sees a misspelt key and names it.
Source of what a structural schema is: kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/
custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webhook.packs.schema import KIND, CheckModule, shape
from webhook.packs.served import GROUP, RESOURCE, VERSION

_KEEP = {"x-kubernetes-preserve-unknown-fields": True}
_TYPES = {
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "a mapping",
    "array": "a list",
}
_CONDITION = ".status.conditions[?(@.type=='Loaded')].status"
_COLUMNS = (
    ("Mode", "string", ".spec.mode", "What it is in force for; enforce where it says nothing.", 0),
    ("Version", "string", ".status.version", "The version that is in force.", 0),
    ("Rules", "integer", ".status.rules", "Rules in force.", 0),
    ("Loaded", "string", _CONDITION, "Whether what is written here is what is in force.", 0),
    ("Denied", "integer", ".status.findings.denied", "Findings that denied, as one replica counted them.", 1),
    ("Age", "date", ".metadata.creationTimestamp", "", 0),
)


def definition(checks: Mapping[str, CheckModule]) -> dict[str, Any]:
    """Return the CustomResourceDefinition, in the order in which people read one."""
    pack = shape(checks, waiting=True)
    schema = {
        "type": "object",
        "description": pack["description"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _object(pack["properties"]["spec"]),
            "status": _status(),
        },
    }
    names = {
        "kind": KIND,
        "listKind": f"{KIND}List",
        "plural": RESOURCE,
        "singular": KIND.lower(),
        "shortNames": ["rp"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{RESOURCE}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Cluster",
            "names": names,
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(*column) for column in _COLUMNS],
                }
            ],
        },
    }


def _column(name: str, kind: str, path: str, text: str, priority: int) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path}
    return column | ({"description": text} if text else {}) | ({"priority": priority} if priority else {})


def _object(schema: Mapping[str, Any], *, frame: bool = True) -> dict[str, Any]:
    """Return a mapping with keys of its own, all of which are kept. Only what is part of the `frame` has to be one."""
    inside = frame and "rules" in schema["properties"]  # spec; below its lists and its match a reference may stand
    properties = {key: _value(inner, frame=inside) for key, inner in schema["properties"].items()}
    return {**({"type": "object"} if frame else {}), **_description(schema), **_KEEP, "properties": properties}


def _value(schema: Mapping[str, Any], *, frame: bool) -> dict[str, Any]:
    if schema.get("properties"):
        return _object(schema, frame=frame)
    items = schema.get("items") or {}
    if items.get("properties") and frame:
        return {"type": "array", **_description(schema), "items": _object(items)}
    return {**_description(schema, _words(schema)), **_KEEP}


def _words(schema: Mapping[str, Any]) -> str:
    """Return what may stand there: a structural schema could say it only by refusing everything else."""
    kind = schema.get("type")
    items = schema.get("items") or {}
    allowed = schema.get("enum") or items.get("enum") or ()
    # a long list is that of the checks, which have a page each
    what = ", ".join(str(word) for word in allowed) if len(allowed) < 10 else ""
    words = f"{_TYPES.get(str(kind), '')}{' of ' if items.get('type') and kind == 'array' else ''}"
    words += _TYPES.get(str(items.get("type")), "") if kind == "array" else ""
    if schema.get("format") == "date":
        words = "a day, YYYY-MM-DD"
    parts = [what or words]
    if schema.get("default") not in (None, False):
        parts.append(f"default: {schema['default']}")
    return "; ".join(part for part in parts if part)


def _description(schema: Mapping[str, Any], words: str = "") -> dict[str, Any]:
    text = str(schema.get("description") or "")
    told = all(word.strip() in text for word in words.partition(";")[0].split(","))
    text = f"{text} ({words})".strip() if words and not told else text
    return {"description": text} if text else {}


def _text(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _count(description: str) -> dict[str, Any]:
    return {"type": "integer", "format": "int64", "minimum": 0, "description": description}


def _time(description: str) -> dict[str, Any]:
    return {"type": "string", "format": "date-time", "description": description}


def _mapping(description: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "description": description, "properties": properties}


def _status() -> dict[str, Any]:
    """Return the schema of the status, which only Plimsoll writes (`webhook.packs.status`)."""
    condition = {
        "type": "object",
        "required": ["type", "status"],
        "properties": {
            "type": _text("Loaded."),
            "status": _text("True, False or Unknown."),
            "reason": _text("One word."),
            "message": _text("Every mistake, a line each."),
            "lastTransitionTime": _time("When the status changed last."),
            "observedGeneration": _count("The generation of the pack that this is about."),
        },
    }
    conditions = {
        "type": "array",
        "description": "Loaded: whether what is written here is what is in force.",
        "items": condition,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    }
    rule = _mapping(
        "",
        name=_text("The rule."),
        denied=_count("Findings that denied."),
        warned=_count("Findings that warned."),
        audited=_count("Findings that were only noted, as in a dry run."),
    )
    rule.pop("description")
    findings = _mapping(
        "What one replica has found since it began: a sample; the metric plimsoll_findings_total has all.",
        observedBy=_text("The pod that counted."),
        since=_time("When it began to count."),
        denied=_count("Findings of all rules that denied."),
        rules={"type": "array", "description": "By rule; those that found nothing are left out.", "items": rule},
    )
    return _mapping(
        "What Plimsoll has made of the pack.",
        observedGeneration=_count("The generation of the pack that the status is about."),
        conditions=conditions,
        version=_text("The version that is in force."),
        rules=_count("Rules that are in force."),
        findings=findings,
        lastGood=_text(
            "The last good text, as JSON, while what is written can't be loaded: it is in force, also in servers that "
            "start meanwhile."
        ),
    )
