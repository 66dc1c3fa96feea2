"""One review before the rules: every subject is judged by every rule, and each violation weighed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeVar

from webhook.engine import elder
from webhook.engine.changes import equal
from webhook.engine.facts import FORMER, NOT_ASKED, Facts, Missing, Owner
from webhook.engine.judge import concerned, left_out, looked_at, violations
from webhook.engine.marks import Key, Marks
from webhook.engine.mode import effective
from webhook.engine.view import LATE, NOT_KNOWN, View, controller
from webhook.errors import RuleError
from webhook.model.decision import Action, Decision, Fault, Finding, Since, Unsure, Violation
from webhook.model.pods import Subject, group_of
from webhook.model.review import Review
from webhook.packs.exempt import Exemption, active, covering
from webhook.packs.match import Lacking, Out
from webhook.packs.rule import Rule, Ruleset

T = TypeVar("T")
_RULE = attrgetter("about.pack", "about.rule")


@dataclass(slots=True)
class Sitting:
    """One review before the rules: what has been found so far. Lives for one call of `evaluate`.

    `spared` are the exemptions that covered a rule's failure, or what it lacked, each with the sentence that was not
    said.
    """

    ruleset: Ruleset
    review: Review
    facts: Facts
    now: datetime
    view: View
    packs: tuple[str, ...]
    findings: list[Finding] = field(default_factory=list)
    errors: list[Fault] = field(default_factory=list)
    unknown: list[Fault] = field(default_factory=list)
    wants: set[str] = field(default_factory=set)
    spared: list[tuple[Exemption, str]] = field(default_factory=list)

    def hear(self, rules: Sequence[Rule], expired: Callable[[], bool] = lambda: False) -> None:
        """Judge every subject by each of the rules; those that are left once `expired` says so count as failed.

        A check that every pod of a lone object concerns, which most are, is called right here: the calls on the way to
        it (`guarded`, `_ask`, `left_out`, `violations`) would cost as much as what it does.
        """
        if not rules:
            return  # a chorus has answered for all
        view, lone = self.view, self.view.lone
        kind, owned = (lone.group, lone.kind) if lone else ("", ""), lone is not None and controller(lone.object)
        for rule in rules:
            if expired():
                self.late(rule)
                continue
            check = rule.check
            if lone is None or check is None or rule.hangs or rule.narrows or (owned and rule.on_workload):
                for number in range(len(view.subjects)):
                    self.findings += self.of(rule, view, number)
            elif kind in rule.kinds:
                found: list[Violation | Unsure] = []
                try:
                    if check.subject is not None:
                        found.extend(check.subject(lone))
                    if check.pod is not None:
                        for pod in lone.pods:
                            found.extend(check.violations(pod))
                    if found:
                        self.findings += self._sift(rule, view, 0, found)
                except Exception as error:  # as in `guarded`
                    self.fails(rule, 0, error, view)

    def late(self, rule: Rule) -> None:
        """Note that a rule was not asked, because nobody waits for the answer any more; `onError` decides.

        Of several subjects the first that is not exempt, and has no weaker mode, speaks for all.
        """
        most = effective(rule, rule.on_error, NOT_KNOWN, self.now, self.ruleset.dry_run)
        for number in range(len(self.view.subjects)):
            noted = len(self.errors)
            self.fails(rule, number, RuleError(LATE), self.view)
            if len(self.errors) > noted and self.errors[-1].effective == most:
                break

    def of(self, rule: Rule, view: View, number: int) -> list[Finding]:
        """Return the findings of one rule on one subject; its errors and what is unknown are noted."""
        return self.guarded(rule, view, number, self._ask) or []

    def guarded(self, rule: Rule, view: View, number: int, work: Callable[[Rule, View, int], T]) -> T | None:
        """Return what a rule's work gives, None where it raises: that becomes one fault of that rule."""
        try:
            return work(rule, view, number)
        except Exception as error:  # broad, as that in `hear`: no rule may take another, or the server, down
            self.fails(rule, number, error, view)
            return None

    def _ask(self, rule: Rule, view: View, number: int) -> list[Finding]:
        out = left_out(rule, view, number)
        if out is not None:
            if not isinstance(out, Out):
                self.lacks(rule, number, out, view)
            return []
        found = violations(rule, view, number)
        return self._sift(rule, view, number, found) if found else []

    def _sift(self, rule: Rule, view: View, number: int, found: list[Violation | Unsure]) -> list[Finding]:
        """Return the findings of what a rule gave; what it could not tell is noted."""
        for unsure in found:
            if isinstance(unsure, Unsure):
                self.lacks(rule, number, Lacking(unsure.fact, unsure.why), view)
        return self.weigh(rule, view, number, [one for one in found if isinstance(one, Violation)])

    def fails(self, rule: Rule, number: int, error: Exception, view: View) -> None:
        """Note that a rule raised; `onError` decides, but where the whole object is exempt from the rule."""
        if self._exempt(rule, number, view, _why(error)):
            return
        action = effective(rule, rule.on_error, view.known(number), self.now, self.ruleset.dry_run)
        self.errors.append(Fault(rule.about, "error", _why(error), action))

    def lacks(self, rule: Rule, number: int, lacking: Lacking, view: View) -> None:
        """Note that a fact is not there that the rule hangs on; `onUnknown` decides, but for what is exempt whole."""
        if self._exempt(rule, number, view, lacking.why):
            return
        if getattr(self.facts, lacking.fact) is NOT_ASKED:
            self.wants.add(lacking.fact)
        action = effective(rule, rule.on_unknown, view.known(number), self.now, self.ruleset.dry_run)
        self.unknown.append(Fault(rule.about, "unknown", lacking.why, action, lacking.fact))

    def action(self, rule: Rule, view: View, number: int) -> Action:
        """Return which action of a rule counts for a subject."""
        return effective(rule, rule.about.action, view.known(number), self.now, self.ruleset.dry_run)

    def weigh(self, rule: Rule, view: View, number: int, found: list[Violation]) -> list[Finding]:
        """Return the findings of violations: which action counts, which is exempt, which was there before."""
        action = self.action(rule, view, number)
        if action == "disabled":
            return []
        before = self.before(rule, view, number) if action == "deny" and rule.existing else None
        result: list[Finding] = []
        for violation in found:
            exempt = self.exemption(rule, view, number, violation)
            finding = Finding(rule.about, violation, action)
            if isinstance(exempt, Exemption):
                finding = replace(finding, exempt=f"{exempt.reason} ({exempt.owner}, until {exempt.expires})")
            elif exempt is not None:
                self.lacks(rule, number, exempt, view)
                continue
            elif before is not None:
                had = before(violation)
                if isinstance(had, Lacking):
                    self.lacks(rule, number, had, view)
                    continue
                if not had and rule.check is not None and rule.check.inspects is not None and view.old is not None:
                    self.wants.add(FORMER)
                if had:
                    since = had if isinstance(had, Since) else None
                    finding = replace(finding, effective="warn", existing=True, since=since)
            result.append(finding)
        return result

    def exemption(self, rule: Rule, view: View, number: int, violation: Violation) -> Exemption | Lacking | None:
        """Return the exemption that covers a violation, or what is lacking to tell, or None."""
        exemptions = [exemption for exemption in rule.exemptions if active(exemption, self.now)]
        if not exemptions:
            return None
        subject = view.subjects[number]
        image = partial(view.image, number, violation)
        covered = covering(exemptions, subject, violation.container, image, view.known(number))
        if isinstance(covered, Lacking) and not _has_workload_owner(subject, self.facts, self.ruleset):
            return None  # whoever writes the object writes its owner: a made-up one must not turn no into perhaps
        return covered

    def before(
        self, rule: Rule, view: View, number: int
    ) -> Callable[[Violation], bool | Since | Lacking | None] | None:
        """Return what says of a finding whether it was there before, for `existing: allow`; None where nothing was.

        For an update that is what the old object had; for what a built-in controller creates, what its workload had
        before the rule came into force, or what is lacking to tell.
        """
        if self.review.old_object is not None:
            return partial(_was, self._had(rule, view, number), Marks(view.subjects[number]))
        subject, day = view.subjects[number], rule.enforce_from
        if day is None or not elder.asked(rule, self.review, subject):
            return None
        line = elder.line(subject, self.facts, day, self.ruleset.kinds, partial(self._above, rule))
        marks = Marks(subject)
        return lambda violation: line.before(frozenset(marks.of(violation)))

    def _above(self, rule: Rule, owner: Owner, facts: Facts) -> frozenset[Key]:
        """Return what the own object of an owner has, nothing where the rule never judged it: nobody was told there."""
        kind = replace(self.review.kind, group=owner.group, kind=owner.kind)
        asked = replace(self.review, kind=kind, name=owner.name, object=owner.object)
        above = View.of(self.ruleset, asked, facts, owner.object, (rule,))
        try:
            judged = bool(above.subjects) and left_out(rule, above, 0) is None
        except RuleError:
            judged = False  # by its conditions
        return frozenset(_keys(rule, above, 0)) if judged else frozenset()

    def _had(self, rule: Rule, view: View, number: int) -> dict[Key, int]:
        old = self.view.old
        other = None if old is None else old.counterpart(view.subjects[number])
        if old is None or other is None:
            return {}
        try:
            if not concerned(rule, old, other):
                return {}  # nobody was told there
            was = looked_at(rule, old, other)
        except RuleError:
            return {}  # by its conditions, or pods that nobody can read
        if any(
            place not in was or not equal(value, was[place]) for place, value in looked_at(rule, view, number).items()
        ):
            return {}  # the finding names no value, and something that it may be about is another
        return _keys(rule, old, other)

    def _exempt(self, rule: Rule, number: int, view: View, unsaid: str) -> bool:
        """Say whether a subject is exempt from a rule as a whole, whatever the rule would find in it.

        `unsaid` is the sentence that then is not said.
        """
        whole = [exemption for exemption in rule.exemptions if exemption.whole and active(exemption, self.now)]
        covered = covering(whole, view.subjects[number], None, _no_image, view.known(number))
        if not isinstance(covered, Exemption):
            return False
        self.spared.append((covered, unsaid))
        return True

    def decision(self) -> Decision:
        """Return the decision on everything found, sorted by pointer within each rule's place."""
        if not (self.findings or self.errors or self.unknown or self.wants):
            return Decision(packs=self.packs)
        findings = tuple(_sorted(self.findings))
        errors, unknown = tuple(dict.fromkeys(self.errors)), tuple(dict.fromkeys(self.unknown))
        denied = any(finding.effective == "deny" and finding.exempt is None for finding in findings)
        denied = denied or any(fault.effective == "deny" for fault in (*errors, *unknown))
        return Decision(
            allowed=not denied,
            findings=findings,
            errors=errors,
            unknown=unknown,
            packs=self.packs,
            wants=frozenset(self.wants),
        )


