"""What the rules in force need of an API server: which kinds, operations and subresources, at which endpoint.

Facts of the API: kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from webhook.model.kinds import OTHERS
from webhook.model.record import record
from webhook.model.workloads import TABLE, Kinds
from webhook.packs.rule import NAMESPACE, Rule, Ruleset

Kind = tuple[str, str]
Object = dict[str, Any]
ENDPOINTS = ("validate", "advise", "mutate")
BOTH = frozenset({"CREATE", "UPDATE"})
RESOURCES: Mapping[Kind, str] = MappingProxyType({**OTHERS, **{(row.group, row.kind): row.resource for row in TABLE}})
"""The plural of each (group, kind) that is known without asking a cluster."""

_POD = ("", "Pod")
# A rule on a resource never matches its subresources: each is named.
_LATER = ("ephemeralcontainers", "resize")
# Who writes these of a Namespace can change its labels, too, one of which sets its mode.
_LABELLING = ("finalize", "status")
SCALED = frozenset(
    {
        ("", "replicationcontrollers"),
        ("apps", "deployments"),
        ("apps", "replicasets"),
        ("apps", "statefulsets"),
        ("argoproj.io", "rollouts"),
        ("apps.kruise.io", "clonesets"),
        ("apps.kruise.io", "statefulsets"),
    }
)
# Kubernetes' own groups are matched in the one version that 1.30 to 1.37 all serve, to which `matchPolicy:
# Equivalent` converts the others; all else in any, since nobody knows which versions a cluster serves.
VERSIONS = {
    **dict.fromkeys(("", "apps", "batch", "policy"), "v1"),
    "autoscaling": "v2",
    "discovery.k8s.io": "v1",
    "networking.k8s.io": "v1",
    "rbac.authorization.k8s.io": "v1",
    "scheduling.k8s.io": "v1",
    "storage.k8s.io": "v1",
}
# Nobody's rule may stand in their way: leases, events, nodes, certificates, tokens and access reviews.
_NEVER = (
    "coordination.k8s.io",
    "events.k8s.io",
    "certificates.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
)
_NEVER_CORE = ("Event", "Node", "Binding", "ComponentStatus")
_SCALE = ("autoscaling", "Scale")
# The API lets hardly anything in these change, so that fixes come at CREATE only.
_FIXED_AT_CREATE = frozenset({_POD, ("batch", "Job")})
# Nothing is fixed inside Karmada's Work and Clusternet's Manifest: their controllers would write it back.
_UNFIXED = ("work.karmada.io", "apps.clusternet.io")


@record(frozen=True, slots=True)
class Need:
    """The operations on a kind that rules judge.

    `scale`: a rule judges its replicas, which `kubectl scale` changes. `later`: a rule looks into pods, into which
    debug containers and new sizes come after they were made. `labels`: who writes its labels is asked for a right
    (`engine.guard`), by whatever subresource they are written.
    """

    operations: frozenset[str] = BOTH
    scale: bool = True
    later: bool = True
    labels: bool = False


def needs(ruleset: Ruleset) -> Mapping[str, Mapping[Kind, Need]]:
    """Return what the rules need, by endpoint and (group, kind); what no rule may stand in the way of is left out."""
    found: dict[str, dict[Kind, Need]] = {endpoint: {} for endpoint in ENDPOINTS}
    for (endpoint, group, kind), rules in ruleset.index.items():
        if endpoint not in found or forbidden((group, kind)):
            continue
        asked = [rule for rule in rules if endpoint != "mutate" or _fixes(rule, (group, kind), ruleset.kinds)]
        operations = frozenset[str]().union(*(rule.operations for rule in asked))
        if endpoint == "mutate" and (group, kind) in _FIXED_AT_CREATE:
            operations &= {"CREATE"}
        if operations:
            updating = [rule for rule in asked if "UPDATE" in rule.operations and endpoint != "mutate"]
            found[endpoint][group, kind] = Need(
                operations,
                scale=(group, kind) in ruleset.kinds and any(rule.on_replicas for rule in updating),
                later=any(map(_into_pods, updating)),
            )
    if ruleset.lenient:
        held = found["advise"].get(NAMESPACE, Need(scale=False, later=False))
        found["advise"][NAMESPACE] = replace(held, operations=BOTH, labels=True)
    return found


def every(kinds: Iterable[Kind]) -> Mapping[Kind, Need]:
    """Return the need for all that can be judged of some kinds."""
    return {kind: Need(scale=kind in RESOURCES, labels=kind == NAMESPACE) for kind in kinds if not forbidden(kind)}


def forbidden(kind: Kind) -> bool:
    """Say whether no rule may ever stand in a kind's way: leases, events, nodes, certificates, tokens, reviews."""
    return kind[0] in _NEVER or (not kind[0] and kind[1] in _NEVER_CORE)


def _fixes(rule: Rule, kind: Kind, kinds: Kinds) -> bool:
    """Say whether the fix of a rule can write objects of a kind, as `engine.fixes` does it."""
    if kind[0] in _UNFIXED:
        return False
    return kind in kinds or (rule.check is not None and rule.check.fix_subject is not None)


def _into_pods(rule: Rule) -> bool:
    """Say whether a rule can find something in a debug container, or in a size that is changed.

    An update concerns rules that read what it changes, and those that read the request or facts (`engine.changes`).
    """
    if rule.always or rule.seeks or "pod" in rule.reads:
        return True
    return "object" in rule.reads and (rule.object_roots is None or "spec" in rule.object_roots)


def resource_rules(endpoint: str, wanted: Mapping[Kind, Need], resources: Mapping[Kind, str]) -> list[Object]:
    """Return the `rules` of a webhook configuration for what an endpoint needs, sorted; [] where it needs nothing.

    `resources` gives the plural of each kind. One that has none, or "", is left out: the cluster has no such kind.
    """
    grouped: dict[tuple[str, tuple[str, ...]], set[str]] = {}
    for (group, kind), need in wanted.items():
        operations = sorted(need.operations)
        if (group, kind) == _SCALE and endpoint != "mutate":
            for held, plural in SCALED:
                grouped.setdefault((held, tuple(operations)), set()).add(f"{plural}/scale")
            continue
        plural = resources.get((group, kind), "")
        if endpoint == "mutate" and (group in _UNFIXED or (group, kind) == _SCALE):
            continue
        if endpoint == "mutate" and (group, kind) in _FIXED_AT_CREATE:
            operations = ["CREATE"]
        if plural:
            names = {plural, *(_subresources(endpoint, (group, kind), plural, need))}
            grouped.setdefault((group, tuple(operations)), set()).update(names)
    return [
        {
            "apiGroups": [group],
            "apiVersions": [VERSIONS.get(group, "*")],
            "operations": list(operations),
            "resources": sorted(names),
            "scope": "*",
        }
        for (group, operations), names in sorted(grouped.items())
    ]


def _subresources(endpoint: str, kind: Kind, plural: str, need: Need) -> Iterable[str]:
    if endpoint == "mutate" or "UPDATE" not in need.operations:
        return
    if need.labels and endpoint == "advise":
        yield from (f"{plural}/{name}" for name in _LABELLING)
    if kind == _POD and need.later:
        yield from (f"{plural}/{name}" for name in _LATER)
    # a workload kind that a company named may scale, too; one that does not is never asked about
    if need.scale and ((kind[0], plural) in SCALED or kind not in RESOURCES):
        yield f"{plural}/scale"
