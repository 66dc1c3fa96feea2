"""Writes docs/checks/, a page for each check and the index of all, and docs/schemas/, what editors know of the formats.

    python docs/generate.py

`make generated` runs it; a test compares what it gives with what is there.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from webhook import sources
from webhook.checks import CHECKS, Module
from webhook.cli import shape
from webhook.packs.editor import pack_schema

HERE = Path(__file__).parent / "checks"
SCHEMAS = Path(__file__).parent / "schemas"
WORDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}


def pages() -> dict[str, str]:
    """Return the text of every file of docs/checks by its name."""
    packs = used()
    found = {f"{name}.md": page(module, packs[name]) for name, module in CHECKS.items()}
    return {"README.md": index(packs), **found}


def schemas() -> dict[str, str]:
    """Return the text of the files of docs/schemas that are generated, by name."""
    found = {"rulepack.json": pack_schema(CHECKS), "rulepacktest.json": shape.published()}
    return {name: json.dumps(schema, indent=1, ensure_ascii=False) + "\n" for name, schema in found.items()}


def used() -> dict[str, list[str]]:
    """Return the shipped packs that use a check, by the check."""
    found: dict[str, list[str]] = {name: [] for name in CHECKS}
    for path in sources.shipped():
        for pack in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            for name in {rule.get("check") for rule in pack["spec"]["rules"]} & found.keys():
                found[name].append(f"[{pack['metadata']['name']}](../../policies/{path.name})")
    return found


def index(packs: Mapping[str, list[str]]) -> str:
    """Return the page that names all checks."""
    lines = [
        "# Checks",
        "",
        "Each is one standard, and one file of code with its cases beside it. A rule names it by `check`; "
        "[packs.md](../packs.md#rules)\nsays how. These pages are generated from the code by `make generated`.",
        "",
        "| check | what it keeps | fix | pack |",
        "| --- | --- | --- | --- |",
    ]
    for name, module in CHECKS.items():
        fix = f"[yes]({name}.md#fix)" if has_fix(module) else "no"
        lines.append(f"| [{name}]({name}.md) | {cell(head(module))} | {fix} | {', '.join(packs[name])} |")
    return "\n".join(lines) + "\n"


def page(module: Module, packs: list[str]) -> str:
    """Return the page of one check: its docstring, with the table of parameters behind the words about them."""
    before, mark, after = inspect.cleandoc(module.__doc__ or "").partition("\n## Fix\n")
    lead, _, body = before.partition("\n")
    source = f"webhook/checks/{module.ID.replace('-', '_')}.py"
    kinds = f" and {', '.join(module.KINDS)}" if module.KINDS else ""
    scale = ", and what `kubectl scale` and autoscalers send" if "replicas" in module.READS else ""
    rows = "\n".join(table(module))
    end = [
        "## In short",
        f"- Is asked about: every kind of workload{kinds}{scale}",
        f"- Packs that use it: {', '.join(packs) or 'none'}",
        f"- Source of this page: [{source}](../../{source})",
    ]
    return f"# {module.ID}\n\n{lead}\n{body.rstrip()}\n\n{rows}\n{mark}{after.rstrip()}\n\n" + "\n".join(end) + "\n"


def table(module: Module) -> Iterator[str]:
    """Yield the lines of the table of a check's parameters."""
    yield "| parameter | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for name, schema in module.PARAMS["properties"].items():
        for path, inner in below(name, schema):
            default = f"`{json.dumps(module.DEFAULTS[name], ensure_ascii=False)}`" if path == name else ""
            yield f"| `{path}` | {cell(kind(inner))} | {cell(default)} | {cell(inner.get('description', ''))} |"


def below(path: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield a parameter and what stands in it, each with its path: `mirrors`, `mirrors[].from`."""
    yield path, schema
    items = schema.get("items", {})
    for name, inner in schema.get("properties", {}).items():
        yield from below(f"{path}.{name}", inner)
    for name, inner in items.get("properties", {}).items():
        yield from below(f"{path}[].{name}", inner)


def kind(schema: Mapping[str, Any]) -> str:
    """Return the type of a value in words."""
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    either = schema.get("anyOf") or schema.get("oneOf")
    if either:
        return " or ".join(kind(one) for one in either)
    types = schema.get("type", "string")
    if isinstance(types, list):
        return " or ".join(kind({**schema, "type": one}) for one in types)
    if types == "array":
        return f"list of {kind(schema.get('items', {}))}"
    if types == "object":
        values = schema.get("additionalProperties")
        return f"mapping of {kind(values)}" if isinstance(values, dict) else "mapping"
    return WORDS.get(types, str(types))


def head(module: Module) -> str:
    """Return the sentence that a check's page begins with, without its end."""
    return (module.__doc__ or "").strip().partition("\n")[0].removesuffix(".")


def has_fix(module: Module) -> bool:
    """Say whether the page promises a fix."""
    return not (module.__doc__ or "").partition("\n## Fix\n")[2].strip().startswith("None")


def cell(text: str) -> str:
    """Return a text as it stands in a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> int:
    """Write every page and schema, and take away the pages of checks that are gone."""
    HERE.mkdir(exist_ok=True)
    found = pages()
    for path in HERE.glob("*.md"):
        if path.name not in found:
            path.unlink()
    for name, text in found.items():
        (HERE / name).write_text(text, encoding="utf-8")
    for name, text in schemas().items():
        (SCHEMAS / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
