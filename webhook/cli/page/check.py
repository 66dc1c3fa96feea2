"""The page of a check: its docstring, with its parameters, and the rules that use it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from webhook.checks import Module
from webhook.cli.page.markdown import Markdown
from webhook.packs import manual
from webhook.packs.rule import Ruleset


def described(module: Module, ruleset: Ruleset) -> dict[str, Any]:
    """Return what there is to say of a check, as plain values."""
    return {
        "check": module.ID,
        "summary": manual.summary(module),
        "page": manual.page(module),
        "parameters": [
            {"path": one.path, "type": one.type.replace("`", ""), "default": one.default, "description": one.meaning}
            for one in manual.parameters(module)
        ],
        "moreKinds": list(module.KINDS),
        "fix": manual.mends(module),
        "rules": [rule.label for rule in ruleset.rules if rule.check_name == module.ID],
    }


def lines(module: Module, ruleset: Ruleset, markdown: Markdown) -> Iterator[str]:
    """Yield the page for a terminal."""
    said = described(module, ruleset)
    before, mark, after = said["page"].partition(manual.FIX)
    lead, _, body = before.partition("\n")
    yield from markdown.lines(f"# {module.ID}\n\n{lead}\n{body.rstrip()}")
    yield ""
    for one in manual.parameters(module):
        default = f", default `{one.default}`" if one.default else ""
        yield from markdown.filled(f"**{one.path}**: {one.type}{default}", "  ", "    ")
        if one.meaning:
            yield from markdown.filled(one.meaning, "      ")
    yield from ("", *markdown.lines(f"{mark.strip()}\n{after.rstrip()}"), "")
    kinds = f" and {', '.join(said['moreKinds'])}" if said["moreKinds"] else ""
    yield from markdown.filled(f"Is asked about every kind of workload{kinds}.")
    yield from markdown.filled(f"Rules of these packs that use it: {', '.join(said['rules']) or 'none'}.")
