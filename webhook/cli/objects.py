"""From paths to Kubernetes objects, each knowing its file and lines."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from webhook.cli import jsontext, yamltext
from webhook.cli.marks import Mark, Tree, find
from webhook.errors import ConfigError, Problem
from webhook.model import pointer as pointers
from webhook.model.record import record
from webhook.model.review import clean

STDIN = "-"
SHOWN = "stdin"
SIZE = 32 * 2**20
"""Bytes that one file may have."""
ENDINGS = (".yaml", ".yml", ".json")


@record(frozen=True, slots=True)
class Manifest:
    """One Kubernetes object as a person wrote it, without null members, as the API server reads it."""

    file: str
    value: dict[str, Any]
    mark: Mark

    @property
    def source(self) -> str:
        """Return where it begins: `deploy.yaml:12`."""
        return f"{self.file}:{self.mark[0]}"

    def line(self, pointer: str) -> int:
        """Return the line of what a JSON pointer names, or of the nearest part around it that is there."""
        return find(self.mark, pointers.split(pointer))[0]

    def place(self, pointer: str) -> tuple[int, str]:
        """Return the line as `line` does, and the key that stands there; '' where it is no member of a mapping."""
        mark, key = self.mark, ""
        for token in pointers.split(pointer):
            below = find(mark, [token])
            if below is mark:
                break
            key = token if isinstance(mark[1], dict) else ""
            mark = below
        return mark[0], key


class Document(NamedTuple):
    """One document of a file: its value, and its objects, each with its pointer; None for what is no object."""

    value: Any
    inside: tuple[tuple[str, Manifest | None], ...]


@record(frozen=True, slots=True)
class Found:
    """What was found at paths: the objects in order, how many documents are none, and what could not be read."""

    manifests: tuple[Manifest, ...]
    strangers: int
    problems: tuple[Problem, ...]


def read(paths: Sequence[str]) -> Found:
    """Return the objects at `paths`: files, directories with all below them, globs, `-` for stdin; each file once."""
    problems: list[Problem] = []
    manifests: list[Manifest] = []
    strangers = 0
    for name in files(paths, ENDINGS, problems):
        try:
            inner = list(within(name, text(name)))
        except ConfigError as error:
            problems += error.problems
            continue
        manifests += [manifest for manifest in inner if manifest is not None]
        strangers += inner.count(None)
    return Found(tuple(manifests), strangers, tuple(problems))


def within(name: str, content: str) -> Iterator[Manifest | None]:
    """Yield the objects in the text of a file as they are read, None for a document that is none.

    Raises ConfigError where anything in it cannot be read, at the end: what was yielded before is then not to be used.
    """
    for _, inside in documents(shown(name), content)[1]:
        yield from (manifest for _, manifest in inside)


def shown(name: str) -> str:
    """Return what a file is called where a person reads it."""
    return SHOWN if name == STDIN else name


def documents(name: str, content: str) -> tuple[bool, Iterator[Document]]:
    """Return whether a text is JSON (else it is YAML), and its documents as they are read.

    Raises ConfigError as `parse`.
    """
    json, trees = _read(name, content)
    return json, (Document(tree.value, tuple(_unlisted(name, tree))) for tree in trees)


def files(paths: Iterable[str], endings: tuple[str, ...], problems: list[Problem]) -> list[str]:
    """Return the files that paths stand for, each once; those in directories by their ending. Notes what is missing."""
    found: dict[str, str] = {}
    for given in paths:
        names = list(_expanded(given, endings, problems))
        for name in names:
            found.setdefault(name if name == STDIN else os.path.realpath(name), name)
    return list(found.values())


def _expanded(given: str, endings: tuple[str, ...], problems: list[Problem]) -> Iterator[str]:
    if given == STDIN:
        yield given
        return
    matches = [given]
    if glob.has_magic(given) and not Path(given).exists():
        matches = sorted(glob.glob(given, recursive=True))  # noqa: PTH207 - pathlib's takes no absolute patterns
        if not matches:
            problems.append(Problem(given, 0, "", "no file matches"))
    for match in matches:
        if not Path(match).is_dir():
            yield match
            continue
        inside = list(_inside(match, endings))
        if not inside and match == given:
            text = f"this directory holds no {', '.join('*' + ending for ending in endings)} file"
            problems.append(Problem(given, 0, "", text))
        yield from inside


def _inside(directory: str, endings: tuple[str, ...]) -> Iterator[str]:
    for place, directories, names in os.walk(directory):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            if name.endswith(endings) and not name.startswith(".") and (path.is_file() or not path.exists()):
                yield str(path)  # no pipe, that would wait; a link to nothing is told when it is read


def text(name: str) -> str:
    """Return what a file holds (`-`: stdin). Raises ConfigError where it cannot be read, or is too large."""
    return decoded(name, data(name))


def data(name: str) -> bytes:
    """Return the bytes of a file (`-`: stdin). Raises ConfigError where it cannot be read, or is too large."""
    try:
        if name == STDIN:
            found = _stdin(sys.stdin)
        else:
            with Path(name).open("rb") as file:
                found = file.read(SIZE + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigError([Problem(shown(name), 0, "", f"cannot be read: {reason}")]) from error
    if len(found) > SIZE:
        raise ConfigError([Problem(shown(name), 0, "", f"too large; at most {SIZE} bytes are read; split it")])
    return found


def decoded(name: str, found: bytes) -> str:
    """Return the text of a file from its bytes, without a byte order mark. Raises ConfigError where it is not UTF-8."""
    try:
        return found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = found.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(shown(name), line, "", "this is not UTF-8; save it as UTF-8")]) from error


def again(shown: str) -> str:
    """Return the text of a file by the name that a manifest has; that of stdin as it was read."""
    return text(STDIN if shown == SHOWN and _stdin.cache_info().currsize else shown)


@lru_cache(maxsize=1)
def _stdin(stream: TextIO) -> bytes:
    """Return what stands on stdin; it can be read once, and is shown again in a report."""
    return stream.buffer.read(SIZE + 1)


def parse(name: str, content: str) -> Iterable[Tree]:
    """Return the documents in a text that is YAML or JSON. Raises ConfigError with file and line, at the end.

    As kubectl, what begins with `{` is taken for JSON, and for YAML where that fails.
    """
    return _read(name, content)[1]


def _read(name: str, content: str) -> tuple[bool, Iterable[Tree]]:
    if not content.lstrip().startswith("{"):
        return False, yamltext.trees(name, content)
    try:
        return True, jsontext.trees(name, content)
    except ConfigError as error:
        try:
            return False, list(yamltext.trees(name, content))
        except ConfigError:
            raise _template(name, content) or error from None


def _template(name: str, content: str) -> ConfigError | None:
    """Return that a text which begins with `{{` or `{%` is a template; None for another."""
    begin = content.lstrip()
    if not begin.startswith(("{{", "{%")):
        return None
    line = content[: len(content) - len(begin)].count("\n") + 1
    text = "this is a template and no plain YAML or JSON; give what it is made into, as by helm template"
    return ConfigError([Problem(name, line, "", text)])


def _is_list(value: Any) -> bool:
    kind = value.get("kind") if isinstance(value, dict) else None
    return isinstance(kind, str) and kind.endswith("List") and isinstance(value.get("items"), list)


def _unlisted(name: str, tree: Tree, base: str = "") -> Iterator[tuple[str, Manifest | None]]:
    """Yield the objects in a document: itself, or the items of a list (`List`, or `PodList` as the API gives it).

    Each has the pointer from the document's root before it. What is no object is None.
    """
    value: Any = tree.value
    if not _is_list(value):
        yield base, Manifest(name, clean(value), tree.mark) if _is_object(value) else None
        return
    kind = value["kind"].removesuffix("List")
    head = {"apiVersion": value.get("apiVersion"), "kind": kind} if kind else {}
    for index, item in enumerate(value["items"]):
        inner = Tree({**head, **item} if isinstance(item, dict) else item, find(tree.mark, ["items", str(index)]))
        yield from _unlisted(name, inner, pointers.join(base, "items", index))


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(value.get(key), str) and value[key] for key in ("apiVersion", "kind")
    )
