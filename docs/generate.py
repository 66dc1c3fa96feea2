"""Writes docs/checks/, a page for each check and the index of all, docs/schemas/, what editors know of the formats,
the CustomResourceDefinition of packs, which the chart installs, and what else of the chart is generated
(docs/chart.py).

    python docs/generate.py

`make generated` runs it; a test compares what it gives with what is there.
"""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from webhook import sources
from webhook.checks import CHECKS, Module
from webhook.cli import shape
from webhook.packs import crd, manual
from webhook.packs.editor import pack_schema

HERE = Path(__file__).parent / "checks"
SCHEMAS = Path(__file__).parent / "schemas"
CRD = Path(__file__).parents[1] / "charts" / "plimsoll" / "files" / "crd-rulepack.yaml"


def pages() -> dict[str, str]:
    """Return the text of every file of docs/checks by its name."""
    packs = used()
    found = {f"{name}.md": page(module, packs[name]) for name, module in CHECKS.items()}
    return {"README.md": index(packs), **found}


def schemas() -> dict[str, str]:
    """Return the text of the files of docs/schemas that are generated, by name."""
    found = {"rulepack.json": pack_schema(CHECKS), "rulepacktest.json": shape.published()}
    return {name: json.dumps(schema, indent=1, ensure_ascii=False) + "\n" for name, schema in found.items()}


def definition() -> str:
    """Return the text of the CustomResourceDefinition of packs."""
    head = "# Generated from the schema of packs by `make generated`: webhook/packs/crd.py says why it is as it is.\n"
    return head + yaml.safe_dump(crd.definition(CHECKS), sort_keys=False, width=110, allow_unicode=True)


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
        fix = f"[yes]({name}.md#fix)" if manual.mends(module) else "no"
        keeps = cell(manual.summary(module).removesuffix("."))
        lines.append(f"| [{name}]({name}.md) | {keeps} | {fix} | {', '.join(packs[name])} |")
    return "\n".join(lines) + "\n"


def page(module: Module, packs: list[str]) -> str:
    """Return the page of one check: its docstring, with the table of parameters behind the words about them."""
    before, mark, after = manual.page(module).partition(manual.FIX)
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
    for one in manual.parameters(module):
        default = cell(f"`{one.default}`" if one.default else "")
        yield f"| `{one.path}` | {cell(one.type)} | {default} | {cell(one.meaning)} |"


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
    CRD.parent.mkdir(parents=True, exist_ok=True)
    CRD.write_text(definition(), encoding="utf-8")
    chart = runpy.run_path(str(Path(__file__).parent / "chart.py"))
    for name, text in chart["files"]().items():
        (chart["CHART"] / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
