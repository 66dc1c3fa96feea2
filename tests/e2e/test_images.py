"""What an image really is, asked of a real registry on the way of a real `kubectl apply`."""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from lab import packs, pki, plimsoll, workloads
from lab.controlplane import ControlPlane
from lab.kubectl import Kubectl, Object
from lab.process import eventually
from registry import faulty, images, server
from registry.images import Family
from registry.pusher import pushing

BASED: Object = {"name": "approved-base", "check": "approved-base", "action": "deny", "onUnknown": "deny"}
PINNED = packs.pack("pinned", {"name": "image-digest", "check": "image-digest", "action": "warn", "fix": True})
USER = "plimsoll-login"
Serve = Callable[..., plimsoll.Server]
Guard = Callable[..., None]


def listed(host: str, *, ca: Path | None = None, credentials: Path | None = None) -> Object:
    """Return a registries file that lets a registry of this machine be asked."""
    entry: Object = {"host": host, "addresses": ["127.0.0.0/8"]}
    entry |= {"ca": str(ca)} if ca else {"insecure": True}
    entry |= {"credentials": str(credentials)} if credentials else {}
    return {"apiVersion": "plimsoll.dev/v1", "kind": "Registries", "registries": [entry]}


def login(host: str) -> Object:
    """Return the docker config of the registry's account."""
    words = f"{server.ACCOUNT.name}:{server.ACCOUNT.password}".encode()
    return {"auths": {host: {"auth": base64.b64encode(words).decode()}}}


def asking(path: Path) -> tuple[str, ...]:
    """Return the options of a server that asks the registries of a file."""
    return ("--registries", str(path))


