"""One review before the rules: every subject is judged by every rule, and each violation weighed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from webhook.engine.facts import NOT_ASKED, Facts
from webhook.engine.judge import in_scope, violations
from webhook.engine.mode import effective
from webhook.engine.view import View, container_named, controller, counterpart
from webhook.model.decision import Decision, Fault, Finding, Violation
from webhook.model.pods import Subject
from webhook.model.review import Review
from webhook.packs.exempt import Exemption, active, covering
from webhook.packs.match import Lacking
from webhook.packs.rule import Rule, Ruleset


@dataclass(slots=True)
class Sitting:
    """One review before the rules: what has been found so far. Lives for one call of `evaluate`."""

    ruleset: Ruleset
    review: Review
    facts: Facts
    now: datetime
    view: View
    findings: list[Finding] = field(default_factory=list)
    errors: list[Fault] = field(default_factory=list)
    unknown: list[Fault] = field(default_factory=list)
    wants: set[str] = field(default_factory=set)

    def hear(self, rule: Rule) -> None:
        """Judge every subject by one rule."""
        for number, _ in enumerate(self.view.subjects):
            self.findings += self.of(rule, self.view, number)

    def of(self, rule: Rule, view: View, number: int) -> list[Finding]:
        """Return the findings of one rule on one subject; its errors and what is unknown are noted."""
        findings: list[Finding] = []

        def ask() -> None:
            scope = in_scope(rule, view, number)
            if isinstance(scope, Lacking):
                self.lacks(rule, number, scope, view)
            elif scope and (found := list(violations(rule, view, number))):
                findings.extend(self.weigh(rule, view, number, found))

        self.guarded(rule, number, view, ask)
        return findings

    def guarded(self, rule: Rule, number: int, view: View, work: Callable[[], None]) -> bool:
        """Do a rule's work and return whether it went well; whatever it raises becomes one fault of that rule."""
        try:
            work()
        except Exception as error:  # one of the two broad ones: no rule may take another, or the server, down
            self.fails(rule, number, error, view)
            return False
        return True

    def fails(self, rule: Rule, number: int, error: Exception, view: View) -> None:
        """Note that a rule raised; `onError` decides, but where the whole object is exempt from the rule."""
        if isinstance(covering(self._whole(rule), view.subjects[number], None, None, view.known(number)), Exemption):
            return
        action = effective(rule, rule.on_error, view.known(number), self.now, self.ruleset.dry_run)
        self.errors.append(Fault(rule.about, "error", f"{type(error).__name__}: {error}"[:400], action))

    def lacks(self, rule: Rule, number: int, lacking: Lacking, view: View) -> None:
        """Note that a fact is not there that the rule hangs on; `onUnknown` decides."""
        if getattr(self.facts, lacking.fact) is NOT_ASKED:
            self.wants.add(lacking.fact)
        action = effective(rule, rule.on_unknown, view.known(number), self.now, self.ruleset.dry_run)
        self.unknown.append(Fault(rule.about, "unknown", lacking.why, action, lacking.fact))

    def weigh(self, rule: Rule, view: View, number: int, found: list[Violation]) -> list[Finding]:
        """Return the findings of violations: which action counts, which is exempt, which was there before."""
        subject, known = view.subjects[number], view.known(number)
        action = effective(rule, rule.about.action, known, self.now, self.ruleset.dry_run)
        if action == "disabled":
            return []
        before: frozenset[tuple[str | None, str]] | None = None
        result: list[Finding] = []
        for violation in found:
            exempt = self.exemption(rule, view, number, violation)
            finding = Finding(rule.about, violation, action)
            if isinstance(exempt, Exemption):
                finding = replace(finding, exempt=f"{exempt.reason} ({exempt.owner}, until {exempt.expires})")
            elif exempt is not None:
                self.lacks(rule, number, exempt, view)
                continue
            elif action == "deny" and rule.existing:
                before = self.before(rule, subject) if before is None else before
                if (violation.container, violation.found) in before:
                    finding = replace(finding, effective="warn", existing=True)
            result.append(finding)
        return result

    def exemption(self, rule: Rule, view: View, number: int, violation: Violation) -> Exemption | Lacking | None:
        """Return the exemption that covers a violation, or what is lacking to tell, or None."""
        exemptions = [exemption for exemption in rule.exemptions if active(exemption, self.now)]
        if not exemptions:
            return None
        subject = view.subjects[number]
        return covering(exemptions, subject, violation.container, _image(subject, violation), view.known(number))

    def before(self, rule: Rule, subject: Subject) -> frozenset[tuple[str | None, str]]:
        """Return what the old object had, as (container, found), for `existing: allow`.

        What an update's old object had, and what the controller's own object has that made this one: a stored
        workload older than a rule keeps its ReplicaSets and Pods.
        """
        review = self.review
        if review.old_object is not None:
            return self._had(rule, review, review.old_object, subject)
        owner = controller(subject.object)
        if owner is None or subject.pointer:
            return frozenset()
        if not isinstance(self.facts.owners, tuple):
            if self.facts.owners is NOT_ASKED:
                self.wants.add("owners")
            return frozenset()
        if not self.facts.owners or self.facts.owners[0].name != owner.get("name"):
            return frozenset()
        nearest = self.facts.owners[0]
        kind = replace(review.kind, group=nearest.group, kind=nearest.kind)
        asked = replace(review, kind=kind, name=nearest.name, object=nearest.object)
        view = View.of(self.ruleset, asked, Facts(self.facts.namespace, self.facts.owners[1:]), nearest.object, (rule,))
        if not view.subjects or in_scope(rule, view, 0) is not True:
            return frozenset()  # the owner was never judged by this rule, so nobody was told there
        return _keys(rule, view, 0)

    def _had(
        self, rule: Rule, review: Review, old: Mapping[str, Any], subject: Subject
    ) -> frozenset[tuple[str | None, str]]:
        view = View.of(self.ruleset, review, self.facts, old, (rule,))
        other = counterpart(subject, view.subjects)
        return frozenset() if other is None else _keys(rule, view, view.subjects.index(other))

    def _whole(self, rule: Rule) -> list[Exemption]:
        return [exemption for exemption in rule.exemptions if exemption.whole and active(exemption, self.now)]

    def decision(self) -> Decision:
        """Return the decision on everything found, sorted by pointer within each rule's place."""
        findings = tuple(sorted(self.findings, key=_order))
        errors, unknown = tuple(dict.fromkeys(self.errors)), tuple(dict.fromkeys(self.unknown))
        denied = any(finding.effective == "deny" and finding.exempt is None for finding in findings)
        denied = denied or any(fault.effective == "deny" for fault in (*errors, *unknown))
        titles = {rule.pack.name: rule.pack.title for rule in self.view.rules}
        return Decision(
            allowed=not denied,
            findings=findings,
            errors=errors,
            unknown=unknown,
            packs=tuple(titles[name] for name in sorted(titles)),
            wants=frozenset(self.wants),
        )


def _keys(rule: Rule, view: View, number: int) -> frozenset[tuple[str | None, str]]:
    return frozenset((violation.container, violation.found) for violation in violations(rule, view, number))


def _image(subject: Subject, violation: Violation) -> str | None:
    container = container_named(subject, violation.container, violation.pointer)
    if container is not None:
        return container.image
    for pod in subject.pods:
        for volume in pod.image_volumes:
            if volume.name == violation.container:
                return volume.image
    return None


def _order(finding: Finding) -> tuple[Any, ...]:
    violation = finding.violation
    tokens = [(0, int(t), "") if t.isdigit() else (1, 0, t) for t in violation.pointer.split("/")]
    return (finding.about.pack, finding.about.rule, tokens, violation.reason, violation.found)
