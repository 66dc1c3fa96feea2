"""One rule to its policies and their bindings, or to the sentence that says why there are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from webhook.checks import CHECKS
from webhook.checks.spoken import Mend, Spoken, Unspoken, literal
from webhook.cli.vap import mutation
from webhook.cli.vap.places import Place, places
from webhook.cli.vap.scope import Matched, matched
from webhook.cli.vap.text import decided, grouped, since, translated
from webhook.engine.mode import NAMESPACE_LABEL, effective
from webhook.model.decision import Action
from webhook.packs.exempt import active
from webhook.packs.match import Known
from webhook.packs.parse import Document
from webhook.packs.rule import Rule, Ruleset

API = "admissionregistration.k8s.io/v1"
_ACTIONS: Mapping[Action, list[str]] = {"deny": ["Deny", "Audit"], "warn": ["Warn", "Audit"], "audit": ["Audit"]}
_HERE = Known({}, ())
_MUTATING_SINCE = 36  # admissionregistration.k8s.io/v1 has MutatingAdmissionPolicy from there on


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
    pods: bool = True
    others: _Body | None = None
    fix: Mend | str = ""

    def of(self, place: Place) -> _Body:
        """Return what it says of a place: of kinds without pods, something else."""
        return self.others if self.others is not None and place.path is None else self


def export(ruleset: Ruleset, documents: Sequence[Document], wishes: Wishes) -> Iterator[Exported]:
    """Yield what comes of each rule, in the order of packs and rules; `documents` are the packs as written."""
    specs = {document.value["metadata"]["name"]: document.value["spec"] for document in documents}
    given = []
    for rule in ruleset.rules:
        spec = specs[rule.pack.name]
        given.append((rule, spec, next(one for one in spec["rules"] if one["name"] == rule.about.rule)))
    writing = {rule.label: _paths(rule, entry) for rule, _, entry in given}
    for rule, spec, entry in given:
        yield _rule(_Work(ruleset, rule, spec, entry, wishes, writing))


def _paths(rule: Rule, entry: Mapping[str, Any]) -> mutation.Paths:
    """Return the fields that a rule's policy might write."""
    if rule.mutation is not None:
        return tuple(write.tokens for write in rule.mutation.writes)
    try:
        fix = _body(rule, entry).fix if rule.fix else ""
    except Unspoken:
        return ()
    return fix.paths if isinstance(fix, Mend) else ()


@dataclass(frozen=True, slots=True)
class _Work:
    """What is needed to export one rule."""

    ruleset: Ruleset
    rule: Rule
    spec: Mapping[str, Any]
    entry: Mapping[str, Any]
    wishes: Wishes
    writing: Mapping[str, mutation.Paths]

    def name(self, place: Place) -> str:
        """Return the name of the policy for a place."""
        return f"{self.rule.pack.name}.{self.rule.about.rule}.{place.name}"

    def matched(self, place: Place) -> Matched:
        """Return the scope for a place. Raises Unspoken."""
        given = [match for match in (self.spec.get("match"), self.entry.get("match")) if match]
        values = literal(self.spec.get("values", {}))
        return matched(self.rule, given, values, place, self.ruleset.kinds, self.wishes.now)

    @property
    def action(self) -> Action:
        """What the rule does today, where a namespace asks for nothing else."""
        return effective(self.rule, self.rule.about.action, _HERE, self.wishes.now, self.ruleset.dry_run)


def _rule(work: _Work) -> Exported:
    rule = work.rule
    made: list[dict[str, Any]] = []
    lacking: list[str] = []
    notes: list[str] = []
    try:
        body = _body(rule, work.entry)
        found, out = places(rule, work.ruleset.kinds, body.pods, body.others is not None)
        mends = rule.fix and work.action in ("deny", "warn")
        try:
            actions, failure, notes = _enforced(work)
            for place in found:
                made += [_validating(work, body.of(place), place, failure), *_bindings(work, place, actions)]
            lacking = [f"{', '.join(kinds)}: {why}" for why, kinds in out.items()]
        except Unspoken as error:
            lacking = [f"its verdict: {error}" if mends else str(error)]
        if mends:
            mended, why = _mended(work, body, found)
            made += mended
            lacking += [why] if why else []
    except Unspoken as error:
        lacking = [str(error)]
    ends = sorted(one.expires for one in rule.exemptions if active(one, work.wishes.now))
    if ends:
        notes.append(f"an exemption ends with {ends[0]}, and the policy does not know: export again after it")
    return Exported(rule.label, tuple(made), tuple(lacking), tuple(notes))


