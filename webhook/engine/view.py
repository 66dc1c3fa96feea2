"""One object of a review as rules see it: its subjects, and the CEL activations over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from webhook.checks import cel
from webhook.checks.cel import Program
from webhook.engine.facts import Facts, Missing
from webhook.errors import RuleError
from webhook.model import pointer as pointers
from webhook.model.decision import Violation
from webhook.model.neighbours import NAMESPACE, Found, Neighbours, Ref, together
from webhook.model.oci import Images, Inspected, Lookup, uninspected
from webhook.model.pods import Pod, Subject, group_of, mapping, subjects
from webhook.model.review import Review
from webhook.model.workloads import Kinds
from webhook.packs.match import Known, Out, narrow, outside
from webhook.packs.rule import Chorus, Panel, Rule, Ruleset
from webhook.packs.width import cut

NOT_KNOWN = Known("not asked yet", "not asked yet")
UNASKED = "no reader of the cluster is at hand"
LATE = "not judged within the time that the API server waits"


@dataclass(slots=True)
class View:
    """The object (or the old one, or a draft) of a review, taken apart once for all rules.

    Activations and scoped pods are made when a rule first needs them, and kept for the rest of the review: CEL
    converts a variable whole at its first use, so one activation serves all expressions.
    """

    ruleset: Ruleset
    review: Review
    facts: Facts
    object: Mapping[str, Any]
    rules: tuple[Rule, ...]
    subjects: tuple[Subject, ...]
    _activations: dict[tuple[int, int], Any] = field(default_factory=dict)
    _known: dict[int, Known] = field(default_factory=dict)
    _numbers: dict[tuple[str, ...], int] = field(default_factory=dict)
    _images: dict[int, dict[tuple[str, str], str]] = field(default_factory=dict)
    _old: View | None = None
    _pods: dict[int, list[tuple[int, Pod]]] = field(default_factory=dict)
    _values: dict[tuple[Any, int, int | None], Any] = field(default_factory=dict)
    _expired: Callable[[], bool] = lambda: False

    @classmethod
    def of(
        cls,
        ruleset: Ruleset,
        review: Review,
        facts: Facts,
        obj: Mapping[str, Any],
        rules: tuple[Rule, ...],
        seen: tuple[Subject, ...] | None = None,
        expired: Callable[[], bool] = lambda: False,
    ) -> View:
        """Return the view on `obj`, which is the review's object, its old one, or a draft of it.

        `seen` are the subjects in it, where somebody has read them. Once `expired` says that nobody waits any more, a
        check that asks what an image is gets a RuleError: a pod may name a thousand, and each may be large.
        """
        found, kind = seen, review.kind
        if found is None:
            found = subjects(obj, kind.group, kind.kind, review.namespace, review.name, ruleset.kinds)
        if _seeking(rules):
            among = found
            found = tuple([one.beside(_neighbours(one, among, facts), _images(one, facts, expired)) for one in found])
        return cls(ruleset, review, facts, obj, rules, found, _expired=expired)

    @property
    def old(self) -> View | None:
        """The view on the old object of an update, made once; None where there is none."""
        if self._old is None and self.review.old_object is not None:
            old = self.review.old_object
            self._old = View.of(self.ruleset, self.review, self.facts, old, self.rules, expired=self._expired)
        return self._old

    @property
    def lone(self) -> Subject | None:
        """The object, where it is all that is judged, and its pods can be read; None otherwise."""
        first = self.subjects[0]
        if len(self.subjects) != 1 or first.unreadable or any([pod.unreadable for pod in first.pods]):
            return None
        return first

    @property
    def no_namespace(self) -> str:
        """Say why the Namespace of the review is not there; '' where it is, or where there is none to be had."""
        review, namespace = self.review, self.facts.namespace
        if not namespaced(review) or not isinstance(namespace, Missing):
            return ""
        return f"namespace {review.namespace}: {namespace.reason or UNASKED}"

    def counterpart(self, subject: Subject) -> int | None:
        """Return the number of the subject that is the same thing: the object itself, or the manifest of that name."""
        if not self._numbers:
            for number in reversed(range(len(self.subjects))):  # of two with one name the first counts
                self._numbers[_identity(self.subjects[number])] = number
        return self._numbers.get(_identity(subject))

    def known(self, number: int) -> Known:
        """Return what is known about the place of the subject with this number."""
        if number not in self._known:
            self._known[number] = _known(self.subjects[number], self.review, self.facts)
        return self._known[number]

    def readable(self, number: int) -> None:
        """Raise RuleError where something stands in the place of a subject's pod that is none."""
        if self.subjects[number].unreadable:
            raise RuleError(self.subjects[number].unreadable)

    def pods(self, rule: Rule, number: int) -> list[tuple[int, Pod]]:
        """Return the pods of a subject with the containers in the rule's scope, each with its number.

        Raises RuleError where a pod cannot be read: what nobody can see is not let through unseen.
        """
        pods = self._pods.get(number)
        if pods is None:
            self.readable(number)
            pods = list(enumerate(self.subjects[number].pods))
            for _, pod in pods:
                if pod.unreadable:
                    raise RuleError(f"{pod.pointer}: {pod.unreadable}" if pod.pointer else pod.unreadable)
            self._pods[number] = pods
        if not rule.narrows:
            return pods
        narrowed = ((i, narrow(rule.scopes, pod)) for i, pod in pods)
        return [(i, pod) for i, pod in narrowed if pod is not None]

    def activation(self, number: int, pod: int | None) -> Any:
        """Return the CEL activation for a subject and one of its pods (None: no pod)."""
        key = (number, -1 if pod is None else pod)
        found = self._activations.get(key)
        if found is None:
            found = self._activations[key] = cel.activation(self._bindings(number, pod))
        return found

    def value(self, program: Program, number: int, pod: int | None) -> Any:
        """Return what a program gives for a subject and one of its pods; packs with the same texts share the work.

        Raises RuleError, each time anew.
        """
        key = (program.expression, number, pod)
        value = self._values.get(key)  # no program of a rule gives null
        if value is None:
            value = self._values[key] = program(self.activation(number, pod))
        return value

    def kept(self, chorus: Chorus) -> bool:
        """Say whether all rules of a chorus are kept; where one is not, or fails, each is to be judged by itself.

        What each of them gives is kept for that.
        """
        if len(self.subjects) != 1:
            return False  # what a wrapper carries is of many kinds
        places: list[int | None] = [None]
        try:
            if chorus.pods:
                places = [index for index, _ in self.pods(chorus.rules[0], 0)]
            heard = [(place, chorus.asks(self.activation(0, place))) for place in places]
        except (RuleError, *cel.FAILURES):
            return False
        if all([value is True for _, values in heard for value in values]):
            return True
        for place, values in heard:
            for program, value in zip(chorus.asks.programs, values, strict=True):
                if isinstance(value, bool):
                    self._values[(program.expression, 0, place)] = value
        return False

    def broken(self, panel: Panel, expired: Callable[[], bool]) -> int:
        """Return the bits of what a panel's rules ask and the pods do not keep; all, where each is to be asked itself.

        So it is of a wrapper, whose manifests have scopes of their own, and where the glance fails: that is for each of
        the rules to answer.
        """
        lone = self.lone
        if lone is None or expired():
            return panel.bits
        found = 0
        try:
            for pod in lone.pods:
                found |= panel.broken(pod, panel.bits)
        except Exception:  # as broad as in `Sitting.hear`, which tells it
            return panel.bits
        return found

    def with_item(self, number: int, pod: int, item: Any) -> Any:
        """Return an activation of its own for one element of a list, which CEL sees as `item`."""
        return cel.activation({**self._bindings(number, pod), "item": item})

    def _bindings(self, number: int, pod: int | None) -> dict[str, Any]:
        subject, review = self.subjects[number], self.review
        namespace, widths = self.facts.namespace, self.ruleset.widths
        bindings: dict[str, Any] = {
            "object": cut(subject.object, widths.get("object")),
            "oldObject": cut(self._before(subject), widths.get("oldObject")),
            "request": cut(review.request, widths.get("request")),
            "namespaceObject": None if isinstance(namespace, Missing) else namespace,
            **self.ruleset.values,
        }
        if pod is None:
            return bindings
        found = subject.pods[pod]
        bindings["pod"] = cut({"metadata": dict(found.metadata), "spec": found.spec}, widths.get("pod"))
        width = widths.get("containers")
        bindings["containers"] = [cut(container.spec, width) for container in found.containers]
        for rule in self.rules:
            if rule.narrows and rule.check is None:
                narrowed = narrow(rule.scopes, found)
                bindings[rule.containers_key] = [c.spec for c in narrowed.containers] if narrowed else []
        return bindings

    def image(self, number: int, violation: Violation) -> str | None:
        """Return the image of the container or image volume that a violation lies in and names, None for others."""
        if number not in self._images:
            pods = self.subjects[number].pods
            places = [(c.pointer, c.name, c.image) for pod in pods for c in pod.containers]
            places += [(v.pointer, v.name, v.image or "") for pod in pods for v in pod.image_volumes]
            self._images[number] = {(pointer, name): image for pointer, name, image in places}
        images, name = self._images[number], violation.container
        found = (images.get((place, name or "")) for place in pointers.upwards(violation.pointer))
        return None if name is None else next((image for image in found if image is not None), None)

    def _before(self, subject: Subject) -> Mapping[str, Any] | None:
        if not subject.pointer or self.old is None:
            return self.review.old_object
        number = self.old.counterpart(subject)
        return None if number is None else self.old.subjects[number].object


