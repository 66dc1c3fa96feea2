"""The comparison: each object before both packs, by the service that the server runs, with the same facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

from webhook.cli.effect.body import Case
from webhook.cli.report.words import failure
from webhook.engine.view import controller
from webhook.errors import Problem, ReviewError
from webhook.model.decision import Decision
from webhook.model.patch import apply
from webhook.model.pods import group_of, mapping, subjects
from webhook.model.review import Review
from webhook.model.workloads import Kinds
from webhook.packs.rule import Ruleset
from webhook.ports import Clock, ImageReader, NamespaceReader, NeighbourReader, OwnerReader, Unknown
from webhook.service import Service

Verdict = Literal["deny", "warn", "allow"]
Name = tuple[str, str, str, str]
"""Namespace, group, kind and name of an object."""
CATEGORIES = ("denied", "warned", "allowed", "relieved")
"""Newly denied; let in, but newly warned; denied before, and let in now; warned of before, and no longer."""
ALONE = "the object itself"
SPACE = "namespace "


class Point(NamedTuple):
    """One thing that a rule finds, or that a rule failed, as it counts."""

    pack: str
    rule: str
    effective: str
    pointer: str
    container: str
    reason: str
    found: str
    wanted: str
    remediation: str

    @property
    def alike(self) -> tuple[str, ...]:
        """Return what is the same in an object and in what it makes: all but the place, and what comes of it."""
        return (self.pack, self.rule, self.container, self.reason, self.found)


class Whose(NamedTuple):
    """Whose an object is, and what says so: a label, its namespace's label, or the controller above it."""

    name: str
    by: str


@dataclass(frozen=True, slots=True)
class Around:
    """Who is asked what stands around an object: the same for both packs."""

    namespaces: NamespaceReader
    neighbours: NeighbourReader
    owners: OwnerReader | None = None
    images: ImageReader | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: its rules, its name as it was given, and the clock it is judged by."""

    name: str
    ruleset: Ruleset
    clock: Clock


@dataclass(frozen=True, slots=True)
class Heard:
    """One object that some rule of either side concerns: what each says, and what told whose it is."""

    source: str
    api_version: str
    kind: str
    namespace: str
    name: str
    subresource: str
    group: str
    before: Verdict
    after: Verdict
    gained: tuple[Point, ...] = ()
    lost: tuple[Point, ...] = ()
    corrected: bool = False
    updatable: bool = False
    undecided: tuple[tuple[str, str], ...] = ()
    label: Whose | None = None
    above: Name | None = None
    owner: Whose = Whose("", "")
    followers: int = 0

    @property
    def key(self) -> Name:
        """Return what others call it by."""
        return (self.namespace, self.group, self.kind, self.name)

    @property
    def title(self) -> str:
        """Return what a person calls it: `Deployment shop/web`."""
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind}{'/' + self.subresource if self.subresource else ''} {name}"

    @property
    def category(self) -> str:
        """Return which of CATEGORIES it is in, '' where its verdict stays."""
        if self.before == self.after:
            return ""
        if self.after == "deny":
            return "denied"
        if self.before == "deny":
            return "allowed"
        return "warned" if self.after == "warn" else "relieved"


@dataclass(slots=True)
class Impact:
    """All that comes of it. `changes` are the objects whose verdict changes, those that are denied first.

    `objects` counts all that were judged but for those that only follow their controller (`controlled`), `owners`
    whose they are; `left` what was not judged, and why; `undecided` by (rule, reason) the objects for which NEW lacked
    a fact.
    """

    changes: list[Heard] = field(default_factory=list)
    objects: Counter[Whose] = field(default_factory=Counter)
    controlled: int = 0
    altered: int = 0
    corrected: int = 0
    left: Counter[str] = field(default_factory=Counter)
    undecided: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Return how many objects were judged."""
        return self.objects.total()

    def count(self, category: str) -> int:
        """Return how many objects are in a category."""
        return sum(change.category == category for change in self.changes)

    def of(self, category: str) -> list[Heard]:
        """Return the objects in a category."""
        return [change for change in self.changes if change.category == category]

    def by(self, what: Callable[[Heard], Any]) -> list[tuple[Any, Counter[str]]]:
        """Return the figures by owner, namespace or the like, those who are stopped most first."""
        figures: dict[Any, Counter[str]] = {}
        for change in self.changes:
            figures.setdefault(what(change), Counter())[change.category] += 1
        return _most(figures)

    def rules(self) -> list[tuple[str, Counter[str]]]:
        """Return by `pack/rule` how many objects it newly denies or warns of, those that stop most first."""
        figures: dict[str, Counter[str]] = {}
        for change in self.changes:
            for label, effective in {(f"{point.pack}/{point.rule}", point.effective) for point in change.gained}:
                figures.setdefault(label, Counter())["denied" if effective == "deny" else "warned"] += 1
        return _most(figures)


