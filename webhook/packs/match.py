"""The scope of a rule: which reviews, objects and containers it concerns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from webhook.checks.cel import Program
from webhook.errors import RuleError
from webhook.model.glob import Globs
from webhook.model.image import Pattern
from webhook.model.image import parse as parse_image
from webhook.model.kinds import CLUSTER_SCOPED
from webhook.model.pods import Container, Pod, Subject, Volume, listing, mapping
from webhook.model.record import record
from webhook.model.review import Review

Condition = tuple[str, Program]
Clause = tuple[str, str, tuple[str, ...]]
"""A requirement on a label: key, operator, values in order."""


@record(frozen=True, slots=True)
class Selector:
    """A LabelSelector, compiled; calling it with labels says whether all its `clauses` hold."""

    clauses: tuple[Clause, ...]
    tests: tuple[Callable[[Mapping[str, Any]], bool], ...] = field(repr=False, compare=False)

    def __call__(self, labels: Mapping[str, Any]) -> bool:
        """Say whether labels match."""
        return all(test(labels) for test in self.tests)


@record(frozen=True, slots=True)
class Lacking:
    """A clause that cannot be decided, because a fact is not there: which (`namespace`, `owners`), and why."""

    fact: str
    why: str


@record(frozen=True, slots=True)
class Out:
    """Why a rule does not concern something: the clause of a `match` by the key that it has there, or another word.

    `whose` match it is: `pack` or `rule`, '' for no match. `name` is that of a matchCondition.
    """

    clause: str
    whose: str = ""
    name: str = ""


@record(frozen=True, slots=True)
class Scope:
    """One `match`, compiled; a part that is None does not restrict. All parts must match.

    `conditions` are CEL and are asked by the engine, which has the activation. `whose` says whether it is the pack's
    match or the rule's; two of one text are the same scope.
    """

    operations: frozenset[str] | None = None
    kinds: frozenset[tuple[str, str]] | None = None
    namespaces: Globs | None = None
    exclude_namespaces: Globs | None = None
    namespace_selector: Selector | None = None
    object_selector: Selector | None = None
    names: Globs | None = None
    containers: Globs | None = None
    images: tuple[Pattern, ...] | None = None
    exclude_users: Globs | None = None
    exclude_groups: Globs | None = None
    conditions: tuple[Condition, ...] = ()
    whose: str = field(default="", compare=False)

    @property
    def restricts_containers(self) -> bool:
        """Say whether the scope leaves containers out."""
        return self.containers is not None or self.images is not None

    @property
    def hangs(self) -> bool:
        """Say whether more than operation, kind, namespace and containers counts: who asks, what is in an object."""
        clauses = (
            *(self.namespace_selector, self.object_selector, self.names, self.exclude_users, self.exclude_groups),
            *self.conditions,
        )
        return any(clause is not None for clause in clauses)

    def shuts(self, namespace: str) -> str:
        """Return the clause that leaves a namespace out by its name, '' where none does."""
        if self.namespaces is not None and not self.namespaces(namespace):
            return "namespaces"
        if self.exclude_namespaces is not None and self.exclude_namespaces(namespace):
            return "excludeNamespaces"
        return ""


@record(frozen=True, slots=True)
class Known:
    """What is known about the place of a subject: its namespace's labels and its controllers' names.

    Each is a value, or the sentence (str) that says why it is not there.
    """

    namespace_labels: Mapping[str, Any] | str
    owner_names: tuple[str, ...] | str


def selector(spec: Mapping[str, Any]) -> Selector:
    """Return a LabelSelector (`matchLabels`, `matchExpressions`) as a function of labels.

    NotIn and DoesNotExist also match where the key is absent, as in Kubernetes.
    """
    clauses: list[Clause] = [(key, "In", (value,)) for key, value in mapping(spec.get("matchLabels")).items()]
    for clause in listing(spec.get("matchExpressions")):
        clauses.append((clause["key"], clause["operator"], tuple(sorted(listing(clause.get("values"))))))
    return Selector(tuple(clauses), tuple(_requirement(*clause) for clause in clauses))


def _requirement(key: str, operator: str, values: tuple[str, ...]) -> Callable[[Mapping[str, Any]], bool]:
    wanted = frozenset(values)

    def among(labels: Mapping[str, Any]) -> bool:
        value = labels.get(key, "")
        if not isinstance(value, str):  # quoted nowhere, inside of a wrapper; no such label may lead past a rule
            raise RuleError(f"the label {key} is no text, so it cannot be selected by; Kubernetes refuses it")
        return value in wanted

    tests: dict[str, Callable[[Mapping[str, Any]], bool]] = {
        "In": lambda labels: key in labels and among(labels),
        "NotIn": lambda labels: key not in labels or not among(labels),
        "Exists": lambda labels: key in labels,
        "DoesNotExist": lambda labels: key not in labels,
    }
    return tests[operator]


def outside(scope: Scope, review: Review, subject: Subject, known: Known) -> Out | Lacking | None:
    """Return the clause of a scope that leaves a subject of a review out; None where it is in the scope.

    Containers and conditions are left aside. An answer that hangs on a fact that is not there is `Lacking`, never
    a clause: an error of a look-up must not take an object out of a rule's sight.
    """
    space = namespace_of(subject)
    clause = _by_request(scope, review) or _by_object(scope, review, subject) or (scope.shuts(space) if space else "")
    if clause:
        return Out(clause, scope.whose)
    lacking: Lacking | None = None
    if scope.names is not None and not scope.names(subject.name):
        if isinstance(known.owner_names, str):
            lacking = Lacking("owners", known.owner_names)
        elif not any(scope.names(name) for name in known.owner_names):
            return Out("names", scope.whose)
    if scope.namespace_selector is not None and space:
        if isinstance(known.namespace_labels, str):
            return Lacking("namespace", known.namespace_labels)
        if not scope.namespace_selector(known.namespace_labels):
            return Out("namespaceSelector", scope.whose)
    return lacking


def namespace_of(subject: Subject) -> str:
    """Return the namespace that namespace clauses look at: a Namespace's is its own name; '' is cluster-scoped.

    A cluster-scoped manifest in a wrapper has no namespace either, whatever its author writes there.
    """
    key = (subject.group, subject.kind)
    if key == ("", "Namespace"):
        return subject.name
    return "" if key in CLUSTER_SCOPED else subject.namespace


def _by_request(scope: Scope, review: Review) -> str:
    if scope.operations is not None and review.operation not in scope.operations:
        return "operations"
    if scope.exclude_users is not None and scope.exclude_users(review.user):
        return "excludeUsers"
    if scope.exclude_groups is not None and any(scope.exclude_groups(group) for group in review.groups):
        return "excludeGroups"
    return ""


def _by_object(scope: Scope, review: Review, subject: Subject) -> str:
    if scope.kinds is not None and (subject.group, subject.kind) not in scope.kinds:
        return "kinds"
    if scope.object_selector is None or scope.object_selector(subject.labels):
        return ""
    # as the API server: an update is in scope by its old labels too, so that no label takes it out in passing
    old = mapping(mapping(mapping(review.old_object).get("metadata")).get("labels"))
    by_old = review.old_object is not None and not subject.pointer and scope.object_selector(old)
    return "" if by_old else "objectSelector"


def narrow(scopes: tuple[Scope, ...], pod: Pod) -> Pod | None:
    """Return the pod with the containers in all scopes; None where scopes restrict them and none is left.

    A container whose image is not set or cannot be read stays in: what cannot be told apart is not let out.
    """
    restricting = [scope for scope in scopes if scope.restricts_containers]
    if not restricting:
        return pod
    narrowed = pod.keep(
        lambda container: all(_in(scope, container) for scope in restricting),
        lambda volume: all(_volume_in(scope, volume) for scope in restricting),
    )
    return narrowed if narrowed.containers or narrowed.image_volumes else None


def _in(scope: Scope, container: Container) -> bool:
    if scope.containers is not None and not scope.containers(container.name):
        return False
    return scope.images is None or image_in(scope.images, container.image)


def _volume_in(scope: Scope, volume: Volume) -> bool:
    return scope.images is None or image_in(scope.images, volume.image or "")


def image_in(patterns: tuple[Pattern, ...], reference: str) -> bool:
    """Say whether one of the patterns matches an image reference; True where the reference cannot be read."""
    try:
        image = parse_image(reference)
    except ValueError:
        return True
    return any(pattern(image) for pattern in patterns)
