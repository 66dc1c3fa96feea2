"""Replicas of Plimsoll behind a Service, each a process: what a Deployment, kubelets and endpoints are in a cluster.

The API server resolves the Service itself (`--enable-aggregator-routing`): one EndpointSlice for each replica leads to
an address of this machine that isn't loopback, which slices may not name.
"""

from __future__ import annotations

import itertools
import socket
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from lab.controlplane import ControlPlane
from lab.kubectl import Object
from lab.plimsoll import COMMAND, READY_WITHIN, environment
from lab.process import Process, free_ports, start


def address() -> str:
    """Return an IPv4 address of this machine that isn't loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("203.0.113.1", 9))  # a documentation address (RFC 5737)
        found: str = sock.getsockname()[0]
    return found


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica: its process, and where it listens."""

    name: str
    process: Process
    host: str
    port: int
    health_port: int

    def page(self, path: str) -> tuple[int, str]:
        """Return status and text of `/readyz`, `/metrics`; 0 where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{self.host}:{self.health_port}{path}", timeout=5) as answer:
                return answer.status, str(answer.read(), "utf-8")
        except urllib.error.HTTPError as error:
            return error.code, str(error.read(), "utf-8")
        except OSError:
            return 0, ""

    @property
    def ready(self) -> bool:
        """Whether it says that it is ready, as a kubelet asks."""
        return self.page("/readyz")[0] == 200


@dataclass(slots=True)
class Fleet:
    """The replicas of one Service, which is there."""

    plane: ControlPlane
    directory: Path
    namespace: str
    service: str
    kubeconfig: Path
    options: tuple[str, ...]
    replicas: list[Replica] = field(default_factory=list)
    host: str = field(default_factory=address)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def start(self, *more: str) -> Replica:
        """Start one more replica, and send it reviews once it is ready."""
        replica = self.begin(*more)
        replica.process.wait_until(lambda: replica.ready, READY_WITHIN)
        self.publish(replica)
        return replica

    def begin(self, *more: str) -> Replica:
        """Start one more replica, to which nobody is sent yet."""
        name = f"{self.service}-{next(self.numbers)}"
        port, health_port = free_ports(2, self.host)
        command = [*COMMAND, "serve", "--bind", self.host, "--port", str(port), "--health-port", str(health_port)]
        command += ["--kubeconfig", str(self.kubeconfig), "--log-format", "text", *self.options, *more]
        home = self.directory / name
        home.mkdir()
        process = start(name, command, home / "plimsoll.log", environment(), cwd=home)
        replica = Replica(name, process, self.host, port, health_port)
        self.replicas.append(replica)
        return replica

    def publish(self, replica: Replica) -> None:
        """Make a replica an endpoint of the Service."""
        self.plane.admin.within(self.namespace).apply(self._slice(replica)).must()

    def retire(self, replica: Replica) -> None:
        """Take a replica from the Service's endpoints."""
        self.plane.admin.within(self.namespace)("delete", f"endpointslice/{replica.name}", "--wait=false").must()

    def stop(self, replica: Replica, patience: float = 60.0) -> int:
        """Stop a replica as a rolling update does: it is told to end while it still is an endpoint."""
        replica.process.popen.terminate()
        self.retire(replica)
        self.replicas.remove(replica)
        return replica.process.stop(patience)

    def close(self) -> None:
        """End all replicas."""
        for replica in self.replicas:
            replica.process.kill()
        self.replicas.clear()

    def _slice(self, replica: Replica) -> Object:
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": replica.name, "labels": {"kubernetes.io/service-name": self.service}},
            "addressType": "IPv4",
            "ports": [{"name": "admission", "port": replica.port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [replica.host], "conditions": {"ready": True}}],
        }
