"""Advice on scopes: those that nothing can be in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from webhook.model.glob import compile_globs
from webhook.model.kinds import CLUSTER_SCOPED
from webhook.packs.rule import Rule

Clause = tuple[str, str]
"""Which clause of a match, and why nothing gets past it."""


def dead_ends(rule: Rule, pack: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[Clause]:
    """Yield why a rule never judges anything, by the match of its pack and its own; only what is certain.

    Objects of the cluster are in no namespace, so clauses on namespaces don't keep them out.
    """
    if not rule.operations:
        yield "operations", "the pack's and the rule's have none in common, so the rule can never match"
    if not rule.kinds & CLUSTER_SCOPED:
        yield from _namespaces(pack, own)
        yield from _selectors("namespaceSelector", (pack, own))
    yield from _selectors("objectSelector", (pack, own))


def _namespaces(pack: Mapping[str, Any], own: Mapping[str, Any]) -> Iterator[Clause]:
    out = [*pack.get("excludeNamespaces", ()), *own.get("excludeNamespaces", ())]
    wanted = [match["namespaces"] for match in (pack, own) if "namespaces" in match]
    left_out = compile_globs(out)
    for given in wanted or [["*"]]:
        # a glob as text fits another that is as wide or wider
        if out and all(left_out(text) for text in given):
            clause = "namespaces" if wanted else "excludeNamespaces"
            yield clause, "excludeNamespaces leaves out all of them, so the rule can never match"
            return
    if len(wanted) == 2 and not any(_meet(one, other) for one in wanted[0] for other in wanted[1]):
        yield "namespaces", "the pack's and the rule's have none in common, so the rule can never match"


def _meet(one: str, other: str) -> bool:
    """Say whether a namespace may fit both; of two globs that is taken for granted."""
    if _plain(one):
        return compile_globs([other])(one)
    return compile_globs([one])(other) if _plain(other) else True


def _plain(text: str) -> bool:
    return "*" not in text and "?" not in text


def _selectors(name: str, matches: Iterable[Mapping[str, Any]]) -> Iterator[Clause]:
    wanted: dict[str, list[tuple[str, Sequence[str]]]] = defaultdict(list)
    for match in matches:
        selector = match.get(name) or {}
        for key, value in (selector.get("matchLabels") or {}).items():
            wanted[key].append(("In", [value]))
        for one in selector.get("matchExpressions") or ():
            wanted[one["key"]].append((one["operator"], one.get("values") or ()))
    for key, requirements in wanted.items():
        if _contradict(requirements):
            yield name, f"what it asks of the label {key} cannot be at once, so the rule can never match"


def _contradict(requirements: Sequence[tuple[str, Sequence[str]]]) -> bool:
    """Say whether no value of a label, and not its absence either, keeps all requirements (meta/v1, LabelSelector)."""
    operators = {operator for operator, _ in requirements}
    if "DoesNotExist" in operators:
        return bool(operators & {"In", "Exists"})
    allowed = [set(values) for operator, values in requirements if operator == "In"]
    refused = {value for operator, values in requirements if operator == "NotIn" for value in values}
    return bool(allowed) and not set.intersection(*allowed) - refused
