"""Writes what of the chart comes from code or from its own values: README.md, the kinds and conditions under files/.

`python docs/generate.py` calls it. `python docs/chart.py HELM` writes charts/plain/plimsoll.yaml with that Helm: the
chart's manifests for those who have none (`make manifests`). Tests compare both with what is there.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml

from webhook import sources
from webhook.kube.register import RESOURCES
from webhook.packs.compile import ruleset

CHARTS = Path(__file__).resolve().parents[1] / "charts"
CHART = CHARTS / "plimsoll"
PLAIN = CHARTS / "plain"
HELMS = ("app.kubernetes.io/managed-by", "helm.sh/chart", "helm.sh/resource-policy")
"""Labels and annotations that mean something to Helm alone."""
Row = tuple[str, str, str]


def files() -> dict[str, str]:
    """Return the text of every generated file of the chart by its path in it."""
    return {
        "README.md": readme((CHART / "README.tmpl.md").read_text(), (CHART / "values.yaml").read_text()),
        "files/audit-rules.yaml": _yaml(audit()),
    }


def audit() -> list[dict[str, Any]]:
    """Return the rights to look at every kind that a shipped pack is about."""
    found = ruleset([(path.name, path.read_text()) for path in sources.shipped()]).concerned()
    plurals: dict[str, set[str]] = defaultdict(set)
    for group, kind in frozenset().union(*found.values()):
        if (group, kind) != ("autoscaling", "Scale"):  # of the workloads themselves
            plurals[group].add(RESOURCES[group, kind])
    return [
        {"apiGroups": [group], "resources": sorted(names), "verbs": ["get", "list"]}
        for group, names in sorted(plurals.items())
    ]


def readme(template: str, values: str) -> str:
    """Return the chart's page: the template with the table of values in place of `VALUES`."""
    found = sorted(rows(values), key=lambda row: "." in row[0])
    lines = []
    for title, part in groupby(found, key=lambda row: row[0].partition(".")[0] if "." in row[0] else ""):
        lines += ["", f"**{title}**" if title else "**In general**", ""]
        lines += ["| value | default | meaning |", "| --- | --- | --- |"]
        lines += [f"| `{path}` | `{default}` | {meaning} |" for path, default, meaning in part]
    return template.replace("VALUES\n", "\n".join(lines).strip() + "\n")


def rows(text: str) -> Iterator[Row]:
    """Yield (path, default as JSON, meaning) of each value in a values.yaml.

    What it means is the comment right above it; a value right below another shares its comment. A mapping is one value
    where it has a comment itself, else its keys are. Raises ValueError for a value without a meaning.
    """
    values = yaml.safe_load(text)
    path: list[str] = []
    whole = ""
    comment: list[str] = []
    meaning = ""
    for line in text.splitlines():
        said = re.match(r" *# ?(.*)", line)
        if said:
            comment.append(said[1])
            continue
        key = re.match(r"( *)([\w./-]+):", line)
        if key is None:  # an empty line, or an item of a list
            meaning, comment = "", []
            continue
        path = [*path[: len(key[1]) // 2], key[2]]
        name, value = ".".join(path), _at(values, path)
        if whole and name.startswith(f"{whole}."):
            continue
        explained = bool(comment)
        meaning, comment = " ".join(comment) or meaning, []
        if isinstance(value, dict) and value and not explained:
            meaning = ""
            continue
        if not meaning:
            raise ValueError(f"values.yaml: {name} has no comment that says what it means")
        whole = name
        yield name, json.dumps(value, ensure_ascii=False), meaning.replace("|", "\\|")


def plain(helm: str) -> str:
    """Return the chart's manifests as a file for kubectl, without what means something to Helm alone."""
    command = [helm, "template", "plimsoll", str(CHART), "--namespace", "plimsoll"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    own = (PLAIN / "namespace.yaml").read_text()
    documents = [document for document in yaml.safe_load_all(done.stdout) if document]
    head = "# Generated from charts/plimsoll by `make manifests`: edit that.\n"
    return head + "---\n".join([own, *(_yaml(_bare(document)) for document in documents)])


def _bare(value: Any) -> Any:
    """Return a value without Helm's labels and annotations, at whatever depth."""
    if isinstance(value, list):
        return [_bare(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    found = {key: _bare(inner) for key, inner in value.items() if key not in HELMS}
    return {key: inner for key, inner in found.items() if inner or key != "annotations" or not value[key]}


def _at(values: Any, path: list[str]) -> Any:
    for key in path:
        values = values[key]
    return values


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=120)


def main() -> int:
    """Write the plain manifests with the Helm that is named."""
    (PLAIN / "plimsoll.yaml").write_text(plain(sys.argv[1]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
