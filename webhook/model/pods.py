"""Where the pods are: the one visitor of all kinds in the table (`workloads.py`), and of their containers.

Every check sees pods only through `subjects`, so that no check can forget init containers, native
sidecars, ephemeral containers or image volumes, nor the pods inside a wrapped manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal

from webhook.model import pointer as pointers
from webhook.model.neighbours import Neighbours, alone
from webhook.model.oci import Images, uninspected
from webhook.model.record import record
from webhook.model.workloads import KINDS, Kinds, Row

Role = Literal["init", "sidecar", "container", "ephemeral"]
NOTHING: Mapping[str, Any] = MappingProxyType({})
LISTS = ("initContainers", "containers", "ephemeralContainers")

# those whose kinds have other claims than `volumeClaimTemplates`
_CLAIMING = ("batch.volcano.sh", "jobset.x-k8s.io")


@record(frozen=True, slots=True)
class Container:
    """One container of a pod: its name, what it is in the pod's life, its spec, and its JSON pointer."""

    name: str
    role: Role
    spec: dict[str, Any]
    pointer: str

    @property
    def image(self) -> str:
        """The image reference as written, or an empty string."""
        image = self.spec.get("image")
        return image if isinstance(image, str) else ""


@record(frozen=True, slots=True)
class Volume:
    """One entry of a pod's `volumes`: its name, its spec, and its JSON pointer."""

    name: str
    spec: dict[str, Any]
    pointer: str

    @property
    def image(self) -> str | None:
        """The reference of an image volume (KEP-4639), or None for every other volume."""
        source = self.spec.get("image")
        if not isinstance(source, Mapping):
            return None
        reference = source.get("reference")
        return reference if isinstance(reference, str) else ""


@record(frozen=True, slots=True)
class Claim:
    """A PersistentVolumeClaim that a workload's controller makes for its pods: its name, metadata, spec, and pointer.

    The pointer is that of the spec. `path` is where the controller mounts it into every container by itself; empty
    where the containers mount it by its name.
    """

    name: str
    metadata: Mapping[str, Any]
    spec: Mapping[str, Any]
    pointer: str
    path: str = ""


@record(frozen=True, slots=True)
class Use:
    """One place that names an image: what is written there, its pointer, and the container's or volume's name."""

    written: Any
    pointer: str
    name: str


@record(frozen=True, slots=True)
class Pod:
    """A pod template found in a workload (or the pod itself): `pointer` is where it stands in the object.

    `containers` are those in the scope of the rule that looks, all roles, in the order init and sidecars, normal,
    ephemeral; `everyone` are all of them. `image_volumes` likewise; `volumes` are always all. `unreadable` is a
    sentence where a list of the pod is none, so that Kubernetes would refuse it. `neighbours` are those of the
    object that the pod stands in, `images` what registries say of its images. `claims` are those that its workload
    makes. `daemon`: such a pod runs on every node.
    """

    metadata: dict[str, Any]
    spec: dict[str, Any]
    pointer: str
    containers: tuple[Container, ...]
    volumes: tuple[Volume, ...]
    image_volumes: tuple[Volume, ...]
    unreadable: str = ""
    everyone: tuple[Container, ...] = ()
    neighbours: Neighbours = alone
    claims: tuple[Claim, ...] = ()
    daemon: bool = False
    images: Images = uninspected

    @property
    def annotations(self) -> Mapping[str, Any]:
        """The annotations of the pod (template), empty where there are none."""
        return mapping(self.metadata.get("annotations"))

    @property
    def labels(self) -> Mapping[str, Any]:
        """The labels of the pod (template), empty where there are none."""
        return mapping(self.metadata.get("labels"))

    @property
    def uses(self) -> Iterator[Use]:
        """The images of its containers and of its image volumes, in the scope of the rule that looks."""
        for container in self.containers:
            yield Use(container.spec.get("image"), f"{container.pointer}/image", container.name)
        for volume in self.image_volumes:
            reference = mapping(volume.spec.get("image")).get("reference")
            yield Use(reference, f"{volume.pointer}/image/reference", volume.name)

    @property
    def windows(self) -> bool:
        """Whether the pod says that it is for Windows, where paths and limits are others."""
        return mapping(self.spec.get("os")).get("name") == "windows"

    @property
    def main(self) -> Any:
        """The name of the container that the pod is about: what kubectl takes where none is named."""
        first = next((mapping(one).get("name") for one in listing(self.spec.get("containers"))), None)
        return self.annotations.get("kubectl.kubernetes.io/default-container", first)

    def beside(self, neighbours: Neighbours, images: Images = uninspected) -> Pod:
        """Return this pod with what stands beside its object, and with what is known of images."""
        return Pod(
            *(self.metadata, self.spec, self.pointer, self.containers, self.volumes, self.image_volumes),
            *(self.unreadable, self.everyone, neighbours, self.claims, self.daemon, images),
        )

    def keep(self, container: Callable[[Container], bool], volume: Callable[[Volume], bool]) -> Pod:
        """Return this pod with only the containers and image volumes for which the functions say yes."""
        return replace(
            self,
            containers=tuple(c for c in self.containers if container(c)),
            image_volumes=tuple(v for v in self.image_volumes if volume(v)),
        )


