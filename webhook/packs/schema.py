"""The shape of a rule pack: one JSON Schema, put together from this file and the PARAMS of each check.

How it is published, for editors, is in `webhook.packs.editor`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, islice
from typing import Any, Protocol

from webhook.errors import Problem
from webhook.packs.parse import PROBLEMS, Document
from webhook.packs.sense import sense
from webhook.packs.suggest import near
from webhook.packs.walk import shown, walk

API_VERSION = "plimsoll.dev/v1"
KIND = "RulePack"

MODES = ("enforce", "dry-run", "disabled")
NAMESPACE_MODES = ("dry-run",)
ACTIONS = ("deny", "warn", "audit", "disabled")
EXEMPTED_BY = ("namespaces", "names", "kinds", "containers", "images")

_STRANGERS = {
    "RulePackTest": "it is the test of one: name its file *.test.yaml, and run it by `plimsoll test`",
    "ConfigMap": f"packs in its data are read in a cluster; from files give the {KIND} itself",
}


class CheckModule(Protocol):
    """What the schema needs of a check: its name, the JSON Schema of its parameters, and their defaults."""

    @property
    def ID(self) -> str: ...  # noqa: N802, D102 - the names that the modules under checks/ have
    @property
    def PARAMS(self) -> Mapping[str, Any]: ...  # noqa: N802, D102
    @property
    def DEFAULTS(self) -> Mapping[str, Any]: ...  # noqa: N802, D102


def validate(document: Document, checks: Mapping[str, CheckModule]) -> list[Problem]:
    """Return everything that is wrong with the structure of one pack, sorted; nothing for a sound one.

    After PROBLEMS mistakes it looks no further.
    The document has been through `merge.extend` and `values.substitute`. One that still has `spec.extends`
    is taken as waiting for its base: what it could inherit is not missed. `checks` go by their ID.
    """
    kind = document.value.get("kind")
    misspelt = isinstance(kind, str) and kind not in _STRANGERS and near(kind, [KIND])
    if kind != KIND and not misspelt:
        return [document.problem(("kind",), _stranger(kind))]
    spec = document.value.get("spec")
    waiting = isinstance(spec, dict) and isinstance(spec.get("extends"), str)
    found = chain(
        walk(document, (), document.value, shape(checks, waiting)),
        sense(document, {name: params(checks[name]) for name in _named(spec) if name in checks}, waiting),
    )
    return sorted(set(islice(found, PROBLEMS)))


def _named(spec: object) -> set[str]:
    """Return the names under `check` in the rules of a pack, whatever they are."""
    rules = spec.get("rules") if isinstance(spec, dict) else None
    found = (rule.get("check") for rule in (rules if isinstance(rules, list) else ()) if isinstance(rule, dict))
    return {name for name in found if isinstance(name, str)}


def params(check: CheckModule) -> dict[str, Any]:
    """Return the schema of a check's parameters: closed, with its defaults, asking for none that has one."""
    schema = _closed(check.PARAMS)
    properties = {
        key: {**inner, "default": check.DEFAULTS[key]} if key in check.DEFAULTS else inner
        for key, inner in schema.get("properties", {}).items()
    }
    required = [key for key in schema.get("required", ()) if key not in check.DEFAULTS]
    return {"type": "object", **schema, "properties": properties, "required": required}


def rule_keys(checks: Mapping[str, CheckModule]) -> tuple[str, ...]:
    """Return the keys that a rule may have."""
    return tuple(_rule(checks, waiting=False)["properties"])


