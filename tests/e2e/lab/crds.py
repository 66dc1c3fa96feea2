"""Kinds that others bring into a cluster, as CustomResourceDefinitions beside the tests."""

from __future__ import annotations

from pathlib import Path

from lab.kubectl import Kubectl

HERE = Path(__file__).resolve().parent.parent / "crds"


def install(admin: Kubectl, *names: str) -> None:
    """Apply the definitions in `crds/<name>.yaml`, and wait until the API server serves their kinds."""
    for name in names:
        file = str(HERE / f"{name}.yaml")
        admin("apply", "--server-side", "-f", file).must()
        admin("wait", "--for=condition=Established", "--timeout=60s", "-f", file, seconds=90).must()
