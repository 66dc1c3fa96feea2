"""What a probe or a hook of a container asks, comparable.

Source: k8s.io/api core/v1, ProbeHandler and LifecycleHandler; pkg/apis/core/v1 defaults.go of k8s.io/kubernetes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webhook.model.pods import NOTHING, Container, listing, mapping

Handler = tuple[Any, ...]


def ports(container: Container) -> dict[str, Any]:
    """Return the numbers of the container's ports by name; a probe sees its own container's only."""
    found = [mapping(port) for port in listing(container.spec.get("ports"))]
    return {port["name"]: port.get("containerPort") for port in found if isinstance(port.get("name"), str)}


def handler(spec: Mapping[str, Any], names: Mapping[str, Any] = NOTHING) -> Handler:
    """Return what a probe or a hook asks, with the defaults filled in; () where that is nothing that Kubernetes knows.

    `names` are the ports by name, without which a name stays one.
    """

    def number(port: Any) -> str:
        return str(names.get(port, port) if isinstance(port, str) else port)

    if http := mapping(spec.get("httpGet")):
        written = listing(http.get("httpHeaders"))
        headers = sorted([_header(mapping(header)) for header in written]) if written else []
        path = str(http.get("path") or "/")
        place = (http.get("host") or "", number(http.get("port")), path if path.startswith("/") else f"/{path}")
        return ("httpGet", http.get("scheme") or "HTTP", *place, tuple(headers))
    if tcp := mapping(spec.get("tcpSocket")):
        return ("tcpSocket", tcp.get("host") or "", number(tcp.get("port")))
    if grpc := mapping(spec.get("grpc")):
        return ("grpc", number(grpc.get("port")), grpc.get("service") or "")
    command = listing(mapping(spec.get("exec")).get("command"))
    return ("exec", *map(str, command)) if command else ()


def _header(header: Mapping[str, Any]) -> tuple[str, str]:
    return str(header.get("name")).lower(), str(header.get("value"))