def _mended(work: _Work, body: _Body, found: Sequence[Place]) -> tuple[list[dict[str, Any]], str]:
    """Return the policies that make the patch of a rule, or the reason why there are none."""
    rule, made, untaken = work.rule, [], []
    what = "patch" if rule.mutation is not None else "fix"
    try:
        if rule.mutation is not None:
            mutation.check(rule.mutation)
        elif isinstance(body.fix, str):
            raise Unspoken(body.fix)
        if rule.narrows and rule.check is not None:
            raise Unspoken("its scope leaves containers out, which a policy's patch would have to count")
        paths = work.writing[rule.label]
        mutation.apart(rule.label, paths, work.writing)
        for place in found if body.pods else ():
            taking = mutation.taken(place, paths)
            untaken += sorted(place.kinds - (taking.kinds if taking else frozenset()))
            if taking is not None:
                made += [_mutating(work, body, taking), *_bindings(work, taking, None)]
    except Unspoken as error:
        return [], f"its {what}: {error}"
    names = ", ".join(f"{group}/{kind}" for group, kind in untaken)
    return made, f"its {what} in {names}: the kind's own webhook does not take the field" if untaken else ""


def _enforced(work: _Work) -> tuple[list[str], str, list[str]]:
    """Return validationActions, failurePolicy, and what to know. Raises Unspoken."""
    rule, action, wishes = work.rule, work.action, work.wishes
    if action not in _ACTIONS:
        raise Unspoken("it is disabled")
    error = effective(rule, rule.on_error, _HERE, wishes.now, work.ruleset.dry_run)
    if error in _ACTIONS and error != action:
        raise Unspoken(f"its errors are to {error} and its findings to {action}; a policy does the same with both")
    if rule.on_replicas:
        raise Unspoken("it judges scaling too, whose object is a Scale and not the workload")
    if action == "deny" and rule.existing and not wishes.existing_denied:
        raise Unspoken(
            "`existing: allow` lets through what a stored workload had before, and with `enforceFrom` what its "
            "controller makes of it, which a policy cannot look up; write `existing: deny`, or export with --existing "
            "deny"
        )
    notes = []
    if rule.enforce_from is not None and wishes.now.date() < rule.enforce_from and action == "warn":
        notes.append(f"it warns until {rule.enforce_from} and is to deny then: export again on that day")
    return _ACTIONS[action], "Fail" if error in _ACTIONS else "Ignore", notes


def _body(rule: Rule, entry: Mapping[str, Any]) -> _Body:
    variables = tuple((one["name"], one["expression"]) for one in entry.get("variables") or ())
    if rule.expression is not None:
        wanted = rule.expression.message or "the expression is not true"
        said, typed = entry.get("messageExpression", ""), rule.expression.holds.typed
        return _Body(entry["expression"], said, wanted, variables, typed, pods="pod" in rule.reads)
    if rule.mutation is not None:
        wanted = rule.mutation.message or f"the patch of this rule applies: {rule.mutation.wanted}"
        return _Body(f"!{grouped(entry['when'])}", "", wanted, variables)
    module = CHECKS[rule.check_name]
    if isinstance(module.CEL, str):
        raise Unspoken(module.CEL)
    if rule.narrows and rule.on_workload:
        raise Unspoken("its check judges the workload and not its containers, of which the scope leaves some out")
    return _said(module.CEL({**module.DEFAULTS, **entry.get("params", {})}), f"see check {module.ID}")


def _said(spoken: Spoken, wanted: str) -> _Body:
    others = _said(spoken.others, wanted) if spoken.others else None
    return _Body(
        spoken.expression,
        spoken.found,
        wanted,
        spoken.variables,
        pods=spoken.pods,
        others=others,
        fix=spoken.fix,
    )


@dataclass(frozen=True, slots=True)
class _Written:
    """A rule in the API server's words: its variables, when it is kept, what was found; `words` are ours in theirs."""

    variables: list[dict[str, str]]
    expression: str
    found: str
    words: Mapping[str, str]


def _written(work: _Work, body: _Body, place: Place, scope: Matched) -> _Written:
    taken = {variable for variable, _ in body.variables}
    ours = {word: _free(word, taken) for word in ("pod", "containers", "values")}
    words = {word: f"variables.{variable}" for word, variable in ours.items()}
    values = literal(work.spec.get("values", {}))
    own = {"pod": place.pod(), "containers": place.containers(words["pod"], scope.kept), "values": values}
    variables = [{"name": one, "expression": translated(text, words)} for one, text in body.variables]
    expression = decided(translated(body.expression, words), body.typed)
    found = translated(body.found, words) if body.found else ""
    if scope.kept != "true":
        images = f"{place.listed(words['pod'] + '.spec', 'volumes')}.exists(v, has(v.image))"
        expression = f"({words['containers']}.size() == 0 && !{images}) || {grouped(expression)}"
    if there := place.there():
        # no condition of the match: where one of those fails, the rule fails, whatever the object is
        else_ = f"({translated(body.others.expression, words)})" if body.others else "true"
        expression = f"{there} ? {grouped(expression)} : {else_}"
        more = body.others.variables if body.others else ()
        variables += [{"name": one, "expression": translated(text, words)} for one, text in more]
    texts = [expression, found, *(one["expression"] for one in variables)]
    used = ["pod"] if work.rule.fix else []
    used += [word for word in _used(own, words, texts) if word not in used]
    return _Written(
        [{"name": ours[word], "expression": own[word]} for word in used] + variables, expression, found, words
    )


