"""Text to documents: YAML without its traps, where every key and value knows the line it stands on.

Built on the parser's events, not on its nodes: nothing is expanded or recursed into, so that aliases,
duplicate keys and depth are refused while reading, before they can cost anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import yaml

from webhook.errors import ConfigError, Problem
from webhook.model.record import record
from webhook.packs.scalars import NotJson, resolve

Path = tuple[str | int, ...]

SIZE = 2**20
"""Bytes that a text may have; also the limit of etcd for an object, and so of a ConfigMap."""
DEPTH = 64
"""Mappings and lists that may stand inside one another."""
NODES = 100_000
"""Keys and elements that a text may hold: each costs some 500 bytes here for the five that it has on disk."""
PROBLEMS = 100
"""Problems after which a text is not read further."""
OBJECT = "RulePack/"
"""What the name of a source begins with that was an object of the API: it came as JSON, and has no lines."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
# What YAML 1.2 (production c-printable) lets stand in a text, negated.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@record(frozen=True, slots=True)
class Place:
    """Where something stands: `line` and `column` count from 1; `path` is its path in that very document.

    The path differs from the one it is asked for by, where a rule was inherited or a value substituted.
    `text` is what was written, where that was a number, a truth value or null; `use` says which rule
    made use of a substituted value.
    """

    source: str
    line: int
    column: int
    path: Path = ()
    text: str = ""
    use: str = ""

    @property
    def where(self) -> str:
        """Source and line, as people read them."""
        return f"{self.source}:{self.line}" if self.line else self.source


@record(frozen=True, slots=True)
class Document:
    """One YAML document as plain values, and the places of its keys and elements (`starts`: of its values)."""

    value: dict[str, Any]
    places: Mapping[Path, Place]
    starts: Mapping[Path, Place] = field(default_factory=lambda: MappingProxyType({}))

    def place(self, path: Path) -> Place:
        """Return where the key or element at `path` stands, or its nearest known ancestor."""
        return _nearest(self.places, path)[1]

    def value_place(self, path: Path) -> Place:
        """Return where the value at `path` begins, or else what `place` says."""
        return self.starts.get(path) or self.place(path)

    def problem(self, path: Path, text: str, *, key: bool = False) -> Problem:
        """Return a Problem with the value at `path`; with `key`, with the key itself.

        They differ where the value came from `spec.values`: that is where it has to be mended.
        """
        known, place = _nearest(self.places, path)
        start = self.starts.get(known)
        if start is not None and start.use and not key:
            place = start
        if place.use:
            text = f"{text} ({place.use})"
        return Problem(place.source, place.line, render(place.path + path[len(known) :]), text)


def render(path: Path) -> str:
    """Return a path as people read it: `spec.rules[2].action`, `metadata.labels["a.b/c"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.match(part):
            text += f".{part}" if text else part
        else:
            text += f"[{json.dumps(part, ensure_ascii=False)}]"
    return text


def documents(source: str, text: str) -> list[Document]:
    """Return all YAML documents of a text; empty ones are left out. `source` is its name in errors.

    Raises ConfigError with every problem that `scan` finds.
    """
    found, problems = scan(source, text)
    if problems:
        raise ConfigError(problems)
    return found


def scan(source: str, text: str) -> tuple[list[Document], list[Problem]]:
    """Return the documents of a text as far as they can be read, and everything that is wrong with it.

    Scalars are those of the YAML 1.2 core schema, with numbers that begin with 0 left as text. Problems are:
    syntax, aliases, anchors, tags, duplicate keys, keys that are not text, numbers that JSON does not have,
    depth, size, and documents that are no mapping. After a syntax error nothing more is read. What comes from an
    object of the API (`OBJECT`) has line 0.
    """
    found, problems = _scan(source, text)
    return found, [replace(problem, line=0) for problem in problems] if source.startswith(OBJECT) else problems


def _scan(source: str, text: str) -> tuple[list[Document], list[Problem]]:
    text = text.removeprefix("\ufeff")
    problem = _unreadable(source, text)
    if problem:
        return [], [problem]
    reader = _Reader(source)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            reader.take(event)
            if reader.stopped:
                break
    except yaml.MarkedYAMLError as error:
        reader.problems.append(_syntax(source, text, error))
    except yaml.YAMLError as error:
        reader.problems.append(Problem(source, 0, "", f"this is no YAML: {str(error).splitlines()[0]}"))
    return reader.documents, reader.problems


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is being read; `key` waits for its value, `skip` drops what comes next."""

    value: dict[str, Any] | list[Any]
    path: Path
    dropped: bool
    key: str | None = None
    skip: bool = False


