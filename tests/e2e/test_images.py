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
from urllib.parse import urlsplit

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


def listed(*hosts: str, ca: Path | None = None, credentials: Path | None = None) -> Object:
    """Return a registries file that lets registries of this machine be asked."""
    shared: Object = {"addresses": ["127.0.0.0/8"], **({"ca": str(ca)} if ca else {"insecure": True})}
    entries: list[Object] = [{"host": host, **shared} for host in hosts]
    entries[0] |= {"credentials": str(credentials)} if credentials else {}
    return {"apiVersion": "plimsoll.dev/v1", "kind": "Registries", "registries": entries}


def with_tokens(registry: server.Registry) -> tuple[str, str]:
    """Return the hosts of a registry and of what gives its tokens; both are on loopback, so both have to be listed."""
    assert registry.tokens is not None
    return registry.address, urlsplit(registry.tokens.url).netloc


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
    (home / "config.json").write_text(json.dumps(login(guarded.address)))
    path = home / "registries.yaml"
    path.write_text(json.dumps(listed(*with_tokens(guarded), ca=guarded.bundle, credentials=home / "config.json")))
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
        assert any(base in said.partition("wanted: FROM ")[2] for base in bases)
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


def test_a_base_that_is_rebuilt_has_its_grace(
    home: Path, new_namespace: Callable[[], Kubectl], serve: Serve, guard: Guard
) -> None:
    kubectl, other = new_namespace(), new_namespace()
    (home / "moving").mkdir()
    with server.running(home / "moving") as moving, pushing(moving) as pusher:
        found = images.publish(pusher)
        path = home / "moving.yaml"
        path.write_text(json.dumps(listed(moving.address)))
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
        guard(other, strict, "validate")
        assert "is good for 14 days, the last 0" in other.apply(running(found["app"].reference, "late")).refused()


def test_a_tag_is_pinned_to_its_digest_once_and_stays_so(
    kubectl: Kubectl, serve: Serve, guard: Guard, family: Family, registries: Path, guarded: server.Registry
) -> None:
    guard(kubectl, serve(PINNED, options=asking(registries)), "mutate")
    app = family["app-multi"]
    spec = workloads.pod_spec(
        workloads.container("one", image=app.reference), workloads.container("two", image=app.reference)
    )
    before = len(guarded.requests())
    kubectl.apply(workloads.pod("web", spec)).must()
    asked = answered(guarded, before)
    found = [container["image"] for container in kubectl.get("pod/web")["spec"]["containers"]]
    assert found == [f"{app.reference}@{app.digest}"] * 2
    assert len([path for path in asked if re.search(r"/manifests/(?!sha256)", path)]) == 1, asked
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
        path.write_text(json.dumps(listed(*(site.address for site in sites.values()))))
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


INSIDE: Object = {"name": "image-config", "check": "image-config", "params": {"nonRoot": True}}
NONROOT = packs.pack("nonroot", {**INSIDE, "action": "deny", "onUnknown": "deny"})


@pytest.fixture(scope="module")
def anonymous(home: Path, guarded: server.Registry) -> Path:
    """A registries file that names no credentials."""
    path = home / "anonymous.yaml"
    path.write_text(json.dumps(listed(*with_tokens(guarded), ca=guarded.bundle)))
    return path


def test_a_secret_of_our_own_namespace_lets_us_in_with_the_right_that_the_documentation_gives(
    cluster: ControlPlane, kubectl: Kubectl, serve: Serve, guard: Guard, family: Family, anonymous: Path,
    guarded: server.Registry,
) -> None:  # fmt: skip
    role = {**documented("plimsoll-registry-secret"), "metadata": {"name": USER, "namespace": "default"}}
    reader = str(cluster.kubeconfig(USER))
    cluster.admin.apply(role).must()
    cluster.admin("-n", "default", "create", "rolebinding", USER, f"--role={USER}", f"--user={USER}").must()
    (name,) = role["rules"][0]["resourceNames"]
    cluster.admin.within("default").apply(secret(name, guarded.address)).must()
    image = family["user-numeric"].reference
    guard(
        kubectl,
        serve(NONROOT, options=("--kubeconfig", reader, "--registry-secret", name, *asking(anonymous))),
        "validate",
    )
    kubectl.apply(running(image)).must()


