"""explain(ruleset, review, facts, now, endpoint) -> Trace: how each rule comes to what it says, by the engine itself.

Nothing is judged here: what left a rule out, what it found and what covers that is asked of the functions that
`evaluate` runs, rule by rule, so that a trace and a decision cannot tell two stories.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from webhook.checks import cel
from webhook.engine import guard
from webhook.engine.changes import Changes
from webhook.engine.evaluate import let_through
from webhook.engine.facts import Facts
from webhook.engine.judge import left_out, places
from webhook.engine.mode import weigh
from webhook.engine.sitting import Sitting
from webhook.engine.view import View, controller
from webhook.errors import RuleError
from webhook.model.access import Right
from webhook.model.decision import Action, Decision, Fault, Finding
from webhook.model.pods import Subject, mapping
from webhook.model.record import record
from webhook.model.review import Review
from webhook.packs.exempt import Exemption
from webhook.packs.match import Known, Out, namespace_of
from webhook.packs.rule import Rule, Ruleset, Terms


@record(frozen=True, slots=True)
class Absence:
    """Why a rule was not asked: the clause, and what was found there."""

    out: Out
    found: str


@record(frozen=True, slots=True)
class Value:
    """What a variable, or the expression of a rule in CEL gives at a place; `failed` says why it gives nothing."""

    name: str
    pointer: str
    value: Any = None
    failed: str = ""


@record(frozen=True, slots=True)
class Cover:
    """An exemption that covers something: its clauses, each with what of the object is in it."""

    exemption: Exemption
    clauses: tuple[tuple[str, str], ...]


@record(frozen=True, slots=True)
class Weighed:
    """A finding, and the exemption that covers it."""

    finding: Finding
    cover: Cover | None


@record(frozen=True, slots=True)
class Heard:
    """One rule on one subject (the object, or a manifest in it).

    `absent` says why the rule does not concern it; all else is then empty. `action` is what counts of the rule's
    action here, `weaker` what weakened it (`server`, `mode`, `namespace`, `enforceFrom`, or ''). `spared` are what
    failed or was lacking where the whole subject is exempt, each with its sentence.
    """

    subject: Subject
    absent: Absence | None = None
    action: Action = "allow"
    weaker: str = ""
    findings: tuple[Weighed, ...] = ()
    errors: tuple[Fault, ...] = ()
    unknown: tuple[Fault, ...] = ()
    spared: tuple[tuple[Cover, str], ...] = ()
    values: tuple[Value, ...] = ()

    @property
    def state(self) -> str:
        """What came of it, the gravest: `found`, `failed`, `unknown`, `exempt`, `disabled`, `out`, or `kept`."""
        states = {
            "found": any(one.cover is None for one in self.findings),
            "failed": bool(self.errors),
            "unknown": bool(self.unknown),
            "exempt": bool(self.findings or self.spared),
            "out": self.absent is not None,
            "disabled": self.action == "disabled",
        }
        return next((state for state, so in states.items() if so), "kept")


@record(frozen=True, slots=True)
class Traced:
    """One rule: why it was not asked about the review at all, or what it says of each subject."""

    rule: Rule
    absent: Absence | None
    heard: tuple[Heard, ...] = ()


@record(frozen=True, slots=True)
class Guarded:
    """The right that a review hangs on besides the rules, and what comes of it; None: the requester has it."""

    right: Right
    decision: Decision | None


@record(frozen=True, slots=True)
class Trace:
    """How the rules come to their decision on a review, in the order in which they are asked.

    `guarded` is the right that its requester needs, None where it needs none.
    """

    review: Review
    rules: tuple[Traced, ...]
    guarded: Guarded | None = None


def explain(ruleset: Ruleset, review: Review, facts: Facts, now: datetime, endpoint: str) -> Trace:
    """Return the trace of a review at `endpoint` (validate, advise; all: both of them).

    `facts` are those that `evaluate` gets, `now` is a time with a zone. What a requester needs a right for is told for
    `all`, too: the API server asks at both endpoints.
    """
    trace = _by_rules(ruleset, review, facts, now, endpoint)
    right = guard.right(ruleset, review, guard.ENDPOINT if endpoint == "all" else endpoint)
    if right is None:
        return trace
    return replace(trace, guarded=Guarded(right, guard.weigh(right, ruleset, review, facts)))


def _by_rules(ruleset: Ruleset, review: Review, facts: Facts, now: datetime, endpoint: str) -> Trace:
    review = ruleset.workload(review)
    absent = {id(rule): _absence(ruleset, endpoint, review, rule) for rule in ruleset.rules}
    asked = tuple(rule for rule in ruleset.bucket(endpoint, review).rules if absent[id(rule)] is None)
    if review.operation == "UPDATE" and review.old_object is not None:
        concerned = Changes(review, ruleset).concerned(asked)
        kept = set(map(id, concerned))
        absent |= {id(rule): Absence(Out("unchanged"), "") for rule in asked if id(rule) not in kept}
        asked = concerned
    if not asked or review.object is None:
        return Trace(review, tuple(Traced(rule, absent[id(rule)]) for rule in ruleset.rules))
    view = View.of(ruleset, review, facts, review.object, asked)
    return Trace(review, tuple(_traced(rule, absent[id(rule)], view, now) for rule in ruleset.rules))


def _absence(ruleset: Ruleset, endpoint: str, review: Review, rule: Rule) -> Absence | None:
    """Return why a rule is not asked about a review, as far as its head tells."""
    if review.object is None:
        return Absence(Out("object"), f"a {review.operation} without an object")
    through = let_through(review)
    if through:
        said = {"operation": review.operation, "subresource": review.subresource, "mirror": review.user}
        return Absence(Out(through), said[through])
    out = ruleset.passed_over(endpoint, review, rule)
    if out is None:
        return None
    said = {
        "mode": rule.pack.mode,
        "kinds": _kind(review.kind.group, review.kind.kind),
        "endpoint": endpoint,
        "operations": review.operation,
        "scale": review.subresource,
    }
    namespace = review.name if (review.kind.group, review.kind.kind) == ("", "Namespace") else review.namespace
    return Absence(out, said.get(out.clause, namespace))


def _traced(rule: Rule, absent: Absence | None, view: View, now: datetime) -> Traced:
    if absent is not None:
        return Traced(rule, absent)
    return Traced(rule, None, tuple(_heard(rule, view, number, now) for number in range(len(view.subjects))))


def _heard(rule: Rule, view: View, number: int, now: datetime) -> Heard:
    subject = view.subjects[number]
    sitting = Sitting(view.ruleset, view.review, view.facts, now, view, ())
    found = sitting.of(rule, view, number)
    absent = None if sitting.errors or sitting.unknown or sitting.spared else _outside(rule, view, number)
    if absent is not None:
        return Heard(subject, absent)
    known = view.known(number)
    action, weaker = weigh(rule, rule.about.action, known, now, view.ruleset.dry_run)
    return Heard(
        subject,
        None,
        action,
        weaker,
        tuple(Weighed(one, _cover(rule, sitting, number, one)) for one in found),
        tuple(sitting.errors),
        tuple(sitting.unknown),
        tuple((Cover(one, _clauses(one, subject, known, None, None)), unsaid) for one, unsaid in sitting.spared),
        tuple(_values(rule, view, number)),
    )


def _outside(rule: Rule, view: View, number: int) -> Absence | None:
    """Return why a rule does not concern a subject; None where it does."""
    out = left_out(rule, view, number)
    if isinstance(out, Out):
        return Absence(out, _found(out.clause, view, number))
    check = rule.check
    of_pods = "pod" in rule.reads if check is None else check.pod is not None and check.subject is None
    if not of_pods or view.pods(rule, number):
        return None
    pods = view.subjects[number].pods
    if not pods:
        return Absence(Out("pods"), "")
    names = ", ".join(container.name for pod in pods for container in pod.containers)
    clause, whose = next(
        (clause, s.whose) for s in rule.scopes for clause in ("containers", "images") if getattr(s, clause) is not None
    )
    return Absence(Out(clause, whose), names)


def _found(clause: str, view: View, number: int) -> str:
    """Return what of a subject a clause of a match looked at."""
    subject, review, known = view.subjects[number], view.review, view.known(number)
    owner = controller(subject.object) or {}
    labels = known.namespace_labels
    said = {
        "kinds": _kind(subject.group, subject.kind),
        "controller": f"{owner.get('kind')} {owner.get('name')}",
        "operations": review.operation,
        "excludeUsers": review.user,
        "excludeGroups": ", ".join(review.groups),
        "objectSelector": _labels(subject.labels),
        "namespaceSelector": labels if isinstance(labels, str) else _labels(labels),
        "names": _names(subject, known),
        "matchConditions": "false",
    }
    return said.get(clause, namespace_of(subject))


def _labels(labels: Any) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(mapping(labels).items())) or "no labels"


def _names(subject: Subject, known: Known) -> str:
    owners = known.owner_names if isinstance(known.owner_names, tuple) else ()
    return ", ".join((subject.name, *owners))


def _kind(group: str, kind: str) -> str:
    return f"{group}/{kind}" if group else kind


def _cover(rule: Rule, sitting: Sitting, number: int, finding: Finding) -> Cover | None:
    if finding.exempt is None:
        return None
    view, violation = sitting.view, finding.violation
    covered = sitting.exemption(rule, view, number, violation)
    assert isinstance(covered, Exemption), "a finding is exempt by this very answer"
    image = view.image(number, violation)
    clauses = _clauses(covered, view.subjects[number], view.known(number), violation.container, image)
    return Cover(covered, clauses)


def _clauses(
    exemption: Exemption, subject: Subject, known: Known, container: str | None, image: str | None
) -> tuple[tuple[str, str], ...]:
    """Return the clauses of an exemption that covers something, all of which match, each with what matches it."""
    said = {
        "namespaces": namespace_of(subject),
        "names": _names(subject, known),
        "kinds": _kind(subject.group, subject.kind),
        "containers": container or "",
        "images": image or "",
    }
    return tuple((clause, found) for clause, found in said.items() if getattr(exemption, clause) is not None)


def _values(rule: Rule, view: View, number: int) -> Iterator[Value]:
    """Yield what each variable of a rule in CEL gives, and then the expression, at each place it is asked about."""
    if rule.expression is not None:
        name, program, terms = "expression", rule.expression.holds, rule.expression.terms
    elif rule.mutation is not None:
        name, program, terms = "when", rule.mutation.when, rule.mutation.terms
    else:
        return
    try:
        asked = places(rule, view, number)
    except RuleError:
        return  # the rule failed by this, and says so
    for pod, pointer in asked:
        activation = view.activation(number, pod)
        for variable, program_of in _variables(terms):
            yield _value(variable, pointer, program_of, activation)
        yield _value(name, pointer, program, activation)


def _variables(terms: Terms) -> Iterator[tuple[str, cel.Program]]:
    words = frozenset(terms.words)
    for position, (name, text) in enumerate(terms.variables):
        before = terms.variables[:position]
        yield f"variables.{name}", cel.compile(text, names=terms.words, variables=before, wants="any", words=words)


def _value(name: str, pointer: str, program: cel.Program, activation: Any) -> Value:
    try:
        return Value(name, pointer, program(activation))
    except RuleError as error:
        return Value(name, pointer, failed=str(error))
