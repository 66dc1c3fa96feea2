"""Which pods a pod keeps away from, in CEL: what `model.affinity` says of terms and constraints."""

from __future__ import annotations

from webhook.checks.spoken import NAMESPACE, literal
from webhook.model.affinity import ADDED, NAMESPACE_NAME, OF_ONE_POD, OF_ONE_REVISION

_ANTI = "pod.spec.?affinity.?podAntiAffinity.?{}DuringSchedulingIgnoredDuringExecution.orValue([])"
RULES = (
    "pod.spec.?topologySpreadConstraints.orValue([]).map(t, {'anti': false, 'term': t})"
    f" + {_ANTI.format('required')}.map(t, {{'anti': true, 'term': t}})"
    f" + {_ANTI.format('preferred')}.map(t, {{'anti': true, 'term': t.?podAffinityTerm.orValue({{}})}})"
)
"""The rules of a pod: maps with `term`, and whether it is a term of an anti-affinity."""


def matches(selector: str, labels: str) -> str:
    """Return what says in CEL whether a LabelSelector, which may be null, selects labels (a map)."""
    there = f"(e.key in {labels} || e.key in {literal(sorted(ADDED))})"
    value, values = f"{labels}[?e.key].orValue(null)", "e.?values.orValue([])"
    met = (
        f"e.operator == 'In' ? e.key in {labels} && {value} in {values}"
        f" : e.operator == 'NotIn' ? !(e.key in {labels} && {value} in {values})"
        f" : e.operator == 'Exists' ? {there} : e.operator == 'DoesNotExist' && !{there}"
    )
    same = f"{selector}.?matchLabels.orValue({{}}).all(k, {labels}[?k].orValue(null) == {selector}.matchLabels[k])"
    return f"(type({selector}) == map && {same} && {selector}.?matchExpressions.orValue([]).all(e, {met}))"


def selects(rule: str, labels: str, namespace: str = NAMESPACE) -> str:
    """Return what says in CEL whether a rule counts the other pods of its workload, as `affinity.selects` does."""
    one, revision = literal(sorted(OF_ONE_POD)), literal(sorted(OF_ONE_REVISION))
    same = f"!{rule}.term.?matchLabelKeys.orValue([]).exists(k, k in {one})"
    other = f"(k in {labels} || k in {revision}) && !(k in {one})"
    mismatched = f"!{rule}.term.?mismatchLabelKeys.orValue([]).exists(k, {other})"
    selector = matches(f"{rule}.term.?labelSelector.orValue(null)", labels)
    return f"{selector} && {same} && {mismatched} && (!{rule}.anti || {_own_namespace(f'{rule}.term', namespace)})"


def _own_namespace(term: str, namespace: str) -> str:
    named, selector = f"{term}.?namespaces.orValue([])", f"{term}.?namespaceSelector.orValue(null)"
    name = literal(NAMESPACE_NAME)
    by_others = (
        f"{term}.?namespaceSelector.?matchExpressions.orValue([]).exists(e, e.key != {name})"
        f" || {term}.?namespaceSelector.?matchLabels.orValue({{}}).exists(k, k != {name})"
    )
    own = matches(selector, f"{{{name}: dyn({namespace})}}")
    return (
        f"(({named}.size() == 0 && {selector} == null) || {namespace} == '' || {namespace} in {named}"
        f" || {by_others} || {own})"
    )
