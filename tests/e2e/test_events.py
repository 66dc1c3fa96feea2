"""Events: who describes a workload whose Pods don't come reads why; with the least rights, and never too many."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from lab import packs, plimsoll, workloads
from lab.controlplane import ControlPlane
from lab.kubectl import Kubectl, Object
from lab.plimsoll import Server
from lab.process import eventually
from lab.rest import Rest

from webhook.kube import kubeconfig
from webhook.kube.client import Client
from webhook.kube.owners import Owners
from webhook.observe import tell
from webhook.upkeep.events import Events

BAD = workloads.pod_spec(workloads.container(resources=workloads.UNEQUAL))
UNMARKED = {
    "name": "no-mark",
    "expression": "!has(object.metadata.labels) || !('mark' in object.metadata.labels)",
    "message": "nothing is marked",
    "action": "deny",
    "match": {"kinds": ["Deployment"]},
}
PACK = packs.pack("late", {**packs.EQUAL_RESOURCES, "existing": "deny", "match": {"kinds": ["Pod"]}}, UNMARKED)
RIGHTS = yaml.safe_load(
    """
    apiVersion: rbac.authorization.k8s.io/v1
    kind: ClusterRole
    metadata: {name: teller}
    rules:
      - {apiGroups: [""], resources: [namespaces], verbs: [get, list, watch]}
      - {apiGroups: [apps], resources: [replicasets], verbs: [get]}
      - {apiGroups: [""], resources: [events], verbs: [create, patch]}
    """
)


@pytest.fixture(scope="module")
def server(cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that tells, with the least rights."""
    cluster.admin.apply(RIGHTS).must()
    cluster.admin("create", "clusterrolebinding", "teller", "--clusterrole=teller", "--user=teller").must()
    directory = tmp_path_factory.mktemp("teller")
    made = telling(cluster, directory)
    yield made
    made.process.stop()


def telling(cluster: ControlPlane, directory: Path) -> Server:
    path = directory / "late.yaml"
    path.write_text(yaml.safe_dump(PACK))
    return plimsoll.serve(directory, [path], "--kubeconfig", str(cluster.kubeconfig("teller")), "--events")


