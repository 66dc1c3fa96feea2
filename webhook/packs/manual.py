"""The page of a check, taken apart: its docstring, and its parameters in words."""

from __future__ import annotations

import ast
import inspect
import json
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from webhook.checks import Module
from webhook.packs.schema import CheckModule

FIX = "\n## Fix\n"
"""The heading of the last section of a page, before which the parameters go."""
WORDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter, or a part of one: `mirrors`, `mirrors[].from`. `type` has its literals in backquotes.

    `default` is JSON, '' for a part of a parameter.
    """

    path: str
    type: str
    default: str
    meaning: str


def page(module: CheckModule) -> str:
    """Return the page that is a check's docstring, in Markdown."""
    return inspect.cleandoc(module.__doc__ or _written(module.ID))


def _written(check: str) -> str:
    """Return the docstring of a check's module as its source has it: a compiled module has none."""
    source = pkgutil.get_data("webhook.checks", f"{check.replace('-', '_')}.py") or b""
    return ast.get_docstring(ast.parse(source)) or ""


def summary(module: Module) -> str:
    """Return the sentence that a check's page begins with."""
    return page(module).partition("\n")[0]


def mends(module: Module) -> bool:
    """Say whether the page promises a fix."""
    return not page(module).partition(FIX)[2].strip().startswith("None")


def parameters(module: Module) -> Iterator[Parameter]:
    """Yield the parameters of a check and what stands in them, in the order of its schema."""
    for name, schema in module.PARAMS["properties"].items():
        for path, inner in _below(name, schema):
            default = json.dumps(module.DEFAULTS[name], ensure_ascii=False) if path == name else ""
            yield Parameter(path, _kind(inner), default, inner.get("description", ""))


def _below(path: str, schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, schema
    items = schema.get("items", {})
    for name, inner in schema.get("properties", {}).items():
        yield from _below(f"{path}.{name}", inner)
    for name, inner in items.get("properties", {}).items():
        yield from _below(f"{path}[].{name}", inner)


def _kind(schema: Mapping[str, Any]) -> str:
    """Return the type of a value in words."""
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    either = schema.get("anyOf") or schema.get("oneOf")
    if either:
        return " or ".join(_kind(one) for one in either)
    types = schema.get("type", "string")
    if isinstance(types, list):
        return " or ".join(_kind({**schema, "type": one}) for one in types)
    if types == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if types == "object":
        values = schema.get("additionalProperties")
        return f"mapping of {_kind(values)}" if isinstance(values, dict) else "mapping"
    return WORDS.get(types, str(types))
