"""One object of a review as rules see it: its subjects, and the CEL activations over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from webhook.checks import cel
from webhook.engine.facts import Facts, Missing
from webhook.model.pods import Container, Pod, Subject, mapping, subjects
from webhook.model.review import Review
from webhook.packs.match import Known, narrow
from webhook.packs.rule import Rule, Ruleset

UNASKED = "no reader of the cluster is at hand"


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

    @classmethod
    def of(
        cls, ruleset: Ruleset, review: Review, facts: Facts, obj: Mapping[str, Any], rules: tuple[Rule, ...]
    ) -> View:
        """Return the view on `obj`, which is the review's object, its old one, or a draft of it."""
        kind = review.kind
        found = subjects(obj, kind.group, kind.kind, review.namespace, review.name, ruleset.kinds)
        return cls(ruleset, review, facts, obj, rules, found)

    def known(self, number: int) -> Known:
        """Return what is known about the place of the subject with this number."""
        if number not in self._known:
            self._known[number] = _known(self.subjects[number], self.review, self.facts)
        return self._known[number]

    def pods(self, rule: Rule, number: int) -> list[tuple[int, Pod]]:
        """Return the pods of a subject with the containers in the rule's scope, each with its number."""
        narrowed = ((i, narrow(rule.scopes, pod)) for i, pod in enumerate(self.subjects[number].pods))
        return [(i, pod) for i, pod in narrowed if pod is not None]

    def activation(self, number: int, pod: int | None) -> Any:
        """Return the CEL activation for a subject and one of its pods (None: no pod)."""
        key = (number, -1 if pod is None else pod)
        if key not in self._activations:
            self._activations[key] = cel.activation(self._bindings(number, pod))
        return self._activations[key]

    def with_item(self, number: int, pod: int, item: Any) -> Any:
        """Return an activation of its own for one element of a list, which CEL sees as `item`."""
        return cel.activation({**self._bindings(number, pod), "item": item})

    def _bindings(self, number: int, pod: int | None) -> dict[str, Any]:
        subject, review = self.subjects[number], self.review
        namespace = self.facts.namespace
        bindings: dict[str, Any] = {
            "object": subject.object,
            "oldObject": _old(review, subject, self.ruleset),
            "request": review.request,
            "namespaceObject": None if isinstance(namespace, Missing) else namespace,
            **self.ruleset.values,
        }
        if pod is None:
            return bindings
        found = subject.pods[pod]
        bindings["pod"] = {"metadata": dict(found.metadata), "spec": found.spec}
        everything = [container.spec for container in found.containers]
        for rule in self.rules:
            if rule.check is None:
                narrowed = narrow(rule.scopes, found)
                in_scope = (
                    everything if narrowed is found else [c.spec for c in narrowed.containers] if narrowed else []
                )
                bindings[rule.containers_key] = in_scope
        return bindings


def counterpart(subject: Subject, others: Iterable[Subject]) -> Subject | None:
    """Return the subject among `others` that is the same thing: the object itself, or the manifest of that name."""
    for other in others:
        if not subject.pointer and not other.pointer:
            return other
        same = (subject.group, subject.kind, subject.namespace, subject.name)
        if subject.pointer and other.pointer and same == (other.group, other.kind, other.namespace, other.name):
            return other
    return None


def container_named(subject: Subject, name: str | None, pointer: str) -> Container | None:
    """Return the container that a finding means: the one that its pointer lies in."""
    if name is None:
        return None
    for pod in subject.pods:
        for container in pod.containers:
            if container.name == name and (pointer + "/").startswith(container.pointer + "/"):
                return container
    return None


def controller(obj: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the ownerReference of an object's controller, or None. There is at most one (apimachinery, ObjectMeta)."""
    references = mapping(obj.get("metadata")).get("ownerReferences")
    for reference in references if isinstance(references, list) else ():
        if isinstance(reference, dict) and reference.get("controller") is True:
            return reference
    return None


def _old(review: Review, subject: Subject, ruleset: Ruleset) -> Mapping[str, Any] | None:
    if review.old_object is None or not subject.pointer:
        return review.old_object
    kind = review.kind
    olds = subjects(review.old_object, kind.group, kind.kind, review.namespace, review.name, ruleset.kinds)
    other = counterpart(subject, olds)
    return None if other is None else other.object


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
    if owner is None:
        return Known(labels, ())
    if isinstance(facts.owners, Missing):
        return Known(labels, f"{owner.get('kind')} {owner.get('name')}: {facts.owners.reason or UNASKED}")
    return Known(labels, tuple(known.name for known in facts.owners))
