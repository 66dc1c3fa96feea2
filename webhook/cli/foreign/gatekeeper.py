"""Constraints of Gatekeeper as rules: by the library's kinds, and by the CEL of the ConstraintTemplate beside them.

Gatekeeper judges what it is given, and the library's templates for pods look at Pods alone, not at what makes them.
https://open-policy-agent.github.io/gatekeeper-library/website/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from webhook.cli.foreign import scope, validating
from webhook.cli.foreign.library import LIBRARY
from webhook.cli.foreign.outcome import Outcome, Refusal, Rules, Spec, pack
from webhook.cli.foreign.words import literal
from webhook.cli.objects import Manifest
from webhook.model.pods import group_of, listing, mapping

CONSTRAINTS, TEMPLATES = "constraints.gatekeeper.sh", "templates.gatekeeper.sh"
ENGINE = "K8sNativeValidation"
_ACTIONS = {"deny": "deny", "warn": "warn", "dryrun": "audit"}
_MATCH = {"kinds", "namespaces", "excludedNamespaces", "labelSelector", "namespaceSelector", "scope", "source"}


def read(manifests: Iterable[Manifest], standards: Mapping[str, Sequence[Spec]], name: str) -> Outcome:
    """Return one pack with a rule, or several, for each constraint that can be said here."""
    del standards  # Gatekeeper has no levels
    outcome = Outcome()
    rules = Rules(outcome)
    constraints: list[Manifest] = []
    templates: dict[str, Manifest] = {}
    for manifest in manifests:
        group = group_of(manifest.value["apiVersion"])
        if group == CONSTRAINTS:
            constraints.append(manifest)
        elif group == TEMPLATES:
            names = mapping(mapping(mapping(mapping(manifest.value.get("spec")).get("crd")).get("spec")).get("names"))
            templates[str(names.get("kind"))] = manifest
        elif group.endswith("gatekeeper.sh"):
            outcome.refuse(manifest, "/kind", manifest.value["kind"], "is no constraint; this kind is not read")
        outcome.read += group.endswith("gatekeeper.sh")
    for constraint in constraints:
        _constraint(constraint, templates, rules)
    for kind in sorted(templates.keys() - {constraint.value["kind"] for constraint in constraints}):
        outcome.refuse(templates[kind], "", kind, "no constraint of this kind is given, so it judges nothing")
    if rules.taken:
        outcome.packs.append(pack(name, rules.taken, description="Imported from constraints of Gatekeeper."))
    return outcome


def _constraint(manifest: Manifest, templates: Mapping[str, Manifest], rules: Rules) -> None:
    name = str(mapping(manifest.value.get("metadata")).get("name"))
    try:
        made = _rules(manifest, templates)
    except Refusal as refusal:
        rules.outcome.refuse(manifest, refusal.pointer or "/kind", name, f"{manifest.value['kind']}: {refusal}")
    else:
        rules.add(manifest, "/kind", name, made)


def _rules(manifest: Manifest, templates: Mapping[str, Manifest]) -> list[Spec]:
    kind, spec = manifest.value["kind"], mapping(manifest.value.get("spec"))
    action = str(spec.get("enforcementAction", "deny"))
    if action not in _ACTIONS:
        raise Refusal(f"the action {action} is not known; deny, warn and dryrun are", "/spec/enforcementAction")
    common: Spec = {"action": _ACTIONS[action], "existing": "deny"}
    parameters, match = mapping(spec.get("parameters")), mapping(spec.get("match"))
    source = _source(templates.get(kind))
    if source is not None:
        scoped = _match(match, ())
        scope.is_judged_whole(scoped["kinds"])
        if source.get("failurePolicy") == "Ignore":
            common["onError"] = "allow"
        return [{**rule, **common, "match": scoped} for rule in _expressions(source, parameters)]
    entry = LIBRARY.get(kind)
    if entry is None:
        raise Refusal("no kind of the library that is known here, and no template with CEL; Rego is not translated")
    scoped = _match(match, entry.kinds)
    if entry.whole:
        scope.is_judged_whole(scoped["kinds"])
    if entry.created:
        scoped = {"operations": ["CREATE"], **scoped}
    for key in parameters:
        if key not in entry.parameters:
            raise Refusal(f"the parameter {key} is not known", f"/spec/parameters/{key}")
    return [{**entry.make(parameters), **common, "match": scoped}]


def _source(template: Manifest | None) -> Mapping[str, Any] | None:
    """Return the CEL of a template, None where it has none."""
    spec = mapping(template.value.get("spec")) if template else {}
    for target in listing(spec.get("targets")):
        for code in listing(mapping(target).get("code")):
            if mapping(code).get("engine") == ENGINE:
                return mapping(mapping(code).get("source"))
    return None


def _expressions(source: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[Spec]:
    known = {"validations", "variables", "matchConditions", "failurePolicy", "generateVAP", "generateVAPBinding"}
    if more := source.keys() - known:
        raise Refusal(f"its template has {', '.join(sorted(more))}, which is not translated")
    variables = [{"name": "params", "expression": literal(dict(parameters))}, *scope.entries(source.get("variables"))]
    found = validating.rules(source.get("validations"), variables, source.get("matchConditions"), False, "/kind")
    # Gatekeeper's word for what is admitted: the old object where one is deleted, which is not judged here
    return [_replaced(rule) for rule in found]


def _replaced(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item) for item in value]
    return value.replace("variables.anyObject", "object") if isinstance(value, str) else value


def _match(given: Mapping[str, Any], judged: tuple[str, ...]) -> Spec:
    """Return the scope of a constraint; of its kinds those that its template judges, where that says which."""
    for key in given:
        if key not in _MATCH:
            raise Refusal(f"match.{key} is not translated", f"/spec/match/{key}")
    if given.get("source", "All") == "Generated":
        raise Refusal("judges what Gatekeeper expands, which is not known here", "/spec/match/source")
    match: Spec = {"kinds": _kinds(given.get("kinds"), judged)}
    if given.get("scope", "*") not in ("*", "Namespaced") or (given.get("scope") == "Namespaced" and not judged):
        raise Refusal("a scope is not translated; name the kinds", "/spec/match/scope")
    for theirs, ours in (("namespaces", "namespaces"), ("excludedNamespaces", "excludeNamespaces")):
        if given.get(theirs):
            match[ours] = list(scope.texts(given[theirs], f"/spec/match/{theirs}"))
    for theirs, ours in (("labelSelector", "objectSelector"), ("namespaceSelector", "namespaceSelector")):
        if given.get(theirs):
            match[ours] = scope.selector(given[theirs])
    if "namespaces" in match:
        scope.spaced(match["kinds"])
    return match


def _kinds(given: Any, judged: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    for entry in scope.entries(given or [{}], "/spec/match/kinds"):
        for name in scope.texts(entry.get("kinds") or ["*"], "/spec/match/kinds"):
            for group in scope.texts(entry.get("apiGroups") or ["*"], "/spec/match/kinds"):
                found += _kind(group, name, judged)
    if not found:
        raise Refusal(f"finds nothing in these kinds: its template looks at {', '.join(judged)}", "/spec/match/kinds")
    return list(dict.fromkeys(found))


def _kind(group: str, name: str, judged: tuple[str, ...]) -> list[str]:
    if name == "*" and judged:
        return list(judged)
    if name == "*":
        raise Refusal("all kinds are meant; here they are named", "/spec/match/kinds")
    found = scope.kind("" if group == "*" else group, name)
    return [found] if not judged or found in judged else []
