"""YAML manifests to trees: aliases and merge keys as kubectl takes them, bombs and duplicate keys refused.

Built on the parser's events, so that nothing is expanded before it is counted. Where this differs from kubectl:
a key that stands twice is an error here (kubectl keeps the last one), and so are tags other than YAML's own.
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from webhook.cli.marks import Below, Mark, Tree
from webhook.cli.scalars import resolve
from webhook.errors import ConfigError, Problem

DEPTH = 100
"""Mappings and lists that may stand inside one another."""
COPIES = 100_000
"""Values that all aliases of one document may stand for together."""
PROBLEMS = 20
"""Problems after which a text is not read further."""

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MERGE = "<<"
_PREFIX = "tag:yaml.org,2002:"


def trees(source: str, text: str) -> Iterator[Tree]:
    """Yield the documents of a YAML text as they are read, empty ones left out.

    Raises ConfigError where anything is wrong, at the end: what was yielded before is then not to be used.
    """
    reader = _Reader(source)
    try:
        for event in yaml.parse(text, Loader=LOADER):
            reader.take(event)
            while reader.trees:
                yield reader.trees.popleft()
            if len(reader.problems) >= PROBLEMS:
                break
    except _Stop:
        pass
    except yaml.MarkedYAMLError as error:
        reader.problems.append(_syntax(source, error))
    except yaml.YAMLError as error:
        reader.problems.append(Problem(source, 0, "", f"this is no YAML: {' '.join(str(error).split())}"))
    if reader.problems:
        raise ConfigError(reader.problems)


def key_name(value: Any) -> str:
    """Return the name of a key whose scalar has this value: `yes` is "true", as kubectl writes it into JSON."""
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Stop(Exception):
    """The text is not read further."""


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is being read; `key` waits for its value."""

    value: dict[str, Any] | list[Any]
    line: int
    below: Below
    anchor: str | None
    size: int = 1
    key: str | None = None
    key_line: int = 0
    merges: bool = False
    given: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Reader:
    source: str
    trees: deque[Tree] = field(default_factory=deque)
    problems: list[Problem] = field(default_factory=list)
    _frames: list[_Frame] = field(default_factory=list)
    _anchors: dict[str, Tree] = field(default_factory=dict)
    _copied: int = 0

    def take(self, event: Any) -> None:
        """Take the next event of the parser."""
        kind = type(event)
        if kind is yaml.ScalarEvent:
            self._scalar(event)
        elif kind is yaml.MappingStartEvent:
            self._open(event, {}, {})
        elif kind is yaml.SequenceStartEvent:
            self._open(event, [], [])
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            frame = self._frames.pop()
            self._done(frame.value, (frame.line, frame.below, frame.size), frame.anchor)
        elif kind is yaml.AliasEvent:
            self._alias(event)
        elif kind is yaml.DocumentStartEvent:
            self._anchors, self._copied = {}, 0

    def _say(self, line: int, text: str) -> None:
        self.problems.append(Problem(self.source, line, "", text))

    def _stop(self, line: int, text: str) -> _Stop:
        self._say(line, text)
        return _Stop()

    def _waits_for_key(self) -> bool:
        top = self._frames[-1] if self._frames else None
        return top is not None and isinstance(top.value, dict) and top.key is None and not top.merges

    def _open(self, event: Any, value: dict[str, Any] | list[Any], below: Below) -> None:
        line = event.start_mark.line + 1
        if self._waits_for_key():
            raise self._stop(line, "a mapping or list cannot be a key; wanted text (or quote the {{ template }})")
        if len(self._frames) >= DEPTH:
            raise self._stop(line, f"nested deeper than {DEPTH} levels")
        if event.tag not in (None, "!", _PREFIX + "map", _PREFIX + "seq"):
            self._say(line, f"the tag {event.tag} is not known; leave it out")
        self._frames.append(_Frame(value, line, below, event.anchor))

    def _alias(self, event: Any) -> None:
        line, name = event.start_mark.line + 1, event.anchor
        if any(frame.anchor == name for frame in self._frames):
            raise self._stop(line, f"*{name} stands inside of what it stands for, so it has no end")
        if name not in self._anchors:
            raise self._stop(line, f"*{name} refers to nothing; there is no &{name} above")
        if self._waits_for_key():
            raise self._stop(line, f"*{name} cannot be a key; write it out")
        tree = self._anchors[name]
        _, below, size = tree.mark
        self._copy(line, size)
        self._done(tree.value, (line, below, size), None)

    def _copy(self, line: int, size: int) -> None:
        self._copied += size
        if self._copied > COPIES:
            raise self._stop(line, f"the aliases stand for more than {COPIES} values; this is no manifest, but a bomb")

    def _scalar(self, event: Any) -> None:
        line = event.start_mark.line + 1
        value = self._value(event, line)
        if self._waits_for_key():
            self._key(event, value, line)
        else:
            self._done(value, (line, None, 1), event.anchor)

    def _value(self, event: Any, line: int) -> Any:
        tag = event.tag
        try:
            if tag is None:
                return resolve(event.value) if event.implicit[0] else event.value
            if tag == _PREFIX + "binary":
                return base64.b64decode(event.value).decode()
            if tag in [_PREFIX + name for name in ("int", "float", "bool", "null")]:
                return resolve(event.value)
            if tag not in ("!", _PREFIX + "str"):
                self._say(line, f"the tag {tag} is not known; leave it out, or quote the text")
        except (binascii.Error, UnicodeDecodeError):
            self._say(line, "this is no text in base64, as its tag !!binary says")
        except ValueError as error:
            self._say(line, f"{error}; quote it, or write another number")
        return event.value

    def _key(self, event: Any, value: Any, line: int) -> None:
        top = self._frames[-1]
        if value == MERGE and event.tag is None and event.implicit[0]:
            top.merges = True
            return
        if value is None:
            self._say(line, "a key is missing before the `:`, or it is null; quote it")
        key = key_name(value)
        if key in top.given:
            self._say(line, f"the key {key} is given twice, first in line {top.given[key]}; keep one")
        top.given.setdefault(key, line)
        top.key, top.key_line = key, line

    def _done(self, value: Any, mark: Mark, anchor: str | None) -> None:
        """Put a value that is complete where it belongs."""
        if anchor is not None:
            self._anchors[anchor] = Tree(value, mark)
        if not self._frames:
            if value is not None:
                self.trees.append(Tree(value, mark))
            return
        top = self._frames[-1]
        if top.merges:
            self._merge(top, value, mark)
            return
        _, below, size = mark
        top.size += size
        if isinstance(top.value, list) and isinstance(top.below, list):
            top.value.append(value)
            top.below.append(mark)
        elif isinstance(top.value, dict) and isinstance(top.below, dict) and top.key is not None:
            top.value[top.key] = value
            top.below[top.key] = (top.key_line, below, size)
            top.key = None

    def _merge(self, top: _Frame, value: Any, mark: Mark) -> None:
        """Merge what `<<` names: in the order of the text, as kubectl does; of a list the first counts most."""
        top.merges = False
        line, inner, _ = mark
        several = list(zip(value, inner, strict=True)) if isinstance(inner, list) else [(value, mark)]
        for one, (_, below, size) in reversed(several):
            if not (isinstance(one, dict) and isinstance(below, dict)):
                raise self._stop(line, "<< merges mappings; wanted an alias of one, or a list of such")
            self._copy(line, size)
            top.size += size
            assert isinstance(top.value, dict) and isinstance(top.below, dict)  # noqa: S101 - a key came before
            top.value.update(one)
            top.below.update(below)


def _syntax(source: str, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    said = error.problem or "not understood"
    begun = error.context_mark
    line = 0 if mark is None else mark.line + 1
    if begun is not None and begun.line + 1 != line:
        said = f"{said} ({error.context}, begun in line {begun.line + 1})"
    return Problem(source, line, "", f"this is no YAML: {said}")