def _validating(work: _Work, body: _Body, place: Place, failure: str) -> dict[str, Any]:
    scope = work.matched(place)
    written = _written(work, body, place, scope)
    last = {"validations": [_validation(work.rule, body, written.expression, written.found)]}
    spec = {"failurePolicy": failure, **_matching(work, place, scope, written), **last}
    texts = [written.expression, written.found]
    return _document("ValidatingAdmissionPolicy", work, place, scope, spec, since([*texts, *_texts(spec)]))


def _mutating(work: _Work, body: _Body, place: Place) -> dict[str, Any]:
    fix = body.fix
    if isinstance(fix, Mend):
        body = replace(body, variables=(*body.variables, *fix.variables))
    scope = work.matched(place)
    scope = replace(scope, conditions=(*scope.conditions, *mutation.conditions(place)))
    written = _written(work, body, place, scope)
    if work.rule.mutation is not None:
        operations = mutation.patch(work.rule.mutation, place, written.words["pod"])
    else:
        assert isinstance(fix, Mend)  # the caller has said why there is none
        operations = mutation.mend(fix, place, written.words["pod"], written.words)
    expression = f"{grouped(written.expression)} ? [] : {operations}"
    spec = {
        # as our own webhook for fixes: what cannot be mended is not refused
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "IfNeeded",
        **_matching(work, place, scope, written),
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
    }
    spec["matchConstraints"]["resourceRules"] = place.resource_rules(work.rule.operations, subresources=False)
    needed = max(_MUTATING_SINCE, since([operations, written.expression, *_texts(spec)]))
    return _document("MutatingAdmissionPolicy", work, place, scope, spec, needed)


def _matching(work: _Work, place: Place, scope: Matched, written: _Written) -> dict[str, Any]:
    constraints = {
        "namespaceSelector": scope.namespace_selector,
        "objectSelector": scope.object_selector,
        "resourceRules": place.resource_rules(work.rule.operations),
    }
    found: dict[str, Any] = {
        "matchConstraints": {key: value for key, value in constraints.items() if value},
        "matchConditions": list(scope.conditions),
        "variables": written.variables,
    }
    return {key: value for key, value in found.items() if value}


def _texts(spec: Mapping[str, Any]) -> list[str]:
    return [one["expression"] for key in ("matchConditions", "variables") for one in spec.get(key, ())]


def _document(
    kind: str, work: _Work, place: Place, scope: Matched, spec: Mapping[str, Any], needed: int
) -> dict[str, Any]:
    rule = work.rule
    annotations = {"plimsoll.dev/rule": rule.label, "plimsoll.dev/needs-kubernetes": f"1.{needed}"}
    if rule.pack.version:
        annotations["plimsoll.dev/pack-version"] = rule.pack.version
    if scope.expires:
        annotations["plimsoll.dev/expires"] = str(scope.expires[0])
    metadata = {"name": work.name(place), "labels": _labels(rule), "annotations": annotations}
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": dict(spec)}


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


def _bindings(work: _Work, place: Place, actions: list[str] | None) -> Iterator[dict[str, Any]]:
    """Yield the binding, and a second one for namespaces that may ask for a weaker mode by their label.

    `actions` are None for a policy that mends: what is on trial mends nothing.
    """
    name, allowed = work.name(place), work.rule.pack.namespace_modes
    where = [{"key": key, "operator": "In", "values": [value]} for key, value in work.wishes.namespaces.items()]
    reports = actions == ["Audit"]  # nothing that a namespace may ask for is weaker
    asked = bool(allowed) and not reports
    clause = {"key": NAMESPACE_LABEL, "operator": "NotIn", "values": ["dry-run"]}
    yield _binding(name, name, work.rule, actions, [*where, clause] if asked else where)
    if actions is not None and asked:
        asking = {"key": NAMESPACE_LABEL, "operator": "In", "values": ["dry-run"]}
        yield _binding(f"{name}.dry-run", name, work.rule, ["Audit"], [*where, asking])


def _binding(
    name: str, policy: str, rule: Rule, actions: list[str] | None, where: list[dict[str, Any]]
) -> dict[str, Any]:
    kind = "MutatingAdmissionPolicyBinding" if actions is None else "ValidatingAdmissionPolicyBinding"
    spec: dict[str, Any] = {"policyName": policy, **({"validationActions": actions} if actions else {})}
    if where:
        spec["matchResources"] = {"namespaceSelector": {"matchExpressions": where}}
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, "labels": _labels(rule)}, "spec": spec}