def running(image: str, name: str = "web", **fields: Any) -> Object:
    """Return a pod that runs an image."""
    return workloads.pod(name, workloads.pod_spec(workloads.container(image=image), **fields))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files of these tests are."""
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def guarded(home: Path) -> Iterator[server.Registry]:
    """A registry behind TLS with a CA of its own, that wants tokens."""
    (home / "storage").mkdir()
    with server.running(home / "storage", "bearer", pki.authority(home)) as found:
        yield found


@pytest.fixture(scope="module")
def family(guarded: server.Registry) -> Family:
    """The images that are in it."""
    with pushing(guarded, server.ACCOUNT) as pusher:
        return images.publish(pusher)


@pytest.fixture(scope="module")
def registries(home: Path, guarded: server.Registry) -> Path:
    """The registries file that leads there."""
    (home / "ca.crt").write_bytes(guarded.bundle)
    (home / "config.json").write_text(json.dumps(login(guarded.address)))
    path = home / "registries.yaml"
    path.write_text(yaml.safe_dump(listed(guarded.address, ca=home / "ca.crt", credentials=home / "config.json")))
    return path


def based(*bases: str, **params: Any) -> Object:
    """Return a pack that wants images on these bases, and requests that equal limits."""
    rule = {**BASED, "params": {"bases": list(bases), **params}}
    return packs.pack("based", rule, packs.EQUAL_RESOURCES)


def test_a_child_of_the_base_is_let_in_and_what_only_says_so_is_not(
    kubectl: Kubectl, serve: Serve, guard: Guard, family: Family, registries: Path
) -> None:
    bases = [family["base"].reference, family["base-multi"].reference]
    guard(kubectl, serve(based(*bases), options=asking(registries)), "validate")
    for name in ("base", "runtime", "app", "app-docker", "bare", "attested", "app-multi", "app-list"):
        kubectl.apply(running(family[name].reference, name)).must()
    for name in ("forged", "attested-forged", "squashed", "reordered", "stranger", "app-half"):
        said = kubectl.apply(running(family[name].reference, name)).refused()
        assert "approved-base" in said
        assert f"FROM {family['base'].reference}" in said or f"FROM {family['base-multi'].reference}" in said
    kubectl.apply(running(family["app"].pinned, "by-digest")).must()
    kubectl.apply(
        workloads.deployment(spec=workloads.pod_spec(workloads.container(image=family["app"].reference)))
    ).must()


def test_of_several_platforms_those_count_that_the_pod_can_run(
    kubectl: Kubectl, serve: Serve, guard: Guard, family: Family, registries: Path
) -> None:
    server_ = serve(based(family["base-multi"].reference), options=asking(registries))
    guard(kubectl, server_, "validate")
    half = family["app-half"].reference
    said = kubectl.apply(running(half)).refused()
    assert "linux/arm64" in said and "linux/amd64" not in said.partition("linux/arm64")[0].rpartition("\n")[2]
    kubectl.apply(running(half, nodeSelector={"kubernetes.io/arch": "amd64"})).must()
    kubectl.apply(running(half, "arm", nodeSelector={"kubernetes.io/arch": "arm64"})).refused()


def test_a_base_that_is_rebuilt_has_its_grace(home: Path, kubectl: Kubectl, serve: Serve, guard: Guard) -> None:
    (home / "moving").mkdir()
    with server.running(home / "moving") as moving, pushing(moving) as pusher:
        found = images.publish(pusher)
        path = home / "moving.yaml"
        path.write_text(yaml.safe_dump(listed(moving.address)))
        options = ("--registries", str(path), "--image-fresh", "1")
        patient = serve(based(found["base"].reference), options=options)
        strict = serve(based(found["base"].reference, keep=0), options=options)
        guard(kubectl, patient, "validate")
        kubectl.apply(running(found["app"].reference, "before")).must()
        images.rebuild(pusher, found)
        eventually(
            lambda: kubectl.apply(running(found["app-on-rebuilt"].reference, "after")).code == 0,
            what="that the tag is seen to have moved",
        )
        kubectl.apply(running(found["app"].reference, "meanwhile")).must()
        said = kubectl.apply(running(found["forged"].reference, "never")).refused()
        assert f"FROM {found['base'].reference}" in said
        guard(kubectl, strict, "validate")
        assert "rebuild" in kubectl.apply(running(found["app"].reference, "late")).refused()


def test_a_tag_is_pinned_to_its_digest_once_and_stays_so(
    kubectl: Kubectl, serve: Serve, guard: Guard, family: Family, registries: Path, guarded: server.Registry
) -> None:
    guard(kubectl, serve(PINNED, options=asking(registries)), "mutate")
    app = family["app-multi"]
    spec = workloads.pod_spec(
        workloads.container("one", image=app.reference), workloads.container("two", image=app.reference)
    )
    before = guarded.counted()
    kubectl.apply(workloads.pod("web", spec)).must()
    asked = guarded.counted() - before
    found = [container["image"] for container in kubectl.get("pod/web")["spec"]["containers"]]
    assert found == [f"{app.reference}@{app.digest}"] * 2
    of_tag = [path for _, path in asked.elements() if re.search(r"/manifests/(?!sha256)", path)]
    assert len(of_tag) == 1, asked
    assert kubectl.apply(workloads.pod("web", spec)).must().err == ""


def test_the_jdk_and_the_user_inside_are_judged(
    kubectl: Kubectl, serve: Serve, guard: Guard, family: Family, registries: Path
) -> None:
    pack = packs.pack(
        "inside",
        {"name": "jdk-version", "check": "jdk-version", "action": "deny"},
        {"name": "image-config", "check": "image-config", "params": {"nonRoot": True}, "action": "deny"},
    )
    guard(kubectl, serve(pack, options=asking(registries)), "validate")
    numeric = family["user-numeric"].reference
    kubectl.apply(running(numeric)).must()
    for name in ("user-unset", "user-root", "user-zero"):
        assert "image-config" in kubectl.apply(running(family[name].reference, name)).refused()
    for name in ("jdk-openjdk-11.0.15", "jdk-openjdk-8u181"):
        said = kubectl.apply(running(family[name].reference, "old", securityContext={"runAsUser": 1})).refused()
        assert "jdk-version" in said
    kubectl.apply(running(family["jdk-temurin-17.0.9"].reference, "new", securityContext={"runAsUser": 1})).must()


@dataclass(frozen=True, slots=True)
class Broken:
    """A registry for each fault, and two servers that ask them: one warns of what it cannot know, the other denies."""

    sites: dict[str, faulty.Faulty]
    warning: plimsoll.Server
    denying: plimsoll.Server


@pytest.fixture(scope="module")
def broken(home: Path, serve: Serve) -> Iterator[Broken]:
    """Registries with faults; each is a host of its own, since a registry that errs is left alone for a moment."""
    with ExitStack() as stack:
        sites = {name: stack.enter_context(faulty.running()) for name in faulty.KINDS}
        path = home / "faulty.yaml"
        whole = [listed(site.address) for site in sites.values()]
        path.write_text(yaml.safe_dump({**whole[0], "registries": [one["registries"][0] for one in whole]}))
        rule = {**BASED, "params": {"bases": [sites["good"].reference("good")]}}
        made = [
            serve(packs.pack("based", {**rule, "onUnknown": word}, packs.EQUAL_RESOURCES), options=asking(path))
            for word in ("warn", "deny")
        ]
        yield Broken(sites, *made)


@pytest.mark.parametrize("fault", faulty.FAULTS)
def test_a_registry_with_a_fault_ends_in_what_on_unknown_says_and_touches_no_other_rule(
    fault: str, kubectl: Kubectl, broken: Broken, guard: Guard
) -> None:
    image = broken.sites[fault].reference(fault)
    guard(kubectl, broken.warning, "validate")
    answer = kubectl.apply(running(image)).must()
    assert "approved-base" in answer.err
    assert broken.sites[fault].received, "the registry was asked"
    unequal = workloads.pod_spec(workloads.container(image=image, resources=workloads.UNEQUAL))
    assert "requests-equal-limits" in kubectl.apply(workloads.pod("unequal", unequal)).refused()
    kubectl.apply(running(broken.sites["good"].reference("good"), "good")).must()


@pytest.mark.parametrize("fault", faulty.FAULTS)
def test_a_registry_with_a_fault_lets_nothing_past_a_rule_that_denies_the_unknown(
    fault: str, kubectl: Kubectl, broken: Broken, guard: Guard
) -> None:
    guard(kubectl, broken.denying, "validate")
    said = kubectl.apply(running(broken.sites[fault].reference(fault))).refused()
    assert "approved-base" in said
    assert broken.sites[fault].address in said
    kubectl.apply(running(broken.sites["good"].reference("good"), "good")).must()


def test_a_secret_of_our_namespace_lets_us_in_with_the_rights_of_the_documentation(
    cluster: ControlPlane, home: Path, kubectl: Kubectl, serve: Serve, guard: Guard, family: Family,
    guarded: server.Registry,
) -> None:  # fmt: skip
    path = home / "without.yaml"
    (home / "ca.crt").write_bytes(guarded.bundle)
    path.write_text(yaml.safe_dump(listed(guarded.address, ca=home / "ca.crt")))
    reader = str(granted(cluster))
    pack = based(family["base"].reference)
    nobody = serve(pack, options=("--registries", str(path), "--kubeconfig", reader))
    guard(kubectl, nobody, "validate")
    assert "credentials" in kubectl.apply(running(family["app"].reference)).refused()
    options = ("--registries", str(path), "--kubeconfig", reader, "--pod-secrets")
    guard(kubectl, serve(pack, options=options), "validate")
    data = {".dockerconfigjson": base64.b64encode(json.dumps(login(guarded.address)).encode()).decode()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull"}, "data": data}
    kubectl.apply({**secret, "type": "kubernetes.io/dockerconfigjson"}).must()
    kubectl.apply(running(family["bare"].reference, "without")).refused()
    kubectl.apply(running(family["runtime"].reference, "with", imagePullSecrets=[{"name": "pull"}]))


def granted(cluster: ControlPlane) -> Path:
    """Return the kubeconfig of a user who may do what docs/registries.md gives for pods' secrets, and nothing else."""
    text = (plimsoll.ROOT / "docs" / "registries.md").read_text()
    written = [block.partition("```")[0] for block in text.split("```yaml")[1:]]
    documents = [document for block in written for document in yaml.safe_load_all(block)]
    [role] = [one for one in documents if one["metadata"]["name"] == "plimsoll-pod-secrets"]
    cluster.admin.apply({**role, "metadata": {"name": USER}}).must()
    cluster.admin("create", "clusterrolebinding", USER, f"--clusterrole={USER}", f"--user={USER}").must()
    return cluster.kubeconfig(USER)


