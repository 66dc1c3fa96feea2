"""Policies of Kyverno (`kyverno.io`) as rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webhook.cli.foreign import scope, validating
from webhook.cli.foreign.outcome import Outcome, Refusal, Rules, Spec, pack
from webhook.cli.foreign.pattern import any_of, translate
from webhook.cli.foreign.words import literal
from webhook.cli.objects import Manifest
from webhook.model import pointer as pointers
from webhook.model.pods import group_of, listing, mapping

GROUPS = ("kyverno.io", "policies.kyverno.io")
_OURS = {"Enforce": "deny", "Audit": "audit"}
_VALIDATE = {
    "message", "failureAction", "allowExistingViolations", "pattern", "anyPattern", "cel", "podSecurity", "deny",
}  # fmt: skip
_ELSEWHERE = {"mutate": "a mutation", "generate": "generating objects", "verifyImages": "a signature of an image"}
_SPEC = {
    "rules", "validationFailureAction", "failurePolicy", "background", "admission", "applyRules", "emitWarning",
    "webhookTimeoutSeconds", "webhookConfiguration", "schemaValidation", "useServerSideApply", "generateExisting",
    "generateExistingOnPolicyUpdate", "mutateExistingOnPolicyUpdate",
}  # fmt: skip
_FILTER = {"resources", "subjects"}
_RESOURCES = {"kinds", "namespaces", "operations", "selector", "namespaceSelector"}
_OPERATION = re.compile(r"\{\{\s*request\.operation\s*(\|\|\s*'BACKGROUND'\s*)?\}\}\Z")
_ANY_CONTAINER = r"\[\s*(?=[^\]]*\bcontainers\b)(?=[^\]]*\binitContainers\b)(?=[^\]]*\bephemeralContainers\b)[\w\s,]*\]"
_EACH = re.compile(rf"\{{\{{\s*request\.object\.spec\.{_ANY_CONTAINER}\[\]\.([A-Za-z.]+)\[\]\s*\}}\}}\Z")
_PODS: Mapping[str, Any] = {"metadata": True, "spec": True}


@dataclass(frozen=True, slots=True)
class Policy:
    """A ClusterPolicy or Policy, and the packs whose controls `podSecurity` refers to."""

    manifest: Manifest
    standards: Mapping[str, Sequence[Spec]]

    @property
    def spec(self) -> Mapping[str, Any]:
        """Return its spec."""
        return mapping(self.manifest.value.get("spec"))

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Return its metadata."""
        return mapping(self.manifest.value.get("metadata"))

    @property
    def controllers(self) -> list[str]:
        """Return the kinds, beside Pod, for which Kyverno makes rules from those for Pods."""
        rules = [mapping(rule) for rule in listing(self.spec.get("rules"))]
        if not all(_may_be_more_than_pods(rule) for rule in rules):
            return []
        known = [kind for kind, _ in scope.CONTROLLERS]
        wanted = mapping(self.metadata.get("annotations")).get(validating.AUTOGEN)
        if wanted is None:
            return known
        return [name for name in known if name in str(wanted).replace(" ", "").split(",")]


def read(manifests: Iterable[Manifest], standards: Mapping[str, Sequence[Spec]], name: str) -> Outcome:
    """Return one pack with all rules that can be said here; `standards` are the rules of our pod-security packs."""
    outcome = Outcome()
    rules = Rules(outcome)
    for manifest in manifests:
        group, kind = group_of(manifest.value["apiVersion"]), manifest.value["kind"]
        if group not in GROUPS:
            continue
        outcome.read += 1
        if (group, kind) in (("kyverno.io", "ClusterPolicy"), ("kyverno.io", "Policy")):
            _policy(Policy(manifest, standards), rules)
        elif kind in ("ValidatingPolicy", "NamespacedValidatingPolicy"):
            validating.policy(manifest, rules)
        else:
            outcome.refuse(manifest, "/kind", manifest.value["kind"], "no rules that validate; this kind is not read")
    if rules.taken:
        outcome.packs.append(pack(name, rules.taken, description="Imported from policies of Kyverno."))
    return outcome


def _policy(policy: Policy, rules: Rules) -> None:
    name = str(policy.metadata.get("name"))
    entries = listing(policy.spec.get("rules"))
    for number, rule in enumerate(entries):
        pointer = f"/spec/rules/{number}"
        title = name if name == mapping(rule).get("name") else f"{name}-{mapping(rule).get('name')}"
        try:
            made = list(_rule(policy, mapping(rule), pointer))
        except Refusal as refusal:
            rules.outcome.refuse(policy.manifest, refusal.pointer or pointer, title, str(refusal))
        else:
            rules.add(policy.manifest, pointer, title, made)
    if not entries:
        rules.outcome.refuse(policy.manifest, "/spec", name, "has no rules")