@dataclass(slots=True)
class _Reader:
    source: str
    documents: list[Document] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    stopped: bool = False
    _nodes: int = 0
    _frames: list[_Frame] = field(default_factory=list)
    _root: Any = None
    _places: dict[Path, Place] = field(default_factory=dict)
    _starts: dict[Path, Place] = field(default_factory=dict)

    def take(self, event: Any) -> None:
        """Take the next event of the parser."""
        if isinstance(event, yaml.ScalarEvent):  # as most are
            if self._waits_for_key():
                self._key(event)
            else:
                self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            self._open(event, {})
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open(event, [])
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._frames.pop()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._root, self._places, self._starts = None, {}, {}
        elif isinstance(event, yaml.DocumentEndEvent):
            self._finish()

    def _say(self, mark: Any, path: Path, text: str) -> None:
        self.problems.append(Problem(self.source, mark.line + 1, render(path), text))
        self.stopped = self.stopped or len(self.problems) >= PROBLEMS

    def _at(self, mark: Any, path: Path, text: str = "") -> Place:
        line = 0 if self.source.startswith(OBJECT) else mark.line + 1
        return Place(self.source, line, mark.column + 1, path, text)

    def _finish(self) -> None:
        if isinstance(self._root, dict):
            self.documents.append(Document(self._root, MappingProxyType(self._places), MappingProxyType(self._starts)))
        elif self._root is not None:
            start = self._starts[()]
            kind = "a list" if isinstance(self._root, list) else "a single value"
            self.problems.append(
                Problem(self.source, start.line, "", f"the document is {kind}; wanted a mapping (`key: value`)")
            )

    def _check(self, event: Any, path: Path) -> None:
        self._nodes += 1
        if self._nodes > NODES:
            self._say(event.start_mark, (), f"the text holds more than {NODES} keys and values; split it")
            self.stopped = True
        if event.anchor is not None:
            self._say(event.start_mark, path, f"anchors (&{event.anchor}) are not allowed; write the value out")
        if event.tag is not None:
            self._say(event.start_mark, path, f"tags ({event.tag}) are not allowed; leave it out, or quote the text")

    def _waits_for_key(self) -> bool:
        top = self._frames[-1] if self._frames else None
        return top is not None and isinstance(top.value, dict) and top.key is None

    def _next(self) -> tuple[Path, bool]:
        """Return the path of the value that comes next, and whether it is to be dropped."""
        if not self._frames:
            return (), False
        top = self._frames[-1]
        part = len(top.value) if top.key is None else top.key
        return (*top.path, part), top.dropped or top.skip

    def _put(self, mark: Any, value: Any, text: str = "") -> None:
        path, drop = self._next()
        top = self._frames[-1] if self._frames else None
        if not drop:
            place = self._at(mark, path, text)
            self._starts[path] = place
            self._places.setdefault(path, place)
            if top is None:
                self._root = value
            elif isinstance(top.value, list):
                top.value.append(value)
            elif top.key is not None:
                top.value[top.key] = value
        if top is not None:
            top.key, top.skip = None, False

    def _open(self, event: Any, value: dict[str, Any] | list[Any]) -> None:
        path, drop = self._next()
        if self._waits_for_key():
            path, drop = self._no_key(event, "a mapping or list cannot be a key; wanted text"), True
            self._check(event, path)
        else:
            self._check(event, path)
            self._put(event.start_mark, value)
        if len(self._frames) >= DEPTH:
            self._say(event.start_mark, path[:4], f"nested deeper than {DEPTH} levels")
            self.stopped = True
        self._frames.append(_Frame(value, path, drop))

    def _alias(self, event: Any) -> None:
        text = f"aliases (*{event.anchor}) are not allowed; write the value out"
        if self._waits_for_key():
            self._no_key(event, text)
            return
        self._say(event.start_mark, self._next()[0], text)
        self._put(event.start_mark, None)

    def _no_key(self, event: Any, text: str) -> Path:
        """Report what cannot be a key; its value will be dropped."""
        top = self._frames[-1]
        self._say(event.start_mark, top.path, text)
        top.key, top.skip = "?", True
        return (*top.path, "?")

    def _scalar(self, event: Any) -> None:
        path = self._next()[0]
        self._check(event, path)
        value: Any = event.value
        if event.implicit[0] and event.tag is None:
            try:
                value = resolve(event.value)
            except NotJson as error:
                self._say(event.start_mark, path, f"{error}; quote it, or write another number")
        if isinstance(value, str):
            self._printable(event, path, value)
        self._put(event.start_mark, value, "" if isinstance(value, str) else event.value)

    def _key(self, event: Any) -> None:
        top = self._frames[-1]
        assert isinstance(top.value, dict)  # noqa: S101 - said to the type checker; _waits_for_key made sure
        key: str = event.value
        path = (*top.path, key)
        self._check(event, path)
        self._printable(event, path, key)
        if event.implicit[0] and event.tag is None and not _is_text(key):
            self._say(event.start_mark, path, f"a key is text, {_shown(key)} is not; quote it: {json.dumps(key)}")
        if event.implicit[0] and key == "<<":
            self._say(event.start_mark, path, "merge keys (<<) are not allowed; write the keys out")
        top.key = key
        if key in top.value and not (top.dropped or top.skip):
            first = self._places[path].line
            self._say(event.start_mark, path, f"the key is given twice, first in line {first}; keep one")
            top.skip = True
        elif not top.dropped:
            self._places[path] = self._at(event.start_mark, path)

    def _printable(self, event: Any, path: Path, value: str) -> None:
        found = None if value.isprintable() else _CONTROL.search(value)
        if found:
            self._say(event.start_mark, path, f"the control character U+{ord(found[0]):04X} is not allowed in text")


