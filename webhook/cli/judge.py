"""Objects before the rules, by the very service that the server runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from webhook.cli.objects import Manifest
from webhook.model.decision import Decision
from webhook.model.kinds import CLUSTER_SCOPED, OTHERS
from webhook.model.neighbours import Found, Ref
from webhook.model.pods import group_of, mapping
from webhook.model.record import record
from webhook.model.review import API_VERSION, Review, parse
from webhook.model.workloads import KINDS
from webhook.packs.rule import Ruleset
from webhook.ports import Clock, ImageReader, NamespaceReader, NeighbourReader, Unknown
from webhook.service import Service

USER = "plimsoll-check"
GROUPS = ("system:authenticated",)
UID = "00000000-0000-0000-0000-000000000000"
ONLY_FILES = "only the files are looked at, and not what a cluster has"
STRENGTH = {"deny": 3, "warn": 2, "audit": 1}


@record(frozen=True, slots=True)
class Judged:
    """One object, what `/validate` and `/advise` say of it, and what `/mutate` would do to it."""

    manifest: Manifest
    review: Review
    decision: Decision
    mended: Decision

    @property
    def strongest(self) -> str:
        """Return the strongest action that comes of it: `deny`, `warn`, `audit`, or `allow`."""
        return strongest(self.decision)


@record(frozen=True, slots=True)
class Namespaces:
    """The namespaces that stand among the objects; no others are known."""

    known: Mapping[str, Mapping[str, Any]]

    def get(self, name: str, timeout: float) -> Mapping[str, Any]:
        """Return the Namespace object. Raises Unknown where it is not among the objects."""
        if name not in self.known:
            raise Unknown("it is not among the files, so its labels are not known")
        return self.known[name]


@record(frozen=True, slots=True)
class Neighbours:
    """What stands among objects, by (namespace, group, kind); `lacking` says why there may be others elsewhere."""

    known: Mapping[tuple[str, str, str], Sequence[Mapping[str, Any]]]
    lacking: str = ONLY_FILES

    def find(self, namespace: str, ref: Ref, timeout: float) -> Found:
        """Return the objects that `ref` means in a namespace."""
        among = self.known.get((namespace, ref.group, ref.kind), ())
        fitting = (obj for obj in among if ref.name in ("", mapping(obj.get("metadata")).get("name")))
        return Found(tuple(fitting), self.lacking)


def strongest(decision: Decision) -> str:
    """Return the strongest action of the findings, errors and unknown facts of a decision, or `allow`."""
    actions = [finding.effective for finding in decision.findings if finding.exempt is None]
    actions += [fault.effective for fault in (*decision.errors, *decision.unknown)]
    return max((action for action in actions if action in STRENGTH), key=STRENGTH.__getitem__, default="allow")


def judge(
    ruleset: Ruleset, manifests: Iterable[Manifest], clock: Clock, namespace: str = "default"
) -> tuple[list[Judged], int]:
    """Return every object judged as its creation by user plimsoll-check, and how many concern no rule.

    `namespace` is where namespaced objects go that name none.
    """
    manifests = list(manifests)
    spaces = Namespaces(namespaces(m.value for m in manifests))
    hear = court(ruleset, spaces, Neighbours(neighbours((m.value for m in manifests), namespace)), clock, namespace)
    heard = [hear(manifest) for manifest in manifests]
    return [one for one in heard if one is not None], heard.count(None)


def court(
    ruleset: Ruleset,
    spaces: NamespaceReader,
    beside: NeighbourReader,
    clock: Clock,
    namespace: str,
    images: ImageReader | None = None,
) -> Callable[[Manifest], Judged | None]:
    """Return what judges one object, and gives None for one that no rule concerns.

    `spaces` and `beside` are asked for what stands around it, `images` for what its images are.
    """
    service = Service(lambda: ruleset, namespaces=spaces, neighbours=beside, images=images, clock=clock)

    def hear(manifest: Manifest) -> Judged | None:
        review = creation(manifest.value, namespace)
        if not ruleset.bucket("all", review).rules:
            return None
        return Judged(manifest, review, service.decide("all", review), service.decide("mutate", review))

    return hear


def namespaces(objects: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the Namespace objects by name, each with the label that the API server gives it."""
    found: dict[str, Mapping[str, Any]] = {}
    for obj in objects:
        meta = mapping(obj.get("metadata"))
        if (obj.get("apiVersion"), obj.get("kind")) == ("v1", "Namespace") and isinstance(meta.get("name"), str):
            name = meta["name"]
            labels = {**mapping(meta.get("labels")), "kubernetes.io/metadata.name": name}
            found[name] = {**obj, "metadata": {**meta, "labels": labels}}
    return found


def neighbours(
    objects: Iterable[Mapping[str, Any]], namespace: str
) -> Mapping[tuple[str, str, str], Sequence[Mapping[str, Any]]]:
    """Return objects by (namespace, group, kind); those that name no namespace go into `namespace`."""
    found: dict[tuple[str, str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for obj in objects:
        own = _text(mapping(obj.get("metadata")).get("namespace"))
        found[own or namespace, group_of(obj["apiVersion"]), obj["kind"]].append(obj)
    return found


def creation(obj: Mapping[str, Any], namespace: str) -> Review:
    """Return the review of an object's creation. Raises ReviewError for what could not be asked about."""
    return parse(admission(obj, namespace, "CREATE"))


def admission(obj: Mapping[str, Any], namespace: str, operation: str, **request: Any) -> dict[str, Any]:
    """Return the AdmissionReview that an API server would send about an object; `request` adds to it."""
    group, kind = group_of(obj["apiVersion"]), obj["kind"]
    version = obj["apiVersion"].rpartition("/")[2]
    obj = placed(obj, namespace)
    meta = mapping(obj.get("metadata"))
    gvk = {"group": group, "version": version, "kind": kind}
    gvr = {"group": group, "version": version, "resource": resource(group, kind)}
    return {
        "apiVersion": API_VERSION,
        "kind": "AdmissionReview",
        "request": {
            "uid": UID,
            "kind": gvk,
            "resource": gvr,
            "requestKind": gvk,
            "requestResource": gvr,
            "name": _text(meta.get("name")),
            "namespace": _text(meta.get("name" if (group, kind) == ("", "Namespace") else "namespace")),
            "operation": operation,
            "userInfo": {"username": USER, "groups": list(GROUPS)},
            "object": obj,
            "dryRun": False,
            **request,
        },
    }


def placed(obj: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """Return the object with `namespace` where it is namespaced and names none; of a cluster-scoped one none counts."""
    scoped = (group_of(obj["apiVersion"]), obj["kind"]) not in CLUSTER_SCOPED
    meta = obj.get("metadata")
    if meta is not None and not isinstance(meta, dict):
        return dict(obj)
    meta = {key: value for key, value in (meta or {}).items() if scoped or key != "namespace"}
    if scoped and not meta.get("namespace"):
        meta["namespace"] = namespace
    return {**obj, "metadata": meta}


def resource(group: str, kind: str) -> str:
    """Return the plural name of a kind in the API; for kinds that are not known, what it most likely is."""
    row = KINDS.get((group, kind))
    known = row.resource if row is not None else OTHERS.get((group, kind), "")
    if known:
        return known
    plural = kind.lower()
    return f"{plural}es" if plural.endswith(("s", "x", "ch")) else f"{plural}s"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
