"""One rule to its policies and their bindings, or to the sentence that says why there are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from webhook.checks import CHECKS
from webhook.checks.spoken import Spoken, Unspoken, literal
from webhook.cli.vap.places import Place, places
from webhook.cli.vap.scope import Matched, matched
from webhook.cli.vap.text import decided, grouped, since, translated
from webhook.engine.mode import NAMESPACE_LABEL, effective
from webhook.model.decision import Action
from webhook.packs.match import Known
from webhook.packs.parse import Document
from webhook.packs.rule import Rule, Ruleset

API = "admissionregistration.k8s.io/v1"
_ACTIONS: Mapping[Action, list[str]] = {"deny": ["Deny", "Audit"], "warn": ["Warn", "Audit"], "audit": ["Audit"]}
_HERE = Known({}, ())


@dataclass(frozen=True, slots=True)
class Wishes:
    """How to export: on which day, whether `existing` counts as deny everywhere, and which namespaces alone."""

    now: datetime
    existing_denied: bool = False
    namespaces: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exported:
    """What came of one rule: documents, what it does not carry (each a sentence), and what to know about it."""

    rule: str
    documents: tuple[dict[str, Any], ...] = ()
    lacking: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Body:
    """A rule in the words of packs: kept where `expression` is true, `found` says what was found, where it can."""

    expression: str
    found: str
    wanted: str
    variables: tuple[tuple[str, str], ...]
    typed: bool = True


def export(ruleset: Ruleset, documents: Sequence[Document], wishes: Wishes) -> Iterator[Exported]:
    """Yield what comes of each rule, in the order of packs and rules; `documents` are the packs as written."""
    specs = {document.value["metadata"]["name"]: document.value["spec"] for document in documents}
    for rule in ruleset.rules:
        spec = specs[rule.pack.name]
        entry = next(one for one in spec["rules"] if one["name"] == rule.about.rule)
        try:
            yield _rule(ruleset, rule, spec, entry, wishes)
        except Unspoken as error:
            yield Exported(rule.label, lacking=(str(error),))


def _rule(ruleset: Ruleset, rule: Rule, spec: Mapping[str, Any], entry: Mapping[str, Any], wishes: Wishes) -> Exported:
    actions, failure, notes = _enforced(ruleset, rule, wishes)
    body = _body(rule, entry)
    if rule.on_replicas:
        raise Unspoken("it judges scaling too, whose object is a Scale and not the workload")
    found, out = places(rule, ruleset.kinds)
    given = [match for match in (spec.get("match"), entry.get("match")) if match]
    made: list[dict[str, Any]] = []
    for place in found:
        name = f"{rule.pack.name}.{rule.about.rule}.{place.name}"
        scope = matched(rule, given, literal(spec.get("values", {})), place, ruleset.kinds, wishes.now)
        made.append(_policy(name, rule, body, place, scope, failure, spec.get("values", {})))
        made += _bindings(name, rule, actions, wishes)
        ends = scope.expires
    if made and ends:
        notes.append(f"an exemption ends with {ends[0]}, and the policy does not know: export again after it")
    lacking = tuple(f"{', '.join(kinds)}: {why}" for why, kinds in out.items())
    return Exported(rule.label, tuple(made), lacking, tuple(notes))


def _enforced(ruleset: Ruleset, rule: Rule, wishes: Wishes) -> tuple[list[str], str, list[str]]:
    """Return validationActions, failurePolicy, and what to know. Raises Unspoken."""
    action = effective(rule, rule.about.action, _HERE, wishes.now, ruleset.dry_run)
    if action not in _ACTIONS:
        raise Unspoken("it is disabled")
    error = effective(rule, rule.on_error, _HERE, wishes.now, ruleset.dry_run)
    if error in _ACTIONS and error != action:
        raise Unspoken(f"its errors are to {error} and its findings to {action}; a policy does the same with both")
    if action == "deny" and rule.existing and not wishes.existing_denied:
        raise Unspoken(
            "`existing: allow` lets through what a stored workload had before, and the pods that its controller makes "
            "of it, which a policy cannot look up; write `existing: deny`, or export with --existing deny"
        )
    notes = []
    if rule.enforce_from is not None and wishes.now.date() < rule.enforce_from and action == "warn":
        notes.append(f"it warns until {rule.enforce_from} and is to deny then: export again on that day")
    if rule.fix and rule.mutation is None:
        notes.append("its fix is not exported: what Plimsoll would mend, the policy refuses or reports")
    return _ACTIONS[action], "Fail" if error in _ACTIONS else "Ignore", notes


def _body(rule: Rule, entry: Mapping[str, Any]) -> _Body:
    variables = tuple((one["name"], one["expression"]) for one in entry.get("variables") or ())
    if rule.expression is not None:
        wanted = rule.expression.message or "the expression is not true"
        return _Body(
            entry["expression"], entry.get("messageExpression", ""), wanted, variables, rule.expression.holds.typed
        )
    if rule.mutation is not None:
        wanted = rule.mutation.message or f"the patch of this rule applies: {rule.mutation.wanted}"
        return _Body(f"!{grouped(entry['when'])}", "", wanted, variables)
    module = CHECKS[rule.check_name]
    if isinstance(module.CEL, str):
        raise Unspoken(module.CEL)
    spoken: Spoken = module.CEL({**module.DEFAULTS, **entry.get("params", {})})
    return _Body(spoken.expression, spoken.found, f"see check {module.ID}", spoken.variables)


def _policy(
    name: str, rule: Rule, body: _Body, place: Place, scope: Matched, failure: str, values: Mapping[str, Any]
) -> dict[str, Any]:
    taken = {variable for variable, _ in body.variables}
    ours = {word: _free(word, taken) for word in ("pod", "containers", "values")}
    words = {word: f"variables.{variable}" for word, variable in ours.items()}
    own = {"pod": place.pod(), "containers": place.containers(words["pod"], scope.kept), "values": literal(values)}
    variables = [{"name": one, "expression": translated(text, words)} for one, text in body.variables]
    expression = decided(translated(body.expression, words), body.typed)
    found = translated(body.found, words) if body.found else ""
    if scope.kept != "true":
        images = f"{words['pod']}.spec.?volumes.orValue([]).exists(v, has(v.image))"
        expression = f"({words['containers']}.size() == 0 && !{images}) || {grouped(expression)}"
    if there := place.there():
        # no condition of the match: where one of those fails, the rule fails, whatever the object is
        expression = f"!({there}) || {grouped(expression)}"
    texts = [expression, found, *(one["expression"] for one in variables)]
    used = _used(own, words, texts)
    spec: dict[str, Any] = {
        "failurePolicy": failure,
        "matchConstraints": {
            **({"namespaceSelector": scope.namespace_selector} if scope.namespace_selector else {}),
            **({"objectSelector": scope.object_selector} if scope.object_selector else {}),
            "resourceRules": place.resource_rules(rule.operations),
        },
        "matchConditions": list(scope.conditions),
        "variables": [{"name": ours[word], "expression": own[word]} for word in used] + variables,
        "validations": [_validation(rule, body, expression, found)],
    }
    every = [*texts, *own.values(), *(one["expression"] for one in scope.conditions)]
    metadata: dict[str, Any] = {"name": name, "labels": _labels(rule), "annotations": _annotations(rule, scope, every)}
    return {
        "apiVersion": API,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": metadata,
        "spec": {key: value for key, value in spec.items() if value},
    }


def _free(word: str, taken: set[str]) -> str:
    return word if word not in taken else _free(f"{word}_", taken)


def _used(own: Mapping[str, str], words: Mapping[str, str], texts: list[str]) -> list[str]:
    """Return which of our words the texts use, in the order in which they hang on one another."""
    everything = "\n".join([*texts, own["containers"]] if words["containers"] in "\n".join(texts) else texts)
    return [word for word in own if words[word] in everything]


def _validation(rule: Rule, body: _Body, expression: str, found: str) -> dict[str, Any]:
    about = rule.about
    advice = f"; {about.remediation}" if about.remediation else ""
    whom = f" (ask {about.contact})" if about.contact else ""
    start = f"{rule.label}: {body.wanted}"
    result = {"expression": expression, "message": _line(f"{start}{advice}{whom}"), "reason": "Forbidden"}
    if found:
        result["messageExpression"] = (
            f"{literal(_line(start) + ': ')} + {grouped(found)} + {literal(_line(advice + whom))}"
        )
    return result


def _line(text: str) -> str:
    return " ".join(text.split()) if text == text.lstrip() else " " + " ".join(text.split())


def _labels(rule: Rule) -> dict[str, str]:
    return {"app.kubernetes.io/managed-by": "plimsoll-export", "plimsoll.dev/pack": rule.pack.name}


def _annotations(rule: Rule, scope: Matched, texts: list[str]) -> dict[str, str]:
    found = {"plimsoll.dev/rule": rule.label, "plimsoll.dev/needs-kubernetes": f"1.{since(texts)}"}
    if rule.pack.version:
        found["plimsoll.dev/pack-version"] = rule.pack.version
    if scope.expires:
        found["plimsoll.dev/expires"] = str(scope.expires[0])
    return found


def _bindings(name: str, rule: Rule, actions: list[str], wishes: Wishes) -> Iterator[dict[str, Any]]:
    """Yield the binding, and a second one for namespaces that may ask for a weaker mode by their label."""
    where = [{"key": key, "operator": "In", "values": [value]} for key, value in wishes.namespaces.items()]
    reports = actions == ["Audit"]  # nothing that a namespace may ask for is weaker, but silence
    modes = sorted(rule.pack.namespace_modes - ({"dry-run"} if reports else frozenset()))
    clause = {"key": NAMESPACE_LABEL, "operator": "NotIn", "values": modes}
    yield _binding(name, name, rule, actions, [*where, clause] if modes else where)
    if "dry-run" in modes:
        asking = {"key": NAMESPACE_LABEL, "operator": "In", "values": ["dry-run"]}
        yield _binding(f"{name}.dry-run", name, rule, ["Audit"], [*where, asking])


def _binding(name: str, policy: str, rule: Rule, actions: list[str], where: list[dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = {"policyName": policy, "validationActions": actions}
    if where:
        spec["matchResources"] = {"namespaceSelector": {"matchExpressions": where}}
    metadata = {"name": name, "labels": _labels(rule)}
    return {"apiVersion": API, "kind": "ValidatingAdmissionPolicyBinding", "metadata": metadata, "spec": spec}