def _rule(policy: Policy, rule: Mapping[str, Any], pointer: str) -> Iterator[Spec]:
    _only(
        rule,
        {"name", "match", "exclude", "validate", "preconditions", "celPreconditions", "skipBackgroundRequests"},
        pointer,
    )
    _of_policy(policy.spec)
    validate = mapping(rule.get("validate"))
    _only(validate, _VALIDATE, f"{pointer}/validate")
    action = _action(policy.spec, validate)
    operations = _operations(rule.get("preconditions"), f"{pointer}/preconditions")
    common: Spec = {"action": action}
    hooked = mapping(policy.spec.get("webhookConfiguration"))
    if "Ignore" in (policy.spec.get("failurePolicy"), hooked.get("failurePolicy")):
        common["onError"] = "allow"
    for match, pods in _scopes(policy, rule, pointer):
        if operations:
            match = {"operations": operations, **match}
        for body in _bodies(policy, rule, match, pods, f"{pointer}/validate"):
            yield {**body, **_message(policy, validate, body), **common, **_existing(validate), "match": match}


def _existing(validate: Mapping[str, Any]) -> Spec:
    # Kyverno lets violations be that the old object had, but for expressions
    return {"existing": "deny"} if validate.get("allowExistingViolations") is False or "cel" in validate else {}


def _only(given: Mapping[str, Any], known: set[str], pointer: str) -> None:
    for key in given:
        if key not in known:
            raise Refusal(f"{key}: {_ELSEWHERE.get(key, 'this part')} is not imported", pointers.join(pointer, key))


def _of_policy(spec: Mapping[str, Any]) -> None:
    """Raise Refusal where a policy as a whole has what its rules cannot have here."""
    _only(spec, _SPEC, "/spec")
    _only(mapping(spec.get("webhookConfiguration")), {"failurePolicy", "timeoutSeconds"}, "/spec/webhookConfiguration")
    if spec.get("admission") is False:
        raise Refusal("judges nothing at admission", "/spec/admission")
    if spec.get("applyRules") == "One":
        raise Refusal("rules of which only the first counts are not known here", "/spec/applyRules")


def _action(spec: Mapping[str, Any], validate: Mapping[str, Any]) -> str:
    given = str(validate.get("failureAction") or spec.get("validationFailureAction") or "Audit").capitalize()
    if given not in _OURS:
        raise Refusal(f"the action {given} is not known")
    return "warn" if given == "Audit" and spec.get("emitWarning") is True else _OURS[given]


def _message(policy: Policy, validate: Mapping[str, Any], body: Spec) -> Spec:
    if "message" in body or "check" in body:
        return {}  # a check says itself what is wanted
    text = validate.get("message")
    if isinstance(text, str) and text.strip() and "{{" not in text:
        return {"message": " ".join(text.split())}
    return {"message": f"the policy {policy.metadata.get('name')} is kept"}


def _operations(conditions: Any, pointer: str) -> list[str] | None:
    """Return the operations that preconditions leave, None for all. Raises Refusal for conditions of other kinds."""
    if not conditions:
        return None
    if isinstance(conditions, list):
        conditions = {"all": conditions}
    if not isinstance(conditions, dict):
        raise Refusal("are no conditions", pointer)
    _only(conditions, {"all", "any"}, pointer)
    left = ["CREATE", "UPDATE"]
    for quantifier, listed in conditions.items():
        entries = scope.entries(listed, pointer)
        if quantifier == "any" and len(entries) > 1:
            raise Refusal("several preconditions of which one is enough are not translated", pointer)
        for entry in entries:
            key, value = str(entry.get("key")), entry.get("value")
            values = value if isinstance(value, list) else [value]
            if not _OPERATION.match(key):
                raise Refusal(f"the precondition {key} is JMESPath, and not translated", pointer)
            operator = entry.get("operator")
            if operator not in ("Equals", "In", "AnyIn", "NotEquals", "NotIn", "AnyNotIn"):
                raise Refusal(f"the operator {operator} is not translated", pointer)
            inside = operator in ("Equals", "In", "AnyIn")
            left = [name for name in left if (name in values) is inside]
    if not left:
        raise Refusal("holds for neither CREATE nor UPDATE", pointer)
    return None if len(left) == 2 else left


