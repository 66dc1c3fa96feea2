"""What `/mutate` does: the fixes of the rules that are not kept, one after the other, as a JSON Patch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from webhook.engine import writes
from webhook.engine.sitting import Sitting
from webhook.engine.view import View, controller
from webhook.errors import RuleError
from webhook.model import patch as patches
from webhook.model import pointer as pointers
from webhook.model.decision import NOTHING_TO_SAY, Decision, Finding, Fixed
from webhook.model.patch import Draft
from webhook.model.pods import LISTS, Pod, Subject, mapping
from webhook.model.review import MIRROR, Review
from webhook.packs.match import Lacking
from webhook.packs.rule import Rule

PASSES = 3
# their objects are written by a control plane elsewhere, which would write them back
_NEVER = frozenset({("work.karmada.io", "Work"), ("apps.clusternet.io", "Manifest")})
# the API takes no change of these templates (validation of Pod and Job updates)
_IMMUTABLE = frozenset({("", "Pod"), ("batch", "Job")})
_APPLIED, _WISHED = frozenset({"deny", "warn"}), frozenset({"audit"})


def mend(sitting: Sitting, rules: tuple[Rule, ...], expired: Callable[[], bool]) -> Decision:
    """Return the decision with the patch of all fixes that apply; it always allows.

    Fixes run in the order of the rules, each on the object so far, and again until nothing changes, at most
    three times. The patch is applied to the original before it is given out. Raises RuleError where that does not
    give what the fixes made.
    """
    review = sitting.review
    if review.object is None or not may_fix(review):
        return NOTHING_TO_SAY
    draft = Draft.of(review.object)
    patched = _run(sitting, rules, draft, _APPLIED, expired)
    if draft.operations and patches.apply(review.object, draft.operations) != draft.document:
        raise RuleError("the patch does not make what the fixes made; nothing is patched")
    # an audited rule sees the object as it will be stored
    wishes = Draft.of(draft.document)
    would = _run(sitting, rules, wishes, _WISHED, expired)
    return replace(
        sitting.decision(),
        allowed=True,
        patch=tuple(draft.operations),
        patched=(*patched, *(replace(fixed, would=True) for fixed in would)),
        conflicts=(*draft.conflicts, *wishes.conflicts),
    )


def may_fix(review: Review) -> bool:
    """Say whether any fix may be made at all.

    On CREATE: Pods, and objects without a controller owner (a patched ReplicaSet makes its Deployment create
    ReplicaSets without end). On UPDATE: objects whose templates the API lets change. Never mirror pods, nor
    what another control plane writes.
    """
    obj, kind = review.object, (review.kind.group, review.kind.kind)
    if obj is None or review.subresource or kind in _NEVER:
        return False
    if MIRROR in mapping(mapping(obj.get("metadata")).get("annotations")):
        return False
    if review.operation == "CREATE":
        return kind == ("", "Pod") or controller(obj) is None
    return kind not in _IMMUTABLE and controller(obj) is None


def _run(
    sitting: Sitting, rules: tuple[Rule, ...], draft: Draft, actions: frozenset[str], expired: Callable[[], bool]
) -> list[Fixed]:
    made: dict[str, Fixed] = {}
    changed = frozenset(n for n, subject in enumerate(sitting.view.subjects) if _changed(sitting, subject))

    def look() -> View:
        return View.of(sitting.ruleset, sitting.review, sitting.facts, draft.document, rules, expired=expired)

    view, seen = look(), len(draft.operations)
    settled = len(rules)
    for _ in range(PASSES):
        last = -1  # the rule that changed something last in this pass
        for place, rule in enumerate(rules):
            if expired():
                break  # nobody waits; each fix so far is whole
            if last < 0 and place > settled:
                break  # what is left was asked in the last pass, when all changes were made
            before = len(draft.operations)
            if seen != len(draft.operations):
                view, seen = look(), len(draft.operations)
            for number in _meant(rule, sitting, changed):
                _fix(sitting, rule, view, number, draft, actions, made, pods=number in changed)
                if view.object is not draft.document:  # taken back; subjects share nothing, so no other write matters
                    view, seen = look(), len(draft.operations)
            if len(draft.operations) != before:
                last = place
        if last < 0:
            break
        settled = last
    return list(made.values())


def _fix(
    sitting: Sitting,
    rule: Rule,
    view: View,
    number: int,
    draft: Draft,
    actions: frozenset[str],
    made: dict[str, Fixed],
    *,
    pods: bool,
) -> None:
    if sitting.action(rule, view, number) not in actions:
        return
    findings = sitting.of(rule, view, number)
    if not any(finding.exempt is None and finding.effective in actions for finding in findings):
        return
    done = len(draft.operations)
    draft.rule = rule.label

    def write(rule: Rule, view: View, number: int) -> bool:
        if rule.check is not None and rule.check.fix_subject is not None and _open(findings):
            rule.check.fix_subject(view.subjects[number], draft)
            if not _asked_for(sitting.review, draft, done):
                draft.rewind(done)
        for index, pod in view.pods(rule, number) if pods else ():
            open_pod = _without_exempt(pod, findings)
            if rule.check is not None and rule.check.fix is not None:
                for unsure in rule.check.fix(open_pod, draft) or ():
                    sitting.lacks(rule, number, Lacking(unsure.fact, unsure.why), view)
            elif rule.mutation is not None:
                writes.write(rule.mutation, view, number, index, open_pod, draft)
        return True

    if not sitting.guarded(rule, view, number, write) or not _taken(sitting, view.subjects[number], draft, done):
        draft.rewind(done)
    elif len(draft.operations) > done:
        first = made.get(rule.label)
        steps = (*(first.steps if first else ()), *range(done, len(draft.operations)))
        where = first.pointer if first else str(draft.operations[done]["path"])
        made[rule.label] = Fixed(rule.about, len(steps), where, rule.quiet, steps=steps)


def _meant(rule: Rule, sitting: Sitting, changed: frozenset[int]) -> Iterable[int]:
    """Return the numbers of the subjects that a rule's fix may write: those whose pods this request writes.

    A fix of the object around the pods is asked about every subject, and judged by what it writes.
    """
    if rule.check is not None and rule.check.fix_subject is not None:
        return range(len(sitting.view.subjects))
    return sorted(changed)


def _asked_for(review: Review, draft: Draft, done: int) -> bool:
    """Say whether this request itself writes every field that the operations after the first `done` write."""
    if review.old_object is None:
        return True
    paths = [pointers.split(str(operation["path"])) for operation in draft.operations[done:]]
    missing = object()
    return all(
        pointers.get(review.object, path, missing) != pointers.get(review.old_object, path, missing) for path in paths
    )


def _taken(sitting: Sitting, subject: Subject, draft: Draft, done: int) -> bool:
    """Say whether the kind's own webhook takes every field that the operations after the first `done` write.

    A field that the author wrote is taken: somebody allowed it there, and what is refused is refused without us.
    """
    row = sitting.ruleset.kinds.get((subject.group, subject.kind))
    paths = [pointers.split(str(operation["path"])) for operation in draft.operations[done:]]
    return row is None or all(
        row.takes(tuple(path[len(base) :])) or _written(draft.original, path, len(base))
        for path in paths
        for base in (pointers.split(pod.pointer) for pod in subject.pods)
        if path[: len(base)] == base
    )


def _written(original: Mapping[str, Any], path: list[str], base: int) -> bool:
    """Say whether the field of a pod's spec, or of one of its containers, stands in the object as it came."""
    depth = base + (4 if path[base + 1] in LISTS else 2)
    return pointers.get(original, path[:depth], None) is not None


def _open(findings: list[Finding]) -> bool:
    """Say whether no finding is exempt: the object around the pods is mended whole or not at all."""
    return all(finding.exempt is None for finding in findings)


def _changed(sitting: Sitting, subject: Subject) -> bool:
    """Say whether this request writes the subject's pods: it creates them, or changes a template.

    So that no fix causes a rollout that nobody asked for.
    """
    old = sitting.view.old
    number = None if old is None else old.counterpart(subject)
    if old is None or number is None:
        return bool(subject.pods)
    return [(p.metadata, p.spec) for p in subject.pods] != [(p.metadata, p.spec) for p in old.subjects[number].pods]


def _without_exempt(pod: Pod, findings: list[Finding]) -> Pod:
    """Return the pod without the containers and image volumes that are exempt from the rule."""
    exempt = {
        (finding.violation.container, place)
        for finding in findings
        if finding.exempt is not None
        for place in pointers.upwards(finding.violation.pointer)
    }
    if not exempt:
        return pod
    return pod.keep(lambda c: (c.name, c.pointer) not in exempt, lambda v: (v.name, v.pointer) not in exempt)
