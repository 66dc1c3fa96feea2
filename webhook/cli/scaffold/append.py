"""Adds an element to a list in a YAML text that a person wrote, and leaves every other byte as it is."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import yaml

from webhook.errors import ConfigError, Problem
from webhook.packs.parse import documents

_BREAK = re.compile(r"\r\n|[\r\n]")


def append(name: str, text: str, kind: str, key: str, items: str) -> str:
    """Return a text with `items`, elements of a list in YAML, at the end of the list under `spec.<key>`.

    `name` is the file's, `kind` that of the document meant. Raises ConfigError where there is not exactly one, or
    the list is not written with a dash for each element.
    """
    before = [document.value for document in documents(name, text)]
    meant = [number for number, value in enumerate(before) if value.get("kind") == kind]
    if len(meant) != 1:
        raise _refused(name, 0, f"holds {len(meant)} documents with kind: {kind}; wanted one")
    nodes = [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if isinstance(node, yaml.MappingNode)]
    listed = _inner(_inner(nodes[meant[0]], "spec"), key)
    if not isinstance(listed, yaml.SequenceNode) or listed.flow_style or not listed.value:
        line = listed.start_mark.line + 1 if listed is not None else 0
        raise _refused(name, line, f"spec.{key} is no list with a dash for each element, so nothing can be added to it")
    after = _inserted(text, listed, items)
    (new,) = documents(name, f"new:\n{items}")
    _check(name, before, meant[0], key, new.value["new"], [one.value for one in documents(name, after)])
    return after


def _inserted(text: str, listed: yaml.SequenceNode, items: str) -> str:
    found = _BREAK.search(text)
    newline = found[0] if found else "\n"
    lines = text.splitlines(keepends=True)
    column, start = listed.start_mark.column, listed.value[-1].start_mark.line
    end = start + 1
    while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > column):
        end += 1
    while not lines[end - 1].strip():
        end -= 1
    if not lines[end - 1].endswith(("\n", "\r")):
        lines[end - 1] += newline
    apart = newline if len(listed.value) > 1 and not lines[start - 1].strip() else ""
    added = textwrap.indent(items, " " * column).replace("\n", newline)
    return "".join([*lines[:end], apart + added, *lines[end:]])


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _inner(node: yaml.Node | None, key: str) -> yaml.Node | None:
    pairs: list[Any] = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def _check(name: str, before: list[Any], number: int, key: str, items: list[Any], after: list[Any]) -> None:
    """Refuse a text that does not say what it said before, with the new elements."""
    spec = before[number]["spec"]
    before[number] = {**before[number], "spec": {**spec, key: [*spec[key], *items]}}
    if before != after:
        raise _refused(name, 0, f"spec.{key} is written in a way in which nothing can be added to it safely")


def _refused(name: str, line: int, why: str) -> ConfigError:
    return ConfigError([Problem(name, line, "", f"{why}; run this without --pack, and put in what it prints")])
