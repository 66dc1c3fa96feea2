"""What of the chart is generated is as its sources say, and what it names elsewhere exists."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Iterator
from typing import Any

import chart
import pytest
import yaml
from chart import CHART, PLAIN, ROOT

from webhook import __version__
from webhook.observe.metrics import Metrics
from webhook.settings import options

GENERATOR = runpy.run_path(str(ROOT / "docs" / "chart.py"))
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def leaves(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, value) of what has no keys of its own in the schema."""
    for key, value in values.items():
        inner = schema.get("properties", {}).get(key, {})
        if isinstance(value, dict) and "properties" in inner:
            yield from leaves(value, inner, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def objects(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (path, schema) of every mapping whose keys a schema names."""
    if "properties" in schema:
        yield path, schema
        for key, inner in schema["properties"].items():
            yield from objects(inner, f"{path}.{key}" if path else key)


@pytest.mark.parametrize("name", ["README.md", "files/audit-rules.yaml"])
def test_a_generated_file_is_what_its_sources_say(name: str) -> None:
    wanted = GENERATOR["files"]()
    assert name in wanted
    assert (CHART / name).read_text() == wanted[name], "run `make generated`"


def test_there_are_no_other_generated_files() -> None:
    assert set(GENERATOR["files"]()) == {"README.md", "files/audit-rules.yaml"}


def test_the_plain_manifests_are_what_the_chart_gives() -> None:
    assert PLAIN.read_text() == GENERATOR["plain"](str(chart.get("helm4").program)), "run `make manifests`"


def test_the_plain_manifests_say_nothing_of_helm() -> None:
    text = PLAIN.read_text()
    assert "helm.sh/" not in text
    assert "managed-by" not in text
    assert [document["kind"] for document in yaml.safe_load_all(text)][0] == "Namespace"


def test_the_page_has_every_value_with_its_default() -> None:
    text = (CHART / "README.md").read_text()
    said = {path: json.loads(default) for path, default in re.findall(r"^\| `([\w.]+)` \| `(.*?)` \|", text, re.M)}
    for path, value in leaves(VALUES, SCHEMA):
        parent = path.rpartition(".")[0]
        assert said.get(path, said.get(parent, {}).get(path.rpartition(".")[2]) if parent in said else None) == value


def test_the_schema_has_every_value_and_no_other() -> None:
    for path, schema in objects(SCHEMA):
        assert schema["additionalProperties"] is False, path
        held = VALUES
        for key in path.split(".") if path else ():
            held = held[key]
        if path != "certManager.issuerRef":  # optional as a whole
            assert set(held) == set(schema["properties"]) - ({"global"} if not path else set()), path


def test_the_version_is_that_of_the_server() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["appVersion"] == __version__.partition(".dev")[0]


# -- figures ------------------------------------------------------------------------------------------------------


def counted() -> set[str]:
    """Return the names of all figures that the server gives."""
    found = {"plimsoll_certificate_expiry_seconds", "plimsoll_pack_broken", "plimsoll_pack_info"}
    for family in Metrics().registry.collect():
        found.add(family.name + ("_total" if family.type == "counter" else ""))
        if family.type == "histogram":
            found |= {f"{family.name}_{part}" for part in ("bucket", "count", "sum")}
    return found


@pytest.mark.parametrize("name", ["alerts.yaml", "dashboard.json"])
def test_every_metric_that_is_looked_at_is_counted(name: str) -> None:
    text = (CHART / "files" / name).read_text()
    named = set(re.findall(r"plimsoll_\w+", text))
    assert named
    assert named <= counted()


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    (group,) = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    names = [rule["alert"] for rule in group["rules"]]
    assert len(names) == len(set(names))
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}


def test_the_dashboard_has_a_query_in_every_panel_and_no_two_in_one_place() -> None:
    board = json.loads((CHART / "files" / "dashboard.json").read_text())
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert all(target["expr"].count("(") == target["expr"].count(")") for target in panel["targets"])
            assert panel["targets"], panel["title"]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_flags_that_the_page_names_are_settings() -> None:
    text = (CHART / "README.md").read_text()
    known = {option.flag for option in options()}
    assert set(re.findall(r"`(--image-[a-z-]+)", text)) <= known


@pytest.mark.parametrize("name", ["alerts.yaml", "dashboard.json"])
def test_every_label_that_is_added_up_by_is_one_of_the_metrics(name: str) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `plimsoll_\w+` \| \w+ \| (.*?) ?\|", page, re.MULTILINE)
    labels = {label for row in rows for label in re.findall(r"`(\w+)`", row)}
    by = re.findall(r"\bby \(([^)]*)\)", (CHART / "files" / name).read_text())
    named = {label.strip() for each in by for label in each.split(",")}
    assert named
    assert named <= labels | {"le", "pod", "instance", "namespace"}
