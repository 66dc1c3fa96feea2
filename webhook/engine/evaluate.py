"""evaluate(ruleset, review, facts, now) -> Decision: the whole judgement, on plain values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from webhook.engine import fixes, guard
from webhook.engine.changes import Changes
from webhook.engine.facts import Facts, Needs
from webhook.engine.judge import left_out
from webhook.engine.sitting import Sitting
from webhook.engine.view import View, controller, inspects, namespaced, seeks
from webhook.model.decision import NOTHING_TO_SAY, Decision
from webhook.model.neighbours import NAMESPACE, Ref
from webhook.model.oci import Lookup
from webhook.model.pods import Subject, mapping, subjects
from webhook.model.review import MIRROR, Review
from webhook.packs.rule import Bucket, Rule, Ruleset, titles

SUBRESOURCES = frozenset({"", "ephemeralcontainers", "resize", "scale"})


def evaluate(
    ruleset: Ruleset,
    review: Review,
    facts: Facts,
    now: datetime,
    endpoint: str,
    expired: Callable[[], bool] = lambda: False,
    seen: tuple[Subject, ...] | None = None,
) -> Decision:
    """Return what the rules say to a review at `endpoint` (validate, advise, mutate; all: the first two).

    `now` is a time with a zone. Where a fact that was not gathered would have changed the decision, it is named
    in `wants`. A rule that fails is one fault and never takes another rule down. Once `expired` says that nobody
    waits any more, the rules that are left are not asked, and count as failed, and so does one that goes on asking what
    images are: no object is too large to be judged.
    `seen` are the subjects of this review, where `needs` has read them.
    """
    decision = _by_rules(ruleset, review, facts, now, endpoint, expired, seen)
    if review.kind.kind != "Namespace":
        return decision  # nearly all reviews, for which a call is too much
    guarded = guard.decide(ruleset, review, facts, endpoint)
    return decision if guarded is None else guard.join(decision, guarded)


def _by_rules(
    ruleset: Ruleset,
    review: Review,
    facts: Facts,
    now: datetime,
    endpoint: str,
    expired: Callable[[], bool],
    seen: tuple[Subject, ...] | None,
) -> Decision:
    """Return what the rules of the packs say."""
    review = ruleset.workload(review)
    bucket = ruleset.bucket(endpoint, review)
    obj, rules = review.object, _asked(ruleset, bucket, review, seen)
    if not rules or obj is None:
        return NOTHING_TO_SAY
    view = View.of(ruleset, review, facts, obj, rules, seen, expired)
    packs = bucket.packs if rules is bucket.rules else titles(rules)
    sitting = Sitting(ruleset, review, facts, now, view, packs)
    if endpoint == "mutate":
        return fixes.mend(sitting, rules, expired)
    sitting.hear(_left(bucket, view, expired) if rules is bucket.rules else rules, expired)
    return sitting.decision()


def verdicts(
    ruleset: Ruleset, review: Review, facts: Facts, now: datetime, endpoint: str
) -> dict[tuple[str, str], bool]:
    """Return of each rule (pack, rule) that judges a review at `endpoint` (validate, advise, all) whether it is kept.

    What was not decided is left out: a rule that failed or lacked a fact, one that is disabled there, and one all of
    whose findings are exempt.
    """
    review = ruleset.workload(review)
    bucket = ruleset.bucket(endpoint, review)
    obj, rules = review.object, _asked(ruleset, bucket, review, None)
    if not rules or obj is None:
        return {}
    view = View.of(ruleset, review, facts, obj, rules)
    found = {}
    for rule in rules:
        sitting = Sitting(ruleset, review, facts, now, view, bucket.packs)
        verdict = _verdict(sitting, rule)
        if verdict is not None:
            found[rule.about.pack, rule.about.rule] = verdict
    return found


def _verdict(sitting: Sitting, rule: Rule) -> bool | None:
    sitting.hear((rule,))
    if any(finding.exempt is None for finding in sitting.findings):
        return False
    if sitting.findings or sitting.errors or sitting.unknown:
        return None
    view = sitting.view
    judged = (
        left_out(rule, view, number) is None and sitting.action(rule, view, number) != "disabled"
        for number in range(len(view.subjects))
    )
    return True if any(judged) else None


def _asked(ruleset: Ruleset, bucket: Bucket, review: Review, seen: tuple[Subject, ...] | None) -> tuple[Rule, ...]:
    """Return the rules of a bucket that are asked about a review: of an update those that read what it changes."""
    if not bucket.rules or review.object is None or let_through(review):
        return ()
    if review.operation == "UPDATE" and review.old_object is not None:
        return Changes(review, ruleset, seen).concerned(bucket.rules)
    return bucket.rules


def _left(bucket: Bucket, view: View, expired: Callable[[], bool]) -> Sequence[Rule]:
    """Return the rules of a bucket to be judged by themselves: no glance or chorus says of them that they are kept."""
    kept: list[Rule] = []
    whole = True
    for chorus in bucket.choruses:
        if not expired() and view.kept(chorus):
            kept += chorus.rules
        else:
            whole = False
    for panel in bucket.panels:
        found = view.broken(panel, expired)
        kept += panel.kept(found) if found else panel.rules
        whole = whole and not found
    if whole:
        return bucket.alone
    passed = set(map(id, kept))
    return [rule for rule in bucket.rules if id(rule) not in passed]


def let_through(review: Review) -> str:
    """Return why nothing is judged, '' where something is.

    It is the `operation`, the `subresource`, or a `mirror` pod of a node's own user.
    """
    if review.operation not in ("CREATE", "UPDATE"):
        return "operation"
    if review.subresource not in SUBRESOURCES:
        return "subresource"
    annotations = mapping(mapping(mapping(review.object).get("metadata")).get("annotations"))
    node = review.user.startswith("system:node:") and "system:nodes" in review.groups
    return "mirror" if node and review.kind.kind == "Pod" and MIRROR in annotations else ""


def former(ruleset: Ruleset, review: Review, endpoint: str) -> frozenset[Lookup]:
    """Return the images of the old object that the rules ask about: what a finding about an image was there before by.

    Nobody needs them but for a finding that is denied: `FORMER` in the `wants` of a decision says so.
    """
    review = ruleset.workload(review)
    old, kind = review.old_object, review.kind
    if old is None:
        return frozenset()
    asking = ruleset.bucket(endpoint, review).inspectors
    found = subjects(old, kind.group, kind.kind, review.namespace, review.name, ruleset.kinds)
    return frozenset([one for each in found for one in inspects(ruleset, asking, review, each)])


def needs(ruleset: Ruleset, review: Review, endpoint: str) -> Needs:
    """Return the facts that the decision on a review hangs on. What the rules may need is known from compiling."""
    right = guard.right(ruleset, review, endpoint) if review.kind.kind == "Namespace" else None
    review = ruleset.workload(review)
    bucket, obj = ruleset.bucket(endpoint, review), review.object
    if not bucket.rules or obj is None or let_through(review):
        return Needs(right=right)
    if endpoint == "mutate" and not fixes.may_fix(review):
        return Needs()
    names, sought, images = set(), frozenset[Ref](), frozenset[Lookup]()
    if bucket.namespace and namespaced(review):
        names.add("namespace")
    if bucket.owners and controller(obj) is not None:
        names.add("owners")
    found = None
    if bucket.seekers:
        kind = review.kind
        found = subjects(obj, kind.group, kind.kind, review.namespace, review.name, ruleset.kinds)
        own = found[0]  # what is wrapped has its neighbours in another cluster
        fixing = endpoint == "mutate"
        sought = frozenset(seeks(ruleset, bucket.seekers, review, own, fixing))
        asking = bucket.inspectors
        images = frozenset([one for each in found for one in inspects(ruleset, asking, review, each, fixing)])
        if namespaced(review) and NAMESPACE in sought:
            names.add("namespace")
        sought -= {NAMESPACE}
    return Needs(frozenset(names), sought, images, right, found)