def _closed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema with unknown keys forbidden wherever it names keys and does not say otherwise."""
    closed = dict(schema)
    if "properties" in schema:
        closed["properties"] = {key: _closed(inner) for key, inner in schema["properties"].items()}
        closed.setdefault("additionalProperties", False)
    if isinstance(schema.get("items"), Mapping):
        closed["items"] = _closed(schema["items"])
    if isinstance(schema.get("additionalProperties"), Mapping):
        closed["additionalProperties"] = _closed(schema["additionalProperties"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            closed[key] = [_closed(branch) for branch in schema[key]]
    return closed


def _stranger(kind: object) -> str:
    """Return why a document of another kind is no pack, and what to do with it."""
    if kind is None:
        return f"is missing; wanted {KIND}"
    if isinstance(kind, str) and kind in _STRANGERS:
        return f"a {kind} is no pack; {_STRANGERS[kind]}"
    return f"{shown(kind)} is no pack; wanted {KIND}"


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "description": description, **more}


def _word(description: str, words: tuple[str, ...] | list[str], **more: Any) -> dict[str, Any]:
    return {"type": "string", "enum": list(words), "description": description, **more}


def _switch(description: str) -> dict[str, Any]:
    return {"type": "boolean", "default": False, "description": description}


def _name(description: str) -> dict[str, Any]:
    return _text(
        description,
        maxLength=63,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        patternErrorMessage="kebab-case: a-z, 0-9 and -, with a letter or digit at both ends",
    )


def _identifier(description: str) -> dict[str, Any]:
    return _text(
        description,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        patternErrorMessage="an identifier of CEL: letters, digits and _, not beginning with a digit",
    )


def _day(description: str) -> dict[str, Any]:
    return {"type": "string", "format": "date", "description": description}


def _many(items: Mapping[str, Any], description: str, **more: Any) -> dict[str, Any]:
    return {"type": "array", "items": dict(items), "description": description, **more}


def _some(items: Mapping[str, Any], description: str) -> dict[str, Any]:
    # An empty list would match nothing, and so switch rules off without saying so.
    return _many(items, description, minItems=1)


def _object(description: str, properties: Mapping[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    shape = {"type": "object", "description": description, "additionalProperties": False}
    return {**shape, "properties": dict(properties), "required": list(required)}


_GLOB = {"type": "string", "minLength": 1}
_SERVED = {"readOnly": True, "description": "Only the API server writes it."}
_LABEL_KEY = {
    "type": "string",
    "pattern": r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$",
    "patternErrorMessage": "a label key, such as team or example.com/team",
}
_LABEL_VALUE = {
    "type": "string",
    "maxLength": 63,
    "pattern": r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
    "patternErrorMessage": "a label value: letters, digits, -, _ and ., with a letter or digit at both ends",
}
_RESERVED = "as|break|const|continue|else|false|for|function|if|import|in|let|loop|namespace|null|package|return|true"


def _selector(description: str) -> dict[str, Any]:
    expression = _object(
        "One requirement on a label.",
        {
            "key": {**_LABEL_KEY, "description": "The label."},
            "operator": _word("How the label is compared.", ("In", "NotIn", "Exists", "DoesNotExist")),
            "values": _many(_LABEL_VALUE, "Wanted by In and NotIn, not allowed with the others."),
        },
        ("key", "operator"),
    )
    labels = {"type": "object", "propertyNames": _LABEL_KEY, "additionalProperties": _LABEL_VALUE}
    return _object(
        description,
        {
            "matchLabels": {**labels, "description": "Labels and the values they must have."},
            "matchExpressions": _many(expression, "Requirements that must all hold."),
        },
    )


def _match(description: str) -> dict[str, Any]:
    kind = {
        "type": "string",
        "pattern": r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Z][A-Za-z0-9]*$",
        "patternErrorMessage": "a Kind of Kubernetes or group/Kind, such as Deployment or apps.kruise.io/CloneSet",
    }
    condition = _object(
        "A CEL condition on the request, as in admissionregistration.k8s.io.",
        {"name": {**_LABEL_KEY, "description": "Its name."}, "expression": _text("CEL that gives true or false.")},
        ("name", "expression"),
    )
    return _object(
        description,
        {
            "operations": _some(_word("", ("CREATE", "UPDATE")), "Operations that are judged."),
            "kinds": _some(kind, "Kinds, literally; default: those of the check, for CEL every workload kind."),
            "namespaces": _some(_GLOB, "Globs on namespaces; objects of the cluster are never left out by them."),
            "excludeNamespaces": _many(_GLOB, "Globs on namespaces that are left out."),
            "namespaceSelector": _selector("Labels of the namespace."),
            "objectSelector": _selector("Labels of the object; who writes the object writes them too."),
            "names": _some(_GLOB, "Globs on the object's name, or its controller's."),
            "containers": _some(_GLOB, "Globs on container names."),
            "images": _some(_GLOB, "Patterns on normalized image references."),
            "excludeUsers": _many(_GLOB, "Users whose requests are left out."),
            "excludeGroups": _many(_GLOB, "Groups whose requests are left out."),
            "matchConditions": _many(condition, "CEL conditions that must all hold."),
        },
    )


def _patch() -> dict[str, Any]:
    return _object(
        "One operation of a patch on the pod.",
        {
            "op": _word("What is done at the path.", ("add", "replace", "remove")),
            "path": _text(
                "JSON pointer from the pod; * stands for every element of a list.",
                pattern=r"^/(metadata|spec)(/([^/~]|~[01])+)+$",
                patternErrorMessage="a JSON pointer below /metadata/ or /spec/ of the pod, such as /spec/dnsConfig",
            ),
            "value": {"description": "The value that is written."},
            "valueExpression": _text("CEL that gives the value; `item` is the list element."),
        },
        ("op", "path"),
    )


def _rule(checks: Mapping[str, CheckModule], waiting: bool) -> dict[str, Any]:
    name = _identifier("Its name in CEL: variables.<name>.")
    name["pattern"] = rf"^(?!(?:{_RESERVED})$){name['pattern'][1:]}"
    variable = _object("A named CEL expression.", {"name": name, "expression": _text("CEL.")}, ("name", "expression"))
    return _object(
        "One standard: a check with its parameters, a CEL expression, or a patch.",
        {
            "name": _name("Its name in findings, metrics, exemptions and docs; unique in the pack."),
            "check": _word("The check of Plimsoll that tests the standard.", sorted(checks)),
            "params": {"type": "object", "description": "Parameters of the check."},
            "variables": _many(variable, "CEL expressions with names, for the expressions after them."),
            "expression": _text("CEL that is true where the standard is kept."),
            "message": _text("What is said where it is not kept."),
            "messageExpression": _text("CEL that gives the message."),
            "when": _text("CEL that is true where the patch is due: what the rule finds."),
            "patch": _some(_patch(), "What makes the pod keep the standard."),
            "action": _word("What is done with an object that does not keep it.", ACTIONS),
            "enforceFrom": _day("The UTC day from which deny denies; until then it counts as warn."),
            "fix": _switch("Whether the mutating webhook may correct it."),
            "quiet": _switch("Whether to leave out the warning that a fix was applied."),
            "existing": _word("What is done for findings that the old object had.", ("allow", "deny"), default="allow"),
            "onError": _word("What is done when the rule itself fails.", ("deny", "warn", "allow")),
            "onUnknown": _word(
                "What is done when a fact cannot be had.", ("warn", "deny", "allow", "audit"), default="warn"
            ),
            "severity": _word("How bad it is.", ("low", "medium", "high", "critical"), default="medium"),
            "responsible": _word("Who has to act.", ("application", "platform")),
            "description": _text("Why the standard is there."),
            "remediation": _text("What to write instead."),
            "docs": _text("Address of a page that says more."),
            "match": _match("Narrows the scope of the pack."),
        },
        ("name",) if waiting else ("name", "action"),
    )


def _exemption() -> dict[str, Any]:
    properties = {
        key: {**schema, "description": f"Where it holds: {key}."}
        for key, schema in _match("")["properties"].items()
        if key in EXEMPTED_BY
    }
    match = {**_object("Where it holds; all clauses must fit.", properties), "minProperties": 1}
    return _object(
        "Objects that need not keep some rules, for a reason and a time.",
        {
            "rules": _some(_GLOB, "Names of rules of this pack."),
            "match": match,
            "reason": _text("Why it is needed."),
            "owner": _text("Who answers for it."),
            "expires": _day("The last UTC day on which it holds."),
        },
        ("rules", "match", "reason", "owner", "expires"),
    )


def _spec(checks: Mapping[str, CheckModule], waiting: bool) -> dict[str, Any]:
    version = _text(
        "The version of the pack.",
        maxLength=63,
        pattern=r"^[A-Za-z0-9][-A-Za-z0-9._+]*$",
        patternErrorMessage='letters, digits, ".", "-", "_" and "+", such as "2026.11"',
    )
    values = {
        "type": "object",
        "description": "What only a company can know: ${values.x} in rules, values.x in CEL.",
        "propertyNames": _identifier("Its name."),
        "additionalProperties": {},
    }
    return _object(
        "The pack.",
        {
            "version": version,
            "requires": _text("The Plimsoll that it needs, such as >=0.3."),
            "extends": _name("A pack whose values, rules and exemptions this one takes over."),
            "description": _text("What the pack is for."),
            "contact": _text("Whom to ask."),
            "mode": _word("enforce, dry-run (all becomes audit annotations) or disabled.", MODES, default="enforce"),
            "enforceFrom": _day("The UTC day from which deny denies; until then it counts as warn."),
            "allowNamespaceMode": _many(
                _word("", NAMESPACE_MODES), "Modes that namespaces may ask for by their label.", uniqueItems=True
            ),
            "values": values,
            "match": _match("The default scope of the rules."),
            "rules": _some(_rule(checks, waiting), "The rules, in the order in which fixes are made."),
            "exemptions": _many(_exemption(), "Exemptions from rules of this pack."),
        },
        () if waiting else ("rules",),
    )


def shape(checks: Mapping[str, CheckModule], waiting: bool) -> dict[str, Any]:
    """Return the schema of a pack with its values put in; `waiting`: what it could inherit is not missed."""
    strings = {"type": "object", "additionalProperties": {"type": "string"}}
    served = ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp", "managedFields")
    metadata = {
        "name": _name("The name of the pack, once in the cluster."),
        "labels": {**strings, "description": "Labels of the RulePack object."},
        "annotations": {**strings, "description": "Annotations of the RulePack object."},
        **{key: _SERVED for key in (*served, "ownerReferences", "finalizers", "selfLink")},
    }
    return _object(
        "A pack of rules for Plimsoll.",
        {
            "apiVersion": _word("The version of the format.", (API_VERSION,)),
            "kind": _word("What this document is.", (KIND,)),
            "metadata": _object("The name of the pack.", metadata, ("name",)),
            "spec": _spec(checks, waiting),
            "status": _SERVED,
        },
        ("apiVersion", "kind", "metadata", "spec"),
    )
