"""JSON manifests to trees: one document after the other, each value with its line."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from webhook.cli.marks import Mark, Tree
from webhook.cli.yamltext import DEPTH
from webhook.errors import ConfigError, Problem

_SPACE = re.compile(r"[ \t\r\n]*")


def trees(source: str, text: str) -> list[Tree]:
    """Return the documents of a JSON text. Raises ConfigError for what is no JSON, and for duplicate keys."""
    reader = _Reader(source, text)
    found = []
    reader.space()
    while reader.at < len(text):
        found.append(reader.value(0))
        reader.space()
    if reader.problems:
        raise ConfigError(reader.problems)
    return found


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number that JSON has")


@dataclass(slots=True)
class _Reader:
    source: str
    text: str
    at: int = 0
    line: int = 1
    problems: list[Problem] = field(default_factory=list)
    _decoder: json.JSONDecoder = field(default_factory=lambda: json.JSONDecoder(parse_constant=_no_number))

    def space(self) -> None:
        """Go on to the next character that is no white space."""
        found = _SPACE.match(self.text, self.at)
        if found:
            self.line += self.text.count("\n", self.at, found.end())
            self.at = found.end()

    def value(self, depth: int) -> Tree:
        """Read one value."""
        if depth >= DEPTH:
            raise self._error(f"nested deeper than {DEPTH} levels")
        first = self.text[self.at : self.at + 1]
        if first == "{":
            return self._mapping(depth)
        if first == "[":
            return self._list(depth)
        line = self.line
        return Tree(self._scalar(), (line, None, 1))

    def _scalar(self) -> Any:
        try:
            value, end = self._decoder.raw_decode(self.text, self.at)
        except json.JSONDecodeError as error:
            raise self._error(f"{error.msg[:1].lower()}{error.msg[1:]}") from error
        except ValueError as error:
            raise self._error(str(error)) from error
        self.at = end
        # as the API server reads it: 1.0 and 1e3 are whole numbers
        return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e21 else value

    def _mapping(self, depth: int) -> Tree:
        below: dict[str, Mark] = {}
        value: dict[str, Any] = {}
        begun, size = self.line, 1
        while self._more("{", "}", not value):
            line = self.line
            if self.text[self.at : self.at + 1] != '"':
                raise self._error('a key in "..." is missing')
            key = self._scalar()
            if key in value:
                text = f"the key {key} is given twice, first in line {below[key][0]}; keep one"
                self.problems.append(Problem(self.source, line, "", text))
            self.space()
            if self.text[self.at : self.at + 1] != ":":
                raise self._error("a `:` is missing after the key")
            self.at += 1
            self.space()
            tree = self.value(depth + 1)
            value[key] = tree.value
            below[key] = (line, *tree.mark[1:])
            size += tree.mark[2]
        return Tree(value, (begun, below, size))

    def _list(self, depth: int) -> Tree:
        below: list[Mark] = []
        value: list[Any] = []
        begun, size = self.line, 1
        while self._more("[", "]", not value):
            tree = self.value(depth + 1)
            value.append(tree.value)
            below.append(tree.mark)
            size += tree.mark[2]
        return Tree(value, (begun, below, size))

    def _more(self, opening: str, closing: str, first: bool) -> bool:
        """Go over `{` or `,` to the next element, or over `}`, and say which it was."""
        self.space()
        here = self.text[self.at : self.at + 1]
        if first and here == opening:
            self.at += 1
            self.space()
            if self.text[self.at : self.at + 1] != closing:
                return True
            here = closing
        if here == closing:
            self.at += 1
            return False
        if here != "," or first:
            raise self._error(f"a `,` or `{closing}` is missing")
        self.at += 1
        self.space()
        return True

    def _error(self, text: str) -> ConfigError:
        return ConfigError([*self.problems, Problem(self.source, self.line, "", f"this is no JSON: {text}")])