def _identity(subject: Subject) -> tuple[str, ...]:
    return (subject.group, subject.kind, subject.namespace, subject.name) if subject.pointer else ()


def _seeking(rules: Iterable[Rule]) -> bool:
    # `any` with a generator, or `map`, costs compiled code thrice the loop
    for rule in rules:  # noqa: SIM110
        if rule.seeks:
            return True
    return False


def namespaced(review: Review) -> bool:
    """Say whether the object lives in a namespace. The API server gives a Namespace its own name for one."""
    return bool(review.namespace) and (review.kind.group, review.kind.kind) != ("", "Namespace")


def controller(obj: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the ownerReference of an object's controller, or None. There is at most one (apimachinery, ObjectMeta)."""
    references = mapping(obj.get("metadata")).get("ownerReferences")
    if references is None:
        return None
    for reference in references if isinstance(references, list) else ():
        if isinstance(reference, dict) and reference.get("controller") is True:
            return reference
    return None


def seeks(ruleset: Ruleset, rules: Iterable[Rule], review: Review, subject: Subject, fixes: bool = False) -> set[Ref]:
    """Return what the checks of the rules look for beside a subject, and, with `fixes`, their fixes.

    Nothing is looked for where a rule will not be asked: of another kind, outside its scope, made by a controller.
    """
    found: set[Ref] = set()
    for rule in rules:
        check = rule.check
        ask = None if check is None else check.seeks
        more = None if check is None or not fixes else check.fix_seeks
        if (ask is None and more is None) or not _asked(ruleset, rule, review, subject):
            continue
        if ask is not None:
            found.update(ask(subject))
        if more is not None:
            found.update(more(subject))
    return found


def inspects(
    ruleset: Ruleset, rules: Iterable[Rule], review: Review, subject: Subject, fixes: bool = False
) -> set[Lookup]:
    """Return the images that the checks of the rules ask registries about, and, with `fixes`, their fixes.

    As `seeks` does; of a pod in a wrapper without pull secrets, which are another cluster's.
    """
    found: set[Lookup] = set()
    for rule in rules:
        check = rule.check
        ask = None if check is None else check.inspects
        more = None if check is None or not fixes else check.fix_inspects
        if (ask is None and more is None) or not _asked(ruleset, rule, review, subject):
            continue
        for pod in subject.pods:
            seen = narrow(rule.scopes, pod) if rule.narrows else pod
            if seen is not None and ask is not None:
                found.update([_meant(lookup, subject) for lookup in ask(seen)])
            if seen is not None and more is not None:
                found.update([_meant(lookup, subject) for lookup in more(seen)])
    return found


def _asked(ruleset: Ruleset, rule: Rule, review: Review, subject: Subject) -> bool:
    """Say whether a rule may be asked about a subject, as far as can be told without facts."""
    if (subject.group, subject.kind) not in rule.kinds:
        return False
    if rule.on_workload and made_by_a_workload(rule, subject, ruleset.kinds):
        return False
    try:
        return not (rule.hangs and any(isinstance(outside(s, review, subject, NOT_KNOWN), Out) for s in rule.scopes))
    except RuleError:
        return True  # it will fail on the subject too, and say why


def concerns(ruleset: Ruleset, rule: Rule, review: Review, subject: Subject) -> bool:
    """Say whether a rule on pods may be asked about a subject, as far as can be told without facts."""
    if rule not in ruleset.bucket("all", review).rules or not _asked(ruleset, rule, review, subject):
        return False
    return not rule.narrows or any(narrow(rule.scopes, pod) is not None for pod in subject.pods)


def _meant(lookup: Lookup, subject: Subject) -> Lookup:
    return Lookup(lookup.reference) if subject.pointer else lookup


def _images(subject: Subject, facts: Facts, expired: Callable[[], bool]) -> Images:
    """Return what tells a check what an image is."""

    def tell(lookup: Lookup) -> Inspected:
        if expired():
            raise RuleError(LATE)
        return facts.images.get(_meant(lookup, subject)) or uninspected(lookup)

    return tell


def _neighbours(subject: Subject, among: tuple[Subject, ...], facts: Facts) -> Neighbours:
    """Return what tells a check what stands beside a subject: from the same wrapper, and from the facts."""
    if len(among) == 1:
        return lambda ref: _outside(ref, subject, facts)
    return lambda ref: together((_within(ref, subject, among), _outside(ref, subject, facts)))


def _within(ref: Ref, subject: Subject, among: tuple[Subject, ...]) -> Found:
    def beside(other: Subject) -> bool:
        if not other.pointer or other is subject or not ref.fits(other.group, other.kind, other.name):
            return False
        return subject.namespace == (other.name if ref == NAMESPACE else other.namespace)

    return Found(tuple(other.object for other in among if beside(other)))


def _outside(ref: Ref, subject: Subject, facts: Facts) -> Found:
    if subject.pointer:
        return Found(lacking="what else that cluster has is not known here")
    if ref.kind != NAMESPACE.kind or ref != NAMESPACE:
        return facts.neighbours.get(ref, Found(lacking=UNASKED))
    if isinstance(facts.namespace, Missing):
        return Found(lacking=facts.namespace.reason or UNASKED)
    return Found((facts.namespace,))


def made_by_a_workload(rule: Rule, subject: Subject, kinds: Kinds) -> bool:
    """Say whether the controller of another workload made a subject, which is where a rule on workloads judges.

    A Pod counts as itself where the rule names the kind Pod. An owner counts only where such a controller makes
    objects of this kind, so that no made-up ownerReference takes a workload out of a rule's sight.
    """
    owner = controller(subject.object)
    if owner is None:
        return False
    row = kinds.get((subject.group, subject.kind))
    if row is None:
        return False
    made_by = (group_of(owner.get("apiVersion")), str(owner.get("kind")))
    if (subject.group, subject.kind) == ("", "Pod"):
        named = any(scope.kinds is not None and ("", "Pod") in scope.kinds for scope in rule.scopes)
        return not named and made_by != ("", "Pod") and made_by in kinds
    return "/".join(made_by) in row.owners


def _known(subject: Subject, review: Review, facts: Facts) -> Known:
    labels: Mapping[str, Any] | str
    if (subject.group, subject.kind) == ("", "Namespace"):
        labels = subject.labels
    elif subject.namespace != review.namespace:
        labels = f"namespace {subject.namespace} is another cluster's"
    elif isinstance(facts.namespace, Missing):
        labels = f"namespace {subject.namespace}: {facts.namespace.reason or UNASKED}"
    else:
        labels = mapping(mapping(facts.namespace.get("metadata")).get("labels"))
    owner = controller(subject.object)
    if owner is None or subject.pointer:  # what owns a manifest in a wrapper lives in another cluster, if anywhere
        return Known(labels, ())
    if isinstance(facts.owners, Missing):
        return Known(labels, f"{owner.get('kind')} {owner.get('name')}: {facts.owners.reason or UNASKED}")
    return Known(labels, tuple(known.name for known in facts.owners))
