"""One watch for each pod: all workers know namespaces, and the API server's own figures prove what that costs."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import textwrap
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import urllib3
import yaml
from lab import packs, plimsoll, workloads
from lab.controlplane import ControlPlane
from lab.kubectl import Object
from lab.plimsoll import Server
from lab.process import Process, eventually, start
from lab.proxy import Proxy
from lab.rest import Rest

PACK = packs.pack("prod", packs.EQUAL_RESOURCES, match={"namespaceSelector": {"matchLabels": {"stage": "prod"}}})
BAD = workloads.pod_spec(workloads.container(resources=workloads.UNEQUAL))
Serve = Callable[..., Server]


@pytest.fixture
def rest(cluster: ControlPlane) -> Iterator[Rest]:
    with Rest(cluster) as made:
        yield made


@pytest.fixture
def serve_as(cluster: ControlPlane, tmp_path: Path) -> Iterator[Serve]:
    """Start a server as a user with these rights on namespaces, with three workers."""
    started: list[Server] = []

    def begin(*verbs: str, port: int = 0) -> Server:
        user = f"watcher-{uuid.uuid4().hex[:8]}"
        admin = cluster.admin
        admin("create", "clusterrole", user, "--resource=namespaces", *(f"--verb={verb}" for verb in verbs)).must()
        admin("create", "clusterrolebinding", user, f"--clusterrole={user}", f"--user={user}").must()
        path = tmp_path / "prod.yaml"
        path.write_text(yaml.safe_dump(PACK))
        kubeconfig = cluster.kubeconfig(user)
        if port:
            kubeconfig.write_text(kubeconfig.read_text().replace(cluster.url, f"https://127.0.0.1:{port}"))
        options = ("--kubeconfig", str(kubeconfig), "--workers", "3")
        started.append(plimsoll.serve(tmp_path, [path], *options))
        return started[-1]

    yield begin
    for server in started:
        server.process.stop()


class Asker:
    """Sends reviews to a server itself, over connections of their own, so that every worker gets some."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.url = server.url
        bundle = directory / "asker.crt"
        bundle.write_bytes(server.bundle)
        self.pool = urllib3.PoolManager(ca_certs=str(bundle), retries=False)

    def __call__(self, namespace: str) -> Object:
        """Return the answer about a bad Deployment in a namespace."""
        obj = {**workloads.deployment("web", BAD)}
        obj["metadata"] = {**obj["metadata"], "namespace": namespace}
        request = {
            "uid": str(uuid.uuid4()),
            "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "name": "web",
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": {"username": "jane"},
            "object": obj,
        }
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
        headers = {"Content-Type": "application/json", "Connection": "close"}
        answer = self.pool.request("POST", f"{self.url}/validate?timeout=5s", body=json.dumps(review), headers=headers)
        response: Object = json.loads(answer.data)["response"]
        return response


def asked(cluster: ControlPlane) -> dict[str, int]:
    """Return how often the API server was asked for namespaces, by verb, from its own /metrics."""
    text = cluster.admin("get", "--raw", "/metrics").must().out
    found: dict[str, int] = {}
    for line in text.splitlines():
        if line.startswith("apiserver_request_total{") and 'resource="namespaces"' in line:
            verb = re.search(r'verb="(\w+)"', line)
            assert verb is not None
            found[verb[1]] = found.get(verb[1], 0) + int(float(line.rpartition(" ")[2]))
    return found


def settled(cluster: ControlPlane) -> dict[str, int]:
    """Return what `asked` does once others (controllers, for a new namespace) have asked for all they want."""
    seen: list[dict[str, int]] = []

    def quiet() -> bool:
        seen.append(asked(cluster))
        return len(seen) > 10 and all(each == seen[-1] for each in seen[-10:])

    eventually(quiet, 60, what="an API server that is left alone")
    return seen[-1]


def watching(cluster: ControlPlane) -> int:
    """Return how many watches of namespaces are open; a watch is counted as a request when it ends."""
    text = cluster.admin("get", "--raw", "/metrics").must().out
    lines = [line for line in text.splitlines() if line.startswith("apiserver_longrunning_requests{")]
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if 'resource="namespaces"' in line)


def lookups(server: Server, result: str) -> float:
    name = f'plimsoll_fact_lookups_total{{fact="namespace",result="{result}"}}'
    lines = server.metrics().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def followed(server: Server) -> bool:
    found = re.search(r'plimsoll_watch_stale_seconds\{watch="namespaces"\} ([\d.e-]+)', server.metrics())
    return found is not None and float(found[1]) < 60