@record(frozen=True, slots=True)
class Subject:
    """One object to judge: the object of the review, or one manifest inside a wrapper.

    `pointer` is where it stands in the object of the review ('' when it is that object). `claims` are those that a
    workload makes for its pods. `neighbours` gives what stands beside it, as far as it is known. `unreadable` is a
    sentence where something stands in the place of a pod that is none.
    """

    object: Mapping[str, Any]
    group: str
    kind: str
    namespace: str
    name: str
    pointer: str
    pods: tuple[Pod, ...]
    claims: tuple[Claim, ...] = ()
    neighbours: Neighbours = alone
    unreadable: str = ""

    @property
    def labels(self) -> Mapping[str, Any]:
        """The labels of the object, empty where there are none."""
        return mapping(mapping(self.object.get("metadata")).get("labels"))

    def beside(self, neighbours: Neighbours, images: Images = uninspected) -> Subject:
        """Return this subject, and the pods in it, with what stands beside them, and what is known of images."""
        pods = tuple([pod.beside(neighbours, images) for pod in self.pods])
        # `replace` costs four times as much, and this is done in most reviews
        return Subject(
            self.object,
            self.group,
            self.kind,
            self.namespace,
            self.name,
            self.pointer,
            pods,
            self.claims,
            neighbours,
            self.unreadable,
        )


def mapping(value: Any) -> dict[str, Any]:
    """Return `value` where it is a mapping, else an empty one: missing maps may be null or wrong.

    A dict by its type, which compiled code asks at half the price of any other mapping; it is nobody's to write to.
    """
    return value if isinstance(value, dict) else {}


def listing(value: Any) -> list[Any]:
    """Return `value` where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def group_of(api_version: Any) -> str:
    """Return the group of an `apiVersion` (`apps/v1` is `apps`, `v1` is the empty core group)."""
    return api_version.rpartition("/")[0] if isinstance(api_version, str) else ""


def subjects(
    obj: Mapping[str, Any], group: str, kind: str, namespace: str, name: str, kinds: Kinds = KINDS
) -> tuple[Subject, ...]:
    """Return what is to be judged in an object: itself, or, for a wrapper, each manifest that it carries.

    Manifests inside a wrapper without a namespace are judged in the wrapper's. A wrapper inside a wrapper
    is unwrapped too, however many there are, and so is a `kind: List`.
    """
    found = []
    waiting = [_subject(obj, group, kind, namespace, name, "", kinds)]
    while waiting:
        subject = waiting.pop()
        row = kinds.get((subject.group, subject.kind))
        if row is not None and row.wraps:
            waiting += reversed(list(_carried(subject, row, kinds)))
        found.append(subject)
    return tuple(found)


_ODD = "of another type than Kubernetes takes there, so that no pod in it can be judged"


def _subject(
    obj: Mapping[str, Any], group: str, kind: str, namespace: str, name: str, at: str, kinds: Kinds
) -> Subject:
    row = kinds.get((group, kind))
    if row is None or row.wraps:
        return Subject(obj, group, kind, namespace, name, at, ())
    made, read = claims(obj, row, at), templates(obj, row, at)
    odd = [f"{where}: {_ODD}" for where, _, spec, _ in read if spec is None]
    pods = tuple(_pods(read, made))
    return Subject(obj, group, kind, namespace, name, at, pods, made, alone, odd[0] if odd else "")


def _carried(wrapper: Subject, row: Row, kinds: Kinds) -> Iterator[Subject]:
    for path in row.paths:
        for at, manifest in _listed(_walk(wrapper.object, path, wrapper.pointer)):
            meta = mapping(manifest.get("metadata"))
            kind, name, namespace = manifest.get("kind"), meta.get("name"), meta.get("namespace")
            if isinstance(kind, str):
                yield _subject(
                    manifest,
                    group_of(manifest.get("apiVersion")),
                    kind,
                    namespace if isinstance(namespace, str) and namespace else wrapper.namespace,
                    name if isinstance(name, str) else "",
                    at,
                    kinds,
                )


def _listed(manifests: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield manifests, and of a `kind: List` what it holds: nobody shall pass in one, whoever takes it apart."""
    waiting = list(manifests)[::-1]
    while waiting:
        at, manifest = waiting.pop()
        if not isinstance(manifest, dict):
            continue
        if manifest.get("kind") == "List" and manifest.get("apiVersion") == "v1":
            waiting += _walk(manifest, ("items", "*"), at)[::-1]
        else:
            yield at, manifest


def _walk(value: Any, path: tuple[str, ...], at: str) -> list[tuple[str, Any]]:
    """Return what stands at a path, and where; what can't be gone through as no object. Nothing of what is null."""
    for number, key in enumerate(path):
        if key == "*" and isinstance(value, list):
            below = path[number + 1 :]
            return [found for index, element in enumerate(value) for found in _walk(element, below, f"{at}/{index}")]
        if not isinstance(value, dict):
            break
        if key == "*":
            return [(at, [value])]
        if key not in value:
            return []
        value, at = value[key], pointers.join(at, key)
    return [] if value is None else [(at, value)]


