"""Get the CRDs that options of the chart make objects of, from the Go modules of their projects, into the cache.

`python tests/helm/crds.py` prints the directory on stdout. `crds/go.mod` names the versions, `crds/go.sum` their
digests, which Go verifies. Nothing is built.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent / "crds"
sys.path.append(str(HERE.parents[1] / "controlplane"))

import build as controlplane  # noqa: E402

FILES = {
    "github.com/cert-manager/cert-manager": (
        "deploy/crds/cert-manager.io_certificates.yaml",
        "deploy/crds/cert-manager.io_issuers.yaml",
    ),
    "github.com/prometheus-operator/prometheus-operator": (
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ),
}


def home() -> Path:
    """Return where the CRDs of this very go.mod and list of files are kept."""
    digest = hashlib.sha256()
    for text in ((HERE / "go.mod").read_bytes(), (HERE / "go.sum").read_bytes(), repr(FILES).encode()):
        digest.update(text)
    return controlplane.cache() / "helm" / f"crds-{digest.hexdigest()[:16]}"


def fetch() -> Path:
    """Return the directory with the CRDs, which are fetched where they are not there; SystemExit where that fails."""
    with controlplane.locked(home().parent):
        if not home().exists():
            with tempfile.TemporaryDirectory(prefix="fetching-", dir=home().parent) as scratch:
                target = Path(scratch) / "crds"
                target.mkdir()
                for module, names in FILES.items():
                    source = _module(module)
                    for name in names:
                        shutil.copyfile(source / name, target / Path(name).name)
                target.replace(home())
    return home()


def _module(name: str) -> Path:
    command = [str(controlplane.toolchain()), "mod", "download", "-json", name]
    environment = {**os.environ, **controlplane.ENVIRONMENT, "GOFLAGS": "-mod=mod"}
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"helm: `go mod download {name}` failed\n{done.stdout}{done.stderr}")
    return Path(json.loads(done.stdout)["Dir"])


if __name__ == "__main__":
    print(fetch())