def _nearest(places: Mapping[Path, Place], path: Path) -> tuple[Path, Place]:
    for length in range(len(path), -1, -1):
        place = places.get(path[:length])
        if place is not None:
            return path[:length], place
    return (), Place("", 0, 0)


def _is_text(scalar: str) -> bool:
    try:
        return isinstance(resolve(scalar), str)
    except NotJson:
        return False


def _shown(scalar: str) -> str:
    return scalar if scalar else "nothing"


def _unreadable(source: str, text: str) -> Problem | None:
    found = _UNPRINTABLE.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        code = ord(found[0])
        return Problem(source, line, "", f"the character U+{code:04X} is not allowed; a pack is text, not binary")
    size = len(text.encode())
    if size > SIZE:
        return Problem(source, 0, "", f"too large: {size} bytes; at most {SIZE} (1 MiB) are read; split it")
    return None


_SYNTAX = (
    # What libyaml and PyYAML say (they differ in words), and what a person can do about it.
    ("mapping values are not allowed", "a `:` stands where no key can be: check the indentation, or quote the text"),
    ("could not find expected ':'", "a `:` is missing after the key, or the text above wants quotes"),
    ("',' or ']'", "a list that begins with [ is not closed: a `,` or ] is missing"),
    ("',' or '}'", "a mapping that begins with { is not closed: a `,` or } is missing"),
    ("unexpected end of stream", "a quote is opened and never closed"),
    ("unexpected document indicator", "a quote is opened and never closed"),
    ("unknown escape character", "this \\ escape is not known inside \"...\"; use '...' or write \\\\"),
    ("invalid Unicode character escape", "this \\u escape is no character"),
    ("undefined tag handle", "tags (!) are not allowed; quote the text"),
    ("expected '-' indicator", "a list goes on with something that does not begin with `- `: check the indentation"),
    ("expected key", "the indentation does not fit the lines above"),
    ("<block end>", "the indentation does not fit the lines above"),
    ("node content", "a value is missing, or begins with a character that wants quotes"),
    ("<document start>", "something stands after the end of the document; begin a new one with ---"),
    ("alphabetic or numeric character", "a value that begins with & or * wants quotes"),
)


def _syntax(source: str, text: str, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    said = error.problem or "this is no YAML"
    line = 0 if mark is None else mark.line + 1
    lines = text.splitlines()
    here = lines[line - 1][mark.column :][:1] if mark is not None and line <= len(lines) else ""
    words = next((words for part, words in _SYNTAX if part in said), said)
    if "cannot start any token" in said:
        words = f"a value cannot begin with {here}; quote it"
        if here == "\t":
            words = "a tab stands where only spaces may: indent with spaces"
    opened = error.context_mark
    if opened is not None and opened.line + 1 != line and "indentation" not in words:
        words = f"{words} (begun in line {opened.line + 1})"
    return Problem(source, line, "", words)
