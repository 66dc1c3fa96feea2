"""Plimsoll is rolled out anew under a steady load, and nobody notices."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from lab import packs, plimsoll, webhooks, workloads
from lab.controlplane import ControlPlane
from lab.kubectl import Kubectl, Object
from lab.load import Load, allowed, denied
from lab.replicas import Fleet

TIMES = 4
GOOD = workloads.pod("good")
BAD = workloads.pod("bad", workloads.pod_spec(workloads.container(resources=workloads.UNEQUAL)))
SERVICE: Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "plimsoll"},
    "spec": {"ports": [{"name": "admission", "port": 443, "targetPort": "admission"}]},
}


@pytest.fixture
def fleet(cluster: ControlPlane, tmp_path: Path) -> Iterator[Fleet]:
    """Two replicas behind a Service, with files for packs and certificate."""
    cluster.admin("create", "namespace", "plimsoll").must()
    own = cluster.admin.within("plimsoll")
    own("create", "serviceaccount", "plimsoll").must()
    own.create(SERVICE).must()
    assert plimsoll.run("certs", str(tmp_path / "certs")).returncode == 0
    (tmp_path / "pack.yaml").write_text(yaml.safe_dump(packs.STRICT))
    options = ["--policies", str(tmp_path / "pack.yaml"), "--workers", "1", "--drain", "3"]
    options += ["--certificate", str(tmp_path / "certs/tls.crt"), "--key", str(tmp_path / "certs/tls.key")]
    account = cluster.account("plimsoll", "plimsoll")
    made = Fleet(cluster, tmp_path, "plimsoll", "plimsoll", account, tuple(options))
    try:
        made.start()
        made.start()
        yield made
    finally:
        made.close()
        cluster.admin("delete", "namespace", "plimsoll", "--wait=false").must()


def test_replicas_are_replaced_one_by_one_and_no_review_fails(
    fleet: Fleet, kubectl: Kubectl, cluster: ControlPlane
) -> None:
    bundle = (fleet.directory / "certs/ca.crt").read_bytes()
    found = webhooks.configuration("noon", "validate", "https://unused", bundle, webhooks.only(kubectl.namespace))
    service = {"namespace": "plimsoll", "name": "plimsoll", "path": "/validate", "port": 443}
    found["webhooks"][0]["clientConfig"] = {"caBundle": base64.b64encode(bundle).decode(), "service": service}
    expected = [(GOOD, allowed), (BAD, denied("requests-equal-limits"))]
    path = f"/api/v1/namespaces/{kubectl.namespace}/pods"
    with webhooks.installed(cluster.admin, found), Load(cluster, path, expected) as load:
        for _ in range(TIMES):
            fleet.start()
            assert fleet.stop(fleet.replicas[0]) == 0
    assert load.wrong == []
    assert load.sent["201"] and load.sent["403"]
