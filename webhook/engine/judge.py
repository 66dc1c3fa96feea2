"""One rule on one subject: the places where it is not kept."""

from __future__ import annotations

from typing import Any

from webhook.checks.cel import Program
from webhook.engine.view import View, made_by_a_workload
from webhook.errors import RuleError
from webhook.model.decision import Unsure, Violation
from webhook.model.pods import LISTS
from webhook.packs.match import Lacking, Out, outside
from webhook.packs.rule import Rule


def left_out(rule: Rule, view: View, number: int) -> Out | Lacking | None:
    """Return why a rule does not concern a subject, or which fact is lacking to tell; None where it does.

    Raises RuleError by its conditions.
    """
    subject = view.subjects[number]
    if (subject.group, subject.kind) not in rule.kinds:
        named = (s.whose for s in rule.scopes if s.kinds and (subject.group, subject.kind) not in s.kinds)
        return Out("kinds", next(named, ""))
    if rule.on_workload and made_by_a_workload(rule, subject, view.ruleset.kinds):
        return Out("controller")
    if not rule.hangs and not subject.pointer:
        return None  # the ruleset has looked at operation and namespace
    lacking: Lacking | None = None
    for scope in rule.scopes:
        verdict = outside(scope, view.review, subject, view.known(number))
        if isinstance(verdict, Out):
            return verdict
        if verdict is not None:
            lacking = verdict
    # without its namespace, CEL would see null, and fail, or take it for an answer
    why = view.no_namespace if rule.reads_namespace else ""
    false = _false_condition(rule, view, number, "namespaceObject" if why else "")
    if false is not None:
        return false
    return Lacking("namespace", why) if why else lacking


def _false_condition(rule: Rule, view: View, number: int, unknown: str) -> Out | None:
    """Return the `matchCondition` that is false, None where none is; those that read the word `unknown` are not asked.

    One that is false wins over one that fails, as in the API server (admissionregistration.k8s.io/v1,
    MatchCondition); else the failure of the first is raised, but where the rule cannot be decided anyway.
    """
    failure: RuleError | None = None
    for scope in rule.scopes:
        for name, condition in scope.conditions:
            if unknown in condition.reads:
                continue
            try:
                holds = condition(view.activation(number, None))
                if not isinstance(holds, bool):
                    raise RuleError(f"matchCondition {name} gave {holds!r}, wanted true or false")
            except RuleError as error:
                failure = failure or error
                continue
            if not holds:
                return Out("matchConditions", scope.whose, name)
    if failure is not None and not unknown:
        raise failure
    return None


_CHANGE = frozenset({"request", "oldObject"})
"""What a condition reads that is about an update, not about an object."""


def concerned(rule: Rule, view: View, number: int) -> bool:
    """Say whether a rule was about a subject of the old object, by what is written in it: its labels, its fields.

    Not by its owners, which controllers change. A condition that reads the update itself says nothing of it. Raises
    RuleError by its conditions.
    """
    for scope in rule.scopes:
        if scope.object_selector is not None and not scope.object_selector(view.subjects[number].labels):
            return False
        for _, condition in scope.conditions:
            if not condition.reads & _CHANGE and condition(view.activation(number, None)) is not True:
                return False
    return True


def violations(rule: Rule, view: View, number: int) -> list[Violation | Unsure]:
    """Return the places where a subject does not keep a rule, and what cannot be told. Raises what the rule raises."""
    found: list[Violation | Unsure] = []
    check = rule.check
    if check is not None:
        if check.subject is not None:
            if "pod" in rule.reads:
                view.readable(number)
            found += check.subject(view.subjects[number])
        if check.pod is not None:
            for _, pod in view.pods(rule, number):
                found += check.violations(pod)
    else:
        for index, pointer in places(rule, view, number):
            found += _of_cel(rule, view, number, index, pointer)
    return found


def places(rule: Rule, view: View, number: int) -> list[tuple[int | None, str]]:
    """Return what the CEL of a rule is asked about in a subject: each of its pods (number, pointer), or itself (None).

    Raises RuleError where a pod cannot be read.
    """
    if "pod" not in rule.reads:
        return [(None, view.subjects[number].pointer)]
    return [(index, pod.pointer) for index, pod in view.pods(rule, number)]


def _of_cel(rule: Rule, view: View, number: int, pod: int | None, pointer: str) -> tuple[Violation, ...]:
    """Return the violation of a rule in CEL, if there is one."""
    if rule.expression is not None:
        expression = rule.expression
        if view.value(expression.holds, number, pod):
            return ()
        return (
            Violation(
                pointer,
                expression.message or "the expression is not true",
                _said(expression.says, view.activation(number, pod)),
                expression.message or expression.text,
            ),
        )
    mutation = rule.mutation
    if mutation is None or not view.value(mutation.when, number, pod):
        return ()
    return (Violation(pointer, mutation.message or "the patch of this rule applies", mutation.text, mutation.wanted),)


def looked_at(rule: Rule, view: View, number: int) -> dict[str, Any]:
    """Return what a rule whose findings name no value looked at in a subject, by place; {} for every other rule.

    Containers stand under their names, so that one can go, and none can come or change in what counts, without
    being seen.
    """
    expression = rule.expression or rule.mutation
    if expression is None or _names(rule, view, number):
        return {}
    seen, subject = expression.mentions, view.subjects[number]
    places = {"object": seen.of(subject.object)} if "object" in rule.reads else {}
    for index, pod in view.pods(rule, number):
        places[f"{index}"] = [seen.of(pod.metadata), seen.of({k: v for k, v in pod.spec.items() if k not in LISTS})]
        for container in pod.containers:
            where = container.pointer.rsplit("/", 2)[1]
            places[f"{index}/{where}/{container.name}"] = seen.of(container.spec)
    return places


def _names(rule: Rule, view: View, number: int) -> bool:
    """Say whether the `messageExpression` of a rule has a text for each of its findings in a subject."""
    says = None if rule.expression is None else rule.expression.says
    if says is None:
        return False
    return all([_said(says, view.activation(number, pod)) for pod, _ in places(rule, view, number)])


def _said(says: Program | None, activation: object) -> str:
    """Return the messageExpression's text; where it fails the fixed message alone serves, as in Kubernetes."""
    if says is None:
        return ""
    try:
        text = says(activation)
    except RuleError:
        return ""
    return str(text)
