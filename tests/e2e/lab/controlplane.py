"""etcd, kube-apiserver and kube-controller-manager on loopback, with users, RBAC and an audit log."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab import pki
from lab.kubectl import Kubectl
from lab.process import Ended, Process, eventually, free_ports, start

READY_WITHIN = 90.0
"""Seconds; 4 are usual, and a machine that compiles beside the tests needs many times that."""

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        # all that Plimsoll's own service accounts ask for: tests hold it against the rights that the chart gives
        {"level": "Metadata", "userGroups": ["system:serviceaccounts:plimsoll"]},
        {"level": "None", "verbs": ["get", "list", "watch"]},
        {
            "level": "None",
            "resources": [{"group": "coordination.k8s.io"}, {"group": "", "resources": ["events"]}],
        },
        {"level": "Request", "namespaces": ["asked"]},  # tests of what stands in such a log
        {"level": "RequestResponse", "namespaces": ["answered"]},
        {"level": "Metadata"},
    ],
}

CONTROLLERS = (
    "namespace-controller",
    "serviceaccount-controller",
    "clusterrole-aggregation-controller",
    "garbage-collector-controller",
    "deployment-controller",
    "replicaset-controller",
    "replicationcontroller-controller",
    "statefulset-controller",
    "daemonset-controller",
    "job-controller",
    "cronjob-controller",
    "certificatesigningrequest-signing-controller",
)


@dataclass(slots=True)
class ControlPlane:
    """A control plane: where it is reached, who may do what, and its processes."""

    directory: Path
    programs: dict[str, Path]
    ca: pki.Authority
    service_account_key: Path
    processes: dict[str, Process] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The address of the API server."""
        return f"https://127.0.0.1:{self.ports['kube-apiserver']}"

    @property
    def audit_log(self) -> Path:
        """The file to which the API server writes one audit event a line."""
        return self.directory / "audit.log"

    @property
    def admin(self) -> Kubectl:
        """kubectl of a cluster administrator (group system:masters)."""
        return self.user("admin", "system:masters")

    def user(self, name: str, *groups: str) -> Kubectl:
        """Return the kubectl of a user who is in these groups; what they may do, RBAC says."""
        return Kubectl(self.programs["kubectl"], self.kubeconfig(name, *groups))

    def kubeconfig(self, name: str, *groups: str) -> Path:
        """Write (once) the kubeconfig of a user, with a client certificate in it."""
        path = self.directory / f"{name.replace(':', '-')}.kubeconfig"
        if path.exists():
            return path
        pair = self.ca.user(name, *groups)
        user = {"client-certificate-data": _base64(pair.certificate), "client-key-data": _base64(pair.key)}
        return self._written(path, name, user, "default")

    def account(self, namespace: str, name: str) -> Path:
        """Write (once) the kubeconfig of a service account that is there, with a token of an hour's life in it."""
        path = self.directory / f"{namespace}-{name}.kubeconfig"
        if path.exists():
            return path
        token = self.admin.within(namespace)("create", "token", name, "--duration=1h").must().out.strip()
        return self._written(path, name, {"token": token}, namespace)

    def _written(self, path: Path, name: str, user: dict[str, str], namespace: str) -> Path:
        cluster = {"server": self.url, "certificate-authority-data": _base64(self.ca.bundle)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": name, "namespace": namespace}}],
            "current-context": "lab",
        }
        path.write_text(yaml.safe_dump(content))
        return path

    def answers(self, path: str) -> bool:
        """Say whether the API server answers 200 on a path that everybody may read."""
        context = ssl.create_default_context(cafile=str(self.ca.bundle))
        try:
            with urllib.request.urlopen(self.url + path, timeout=5, context=context) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def audit(self, select: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Return the audit events that `select` takes, waiting until there is one."""

        def look() -> list[dict[str, Any]]:
            lines = self.audit_log.read_text().splitlines() if self.audit_log.exists() else []
            return [event for event in map(json.loads, lines) if select(event)]

        return eventually(look, what="an audit event")

    def stop(self) -> None:
        """End all processes, the last started first, and remove etcd's data; logs stay."""
        for process in reversed(self.processes.values()):
            process.stop()
        shutil.rmtree(self.directory / "etcd", ignore_errors=True)

    def stop_apiserver(self) -> None:
        """End the API server as a machine that loses power would."""
        self.processes.pop("kube-apiserver").kill()

    def start_etcd(self) -> None:
        """Start etcd; it forgets nothing while the lab stands."""
        client, peer = free_ports(2)
        self.ports["etcd"] = client
        here, there = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
        self._start(
            "etcd",
            f"--data-dir={self.directory}/etcd",
            f"--listen-client-urls={here}",
            f"--advertise-client-urls={here}",
            f"--listen-peer-urls={there}",
            f"--initial-advertise-peer-urls={there}",
            f"--initial-cluster=default={there}",
            "--unsafe-no-fsync",  # what is lost with the machine is only a test
            "--log-level=warn",
        )
        self.processes["etcd"].wait_until(lambda: _healthy(here), READY_WITHIN)

    def start_apiserver(self) -> None:
        """Start the API server on the port it had before, if it had one."""
        if not self.audit_log.exists():  # not yet up once; clients know the port from then on
            self.ports["kube-apiserver"] = free_ports(1)[0]
        policy = self.directory / "audit-policy.yaml"
        policy.write_text(yaml.safe_dump(AUDIT_POLICY))
        serving = self.ca.server("kube-apiserver")
        self._start(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self.ports['etcd']}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.ports['kube-apiserver']}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={self.ca.bundle}",
            f"--requestheader-client-ca-file={self.ca.bundle}",
            "--requestheader-allowed-names=front-proxy",  # nobody here is one
            "--requestheader-username-headers=X-Remote-User",
            "--authorization-mode=Node,RBAC",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--enable-aggregator-routing=true",  # Services lead to their endpoints without a kube-proxy
            "--endpoint-reconciler-type=none",  # it would announce a loopback address, which it refuses
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.service_account_key}",
            f"--service-account-signing-key-file={self.service_account_key}",
            "--enable-admission-plugins=NodeRestriction",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.audit_log}",
            "--audit-log-mode=blocking",
            "--allow-privileged=true",
            "--profiling=false",
        )
        self.processes["kube-apiserver"].wait_until(lambda: self.answers("/readyz"), READY_WITHIN)

    def start_controllers(self) -> None:
        """Start the controllers that tests look at, each under its own service account as in production."""
        port = free_ports(1)[0]
        kubeconfig = self.kubeconfig("system:kube-controller-manager")
        serving = self.ca.server("kube-controller-manager")
        self._start(
            "kube-controller-manager",
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--controllers={','.join(CONTROLLERS)}",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self.service_account_key}",
            f"--root-ca-file={self.ca.bundle}",
            f"--cluster-signing-cert-file={self.ca.bundle}",
            f"--cluster-signing-key-file={self.ca.directory}/ca.key",
            "--leader-elect=false",  # the only one; an election costs seconds
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        )
        healthy = f"https://127.0.0.1:{port}/healthz"
        self.processes["kube-controller-manager"].wait_until(lambda: _healthy(healthy, self.ca.bundle), READY_WITHIN)

    def _start(self, program: str, *arguments: str) -> None:
        log = self.directory / f"{program}.log"
        self.processes[program] = start(program, [str(self.programs[program]), *arguments], log)


def launch(directory: Path, programs: dict[str, Path], controllers: bool = True) -> ControlPlane:
    """Start a control plane in an empty directory and return it ready."""
    ca = pki.authority(directory)
    plane = ControlPlane(directory, programs, ca, pki.signing_key(directory))
    try:
        _stubborn(plane.start_etcd)
        _stubborn(plane.start_apiserver)
        if controllers:
            _stubborn(plane.start_controllers)
            eventually(lambda: plane.admin("get", "serviceaccount", "default").code == 0, READY_WITHIN)
    except BaseException:
        plane.stop()
        raise
    return plane


def _stubborn(begin: Callable[[], None]) -> None:
    """Start a program, once more where it ended at once: somebody may have taken its port."""
    try:
        begin()
    except Ended:
        begin()


def _healthy(url: str, ca: Path | None = None) -> bool:
    context = ssl.create_default_context(cafile=str(ca)) if ca else None
    path = url if url.endswith("/healthz") else f"{url}/health"
    try:
        with urllib.request.urlopen(path, timeout=5, context=context) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
