"""The kinds of Kubernetes' own API groups, for `match.kinds` and for suggestions where a word is nearly right."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from webhook.model.workloads import Kinds

# (group, kind) -> plural; kinds without a pod template. Source: the API reference of Kubernetes 1.37.
_OTHERS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "": (
        ("ConfigMap", "configmaps"),
        ("Endpoints", "endpoints"),
        ("LimitRange", "limitranges"),
        ("Namespace", "namespaces"),
        ("PersistentVolume", "persistentvolumes"),
        ("PersistentVolumeClaim", "persistentvolumeclaims"),
        ("ResourceQuota", "resourcequotas"),
        ("Secret", "secrets"),
        ("Service", "services"),
        ("ServiceAccount", "serviceaccounts"),
    ),
    "autoscaling": (("HorizontalPodAutoscaler", "horizontalpodautoscalers"),),
    "discovery.k8s.io": (("EndpointSlice", "endpointslices"),),
    "networking.k8s.io": (
        ("Ingress", "ingresses"),
        ("IngressClass", "ingressclasses"),
        ("NetworkPolicy", "networkpolicies"),
    ),
    "policy": (("PodDisruptionBudget", "poddisruptionbudgets"),),
    "rbac.authorization.k8s.io": (
        ("ClusterRole", "clusterroles"),
        ("ClusterRoleBinding", "clusterrolebindings"),
        ("Role", "roles"),
        ("RoleBinding", "rolebindings"),
    ),
    "scheduling.k8s.io": (("PriorityClass", "priorityclasses"),),
    "storage.k8s.io": (("StorageClass", "storageclasses"),),
    "gateway.networking.k8s.io": (("Gateway", "gateways"), ("HTTPRoute", "httproutes")),
}
OTHERS: Mapping[tuple[str, str], str] = MappingProxyType(
    {(group, kind): plural for group, rows in _OTHERS.items() for kind, plural in rows}
)
CLUSTER_SCOPED = frozenset(
    {
        ("", "Namespace"),
        ("", "PersistentVolume"),
        ("networking.k8s.io", "IngressClass"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        ("scheduling.k8s.io", "PriorityClass"),
        ("storage.k8s.io", "StorageClass"),
    }
)

# Where a cluster heals itself. kube-public is not among them: nothing heals through it, and what is left
# out here is open to everybody who may write there.
SYSTEM_NAMESPACES = ("kube-system", "kube-node-lease")
"""Namespaces for which no webhook of ours is ever registered."""


def find(text: str, kinds: Kinds) -> tuple[str, str]:
    """Return (group, kind) for what stands in `match.kinds`: `Deployment`, `apps.kruise.io/CloneSet`.

    A bare kind is one of Kubernetes' own groups (`StatefulSet` is `apps/StatefulSet`, never Kruise's).
    Raises ValueError with a sentence for a bare kind that Kubernetes does not have; any `group/Kind` is taken.
    """
    group, slash, kind = text.rpartition("/")
    if slash:
        return group, kind
    for known in (*kinds, *OTHERS):
        if known[1] == text and "." not in known[0].removesuffix(".k8s.io"):
            return known
    elsewhere = sorted(f"{g}/{k}" for g, k in (*kinds, *OTHERS) if k == text)
    if elsewhere:
        raise ValueError(f"{text!r} is no kind of Kubernetes' own; write it with its group: {' or '.join(elsewhere)}")
    raise ValueError(f"no kind {text!r} is known; wanted a kind of Kubernetes' own, or group/Kind for any other")


def names(kinds: Kinds) -> list[str]:
    """Return every bare kind that `find` takes, sorted, for suggestions."""
    return sorted({k for g, k in (*kinds, *OTHERS) if "." not in g.removesuffix(".k8s.io")})
