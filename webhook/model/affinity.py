"""Which pods a pod keeps away from: LabelSelectors, anti-affinity terms, topology spread constraints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from webhook.model.pods import Pod, listing, mapping
from webhook.model.record import record

NAMESPACE_NAME = "kubernetes.io/metadata.name"
# of these labels each pod of a workload has another value (StatefulSet, CloneSet, indexed Job)
OF_ONE_POD = frozenset(
    {
        "apps.kruise.io/cloneset-instance-id",
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/job-completion-index",
        "statefulset.kubernetes.io/pod-name",
    }
)
# these the controllers add to pods; all pods of one revision have the same value, which no template says
OF_ONE_REVISION = frozenset({"controller-revision-hash", "pod-template-hash", "rollouts-pod-template-hash"})
ADDED = OF_ONE_POD | OF_ONE_REVISION
_UNSAID = object()


@record(frozen=True, slots=True)
class Rule:
    """One rule by which a pod is spread: an anti-affinity term or a topology spread constraint.

    `term` holds `topologyKey` and `labelSelector`; `pointer` is where it stands in the object of the review.
    """

    term: Mapping[str, Any]
    pointer: str
    hard: bool
    anti: bool

    @property
    def topology(self) -> str:
        """The label of nodes that it spreads by, or an empty string."""
        key = self.term.get("topologyKey")
        return key if isinstance(key, str) else ""

    def keys(self, field: str) -> list[str]:
        """Return the keys of labels in `matchLabelKeys` or `mismatchLabelKeys`."""
        return [key for key in listing(self.term.get(field)) if isinstance(key, str)]


def rules(pod: Pod) -> Iterator[Rule]:
    """Yield the topology spread constraints of a pod, then its anti-affinity terms, required ones first."""
    at = f"{pod.pointer}/spec/topologySpreadConstraints"
    for number, entry in enumerate(listing(pod.spec.get("topologySpreadConstraints"))):
        hard = mapping(entry).get("whenUnsatisfiable") != "ScheduleAnyway"
        yield Rule(mapping(entry), f"{at}/{number}", hard, False)
    anti = mapping(mapping(pod.spec.get("affinity")).get("podAntiAffinity"))
    at = f"{pod.pointer}/spec/affinity/podAntiAffinity"
    required, preferred = (f"{when}DuringSchedulingIgnoredDuringExecution" for when in ("required", "preferred"))
    for number, term in enumerate(listing(anti.get(required))):
        yield Rule(mapping(term), f"{at}/{required}/{number}", True, True)
    for number, weighted in enumerate(listing(anti.get(preferred))):
        term = mapping(mapping(weighted).get("podAffinityTerm"))
        yield Rule(term, f"{at}/{preferred}/{number}/podAffinityTerm", False, True)


def selects(rule: Rule, labels: Mapping[str, Any], namespace: str) -> bool:
    """Say whether a rule of a pod with these labels, in this namespace, counts the other pods of its workload.

    `matchLabelKeys` adds `key in (own value)`, `mismatchLabelKeys` adds `key notin (own value)`; a key that the
    pod does not have is left out (KEP-3243, KEP-3633). Where the namespaces hang on labels that nobody here
    knows, they are taken to be meant.
    """
    own = {**dict.fromkeys(ADDED, _UNSAID), **labels}
    if not matches(rule.term.get("labelSelector"), own):
        return False
    if any(key in OF_ONE_POD for key in rule.keys("matchLabelKeys")):
        return False
    if any(key in own and key not in OF_ONE_POD for key in rule.keys("mismatchLabelKeys")):
        return False
    return not rule.anti or _own_namespace(rule.term, namespace)


def matches(selector: Any, labels: Mapping[str, Any]) -> bool:
    """Say whether a LabelSelector selects labels; a missing one selects nothing, an empty one everything.

    What Kubernetes would refuse (an unknown operator, no mapping) selects nothing.
    """
    if not isinstance(selector, dict):
        return False
    same = all(key in labels and labels[key] == value for key, value in mapping(selector.get("matchLabels")).items())
    return same and all(_met(mapping(clause), labels) for clause in listing(selector.get("matchExpressions")))


def _met(clause: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    key, values = clause.get("key"), listing(clause.get("values"))
    if not isinstance(key, str):
        return False
    match clause.get("operator"):
        case "In":
            return key in labels and labels[key] in values
        case "NotIn":
            return key not in labels or labels[key] not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False


def _own_namespace(term: Mapping[str, Any], namespace: str) -> bool:
    named, selector = listing(term.get("namespaces")), term.get("namespaceSelector")
    if not named and selector is None:
        return True
    if not namespace or namespace in named:
        return True
    keys = {str(mapping(clause).get("key")) for clause in listing(mapping(selector).get("matchExpressions"))}
    if isinstance(selector, dict) and not {*keys, *mapping(selector.get("matchLabels"))} <= {NAMESPACE_NAME}:
        return True
    return matches(selector, {NAMESPACE_NAME: namespace})