def _most(figures: Mapping[Any, Counter[str]]) -> list[tuple[Any, Counter[str]]]:
    return sorted(figures.items(), key=lambda item: ([-item[1][name] for name in CATEGORIES], item[0]))


def court(
    old: Side, new: Side, around: Around, namespace: str, labels: Sequence[str], fixes: bool
) -> Callable[[Case], Heard | Problem | None]:
    """Return what hears one case. It gives None where no rule of either side concerns it, and a problem where the
    case could not be asked about.

    `namespace` is where manifests go that name none; `labels` say whose an object is, the first that is there;
    `fixes` whether /mutate corrects an object before it is judged, as in a cluster that has it.
    """
    services = [
        Service(
            _always(side.ruleset),
            namespaces=around.namespaces,
            owners=around.owners,
            neighbours=around.neighbours,
            images=around.images,
            clock=side.clock,
        )
        for side in (old, new)
    ]
    tolerant = {(rule.about.pack, rule.about.rule) for rule in new.ruleset.rules if rule.existing}

    def hear(case: Case) -> Heard | Problem | None:
        try:
            review = case.review(namespace)
        except ReviewError as error:
            return Problem(case.source, 0, "", error.message)
        sides = (old, new)
        if not any(side.ruleset.bucket("all", side.ruleset.workload(review)).rules for side in sides):
            return None
        before, _ = _decide(services[0], review, fixes)
        after, corrected = _decide(services[1], review, fixes)
        points = _points(before), _points(after)
        verdicts = _verdict(points[0]), _verdict(points[1])
        failed = any(fault.effective == "deny" for fault in after.errors)
        denied = [point[:2] for point in points[1] if point.effective == "deny"]
        return Heard(
            source=case.source,
            api_version=str((review.object or {}).get("apiVersion", "")),
            kind=review.kind.kind,
            namespace=review.namespace,
            name=review.name,
            subresource=review.subresource,
            group=review.kind.group,
            before=verdicts[0],
            after=verdicts[1],
            gained=tuple(point for point in points[1] if point not in points[0]),
            lost=tuple(point for point in points[0] if point not in points[1]),
            corrected=corrected,
            # a rule that failed denies updates, too, whatever the object was before
            updatable=bool(denied) and all(label in tolerant for label in denied) and not failed,
            undecided=tuple({(f"{fault.pack}/{fault.rule}", fault.message): None for fault in after.unknown}),
            label=whose(review, labels, around.namespaces, new.ruleset.kinds),
            above=_above(review),
        )

    return hear


def _always(ruleset: Ruleset) -> Callable[[], Ruleset]:
    return lambda: ruleset


def _decide(service: Service, review: Review, fixes: bool) -> tuple[Decision, bool]:
    """Return what comes of a review after the fixes, and whether they alone save it from being denied."""
    patch = service.decide("mutate", review).patch if fixes and review.object is not None else ()
    if not patch or review.object is None:
        return service.decide("all", review), False
    written = _verdict(_points(service.decide("all", review)))
    obj = apply(review.object, list(patch))
    decision = service.decide("all", replace(review, object=obj, request={**review.request, "object": obj}))
    return decision, written == "deny" != _verdict(_points(decision))


def _points(decision: Decision) -> tuple[Point, ...]:
    """Return what counts in a decision; unknown facts don't: they are the body's lack, and no word on the object."""
    points = [
        Point(
            finding.pack,
            finding.rule,
            finding.effective,
            finding.violation.pointer,
            finding.violation.container or "",
            finding.violation.reason,
            finding.violation.found,
            finding.violation.wanted,
            finding.about.remediation,
        )
        for finding in decision.findings
        if finding.exempt is None
    ]
    points += [
        Point(fault.pack, fault.rule, fault.effective, "", "", failure(fault), "", "", "") for fault in decision.errors
    ]
    return tuple(point for point in points if point.effective in ("deny", "warn"))


