"""All that a cluster holds of some kinds, read politely: one list a kind, in pages of 500, one after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from webhook.kube.client import ApiError, Client, Object
from webhook.kube.owners import Owners
from webhook.model.neighbours import Found, Ref
from webhook.model.pods import mapping
from webhook.model.workloads import KINDS, Kinds
from webhook.ports import Owner, OwnerReader, Unknown

SECONDS = 30.0
"""For each call: a page of 500 large objects takes a slow API server a while, and nobody's deployment waits."""
MOST = 100_000
"""Objects of a kind that are looked at as neighbours; a cluster with more is not known whole."""


class Inventory:
    """A `ports.Cluster`: what a cluster holds, as it is when it is asked for first. For one thread."""

    def __init__(self, client: Client, kinds: Kinds = KINDS) -> None:
        """Read with `client`; owners are of `kinds`. Nothing is asked before the first call."""
        self._client = client
        self.owners: OwnerReader = _Patient(Owners(client, kinds))
        self._served: dict[str, list[str]] | None = None
        self._resources: dict[str, dict[str, str]] = {}
        self._spaces: dict[str, Object] | None = None
        self._beside: dict[tuple[str, str], Mapping[str, Sequence[Object]] | Unknown] = {}

    @property
    def namespaces(self) -> Inventory:
        """Return what gives the namespaces: this."""
        return self

    @property
    def neighbours(self) -> Inventory:
        """Return what finds neighbours: this."""
        return self

    def get(self, name: str, timeout: float) -> Mapping[str, Any]:
        """Return a Namespace. All of them are read once. Raises Unknown."""
        held = self._held("", "Namespace")
        if self._spaces is None:
            self._spaces = {_name(space): space for space in held.get("", ())}
        if name not in self._spaces:
            raise Unknown(f"the cluster has no namespace {name}")
        return self._spaces[name]

    def find(self, namespace: str, ref: Ref, timeout: float) -> Found:
        """Return what `ref` means in a namespace; a kind that the cluster does not have has no objects.

        All objects of its kind are read once. Raises Unknown.
        """
        among = self._held(ref.group, ref.kind).get(namespace, ())
        return Found(tuple(obj for obj in among if ref.name in ("", _name(obj))))

    def objects(self, kinds: Collection[tuple[str, str]]) -> Iterator[Mapping[str, Any]]:
        """Yield all objects of (group, kind), in the version that the cluster prefers; none of a kind that it lacks.

        Raises Unknown where the API server does not tell.
        """
        for group, kind in sorted(kinds):
            yield from self._list(group, kind)

    def _held(self, group: str, kind: str) -> Mapping[str, Sequence[Object]]:
        """Return the objects of a kind by namespace. Raises Unknown, and does so again without asking again."""
        key = group, kind
        if key not in self._beside:
            try:
                self._beside[key] = self._whole(group, kind)
            except Unknown as error:
                self._beside[key] = error
        held = self._beside[key]
        if isinstance(held, Unknown):
            raise Unknown(str(held))
        return held

    def _whole(self, group: str, kind: str) -> Mapping[str, Sequence[Object]]:
        held: dict[str, list[Object]] = defaultdict(list)
        for number, obj in enumerate(self._list(group, kind)):
            if number == MOST:
                raise Unknown(f"the cluster has more than {MOST} objects of kind {kind}")
            held[mapping(obj.get("metadata")).get("namespace", "")].append(obj)
        return held

    def _list(self, group: str, kind: str) -> Iterator[Object]:
        try:
            for version in self._versions(group):
                resource = self._kinds(version).get(kind)
                if resource is None:
                    continue
                root = f"/apis/{version}" if group else f"/api/{version}"
                for item in self._client.items(f"{root}/{resource}", SECONDS):
                    if isinstance(meta := item.get("metadata"), dict):
                        meta.pop("managedFields", None)
                    # a list's items leave out what its head says for all of them
                    yield {"apiVersion": version, "kind": kind, **item}
                return
        except ApiError as error:
            raise Unknown(str(error)) from error

    def _versions(self, group: str) -> list[str]:
        """Return the versions of a group that are served, the preferred first: `apps/v1`."""
        if not group:
            return ["v1"]
        if self._served is None:
            self._served = {
                each["name"]: [
                    each["preferredVersion"]["groupVersion"],
                    *(version["groupVersion"] for version in each["versions"]),
                ]
                for each in self._client.get("/apis", SECONDS).get("groups") or []
            }
        return self._served.get(group, [])

    def _kinds(self, version: str) -> dict[str, str]:
        """Return the plural of each kind that a version of a group has and that can be listed."""
        if version not in self._resources:
            root = f"/apis/{version}" if "/" in version else f"/api/{version}"
            listed = self._client.get(root, SECONDS).get("resources") or []
            self._resources[version] = {
                each["kind"]: each["name"]
                for each in listed
                if "/" not in each["name"] and "list" in (each.get("verbs") or ())
            }
        return self._resources[version]


class _Patient:
    """Gives owners that are waited for as long as a list is: nobody's deployment hangs on it."""

    def __init__(self, owners: OwnerReader) -> None:
        self._owners = owners

    def chain(self, namespace: str, references: Sequence[Mapping[str, Any]], timeout: float) -> tuple[Owner, ...]:
        """Return the controllers as they are. Raises Unknown."""
        return self._owners.chain(namespace, references, SECONDS)


def _name(obj: Mapping[str, Any]) -> str:
    name = mapping(obj.get("metadata")).get("name")
    return name if isinstance(name, str) else ""