def test_a_thousand_reviews_of_fifty_images_make_fifty_look_ups_over_all_workers(
    home: Path, serve: Serve, guarded: server.Registry, registries: Path
) -> None:
    with pushing(guarded, server.ACCOUNT) as pusher:
        crowd = images.crowd(pusher, 50)
    pack = packs.pack("inside", {"name": "image-config", "check": "image-config", "params": {"nonRoot": True},
                                 "action": "audit"})  # fmt: skip
    options = ("--registries", str(registries), "--image-cache", str(home / "cache"), "--workers", "3")
    running_ = serve(pack, options=options)
    context = ssl.create_default_context(cadata=running_.bundle.decode())
    seen: Counter[str] = Counter()
    lock = threading.Lock()

    def review(number: int) -> None:
        body = json.dumps(asked(running(crowd[number % 50].reference, f"p{number}"), number)).encode()
        request = urllib.request.Request(running_.url + "/validate", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            response = json.load(answer)["response"]
        with lock:
            seen["unknown" if "unknown" in response.get("auditAnnotations", {}) else "known"] += 1
            seen["allowed"] += response["allowed"]

    before = guarded.counted()
    with ThreadPoolExecutor(16) as crew:
        list(crew.map(review, range(1000)))
    made = guarded.counted() - before
    manifests = [path for (method, path), count in made.items() for _ in range(count) if "/manifests/" in path]
    assert seen == {"known": 1000, "allowed": 1000}
    assert len(manifests) == 50 == len(set(manifests))


def asked(pod: Object, number: int) -> Object:
    """Return the AdmissionReview of a pod's creation."""
    request = {
        "uid": f"u{number}", "operation": "CREATE", "namespace": "shop", "name": pod["metadata"]["name"],
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "userInfo": {"username": "dev"}, "object": pod,
    }  # fmt: skip
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