def _verdict(points: Iterable[Point]) -> Verdict:
    actions = {point.effective for point in points}
    return "deny" if "deny" in actions else "warn" if "warn" in actions else "allow"


def whose(review: Review, labels: Sequence[str], namespaces: NamespaceReader, kinds: Kinds) -> Whose | None:
    """Return whose an object is by the first of `labels` on it, on its pod template, or on its namespace.

    An annotation of that name counts as well. None where nothing says it.
    """
    obj = review.object or {}
    kind = review.kind
    metas: list[Mapping[str, Any]] = [mapping(obj.get("metadata"))]
    metas += [pod.metadata for pod in subjects(obj, kind.group, kind.kind, "", "", kinds)[0].pods]
    found = _labelled(metas, labels)
    if found is not None or not review.namespace:
        return found
    try:
        space = namespaces.get(review.namespace, 0.0)
    except Unknown:
        return None
    found = _labelled([mapping(space.get("metadata"))], labels)
    return None if found is None else Whose(found.name, f"{SPACE}{review.namespace}, {found.by}")


def _labelled(metas: Iterable[Mapping[str, Any]], labels: Sequence[str]) -> Whose | None:
    for label in labels:
        for meta in metas:
            for field_name in ("labels", "annotations"):
                value = mapping(meta.get(field_name)).get(label)
                if isinstance(value, str) and value.strip():
                    return Whose(value.strip(), label)
    return None


def _above(review: Review) -> Name | None:
    owner = controller(review.object or {})
    if owner is None:
        return None
    return (review.namespace, group_of(owner.get("apiVersion")), str(owner.get("kind")), str(owner.get("name")))


def impact(judged: Sequence[Heard], left: Mapping[str, int]) -> Impact:
    """Return what comes of all objects that were judged. What only does as its controller does is counted with that.

    `left` is what was not judged, and why.
    """
    known = {one.key: one for one in judged if not one.subresource}
    result = Impact(left=Counter(left))
    followers: Counter[Name] = Counter()
    changes: list[Heard] = []
    for one in judged:
        result.undecided.update(one.undecided)
        chain = _chain(one, known)
        leader = next((above for above in chain if _follows(one, above)), None)
        if chain and (leader is not None or not one.category):
            result.controlled += 1
            if one.category and leader is not None:
                followers[leader.key] += 1
            continue
        owned = replace(one, owner=_owner(one, chain))
        result.objects[owned.owner] += 1
        result.corrected += one.corrected
        if owned.category:
            changes.append(owned)
        elif owned.gained or owned.lost:
            result.altered += 1
    changes = [replace(one, followers=followers[one.key]) for one in changes]
    result.changes = sorted(changes, key=lambda one: (CATEGORIES.index(one.category), one.owner, one.key, one.source))
    return result


def _chain(one: Heard, known: Mapping[Name, Heard]) -> list[Heard]:
    """Return the controllers of an object that were judged, too, the topmost first."""
    found: list[Heard] = []
    seen: set[Name] = {one.key}
    above = one.above
    while above is not None and above in known and above not in seen:
        seen.add(above)
        found.insert(0, known[above])
        above = known[above].above
    return found


def _follows(one: Heard, above: Heard) -> bool:
    """Say whether all that changes about an object changes about its controller.

    Of what a controller has had since before a rule denied, its objects are only warned, so that it can go on.
    """
    if one.category != above.category and (one.category, above.category) != ("warned", "denied"):
        return False
    return _alike(one.gained) <= _alike(above.gained) and _alike(one.lost) <= _alike(above.lost)


def _alike(points: Iterable[Point]) -> set[tuple[str, ...]]:
    return {point.alike for point in points}


def _owner(one: Heard, chain: Sequence[Heard]) -> Whose:
    said = [held.label for held in (one, *reversed(chain)) if held.label is not None]
    if said:
        return min(said, key=lambda label: label.by.startswith(SPACE))  # what is said nearer than by the namespace
    top = chain[0] if chain else one
    if top.above is not None:
        return Whose(f"{top.above[2]} {top.above[0]}/{top.above[3]}", "controller")
    return Whose(top.title, "controller" if chain else ALONE)
