"""Values as text: scalars, flow and block YAML, JSON, in the manner of the text around them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import yaml

from webhook.cli.scalars import resolve

_SAFE = re.compile(r"(?:[^\s\-?:,\[\]{}#&*!|>'\"%@`]|-(?=[^\s\-]))(?:[^\n]*\S)?\Z")
_UNSAFE = re.compile(r":(?:\s|\Z)|\s#|[\t\ufeff]")
_FLOW = re.compile(r"[,\[\]{}]|:\Z")
_SHORT = {"\n": "n", "\t": "t", "\r": "r", '"': '"', "\\": "\\", "\0": "0"}
_RESOLVERS = yaml.SafeLoader.yaml_implicit_resolvers


@dataclass(frozen=True, slots=True)
class Manner:
    """How an author writes: which quotes, how far what is inside stands in, where a list's dashes stand below its key.

    `indent` is what JSON puts before what is one level deeper; empty where all of it is on one line.
    """

    json: bool = False
    quote: str = '"'
    unit: int = 2
    offset: int = 2
    newline: str = "\n"
    indent: str = ""


@dataclass(frozen=True, slots=True)
class Gaps:
    """What stands between the parts of a flow collection."""

    comma: str = ", "
    colon: str = ": "


def is_scalar(value: Any) -> bool:
    """Say whether a value is written as one token: all but mappings and lists that hold something."""
    return not isinstance(value, dict | list) or not value


def token(value: Any, manner: Manner, flow: bool = False, style: str = "") -> str:
    """Return a scalar, `{}` or `[]` as text; a string has the quotes of `style` where it can.

    Without a style it has quotes, as the author's, only where it needs them.
    """
    if not isinstance(value, str) or manner.json:
        return json.dumps(value, ensure_ascii=False)
    if not style and _plain(value, flow):
        return value
    quote = style if style in ("'", '"') else manner.quote
    if quote == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return '"' + escaped(value) + '"'


def escaped(value: str) -> str:
    """Return a string as it stands between double quotes in YAML."""
    return "".join(_escape(char) for char in value)


def _escape(char: str) -> str:
    if char in _SHORT:
        return "\\" + _SHORT[char]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _plain(value: str, flow: bool) -> bool:
    """Say whether a string may stand without quotes, and is then one to kubectl, and to YAML 1.1 as it is written."""
    if not _SAFE.match(value) or not value.isprintable() or _UNSAFE.search(value) or (flow and _FLOW.search(value)):
        return False
    if any(pattern.match(value) for _, pattern in _RESOLVERS.get(value[0], ())):
        return False
    try:
        return resolve(value) == value
    except ValueError:
        return False


def flow(value: Any, manner: Manner, gaps: Gaps, indent: str | None = None) -> str:
    """Return a value as flow; in JSON that stands on several lines with each part on its own, `indent` before it."""
    if is_scalar(value):
        return token(value, manner, flow=True)
    deeper = None if indent is None else indent + manner.indent
    if isinstance(value, dict):
        parts = [entry(key, item, manner, gaps, deeper) for key, item in value.items()]
    else:
        parts = [flow(item, manner, gaps, deeper) for item in value]
    left, right = "{}" if isinstance(value, dict) else "[]"
    if deeper is None:
        return left + gaps.comma.join(parts) + right
    lines = f",{manner.newline}{deeper}".join(parts)
    return f"{left}{manner.newline}{deeper}{lines}{manner.newline}{indent}{right}"


def entry(key: str, value: Any, manner: Manner, gaps: Gaps, indent: str | None = None) -> str:
    """Return a key with its value as they stand in a flow mapping."""
    colon = gaps.colon if manner.json or gaps.colon != ":" else ": "  # a:b is one word in YAML
    return token(key, manner, flow=True) + colon + flow(value, manner, gaps, indent)


def block(value: Any, column: int, manner: Manner, dash: str = "- ") -> list[str]:
    """Return the lines of a mapping or list that holds something, in block style, beginning at a column."""
    pad = " " * column
    lines = []
    if isinstance(value, dict):
        for key, item in value.items():
            head = f"{pad}{token(key, manner)}:"
            if is_scalar(item):
                lines.append(f"{head} {token(item, manner)}")
            else:
                deeper = manner.unit if isinstance(item, dict) else manner.offset
                lines += [head, *block(item, column + deeper, manner)]
        return lines
    for item in value:
        if is_scalar(item):
            lines.append(f"{pad}{dash}{token(item, manner)}")
        else:
            first, *rest = block(item, column + len(dash), manner)
            lines += [pad + dash + first[column + len(dash) :], *rest]
    return lines