def test_a_pods_own_secrets_count_where_they_may_with_the_right_that_the_documentation_gives(
    cluster: ControlPlane, new_namespace: Callable[[], Kubectl], serve: Serve, guard: Guard, family: Family,
    anonymous: Path, guarded: server.Registry,
) -> None:  # fmt: skip
    user = f"{USER}-of-pods"
    cluster.admin.apply({**documented("plimsoll-pod-secrets"), "metadata": {"name": user}}).must()
    cluster.admin("create", "clusterrolebinding", user, f"--clusterrole={user}", f"--user={user}").must()
    reader = ("--kubeconfig", str(cluster.kubeconfig(user)))
    image, login_ = family["user-numeric"].reference, [{"name": "pull"}]
    never, may = new_namespace(), new_namespace()
    for kubectl in (never, may):
        kubectl.apply(secret("pull", guarded.address)).must()
    guard(never, serve(NONROOT, options=(*reader, *asking(anonymous))), "validate")
    assert "wants credentials" in never.apply(running(image, imagePullSecrets=login_)).refused()
    guard(may, serve(NONROOT, options=(*reader, *asking(anonymous), "--pod-secrets")), "validate")
    assert "wants credentials" in may.apply(running(image, "without")).refused()
    may.apply(running(image, "with", imagePullSecrets=login_)).must()


def test_what_the_cluster_runs_is_asked_for_ahead_with_the_right_that_the_documentation_gives(
    cluster: ControlPlane, kubectl: Kubectl, serve: Serve, family: Family, registries: Path, guarded: server.Registry
) -> None:
    user = f"{USER}-warm"
    cluster.admin.apply({**documented("plimsoll-warm"), "metadata": {"name": user}}).must()
    cluster.admin("create", "clusterrolebinding", user, f"--clusterrole={user}", f"--user={user}").must()
    image = family["user-named"]
    kubectl.apply(running(image.reference)).must()
    phase = '{"status": {"phase": "Running"}}'  # there is no kubelet to say so
    kubectl("patch", "pod", "web", "--subresource=status", "--type=merge", "-p", phase).must()
    before = len(guarded.requests())
    serve(NONROOT, options=("--kubeconfig", str(cluster.kubeconfig(user)), "--warm", *asking(registries)))
    eventually(
        lambda: any(f"/{image.repository}/manifests/" in path for path in answered(guarded, before)),
        what="that the registry is asked for the image, with no review",
    )


def secret(name: str, host: str) -> Object:
    """Return a pull secret for a registry."""
    data = {".dockerconfigjson": base64.b64encode(json.dumps(login(host)).encode()).decode()}
    head = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
    return {**head, "type": "kubernetes.io/dockerconfigjson", "data": data}


def documented(name: str) -> Object:
    """Return the role of this name in docs/registries.md."""
    text = (plimsoll.ROOT / "docs" / "registries.md").read_text()
    written = [block.partition("```")[0] for block in text.split("```yaml")[1:]]
    documents = [document for block in written for document in yaml.safe_load_all(block)]
    (role,) = [one for one in documents if one.get("metadata", {}).get("name") == name]
    found: Object = role
    return found


def test_a_thousand_reviews_of_fifty_images_make_fifty_look_ups_over_all_workers(
    home: Path, serve: Serve, guarded: server.Registry, registries: Path
) -> None:
    with pushing(guarded, server.ACCOUNT) as pusher:
        crowd = images.crowd(pusher, 50)
    pack = packs.pack("inside", {**INSIDE, "action": "warn"})
    options = ("--registries", str(registries), "--image-cache", str(home / "cache"), "--workers", "3")
    running_ = serve(pack, options=options)
    context = ssl.create_default_context(cadata=running_.bundle.decode())
    seen: Counter[str] = Counter()
    lock = threading.Lock()

    def review(number: int) -> None:
        body = json.dumps(asked(running(crowd[number % 50].reference, f"p{number}"), number)).encode()
        request = urllib.request.Request(running_.url + "/advise", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            response = json.load(answer)["response"]
        with lock:
            seen["unknown" if "unknown" in response.get("auditAnnotations", {}) else "known"] += 1
            seen["allowed"] += response["allowed"]

    before = len(guarded.requests())
    with ThreadPoolExecutor(16) as crew:
        list(crew.map(review, range(1000)))
    manifests = [path for path in answered(guarded, before) if "/manifests/" in path]
    assert seen["allowed"] == 1000
    # on a machine that has much else to do, the first look-up of an image may take longer than a review waits for it
    assert seen["known"] >= 950
    assert len(manifests) == 50 == len(set(manifests))


def answered(registry: server.Registry, before: int) -> list[str]:
    """Return the paths that a registry gave after its first requests, each as often as it was asked for it."""
    return [request.path for request in registry.requests()[before:] if request.status == 200]


def asked(pod: Object, number: int) -> Object:
    """Return the AdmissionReview of a pod's creation."""
    request = {
        "uid": f"u{number}", "operation": "CREATE", "namespace": "shop", "name": pod["metadata"]["name"],
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "userInfo": {"username": "dev"}, "object": pod,
    }  # fmt: skip
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