def _scopes(policy: Policy, rule: Mapping[str, Any], pointer: str) -> Iterator[tuple[Spec, bool]]:
    """Yield the scopes of a rule, each with whether it is about pods and their templates."""
    filters = _filters(rule.get("match"), f"{pointer}/match")
    if not filters:
        raise Refusal("match is missing", pointer)
    left_out = _filters(rule.get("exclude"), f"{pointer}/exclude")
    for place, one in _joined(filters):
        match = _match(policy, one, place)
        pods = match["kinds"] == ["Pod"]
        for elsewhere, other in left_out:
            _exclude(match, other, elsewhere)
        if pods:
            match["kinds"] = ["Pod", *policy.controllers]
        if match.keys() & {"namespaces", "excludeNamespaces", "namespaceSelector"}:
            scope.spaced(match["kinds"])
        yield match, pods


def _filters(given: Any, pointer: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the filters of which one is enough, each with its place."""
    if not given:
        return []
    if not isinstance(given, dict):
        raise Refusal("is no mapping", pointer)
    if "any" not in given and "all" not in given:
        return [(pointer, given)]
    _only(given, {"any", "all"}, pointer)
    ways = {way: scope.entries(given.get(way), pointers.join(pointer, way)) for way in ("any", "all")}
    if len(ways["all"]) > 1 or all(ways.values()):
        raise Refusal("several filters that all have to fit are not translated", f"{pointer}/all")
    return [(pointers.join(pointer, way, number), one) for way in ways for number, one in enumerate(ways[way])]


def _joined(filters: list[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the filters, those that name nothing but kinds as one."""
    bare = [one for _, one in filters if one.keys() == {"resources"} and mapping(one["resources"]).keys() == {"kinds"}]
    if len(bare) < 2:
        return filters
    together = {"resources": {"kinds": [kind for one in bare for kind in listing(one["resources"]["kinds"])]}}
    return [(filters[0][0], together), *((place, one) for place, one in filters if one not in bare)]


def _match(policy: Policy, one: Mapping[str, Any], pointer: str) -> Spec:
    _only(one, _FILTER, pointer)
    resources = mapping(one.get("resources"))
    _only(resources, _RESOURCES, f"{pointer}/resources")
    kinds = [_kind(name) for name in scope.texts(resources.get("kinds") or [], f"{pointer}/resources")]
    if not kinds:
        raise Refusal("names no kinds", pointer)
    match: Spec = {"kinds": list(dict.fromkeys(kinds))}
    if resources.get("operations"):
        match["operations"] = _admitted(resources["operations"], pointer)
    if resources.get("namespaces"):
        match["namespaces"] = list(scope.texts(resources["namespaces"], f"{pointer}/resources"))
    if policy.manifest.value["kind"] == "Policy":
        if "namespaces" in match:
            raise Refusal("a Policy that names namespaces holds in its own alone", pointer)
        match["namespaces"] = [str(policy.metadata.get("namespace") or "default")]
    for key, ours in (("selector", "objectSelector"), ("namespaceSelector", "namespaceSelector")):
        if resources.get(key):
            match[ours] = scope.selector(resources[key])
    if one.get("subjects"):
        asked = scope.asked_by(scope.subject(given) for given in scope.entries(one["subjects"], pointer))
        match["matchConditions"] = [{"name": "asked-by", "expression": asked}]
    return match


def _admitted(operations: Any, pointer: str) -> list[str]:
    for operation in scope.texts(operations, f"{pointer}/resources/operations"):
        if operation not in ("CREATE", "UPDATE"):
            raise Refusal(f"{operation} is not judged here; CREATE and UPDATE are", f"{pointer}/resources/operations")
    return list(operations)


def _kind(name: Any) -> str:
    group, *rest = str(name).split("/")
    if not rest:
        return scope.kind("", group)
    if len(rest) == 1:  # version/Kind
        return scope.kind("", rest[0])
    return scope.kind(group, rest[-1])


def _exclude(match: Spec, one: Mapping[str, Any], pointer: str) -> None:
    """Take out of a match what a filter of `exclude` fits. Raises Refusal where one clause does not say it."""
    _only(one, _FILTER, pointer)
    resources = mapping(one.get("resources"))
    _only(resources, {"kinds", "namespaces"}, f"{pointer}/resources")
    kinds = [_kind(name) for name in scope.texts(resources.get("kinds") or [], f"{pointer}/resources")]
    left = [kind for kind in match["kinds"] if kind not in kinds]
    if kinds and left and len(left) < len(match["kinds"]) and len(one) + len(resources) > 2:
        raise Refusal("leaves out some kinds in some places, which one clause cannot say here", pointer)
    if kinds and left == match["kinds"]:
        return  # nothing that is matched
    if kinds and "namespaces" not in resources and not one.get("subjects"):
        if not left:
            raise Refusal("leaves out all that is matched", pointer)
        match["kinds"] = left
    elif resources.get("namespaces") and not one.get("subjects"):
        match["excludeNamespaces"] = [
            *match.get("excludeNamespaces", ()),
            *scope.texts(resources["namespaces"], pointer),
        ]
    elif one.get("subjects") and not resources.get("namespaces"):
        for what, name in (scope.subject(given) for given in scope.entries(one["subjects"], pointer)):
            key = f"exclude{what}s"
            match[key] = [*match.get(key, ()), name]
    else:
        raise Refusal("leaves out some users in some places, which one clause cannot say here", pointer)


def _may_be_more_than_pods(rule: Mapping[str, Any]) -> bool:
    """Say whether a rule lets Kyverno make rules for controllers: kinds alone, and no selectors or names."""
    for part in ("match", "exclude"):
        given = mapping(rule.get(part))
        entries = [*listing(given.get("any")), *listing(given.get("all"))] or [given]
        for resources in (mapping(mapping(entry).get("resources")) for entry in entries):
            kinds = [str(kind).rpartition("/")[2] for kind in listing(resources.get("kinds"))]
            if resources.keys() & {"name", "names", "selector", "annotations"} or (len(kinds) > 1 and "Pod" in kinds):
                return False
    return not (rule.get("mutate") or rule.get("generate"))


def _bodies(policy: Policy, rule: Mapping[str, Any], match: Spec, pods: bool, pointer: str) -> Iterator[Spec]:
    """Yield what the rules judge by: one for a pattern, one for each expression or control."""
    validate = mapping(rule.get("validate"))
    ways = [key for key in ("pattern", "anyPattern", "cel", "podSecurity", "deny") if key in validate]
    if len(ways) != 1:
        raise Refusal("foreach, or nothing, is validated; neither is imported", pointer)
    way, place = ways[0], f"{pointer}/{ways[0]}"
    if rule.get("celPreconditions") and way != "cel":
        raise Refusal("celPreconditions without cel are not known", place)
    if not pods:
        if way in ("podSecurity", "deny"):
            raise Refusal("is translated where the rule matches Pod alone", place)
        scope.is_judged_whole(match["kinds"])
    root, given = ("pod", _PODS) if pods else ("object", {"metadata": True})
    if way == "pattern":
        yield {"expression": translate(validate[way], root, given, place)}
    elif way == "anyPattern":
        yield {"expression": any_of(listing(validate[way]), root, given, place)}
    elif way == "deny":
        yield {"expression": _denied(mapping(validate[way]), place)}
    elif way == "podSecurity":
        yield from _controls(policy, mapping(validate[way]), place)
    else:
        given = mapping(validate[way])
        _only(given, {"expressions", "variables", "auditAnnotations"}, place)
        yield from validating.rules(
            given.get("expressions"),
            given.get("variables"),
            rule.get("celPreconditions"),
            len(match["kinds"]) > 1 and pods,
            place,
        )


def _controls(policy: Policy, given: Mapping[str, Any], pointer: str) -> Iterator[Spec]:
    _only(given, {"level", "version"}, pointer)
    if given.get("version", "latest") not in ("latest", "v1.37"):
        raise Refusal(f"the controls as of {given['version']} are not here; those of latest are", pointer)
    level = str(given.get("level"))
    if level not in policy.standards:
        raise Refusal(f"the level {level} has no controls; baseline and restricted have", pointer)
    for rule in policy.standards[level]:
        kept = {key: rule[key] for key in rule if key not in ("action", "match", "existing", "onError")}
        yield {**kept, "name": f"{policy.metadata.get('name')}-{rule['name']}"}


def _denied(given: Mapping[str, Any], pointer: str) -> str:
    """Return CEL for denials of values that a list of every container has, or lacks: the libraries' capabilities."""
    conditions = given.get("conditions")
    entries = [one for way in ("any", "all") for one in listing(mapping(conditions).get(way))]
    if len(entries) != 1:
        raise Refusal("several conditions, or conditions of an old form, are not translated", pointer)
    entry = mapping(entries[0])
    path, values = _EACH.match(str(entry.get("key"))), entry.get("value")
    if path is None:
        raise Refusal(f"the condition {entry.get('key')} is JMESPath, and not translated", pointer)
    if not isinstance(values, list) or any(not isinstance(v, str) or set(v) & set("*?{") for v in values):
        raise Refusal("its value is no list of plain texts", pointer)
    tests = {"AnyNotIn": f"v in {literal(values)}", "AnyIn": f"!(v in {literal(values)})"}
    if entry.get("operator") not in tests:
        raise Refusal(f"the operator {entry.get('operator')} is not translated", pointer)
    field = "".join(f".?{key}" for key in path[1].split("."))
    return f"containers.all(c, c{field}.orValue([]).all(v, {tests[entry['operator']]}))"