def _no_image() -> None:
    """Return what an object as a whole has."""


def _why(error: Exception) -> str:
    """Return what is said of a rule that raised: its own sentence, or which error of Python's it was."""
    return str(error)[:400] if isinstance(error, RuleError) else f"{type(error).__name__}: {error}"[:400]


def _keys(rule: Rule, view: View, number: int) -> dict[Key, int]:
    """Return what a subject has of a rule's findings, and each how far."""
    keys: dict[Key, int] = {}
    try:
        marks = Marks(view.subjects[number])
        for one in violations(rule, view, number):
            if isinstance(one, Violation):
                for key in marks.all(one):
                    keys[key] = max(one.extent, keys.get(key, one.extent))
    except Exception:  # as in `guarded`
        return {}  # a rule that fails on what was there before found nothing there
    return keys


def _was(had: dict[Key, int], marks: Marks, violation: Violation) -> bool:
    """Say whether the old object `had` a finding of the new one, as far and no less bad."""
    return all([key in had and violation.extent <= had[key] for key in marks.all(violation)])


def _has_workload_owner(subject: Subject, facts: Facts, ruleset: Ruleset) -> bool:
    """Say whether the owner that is not known, above those that are, is of a kind that makes pods."""
    found = facts.owners.found if isinstance(facts.owners, Missing) else ()
    owner = controller(found[-1].object if found else subject.object) or {}
    return (group_of(owner.get("apiVersion")), str(owner.get("kind"))) in ruleset.kinds


def _sorted(findings: list[Finding]) -> list[Finding]:
    """Return findings by pack, rule and place; places are only looked at where a rule has several, as few have."""
    order = sorted([(finding.about.pack, finding.about.rule, number) for number, finding in enumerate(findings)])
    by_rule = [findings[number] for _, _, number in order]
    if len({(pack, rule) for pack, rule, _ in order}) == len(order):
        return by_rule
    groups = (list(group) for _, group in groupby(by_rule, _RULE))
    return [finding for alike in groups for finding in (alike if len(alike) == 1 else sorted(alike, key=_place))]


def _place(finding: Finding) -> tuple[Any, ...]:
    violation = finding.violation
    tokens = [(0, len(t), t) if t.isascii() and t.isdigit() else (1, 0, t) for t in violation.pointer.split("/")]
    return (tokens, violation.reason, violation.found)
