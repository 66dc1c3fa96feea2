"""A value against a JSON Schema: every problem once, in words, at its place.

Knows the keywords in KEYWORDS and no others, so that none is silently left unchecked.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from typing import Any

from webhook.errors import Problem
from webhook.packs.parse import Document, Path
from webhook.packs.suggest import hint, listed, near

Schema = Mapping[str, Any]

_NOTES = {"$schema", "$id", "title", "description", "default", "examples", "readOnly", "patternErrorMessage"}
KEYWORDS = frozenset(
    _NOTES
    | {"type", "enum", "const", "anyOf", "oneOf", "properties", "required", "additionalProperties", "propertyNames"}
    | {"minProperties", "items", "minItems", "maxItems", "uniqueItems", "minLength", "maxLength", "pattern", "format"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
)

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}
_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


def walk(document: Document, path: Path, value: object, schema: Schema) -> Iterator[Problem]:
    """Yield what is wrong with `value`, which stands at `path`; the first mistake of each place only."""
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        yield from _branch(document, path, value, branches)
        return
    types = _types(schema)
    if types and not any(_is(value, name) for name in types):
        yield document.problem(path, _mismatch(document, path, value, schema))
    elif "enum" in schema or "const" in schema:
        allowed = schema["enum"] if "enum" in schema else [schema["const"]]
        if not any(value == one and type(value) is type(one) for one in allowed):
            yield document.problem(path, _not_listed(value, [str(one) for one in allowed]))
    elif isinstance(value, dict):
        yield from _mapping(document, path, value, schema)
    elif isinstance(value, list):
        yield from _list(document, path, value, schema)
    else:
        text = _text(value, schema) if isinstance(value, str) else _number(value, schema)
        if text:
            yield document.problem(path, text)


def unknown_keywords(schema: object) -> set[str]:
    """Return the keywords in a schema that `walk` does not know and would leave unchecked."""
    if isinstance(schema, list):
        return set().union(*(unknown_keywords(one) for one in schema))
    if not isinstance(schema, Mapping):
        return set()
    found = set(schema) - KEYWORDS
    if schema.get("format", "date") != "date":
        found.add(f"format: {schema['format']}")
    for key in ("items", "additionalProperties", "propertyNames", "anyOf", "oneOf"):
        found |= unknown_keywords(schema.get(key))
    return found.union(*(unknown_keywords(one) for one in schema.get("properties", {}).values()))


def wanted(schema: Schema) -> str:
    """Return in words what a schema asks for."""
    if "enum" in schema:
        return listed([str(one) for one in schema["enum"]])
    if "const" in schema:
        return str(schema["const"])
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        return listed([wanted(branch) for branch in branches])
    if schema.get("format") == "date":
        return "a day as YYYY-MM-DD"
    if "patternErrorMessage" in schema:
        return str(schema["patternErrorMessage"])
    types = _types(schema)
    if types == ["array"] and schema.get("items"):
        return f"a list of {_plural(schema['items'])}"
    if types == ["object"] and schema.get("properties"):
        return f"a mapping with {listed(_shown_keys(schema['properties']), 'and')}"
    return listed([_WORDS[name] for name in types]) if types else "a value"


def shown(value: object) -> str:
    """Return a value as it is shown to people: quoted where it is text, cut where it is long."""
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "...")
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _types(schema: Schema) -> list[str]:
    given = schema.get("type", [])
    return [given] if isinstance(given, str) else list(given)


def _is(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[name])


def _plural(schema: Schema) -> str:
    words = wanted(schema)
    return {"a mapping": "mappings", "a number": "numbers", "a whole number": "whole numbers"}.get(words, words)


def _shown_keys(properties: Schema) -> list[str]:
    # What only the API server writes is allowed, and no advice to people.
    return [key for key, schema in properties.items() if not schema.get("readOnly")]


def _mismatch(document: Document, path: Path, value: object, schema: Schema) -> str:
    if value is None and document.value_place(path).text in ("", "~"):
        return f"has no value; wanted {wanted(schema)}"
    written = document.value_place(path).text or shown(value)
    if isinstance(value, dict | list):
        return f"is {'a mapping' if isinstance(value, dict) else 'a list'}; wanted {wanted(schema)}"
    kind = "text" if isinstance(value, str) else "a number"
    if isinstance(value, bool) or value is None:
        kind = "a truth value" if value is not None else "null"
    # quoted, a number may still lack something, such as a unit: then what is wanted is said, and not how to quote it
    lacks = "patternErrorMessage" in schema and not re.search(schema.get("pattern", "(?!)"), written)
    fits = "string" in _types(schema) and "enum" not in schema and not lacks
    quote = f': quote it, "{written}"' if fits else ""
    return f"{written} is {kind}; wanted {'text' if quote else wanted(schema)}{quote}"


def _not_listed(value: object, allowed: list[str]) -> str:
    return f"{shown(value)} is not allowed; {hint(str(value), allowed)}allowed: {', '.join(allowed)}"


def _branch(document: Document, path: Path, value: object, branches: list[Schema]) -> Iterator[Problem]:
    """Yield the problems of the one branch that was meant, judged by its type; not those of all."""
    found = [list(walk(document, path, value, branch)) for branch in branches]
    if not all(found):
        return
    fitting = [
        problems
        for branch, problems in zip(branches, found, strict=True)
        if any(_is(value, name) for name in _types(branch))
    ]
    if len(fitting) == 1:
        yield from fitting[0]
    else:
        yield document.problem(path, f"{shown(value)} is not allowed; wanted {wanted({'anyOf': branches})}")


def _mapping(document: Document, path: Path, value: dict[str, Any], schema: Schema) -> Iterator[Problem]:
    properties: Schema = schema.get("properties", {})
    others = schema.get("additionalProperties", not properties)
    if len(value) < schema.get("minProperties", 0):
        words = listed(_shown_keys(properties), "and")
        yield document.problem(path, f"is empty; wanted at least one of {words}" if properties else "is empty")
    meant = set()
    for key, inner in value.items():
        here = (*path, key)
        name = _text(key, schema.get("propertyNames", {}))
        if key in properties:
            yield from walk(document, here, inner, properties[key])
        elif others is False:
            free = [key for key in _shown_keys(properties) if key not in value]
            meant.add(near(key, free))
            text = f"unknown key; {hint(key, free)}allowed: {', '.join(_shown_keys(properties))}"
            yield document.problem(here, text, key=True)
        elif name:
            yield document.problem(here, name, key=True)
        elif others is not True:
            yield from walk(document, here, inner, others)
    # A misspelt key is one mistake, not an unknown key and a missing one.
    for key in schema.get("required", ()):
        if key not in value and key not in meant:
            yield document.problem((*path, key), f"is missing; wanted {wanted(properties.get(key, {}))}")


def _list(document: Document, path: Path, value: list[Any], schema: Schema) -> Iterator[Problem]:
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    if len(value) < least:
        yield document.problem(path, f"has {len(value) or 'no'} elements; wanted at least {least}")
    if most is not None and len(value) > most:
        yield document.problem(path, f"has {len(value)} elements; wanted at most {most}")
    items = schema.get("items")
    seen: set[str] = set()
    for index, inner in enumerate(value):
        here = (*path, index)
        found = list(walk(document, here, inner, items)) if items else []
        yield from found
        if schema.get("uniqueItems"):
            told = repr(inner)  # which tells 1 from true and "1", as JSON does
            if told in seen and not found:
                yield document.problem(here, f"{shown(inner)} stands in the list twice; keep one")
            seen.add(told)


def _text(value: str, schema: Schema) -> str:
    """Return what is wrong with a text, or nothing."""
    if schema.get("format") == "date" and not _is_date(value):
        return f"{shown(value)} is no day of the calendar; wanted YYYY-MM-DD, such as 2027-03-31"
    if len(value) < schema.get("minLength", 0):
        return f"is empty; wanted {wanted(schema)}"
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        return f"has {len(value)} characters; at most {schema['maxLength']} are allowed"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        meant = schema.get("patternErrorMessage") or f"text that matches {schema['pattern']}"
        return f"{shown(value)} is not allowed; wanted {meant}"
    return ""


def _number(value: object, schema: Schema) -> str:
    """Return what is wrong with a number, or nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if value < schema.get("minimum", value):
        return f"{value} is too small; wanted at least {schema['minimum']}"
    if value > schema.get("maximum", value):
        return f"{value} is too large; wanted at most {schema['maximum']}"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        return f"{value} is too small; wanted more than {schema['exclusiveMinimum']}"
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        return f"{value} is too large; wanted less than {schema['exclusiveMaximum']}"
    return ""


def _is_date(value: str) -> bool:
    try:
        return bool(_DATE.match(value)) and datetime.date.fromisoformat(value) is not None
    except ValueError:
        return False
