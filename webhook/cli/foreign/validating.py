"""Kyverno's ValidatingPolicy (`policies.kyverno.io`), and expressions as in ValidatingAdmissionPolicy, as rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from webhook.cli.foreign import scope
from webhook.cli.foreign.outcome import Refusal, Rules, Spec
from webhook.cli.objects import Manifest
from webhook.model import pointer as pointers
from webhook.model.pods import listing, mapping

_SPEC = {
    "matchConstraints", "matchConditions", "variables", "validations", "validationActions", "failurePolicy", "autogen",
    "evaluation", "auditAnnotations", "webhookConfiguration",
}  # fmt: skip
_ACTIONS = {"Deny": "deny", "Warn": "warn", "Audit": "audit"}
_STRING = r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\""
_WORD = re.compile(rf"{_STRING}|(?<![\w.])object\b(\.(?:spec|metadata)\b)?|(?<![\w.])(?:oldObject|request)\b")
AUTOGEN = "pod-policies.kyverno.io/autogen-controllers"
"""The annotation by which a policy says for which controllers Kyverno makes rules."""


def policy(manifest: Manifest, into: Rules) -> None:
    """Import a ValidatingPolicy: a rule for each of its validations."""
    name = str(mapping(manifest.value.get("metadata")).get("name"))
    try:
        made = list(_policy(manifest, mapping(manifest.value.get("spec"))))
    except Refusal as refusal:
        into.outcome.refuse(manifest, refusal.pointer or "/spec", name, str(refusal))
        return
    into.add(manifest, "/spec", name, made)


def _policy(manifest: Manifest, spec: Mapping[str, Any]) -> Iterator[Spec]:
    for key in spec:
        if key not in _SPEC:
            raise Refusal(f"{key}: this part is not imported", f"/spec/{key}")
    if mapping(mapping(spec.get("evaluation")).get("admission")).get("enabled") is False:
        raise Refusal("judges nothing at admission", "/spec/evaluation")
    if mapping(spec.get("evaluation")).get("mode") not in (None, "Kubernetes"):
        raise Refusal("judges JSON that is no object of Kubernetes", "/spec/evaluation")
    match, templates = _match(manifest, spec)
    common: Spec = {"action": _action(spec)}
    if spec.get("failurePolicy") == "Ignore":
        common["onError"] = "allow"
    common["existing"] = "deny"
    given = (spec.get("validations"), spec.get("variables"), spec.get("matchConditions"))
    for rule in rules(*given, templates, "/spec"):
        yield {**rule, **common, "match": match}


def _action(spec: Mapping[str, Any]) -> str:
    given = scope.texts(spec.get("validationActions") or ["Deny"], "/spec/validationActions")
    if unknown := [action for action in given if action not in _ACTIONS]:
        raise Refusal(f"the action {', '.join(unknown)} is not known", "/spec/validationActions")
    return next(ours for theirs, ours in _ACTIONS.items() if theirs in given)


def _match(manifest: Manifest, spec: Mapping[str, Any]) -> tuple[Spec, bool]:
    """Return the scope, and whether rules for pod templates are made from those for Pods."""
    constraints, place = mapping(spec.get("matchConstraints")), "/spec/matchConstraints"
    for key in constraints.keys() - {"resourceRules", "namespaceSelector", "objectSelector", "matchPolicy"}:
        raise Refusal(f"{key}: this part is not imported", f"{place}/{key}")
    kinds, operations = _resources(
        scope.entries(constraints.get("resourceRules"), f"{place}/resourceRules"), f"{place}/resourceRules"
    )
    match: Spec = {"kinds": kinds, "operations": operations}
    for key in ("namespaceSelector", "objectSelector"):
        if constraints.get(key):
            match[key] = scope.selector(constraints[key])
    if manifest.value["kind"].startswith("Namespaced"):
        match["namespaces"] = [str(mapping(manifest.value.get("metadata")).get("namespace") or "default")]
    if match.keys() & {"namespaces", "namespaceSelector"}:
        scope.spaced(kinds)
    more = _controllers(manifest, spec) if kinds == ["Pod"] and not match.keys() & {*_SELECTORS} else []
    if not more and kinds != ["Pod"]:
        scope.is_judged_whole(kinds)
    match["kinds"] = [*kinds, *more]
    return match, bool(more)


_SELECTORS = ("namespaceSelector", "objectSelector")


def _controllers(manifest: Manifest, spec: Mapping[str, Any]) -> list[str]:
    known = {plural: kind for kind, plural in scope.CONTROLLERS if plural != "replicationcontrollers"}
    annotations = mapping(mapping(manifest.value.get("metadata")).get("annotations"))
    wanted = mapping(mapping(spec.get("autogen")).get("podControllers")).get("controllers")
    if wanted is None and AUTOGEN in annotations:
        wanted = str(annotations[AUTOGEN]).split(",")
    return [kind for plural, kind in sorted(known.items()) if wanted is None or plural in listing(wanted)]


def _resources(entries: Iterable[Mapping[str, Any]], pointer: str) -> tuple[list[str], list[str]]:
    kinds: list[str] = []
    operations: set[tuple[str, ...]] = set()
    for number, entry in enumerate(entries):
        place = pointers.join(pointer, number)
        if entry.keys() - {"apiGroups", "apiVersions", "operations", "resources", "scope"}:
            raise Refusal("names of resources are not translated", place)
        if entry.get("scope", "*") != "*":
            raise Refusal("a scope is not translated", place)
        groups, plurals = scope.texts(entry.get("apiGroups"), place), scope.texts(entry.get("resources"), place)
        kinds += [scope.of_resource(group, plural) for group in groups for plural in plurals]
        given = scope.texts(entry.get("operations"), place)
        if "*" in given or any(name not in ("CREATE", "UPDATE") for name in given):
            raise Refusal(f"{', '.join(given)}: CREATE and UPDATE are judged here, and no others", place)
        operations.add(tuple(sorted(given)))
    if len(operations) != 1 or not kinds:
        raise Refusal("names no resources, or has other operations for some of them than for others", pointer)
    return list(dict.fromkeys(kinds)), list(operations.pop())


def rules(validations: Any, variables: Any, conditions: Any, templates: bool, pointer: str) -> Iterator[Spec]:
    """Yield a rule for each validation, which holds where the conditions do.

    With `templates` they read the pod template in place of the object.
    """

    def said(text: Any) -> str:
        if not isinstance(text, str):
            raise Refusal("an expression is missing", pointer)
        return on_pod(text.strip(), pointer) if templates else text.strip()

    named = [
        {"name": variable.get("name"), "expression": said(variable.get("expression"))}
        for variable in scope.entries(variables, pointer)
    ]
    where = " && ".join(f"({said(entry.get('expression'))})" for entry in scope.entries(conditions, pointer))
    entries = scope.entries(validations, pointer)
    if not entries:
        raise Refusal("has no validations", pointer)
    for entry in entries:
        expression = said(entry.get("expression"))
        rule: Spec = {"variables": named} if named else {}
        rule["expression"] = f"!({where}) || ({expression})" if where else expression
        rule["message"] = " ".join(str(entry.get("message") or f"this holds: {expression}").split())
        if entry.get("messageExpression"):
            rule["messageExpression"] = said(entry["messageExpression"])
        yield rule


def on_pod(text: str, pointer: str) -> str:
    """Return an expression on a Pod as one on the pod template, wherever it stands.

    Raises Refusal where it reads more than spec and metadata, since that is not the same in a workload.
    """

    def turned(match: re.Match[str]) -> str:
        word = match[0]
        if word[0] in "'\"":
            return word
        if match[1] is None:
            raise Refusal(f"reads {word}, which is not the same in workloads as in Pods", pointer)
        return f"pod{match[1]}"

    return _WORD.sub(turned, text)
