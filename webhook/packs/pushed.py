"""What all rules of an endpoint leave out, in the API server's words, so that it does not call in vain.

Only what is common to all of them is said, and only what says the same there and here: rather a call in vain than a
review that a rule needed. Clauses on namespaces never leave out cluster-scoped objects, and selectors and namespaces
say nothing about what a wrapper carries, which has its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from webhook.checks.cellib.total import Unknown, wider
from webhook.checks.spoken import globbed, literal
from webhook.model.glob import Globs, compile_globs
from webhook.model.record import record
from webhook.model.review import MIRROR
from webhook.model.workloads import Kinds
from webhook.packs.match import Clause
from webhook.packs.needs import VERSIONS, Kind
from webhook.packs.rule import Rule

Condition = tuple[str, str]
T = TypeVar("T")
_PUSHED = frozenset({"object", "oldObject", "request"})
_USER, _NAMESPACE = "request.userInfo.username", "request.namespace"


@record(frozen=True, slots=True)
class Pushed:
    """Selectors and conditions of one webhook: requirements on labels, namespaces left out, (name, CEL)."""

    excluded: tuple[str, ...] = ()
    namespace_selector: tuple[Clause, ...] = ()
    object_selector: tuple[Clause, ...] = ()
    conditions: tuple[Condition, ...] = ()


def pushed(rules: Iterable[Rule], registered: Iterable[Kind], kinds: Kinds) -> Pushed:
    """Return what `rules`, all of one endpoint, have in common.

    `registered` are the kinds that it is asked about, `kinds` the table of workloads, which says what wraps others.
    """
    listed, registered = list(rules), frozenset(registered)
    if not listed:
        return Pushed()
    wrapping = sorted({kind[0] for kind in registered if kind in kinds and kinds[kind].wraps})
    excluded = _common(_globs(rule, "exclude_namespaces") for rule in listed)
    names = frozenset(text for text in excluded if not _wild(text))
    conditions = [
        *_mirrors(registered),
        *_excluded_namespaces(excluded if wrapping else excluded - names, wrapping),
        *_namespaces(listed, wrapping),
        *_users(listed),
        *_written(listed, registered),
    ]
    if wrapping:
        return Pushed(conditions=tuple(conditions))
    return Pushed(
        excluded=tuple(sorted(names)),
        namespace_selector=tuple(sorted(_common(map(_of_namespaces, listed)))),
        object_selector=tuple(sorted(_common(map(_of_objects, listed)))),
        conditions=tuple(conditions),
    )


def _common(sets: Iterable[frozenset[T]]) -> frozenset[T]:
    found = list(sets)
    return frozenset.intersection(*found) if found else frozenset()


def _globs(rule: Rule, clause: str) -> frozenset[str]:
    given = (getattr(scope, clause) for scope in rule.scopes)
    return frozenset(text for globs in given if globs is not None for text in globs.texts)


def _of_namespaces(rule: Rule) -> frozenset[Clause]:
    given = (scope.namespace_selector for scope in rule.scopes)
    return frozenset(one for selector in given if selector is not None for one in selector.clauses)


def _of_objects(rule: Rule) -> frozenset[Clause]:
    """Return the clauses of one object selector of a rule: the first, which is its pack's if that has one.

    An update is in the scope of a selector by its old labels or by its new ones, and in that of another by the others;
    the API server looks at each object by all clauses of the one selector that it knows.
    """
    given = (scope.object_selector for scope in rule.scopes)
    return next((frozenset(one.clauses) for one in given if one is not None and one.clauses), frozenset())


def _wild(text: str) -> bool:
    return "*" in text or "?" in text


def _said(subject: str, texts: Iterable[str]) -> str:
    """Return what says in CEL whether one of the globs matches a text."""
    return globbed(subject, compile_globs(sorted(texts)))


def _mirrors(registered: Iterable[Kind]) -> Iterator[Condition]:
    """A node's own copy of a static pod is judged by nobody (`engine.evaluate.let_through`)."""
    if ("", "Pod") in registered:
        node = f"has({_USER}) && {_USER}.startsWith('system:node:')"
        nodes = "has(request.userInfo.groups) && 'system:nodes' in request.userInfo.groups"
        pod = "request.resource.group == '' && request.resource.resource == 'pods'"
        marked = f"has(object.metadata.annotations) && '{MIRROR}' in object.metadata.annotations"
        yield "no-mirror-pods", f"!({pod} && {node} && {nodes} && {marked})"


def _inside(wrapping: list[str]) -> str:
    """Return what is true for all that namespace clauses say nothing about."""
    # where a Namespace has no name yet, its own is none that a clause could name
    text = f"!has({_NAMESPACE}) || {_NAMESPACE} == ''"
    return f"{text} || request.resource.group in {literal(wrapping)}" if wrapping else text


def _excluded_namespaces(texts: frozenset[str], wrapping: list[str]) -> Iterator[Condition]:
    if texts:
        yield "no-excluded-namespaces", f"{_inside(wrapping)} || !({_said(_NAMESPACE, texts)})"


def _namespaces(rules: list[Rule], wrapping: list[str]) -> Iterator[Condition]:
    def given(rule: Rule) -> frozenset[tuple[str, ...]]:
        found: Iterable[Globs | None] = (scope.namespaces for scope in rule.scopes)
        return frozenset(globs.texts for globs in found if globs is not None and not globs.everything)

    for number, texts in enumerate(sorted(_common(given(rule) for rule in rules)), 1):
        yield f"namespaces-{number}", f"{_inside(wrapping)} || {_said(_NAMESPACE, texts)}"


def _users(rules: list[Rule]) -> Iterator[Condition]:
    users = _common(_globs(rule, "exclude_users") for rule in rules)
    if users:
        yield "no-excluded-users", f"!(has({_USER}) && ({_said(_USER, users)}))"
    groups = _common(_globs(rule, "exclude_groups") for rule in rules)
    if groups:
        any_of = f"request.userInfo.groups.exists(g, {_said('g', groups)})"
        yield "no-excluded-groups", f"!(has(request.userInfo.groups) && {any_of})"


def _written(rules: list[Rule], registered: Iterable[Kind]) -> Iterator[Condition]:
    """Yield the `matchConditions` that all rules have; where a kind is not Kubernetes' own, those on objects say yes.

    An API server shows CEL what such an object has been given, nulls and all, which nobody sees here. Of a Scale it
    leaves out a number of 0, which is filled in here (`Ruleset.workload`).
    """
    scaled = any(rule.on_replicas for rule in rules)
    scale = "has(request.subResource) && request.subResource == 'scale' || " if scaled else ""
    foreign = sorted({group for group, _ in registered if not _own(group)})
    common = _common(
        frozenset(
            (program.text, bool(program.reads & {"object", "oldObject"}))
            for scope in rule.scopes
            for _, program in scope.conditions
            if program.reads <= _PUSHED
        )
        for rule in rules
    )
    names = {program.text: name for rule in rules for scope in rule.scopes for name, program in scope.conditions}
    taken: set[str] = set()
    for text, on_objects in sorted(common):
        try:
            wide = wider(text)
        except Unknown:
            continue
        name, number = f"pack-{names[text].replace('/', '_')}"[:60], 1
        while (numbered := name if number == 1 else f"{name}-{number}") in taken:
            number += 1
        taken.add(numbered)
        aside = scale + (f"request.resource.group in {literal(foreign)} || " if foreign else "") if on_objects else ""
        yield numbered, f"{aside}{wide}"


def _own(group: str) -> bool:
    # by name, since CustomResourceDefinitions have groups below k8s.io, too
    return group in VERSIONS
