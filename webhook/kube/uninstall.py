"""Finds what Plimsoll has in a cluster, and takes it away: for `plimsoll uninstall`, and so for the worst day.

Nothing here asks Plimsoll, which may be dead, and every object is looked at before it goes: a label alone, which
anybody can set, makes nothing ours that others live from. The API server calls no webhook for webhook configurations
(kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers), so those can always be deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from webhook.kube.client import ApiError, Client, Object
from webhook.kube.register import LABEL as MANAGED_BY
from webhook.kube.register import OWNER as FOR_DEVELOPMENT
from webhook.model.pods import listing, mapping
from webhook.ports import Remnant, Unknown

SECONDS = 10.0
"""For each call: who is in a hurry hears soon that an API server does not answer."""
LABEL, NAME = "app.kubernetes.io/name", "plimsoll"
SUFFIX = ".plimsoll.dev"
"""What the names of our webhooks end with; no one else's do."""
PACKS = "rulepacks.plimsoll.dev"

_WEBHOOKS = "/apis/admissionregistration.k8s.io/v1"
_RIGHTS = "/apis/rbac.authorization.k8s.io/v1"
_PATHS: Mapping[str, str] = MappingProxyType(
    {
        "ValidatingWebhookConfiguration": f"{_WEBHOOKS}/validatingwebhookconfigurations",
        "MutatingWebhookConfiguration": f"{_WEBHOOKS}/mutatingwebhookconfigurations",
        "PodDisruptionBudget": "/apis/policy/v1/poddisruptionbudgets",
        "HorizontalPodAutoscaler": "/apis/autoscaling/v2/horizontalpodautoscalers",
        "Deployment": "/apis/apps/v1/deployments",
        "Service": "/api/v1/services",
        "NetworkPolicy": "/apis/networking.k8s.io/v1/networkpolicies",
        "ResourceQuota": "/api/v1/resourcequotas",
        "ConfigMap": "/api/v1/configmaps",
        "Lease": "/apis/coordination.k8s.io/v1/leases",
        "RoleBinding": f"{_RIGHTS}/rolebindings",
        "Role": f"{_RIGHTS}/roles",
        "ClusterRoleBinding": f"{_RIGHTS}/clusterrolebindings",
        "ClusterRole": f"{_RIGHTS}/clusterroles",
        "ServiceAccount": "/api/v1/serviceaccounts",
        "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    }
)


class Uninstaller:
    """A `ports.Uninstaller`: one cluster, read and written with the rights of whoever asks."""

    def __init__(self, client: Client) -> None:
        """Take the client; nothing is asked before the first call."""
        self._client = client

    def find(self, kind: str) -> tuple[Remnant, ...]:
        """Return what the cluster has of ours of a kind, by namespace and name. Raises Unknown, KeyError."""
        try:
            found = self._packs() if kind == "CustomResourceDefinition" else self._found(kind)
            return tuple(sorted(found, key=lambda one: (one.namespace, one.name)))
        except ApiError as error:
            raise Unknown(str(error)) from error

    def remove(self, remnant: Remnant) -> bool:
        """Delete exactly the object that was found; False where it has gone meanwhile. Raises Unknown.

        Its dependents go after it, by the garbage collector.
        """
        body: Object = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {"uid": remnant.uid},
            "propagationPolicy": "Background",
        }
        path = _PATHS[remnant.kind]
        if remnant.namespace:
            root, _, plural = path.rpartition("/")
            path = f"{root}/namespaces/{remnant.namespace}/{plural}"
        try:
            self._client.call("DELETE", f"{path}/{remnant.name}", SECONDS, body)
        except ApiError as error:
            if error.status == 404:
                return False
            if error.status == 409:
                raise Unknown("another object has its name by now; run this again") from error
            raise Unknown(str(error)) from error
        return True

    def _found(self, kind: str) -> Iterator[Remnant]:
        if "Webhook" in kind:
            for held in self._client.items(_PATHS[kind], SECONDS):
                if (remnant := _hooks(kind, held)) is not None:
                    yield remnant
            return
        for held in self._client.items(_PATHS[kind], SECONDS, {"labelSelector": f"{LABEL}={NAME}"}):
            yield _remnant(kind, held, stays=_helm(held))

    def _packs(self) -> Iterator[Remnant]:
        try:
            held = self._client.get(f"{_PATHS['CustomResourceDefinition']}/{PACKS}", SECONDS)
            packs = sum(1 for _ in self._client.items("/apis/plimsoll.dev/v1/rulepacks", SECONDS))
        except ApiError as error:
            if error.status == 404:
                return
            raise
        yield _remnant("CustomResourceDefinition", held, f"with {packs} RulePack{'' if packs == 1 else 's'} in it")


def _hooks(kind: str, held: Object) -> Remnant | None:
    """Return a webhook configuration that is ours, or looks like it and has to stay; None for those of others."""
    labels = mapping(mapping(held.get("metadata")).get("labels"))
    labelled = labels.get(LABEL) == NAME or labels.get(MANAGED_BY) == FOR_DEVELOPMENT
    names = [str(mapping(hook).get("name")) for hook in listing(held.get("webhooks"))]
    ours = [name for name in names if name.endswith(SUFFIX)]
    others = ", ".join(name for name in names if name not in ours)
    if not (labelled or ours):
        return None
    stays = ""
    if not ours:
        stays = f"has our label, and no webhook of ours, but {others or 'none at all'}"
    elif others:
        stays = f"also holds {others}, which is not ours; take our webhooks out by kubectl edit"
    elif not labelled:
        stays = f"calls {', '.join(ours)}, without the label {LABEL}={NAME}; delete it by its name if it is yours"
    return _remnant(kind, held, ", ".join(ours), stays)


def _helm(held: Object) -> str:
    """Return that an object is a Helm release's, and how that goes; an empty text for all else."""
    metadata = mapping(held.get("metadata"))
    if mapping(metadata.get("labels")).get(MANAGED_BY) != "Helm":
        return ""
    notes = mapping(metadata.get("annotations"))
    release, namespace = notes.get("meta.helm.sh/release-name"), notes.get("meta.helm.sh/release-namespace")
    if not (release and namespace):
        return "belongs to a Helm release: helm uninstall takes it away"
    return f"belongs to a Helm release: helm uninstall {release} --namespace {namespace}"


def _remnant(kind: str, held: Object, about: str = "", stays: str = "") -> Remnant:
    metadata = held["metadata"]
    return Remnant(kind, metadata.get("namespace") or "", metadata["name"], metadata["uid"], about, stays)
