"""Packs that servers under test run with, written into a directory: the same texts at every run."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import yaml

from bench import ROOT

CORE = ("approved-image", "requests-equal-limits", "log-path", "no-host-path")
TEAMS = 20
TEXTS = ROOT / "bench" / "go" / "g"


def core() -> dict[str, Any]:
    """Return the four core rules as they are shipped, with values and exemptions, as a pack of their own."""
    pack = yaml.safe_load((ROOT / "policies" / "containerization.yaml").read_text(encoding="utf-8"))
    pack["metadata"]["name"] = "core"
    pack["spec"]["rules"] = [rule for rule in pack["spec"]["rules"] if rule["name"] in CORE]
    return dict(pack)


def other() -> dict[str, Any]:
    """Return a pack that concerns none of the bodies: what is left is reading a review and answering it."""
    rule = {"name": "cluster", "expression": "false", "action": "deny", "match": {"kinds": ["PersistentVolume"]}}
    return _pack("other", [rule])


def sources(name: str) -> list[dict[str, str]]:
    """Return the rules of G, `four` or `twenty`, as they are written."""
    found: list[dict[str, str]] = json.loads((TEXTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def twenty() -> dict[str, Any]:
    """Return the twenty expressions that G has, too."""
    return _pack("twenty", [{**each, "action": "deny", "match": {"kinds": ["Pod"]}} for each in sources("twenty")])


def many() -> dict[str, Any]:
    """Return 400 rules: for each of 20 teams, in its namespace, the core rules and 16 of the expressions."""
    rules = []
    for team in range(TEAMS):
        for rule in core()["spec"]["rules"] + twenty()["spec"]["rules"][: 20 - len(CORE)]:
            mine = copy.deepcopy(rule)
            mine["name"] = f"{rule['name']}-{team:02}"
            mine.setdefault("match", {})["namespaces"] = [f"shop-{team:02}"]
            rules.append(mine)
    return _pack("many", rules, core()["spec"]["values"])


def _pack(name: str, rules: list[dict[str, Any]], values: dict[str, Any] | None = None) -> dict[str, Any]:
    spec = {"values": values or {}, "rules": rules}
    return {"apiVersion": "plimsoll.dev/v1", "kind": "RulePack", "metadata": {"name": name}, "spec": spec}


def write(directory: Path) -> dict[str, Path]:
    """Write every pack into a directory and return their files by name."""
    paths = {}
    for pack in (core(), other(), twenty(), many()):
        name = pack["metadata"]["name"]
        paths[name] = directory / f"{name}.yaml"
        paths[name].write_text(yaml.safe_dump(pack, sort_keys=False), encoding="utf-8")
    return paths
