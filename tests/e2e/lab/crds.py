"""Kinds that others bring into a cluster, as CustomResourceDefinitions beside the tests, and our own, the chart's."""

from __future__ import annotations

from pathlib import Path

from lab.kubectl import Kubectl
from lab.plimsoll import ROOT

HERE = Path(__file__).resolve().parent.parent / "crds"
OURS = ROOT / "charts" / "plimsoll" / "files" / "crd-rulepack.yaml"


def install(admin: Kubectl, *names: str) -> None:
    """Apply the definitions in `crds/<name>.yaml` (`plimsoll`: ours), and wait until the API server serves them."""
    for name in names:
        file = _file(name)
        admin("apply", "--server-side", "--force-conflicts", "-f", file).must()
        admin("wait", "--for=condition=Established", "--timeout=60s", "-f", file, seconds=90).must()


def remove(admin: Kubectl, *names: str) -> None:
    """Take definitions away, with all objects of their kinds: others may want to install them in another way."""
    for name in names:
        admin("delete", "--ignore-not-found", "-f", _file(name), seconds=90).must()


def _file(name: str) -> str:
    return str(OURS if name == "plimsoll" else HERE / f"{name}.yaml")
