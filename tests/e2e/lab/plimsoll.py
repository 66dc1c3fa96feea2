"""Plimsoll as a person runs it: the command in a process of its own, never imported."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from lab.process import Ended, Process, free_ports, start

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-c", "import sys; from webhook.main import main; sys.exit(main())"]
"""What the console script `plimsoll` does, with the Python that runs the tests."""
CLOCK = Path(__file__).with_name("clock.py")
READY_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """A server that is ready, with where it listens and the bundle that its certificate is verified by."""

    process: Process
    port: int
    health_port: int
    bundle: bytes

    @property
    def url(self) -> str:
        """The address that webhook configurations name."""
        return f"https://127.0.0.1:{self.port}"

    def metrics(self) -> str:
        """Return its figures in Prometheus' text format."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/metrics", timeout=5) as response:
            return str(response.read(), "utf-8")

    def ready(self) -> bool:
        """Say whether it takes reviews: its word for it, and a TLS handshake."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/readyz", timeout=5):
                pass
            ssl.get_server_certificate(("127.0.0.1", self.port), timeout=5)
        except (urllib.error.URLError, OSError):
            return False
        return True


def run(*arguments: str, stdin: bytes = b"", cwd: Path = ROOT) -> subprocess.CompletedProcess[bytes]:
    """Run a plimsoll command to its end and return what it wrote and its status."""
    return subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
        cwd=cwd,
        env=environment(),
    )


def environment() -> dict[str, str]:
    """Return the environment of this process without what would change settings, or lead to another cluster."""
    ours = ("PLIMSOLL_", "KUBECONFIG", "KUBERNETES_SERVICE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "HOME": "/nonexistent", "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}


def serve(directory: Path, policies: list[Path], *options: str, ahead: int = 0) -> Server:
    """Start a server with these packs and certificates of its own, and return it ready.

    Its clock is so many days `ahead` of this machine's.
    """
    certificates = directory / "certs"
    made = run("certs", str(certificates))
    assert made.returncode == 0, made.stderr.decode()
    try:
        return _serve(directory, certificates, policies, options, ahead)
    except Ended:  # somebody may have taken the ports it was given
        return _serve(directory, certificates, policies, options, ahead)


def _serve(directory: Path, certificates: Path, policies: list[Path], options: tuple[str, ...], ahead: int) -> Server:
    port, health_port = free_ports(2)
    command = [
        *([sys.executable, str(CLOCK), str(ahead)] if ahead else COMMAND),
        "serve",
        "--bind",
        "127.0.0.1",
        "--port",
        str(port),
        "--health-port",
        str(health_port),
    ]
    command += ["--certificate", str(certificates / "tls.crt"), "--key", str(certificates / "tls.key")]
    command += ["--workers", "1", "--drain", "0", "--log-format", "text"]
    for policy in policies:
        command += ["--policies", str(policy)]
    process = start("plimsoll", [*command, *options], directory / "plimsoll.log", environment(), cwd=directory)
    server = Server(process, port, health_port, (certificates / "ca.crt").read_bytes())
    try:
        process.wait_until(server.ready, READY_WITHIN)
    except BaseException:
        process.stop()
        raise
    return server