@pytest.fixture
def flooded(cluster: ControlPlane, server: Server, tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, with the rights of the others': it has no Events left for them afterwards."""
    made = telling(cluster, tmp_path)
    yield made
    made.process.stop()


@pytest.fixture
def guarded(kubectl: Kubectl, server: Server, guard: Callable[..., None]) -> Kubectl:
    guard(kubectl, server, "validate")
    return kubectl


def told(kubectl: Kubectl) -> list[Object]:
    return kubectl.all("events", "--field-selector=reason=PolicyViolation")


def test_who_describes_a_deployment_whose_pods_are_refused_reads_why(
    kubectl: Kubectl, server: Server, guard: Callable[..., None]
) -> None:
    kubectl.apply(workloads.deployment("web", BAD, replicas=0)).must()
    guard(kubectl, server, "validate")
    kubectl("scale", "deployment/web", "--replicas=2").must()
    (event,) = eventually(lambda: told(kubectl), what="the Event")
    assert event["involvedObject"]["kind"] == "Deployment"
    assert event["involvedObject"]["uid"] == kubectl.get("deployment/web")["metadata"]["uid"]
    shown = kubectl("describe", "deployment/web").must().out
    events = shown[shown.index("Events:") :]
    assert "PolicyViolation" in events
    assert "requests-equal-limits: app: " in events
    assert "PolicyViolation" in kubectl("get", "events").must().out

    def tries() -> int:
        return sum(each["count"] for each in kubectl.all("events", "--field-selector=reason=FailedCreate"))

    eventually(lambda: tries() >= 5, what="a controller that tries again and again")
    assert len(told(kubectl)) == 1


def test_what_happens_again_is_counted_in_the_event_that_is_there(
    cluster: ControlPlane, kubectl: Kubectl, server: Server
) -> None:
    """The task itself, since its clock can be moved on by a minute; with the rights of the server."""
    kubectl.apply(workloads.deployment("web", replicas=0)).must()
    found = kubectl.get("deployment/web")
    about = {key: found["metadata"][key] for key in ("name", "namespace", "uid")}
    line = {"object": {**about, "apiVersion": "apps/v1", "kind": "Deployment"}, "rules": ["a/b"], "message": "refused"}
    client = Client(kubeconfig.read([cluster.kubeconfig("teller")], None, {}))
    near, far = tell.pair()
    clock = [0.0]
    task = Events(client, far, Owners(client), "plimsoll-0", clock=lambda: clock[0])
    for times in (1, 11):
        for _ in range(times):
            near.send(json.dumps(line).encode())
        task.read()
        task.write(lambda: False)
        clock[0] += 61
    (event,) = told(kubectl)
    assert event["count"] == 12
    assert "(x12 over" in kubectl("describe", "deployment/web").must().out
    kubectl("delete", "event", event["metadata"]["name"]).must()
    near.send(json.dumps(line).encode())
    task.read()
    task.write(lambda: False)
    assert [each["count"] for each in told(kubectl)] == [13]
    for each in (near, far, client):
        each.close()


def test_a_refused_update_is_told_at_the_object_itself(guarded: Kubectl) -> None:
    guarded.apply(workloads.deployment("single", replicas=0)).must()
    assert "nothing is marked" in guarded("label", "deployment/single", "mark=x").refused()
    (event,) = eventually(lambda: told(guarded), what="the Event")
    assert event["involvedObject"]["uid"] == guarded.get("deployment/single")["metadata"]["uid"]
    assert "nothing is marked" in guarded("describe", "deployment/single").must().out


def test_a_dry_run_leaves_none(guarded: Kubectl) -> None:
    guarded.create(workloads.pod("dry", BAD), options=("--dry-run=server",)).refused()
    guarded.create(workloads.pod("wet", BAD)).refused()
    (event,) = eventually(lambda: told(guarded), what="that of the other")
    assert event["involvedObject"]["name"] == "wet"


def test_five_hundred_denials_leave_few_events(
    cluster: ControlPlane, kubectl: Kubectl, flooded: Server, guard: Callable[..., None]
) -> None:
    guard(kubectl, flooded, "validate")
    begun = time.monotonic()
    rests = [Rest(cluster) for _ in range(4)]

    def deny(number: int) -> int:
        with rests[number] as rest:
            statuses = [
                rest.send(
                    "POST", f"/api/v1/namespaces/{kubectl.namespace}/pods", workloads.pod(f"p-{number}-{each}", BAD)
                )
                for each in range(125)
            ]
        return sum(reply.status == 403 for reply in statuses)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(deny, range(4))) == 500
    eventually(lambda: told(kubectl), what="the first")
    found = told(kubectl)
    assert len(found) <= 25 + (time.monotonic() - begun) + 1, "25 at once and one a second"
    assert len({event["involvedObject"]["name"] for event in found}) == len(found)
    assert sum(figure(flooded, result) for result in ("written", "repeated", "dropped")) < 500


def figure(server: Server, result: str) -> float:
    name = f'plimsoll_events_total{{result="{result}"}}'
    return sum(float(line.split()[-1]) for line in server.metrics().splitlines() if line.startswith(name))


def test_without_the_right_reviews_go_on_and_it_is_said_once(
    cluster: ControlPlane, kubectl: Kubectl, guard: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "late.yaml"
    path.write_text(yaml.safe_dump(PACK))
    mute = plimsoll.serve(tmp_path, [path], "--kubeconfig", str(cluster.kubeconfig("mute")), "--events")
    try:
        guard(kubectl, mute, "validate")
        for number in range(3):
            kubectl.create(workloads.pod(f"p-{number}", BAD)).refused()
        eventually(lambda: figure(mute, "failed") == 3, what="three failures")
        log = mute.process.log.read_text()
        assert log.count("an Event can't be written") == 1
        assert "403" in log
    finally:
        mute.process.stop()
