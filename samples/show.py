"""What `make run` shows: serves the shipped packs, sends every sample as an admission request, prints the decisions.

    python samples/show.py [--once] [--port 8443] [--health-port 8080]

Each manifest goes the way that an API server sends it: to /mutate first, and what comes back, with the patch
applied, to /validate and /advise. The server stays up until it is interrupted (`--once`: it does not).
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import socket
import ssl
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonpatch
import yaml

HERE = Path(__file__).parent
CERTS = HERE.parent / "certs"
LOG = HERE.parent / "certs" / "serve.log"
SECONDS_TO_READY = 30


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (file, object) for every document of the samples, a List taken apart."""
    for path in [*sorted(HERE.glob("*.yaml")), *sorted(HERE.glob("custom/*.yaml"))]:
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            for found in document.get("items", [document]) if document.get("kind") == "List" else [document]:
                yield str(path.relative_to(HERE)), found


def review(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the AdmissionReview of an object's creation."""
    group, _, version = obj["apiVersion"].rpartition("/")
    cluster_scoped = obj["kind"] in ("Namespace", "PersistentVolume")
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": str(uuid.uuid4()),
            "kind": {"group": group, "version": version, "kind": obj["kind"]},
            "resource": {"group": group, "version": version, "resource": obj["kind"].lower() + "s"},
            "name": obj["metadata"]["name"],
            "namespace": "" if cluster_scoped else obj["metadata"].get("namespace", "default"),
            "operation": "CREATE",
            "userInfo": {"username": "developer", "groups": ["system:authenticated"]},
            "object": obj,
            "oldObject": None,
        },
    }


class Sender:
    """Sends reviews over TLS, trusting the development CA alone."""

    def __init__(self, port: int) -> None:
        self.base = f"https://localhost:{port}"
        self.context = ssl.create_default_context(cafile=str(CERTS / "ca.crt"))

    def send(self, endpoint: str, obj: dict[str, Any]) -> dict[str, Any]:
        """Return the response to an object's review at an endpoint."""
        request = urllib.request.Request(
            f"{self.base}/{endpoint}?timeout=3s",
            data=json.dumps(review(obj)).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, context=self.context, timeout=10) as answer:
            response: dict[str, Any] = json.load(answer)["response"]
        return response


def judge(sender: Sender, obj: dict[str, Any]) -> tuple[str, list[str]]:
    """Return the verdict on one object, and the lines that explain it."""
    mutated = sender.send("mutate", obj)
    if "patch" in mutated:
        obj = jsonpatch.apply_patch(obj, json.loads(base64.b64decode(mutated["patch"])))
    answers = [sender.send(endpoint, obj) for endpoint in ("validate", "advise")]
    lines = [f"fixed   {line}" for line in mutated.get("warnings", [])]
    for answer in answers:
        if not answer["allowed"]:
            lines += [
                f"denied  {cause['reason']}: {cause['message']}"
                for cause in answer["status"].get("details", {}).get("causes", [])
            ]
        lines += [f"warned  {line}" for line in answer.get("warnings", [])]
        lines += audited(json.loads(answer.get("auditAnnotations", {}).get("would-violate", "[]")))
        for item in json.loads(answer.get("auditAnnotations", {}).get("exempt", "[]")):
            lines.append(f"exempt  {item.get('rule', '')}: {item.get('exemption', '')}")
    if not all(answer["allowed"] for answer in answers):
        return "DENIED", lines
    if "patch" in mutated:
        return "FIXED", lines
    return ("WARNED" if any("warnings" in answer for answer in answers) else "ALLOWED"), lines


def audited(items: list[dict[str, Any]]) -> list[str]:
    """Return one line that counts what packs on trial (`mode: dry-run`) would have found."""
    counts = Counter(item["policy"] for item in items if "rule" in item)
    shown = ", ".join(f"{count} of {pack}" for pack, count in sorted(counts.items()))
    return [f"audited {shown}"] if shown else []


def table(sender: Sender) -> None:
    """Print what becomes of each sample."""
    print(f"\n{'':8} {'OBJECT':44} FILE")
    for file, obj in manifests():
        verdict, lines = judge(sender, obj)
        name = f"{obj['kind']} {obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}".replace(" /", " ")
        print(f"{verdict:8} {name:44} {file}")
        for line in lines:
            print(textwrap.fill(line, 140, initial_indent=" " * 10, subsequent_indent=" " * 18))


def wait(server: subprocess.Popen[bytes], port: int) -> None:
    """Return when the server is ready. Raises SystemExit, with its log, where it ends or takes too long."""
    end = time.monotonic() + SECONDS_TO_READY
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except (urllib.error.URLError, http.client.HTTPException, OSError):
            time.sleep(0.1)
    stop(server)
    sys.exit(f"the server did not get ready; its log:\n{LOG.read_text(encoding='utf-8')}")


def taken(port: int) -> bool:
    """Say whether something listens on a port of this machine."""
    try:
        socket.create_connection(("localhost", port), 1).close()
    except OSError:
        return False
    return True


def stop(server: subprocess.Popen[bytes]) -> None:
    """End the server and wait for it."""
    if server.poll() is None:
        server.terminate()
    server.wait()


def main() -> int:
    """Serve, send, print, and stay up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--once", action="store_true", help="end when everything is shown")
    parser.add_argument("--port", type=int, default=8443)
    parser.add_argument("--health-port", type=int, default=8080)
    args = parser.parse_args()
    command = [
        *(str(Path(sys.executable).with_name("plimsoll")), "serve", "--drain", "1"),
        *("--certificate", str(CERTS / "tls.crt"), "--key", str(CERTS / "tls.key")),
        *("--port", str(args.port), "--health-port", str(args.health_port)),
    ]
    for port in (args.port, args.health_port):
        if taken(port):
            sys.exit(f"port {port} is in use, maybe by another `make run`: stop it, or give --port and --health-port")
    with LOG.open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait(server, args.health_port)
        table(Sender(args.port))
        if args.once:
            return 0
        print(
            f"\nListening on https://localhost:{args.port} (/validate, /advise, /mutate); probes and metrics on "
            f"http://localhost:{args.health_port} (/healthz, /readyz, /metrics)."
            f"\nIts log: {LOG}"
            "\nTo judge what you apply to a cluster on this machine, stop this (Ctrl-C) and run"
            "\n    .venv/bin/plimsoll serve --register"
            "\nwhich registers with the cluster of your kubeconfig, never blocks it, and leaves nothing behind."
        )
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        stop(server)


if __name__ == "__main__":
    sys.exit(main())