def trusted(server: Server, ask: Asker, rest: Rest) -> None:
    """Wait until one worker goes by the watch; from that moment all do."""

    def goes_on() -> bool:
        name = f"fresh-{uuid.uuid4().hex[:8]}"  # of which no worker can have kept anything
        assert rest.send("POST", "/api/v1/namespaces", {"metadata": {"name": name}}).status == 201
        before = lookups(server, "hit")
        ask(name)
        return lookups(server, "hit") == before + 1

    eventually(goes_on, 30, "a worker that goes by the watch")


def upkeep(server: Server) -> int:
    """Return the id of the process beside the workers, 0 where there is none: of the children, that on no port."""
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                listening.add(f"socket:[{words[9]}]")
    pid = server.process.popen.pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        held = set()
        for each in Path(f"/proc/{child}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                held.add(os.readlink(each))  # noqa: PTH115 - a socket's link leads to no path
        if held and not held & listening:
            return int(child)
    return 0


def test_reviews_in_many_namespaces_cost_one_list_and_one_watch_for_the_pod(
    cluster: ControlPlane, rest: Rest, serve_as: Serve, tmp_path: Path
) -> None:
    names = [f"many-{number}" for number in range(30)]
    for name in names:
        body = {"metadata": {"name": name, "labels": {"stage": "prod"}}}
        assert rest.send("POST", "/api/v1/namespaces", body).status == 201
    before, open_before = settled(cluster), watching(cluster)
    server = serve_as("get", "list", "watch")
    eventually(lambda: followed(server), what="the watch")
    ask = Asker(server, tmp_path)
    trusted(server, ask, rest)
    told, hits = settled(cluster), lookups(server, "hit")
    with ThreadPoolExecutor(6) as pool:
        denied = [not answer["allowed"] for answer in pool.map(ask, names * 20)]
    assert all(denied) and len(denied) == 600
    after = settled(cluster)
    assert after["LIST"] - before.get("LIST", 0) == 1
    assert watching(cluster) - open_before == 1
    assert after.get("GET", 0) == told.get("GET", 0), "no worker asked for itself"
    assert lookups(server, "hit") - hits == 600


def test_a_namespace_that_is_used_the_moment_it_is_made_is_never_one_without_labels(
    cluster: ControlPlane, rest: Rest, serve_as: Serve, tmp_path: Path
) -> None:
    server = serve_as("get", "list", "watch")
    eventually(lambda: followed(server), what="the watch")
    ask = Asker(server, tmp_path)
    for number in range(200):
        name = f"fresh-{number}"
        body = {"metadata": {"name": name, "labels": {"stage": "prod"}}}
        assert rest.send("POST", "/api/v1/namespaces", body).status == 201
        assert not ask(name)["allowed"], f"{name} was taken for one without labels"
    assert lookups(server, "unknown") == 0


def test_a_label_that_changes_is_seen_by_all_workers_and_so_is_a_namespace_that_goes(
    cluster: ControlPlane, rest: Rest, serve_as: Serve, tmp_path: Path
) -> None:
    rest.send("POST", "/api/v1/namespaces", {"metadata": {"name": "changing"}})
    server = serve_as("get", "list", "watch")
    eventually(lambda: followed(server), what="the watch")
    ask = Asker(server, tmp_path)
    trusted(server, ask, rest)
    for stage, allowed in (("prod", False), ("test", True), ("prod", False)):
        cluster.admin("label", "--overwrite", "namespace", "changing", f"stage={stage}").must()
        eventually(lambda allowed=allowed: ask("changing")["allowed"] is allowed, 5)  # type: ignore[misc]
        with ThreadPoolExecutor(6) as pool:
            assert {answer["allowed"] for answer in pool.map(ask, ["changing"] * 60)} == {allowed}


def test_upkeep_that_is_killed_is_started_again_while_reviews_go_on(
    cluster: ControlPlane, rest: Rest, serve_as: Serve, tmp_path: Path
) -> None:
    rest.send("POST", "/api/v1/namespaces", {"metadata": {"name": "steady", "labels": {"stage": "prod"}}})
    server = serve_as("get", "list", "watch")
    eventually(lambda: followed(server), what="the watch")
    ask = Asker(server, tmp_path)
    first = eventually(lambda: upkeep(server), what="the process")
    os.kill(first, signal.SIGKILL)
    for _ in range(50):
        assert not ask("steady")["allowed"]
    second = eventually(lambda: upkeep(server), what="another process")
    assert second != first
    rest.send("POST", "/api/v1/namespaces", {"metadata": {"name": "later", "labels": {"stage": "prod"}}})
    hits = lookups(server, "hit")
    eventually(lambda: not ask("later")["allowed"] and lookups(server, "hit") > hits, what="what came meanwhile")


def test_a_connection_that_breaks_is_told_of_and_taken_up_where_it_broke(
    cluster: ControlPlane, rest: Rest, serve_as: Serve, tmp_path: Path
) -> None:
    """Meanwhile what was known last serves."""
    rest.send("POST", "/api/v1/namespaces", {"metadata": {"name": "broken", "labels": {"stage": "prod"}}})
    proxy = Proxy(cluster.ports["kube-apiserver"])
    try:
        server = serve_as("get", "list", "watch", port=proxy.port)
        eventually(lambda: followed(server), what="the watch")
        ask = Asker(server, tmp_path)
        assert not ask("broken")["allowed"]
        lists = settled(cluster)["LIST"]
        proxy.cut()
        cluster.admin("label", "--overwrite", "namespace", "broken", "stage=test").must()
        eventually(lambda: stale(server) > 8, what="a watch that says nothing")
        assert not ask("broken")["allowed"], "as far as is known"
        proxy.mend()
        eventually(lambda: ask("broken")["allowed"], 60, what="the label")
        eventually(lambda: stale(server) < 8)
        assert settled(cluster)["LIST"] == lists, "nothing was lost, so nothing is listed again"
        log = server.process.log.read_text()
        assert log.count("tried again, which is not said again") == 1
        assert log.count("watching /api/v1/namespaces again") == 1
    finally:
        proxy.close()


@pytest.mark.parametrize("verbs", [("get",), ("get", "list")])
def test_without_the_right_to_watch_there_is_one_warning_and_workers_ask(
    verbs: tuple[str, ...], rest: Rest, serve_as: Serve, tmp_path: Path
) -> None:
    rest.send("POST", "/api/v1/namespaces", {"metadata": {"name": "asked-for", "labels": {"stage": "prod"}}})
    server = serve_as(*verbs)
    ask = Asker(server, tmp_path)

    def warnings() -> list[str]:
        return [line for line in server.process.log.read_text().splitlines() if "watching /api/v1/namespaces" in line]

    eventually(warnings)
    for _ in range(20):
        assert not ask("asked-for")["allowed"]
    assert lookups(server, "miss") >= 1
    eventually(lambda: stale(server) > 4, what="some attempts")
    (said,) = warnings()
    assert "403" in said and "cannot" in said


def stale(server: Server) -> float:
    found = re.search(r'plimsoll_watch_stale_seconds\{watch="namespaces"\} ([\d.e-]+)', server.metrics())
    return float(found[1]) if found else 0.0


REPLICA = """
    import sys, threading
    from pathlib import Path
    from webhook.kube import kubeconfig
    from webhook.kube.client import Client
    from webhook.kube.lease import Lease
    access = kubeconfig.read([Path(sys.argv[1])], None, {})
    lease = Lease(Client(access), "default", "plimsoll", sys.argv[2])
    threading.Thread(target=lease.run, args=(threading.Event(),), daemon=True).start()
    while True:
        print("held" if lease.held() else "not held", flush=True)
        threading.Event().wait(0.1)
"""


@pytest.mark.parametrize("end", ["killed", "stopped"])
def test_of_two_replicas_one_holds_the_lease_and_the_other_takes_over(
    end: str, cluster: ControlPlane, tmp_path: Path
) -> None:
    """With no more rights than to get and update this one Lease."""
    admin = cluster.admin
    admin("delete", "lease", "plimsoll", "--ignore-not-found").must()
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "plimsoll"}}
    admin.create(lease).must()
    if admin("get", "role", "elects").code:
        rights = ("--resource=leases.coordination.k8s.io", "--verb=get,update", "--resource-name=plimsoll")
        admin("create", "role", "elects", *rights).must()
        admin("create", "rolebinding", "elects", "--role=elects", "--user=elector").must()
    kubeconfig = str(cluster.kubeconfig("elector"))

    def begin(name: str) -> Process:
        command = [sys.executable, "-c", textwrap.dedent(REPLICA), kubeconfig, name]
        return start(name, command, tmp_path / f"{name}.log", plimsoll.environment())

    def held(process: Process) -> bool:
        return process.log.read_text().splitlines()[-1:] == ["held"]

    first = begin("first")
    try:
        eventually(lambda: held(first), what="the first to hold it")
        second = begin("second")
        try:
            eventually(lambda: len(second.log.read_text().splitlines()) > 40)
            assert "held" not in second.log.read_text().splitlines()
            first.popen.send_signal(signal.SIGKILL if end == "killed" else signal.SIGSTOP)
            eventually(lambda: held(second), 40, what="the second to take over")
            assert admin.get("lease/plimsoll")["spec"]["leaseTransitions"] == 2
            if end == "stopped":
                lines = len(first.log.read_text().splitlines())
                first.popen.send_signal(signal.SIGCONT)
                eventually(lambda: len(first.log.read_text().splitlines()) > lines + 40)
                assert "held" not in first.log.read_text().splitlines()[lines:], "it knows at once"
                assert held(second)
        finally:
            second.kill()
    finally:
        first.kill()