def claims(obj: Mapping[str, Any], row: Row, at: str = "") -> tuple[Claim, ...]:
    """Return the claims that a workload's controller makes for its pods."""
    claimed = "volumeClaimTemplates" in mapping(obj.get("spec")) or row.group in _CLAIMING
    return tuple(_claims(obj, row, at)) if claimed else ()


def _claims(obj: Mapping[str, Any], row: Row, at: str) -> Iterator[Claim]:
    spec = mapping(obj.get("spec"))
    if (row.group, row.kind) == ("batch.volcano.sh", "Job"):
        # its controller mounts them into every container of every task: createJobPod, pkg/controllers/job of volcano
        for number, volume in enumerate(map(mapping, listing(spec.get("volumes")))):
            name, path = volume.get("volumeClaimName"), volume.get("mountPath")
            claimed, where = mapping(volume.get("volumeClaim")), f"{at}/spec/volumes/{number}/volumeClaim"
            yield Claim(_text(name), NOTHING, claimed, where, _text(path))
        return
    listed = [(f"{at}/spec/volumeClaimTemplates", spec.get("volumeClaimTemplates"))]
    if (row.group, row.kind) == ("jobset.x-k8s.io", "JobSet"):
        policies = enumerate(map(mapping, listing(spec.get("volumeClaimPolicies"))))
        listed = [(f"{at}/spec/volumeClaimPolicies/{n}/templates", policy.get("templates")) for n, policy in policies]
    for where, templates in listed:
        for number, template in enumerate(map(mapping, listing(templates))):
            metadata = mapping(template.get("metadata"))
            yield Claim(_text(metadata.get("name")), metadata, mapping(template.get("spec")), f"{where}/{number}/spec")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


Template = tuple[str, dict[str, Any], dict[str, Any] | None, bool]


def templates(obj: Mapping[str, Any], row: Row, at: str = "") -> list[Template]:
    """Return the pod templates of a workload: where each stands, metadata, spec, and whether it runs on every node.

    Without a spec, what stands in the place of a template or of its spec, and can't be read.
    """
    if row.group == "argoproj.io" and mapping(obj.get("spec")).get("workloadRef"):
        return []  # the template is the referenced Deployment's, which is judged by itself
    found: list[Template] = []
    for path in row.paths:
        for where, template in _walk(obj, path, at):
            spec = template.get("spec") if isinstance(template, dict) else None
            if isinstance(spec, dict):
                found.append((where, mapping(template.get("metadata")), spec, path in row.daemons))
            elif spec is not None:
                found.append((where + "/spec", {}, None, False))
            elif not isinstance(template, dict):
                found.append((where, {}, None, False))
    return found


def _pods(read: Iterable[Template], claims: tuple[Claim, ...]) -> list[Pod]:
    found = []
    for where, metadata, spec, daemon in read:
        if spec is None:
            continue
        volumes = tuple(_volumes(spec, where + "/spec"))
        containers = tuple(_containers(spec, where + "/spec"))
        images = tuple([volume for volume in volumes if "image" in volume.spec and volume.image is not None])
        odd = _unreadable(spec)
        found.append(
            Pod(metadata, spec, where, containers, volumes, images, odd, containers, claims=claims, daemon=daemon)
        )
    return found


def _unreadable(spec: dict[str, Any]) -> str:
    for key in ("initContainers", "containers", "ephemeralContainers", "volumes"):
        value = spec.get(key)
        if value is None:
            continue
        if not isinstance(value, list) or not all([isinstance(item, dict) for item in value]):
            return f"spec.{key} is no list of objects, so nothing in it can be judged; Kubernetes refuses it"
    return ""


def _containers(spec: dict[str, Any], at: str) -> list[Container]:
    found = []
    for index, init in enumerate(listing(spec.get("initContainers"))):
        if isinstance(init, dict):
            # KEP-753: an init container that restarts always is a sidecar
            role: Role = "sidecar" if init.get("restartPolicy") == "Always" else "init"
            found.append(_container(init, role, f"{at}/initContainers/{index}"))
    for index, container in enumerate(listing(spec.get("containers"))):
        if isinstance(container, dict):
            found.append(_container(container, "container", f"{at}/containers/{index}"))
    for index, debug in enumerate(listing(spec.get("ephemeralContainers"))):
        if isinstance(debug, dict):
            found.append(_container(debug, "ephemeral", f"{at}/ephemeralContainers/{index}"))
    return found


def _container(spec: dict[str, Any], role: Role, at: str) -> Container:
    name = spec.get("name")
    return Container(name if isinstance(name, str) else "", role, spec, at)


def _volumes(spec: dict[str, Any], at: str) -> list[Volume]:
    found = []
    for index, volume in enumerate(listing(spec.get("volumes"))):
        if isinstance(volume, dict):
            name = volume.get("name")
            found.append(Volume(name if isinstance(name, str) else "", volume, f"{at}/volumes/{index}"))
    return found
