"""The table of fields that `plimsoll lint` knows is that of the API server."""

from __future__ import annotations

import json

import build
import fields
from lab.controlplane import ControlPlane


def test_the_table_of_fields_is_what_the_api_server_says_of_its_kinds(cluster: ControlPlane) -> None:
    definitions = json.loads(cluster.admin("get", "--raw", "/openapi/v2").must().out)["definitions"]
    wanted = fields.table(build.module_version("k8s.io/kubernetes"), definitions)
    written = json.loads(fields.TABLE.read_text(encoding="utf-8"))
    assert written == wanted, "run `make fields`"
