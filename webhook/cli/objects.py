"""From paths to Kubernetes objects, each knowing its file and lines."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from webhook.cli import jsontext, yamltext
from webhook.cli.marks import Mark, Tree, find
from webhook.errors import ConfigError, Problem
from webhook.model import pointer as pointers
from webhook.model.record import record
from webhook.model.review import clean

STDIN = "-"
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
            inner = list(within(name))
        except ConfigError as error:
            problems += error.problems
            continue
        manifests += [manifest for manifest in inner if manifest is not None]
        strangers += inner.count(None)
    return Found(tuple(manifests), strangers, tuple(problems))


def within(name: str) -> Iterator[Manifest | None]:
    """Yield the objects in a file as they are read, None for a document that is none.

    Raises ConfigError where anything in it cannot be read, at the end: what was yielded before is then not to be used.
    """
    shown = "stdin" if name == STDIN else name
    for tree in parse(shown, text(name)):
        yield from _unlisted(shown, tree)


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
    shown = "stdin" if name == STDIN else name
    try:
        if name == STDIN:
            data = sys.stdin.buffer.read(SIZE + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(SIZE + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise ConfigError([Problem(shown, 0, "", f"cannot be read: {reason}")]) from error
    if len(data) > SIZE:
        raise ConfigError([Problem(shown, 0, "", f"too large; at most {SIZE} bytes are read; split it")])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(shown, line, "", "this is not UTF-8; save it as UTF-8")]) from error


def parse(name: str, content: str) -> Iterable[Tree]:
    """Return the documents in a text that is YAML or JSON. Raises ConfigError with file and line, at the end.

    As kubectl, what begins with `{` is taken for JSON, and for YAML where that fails.
    """
    if not content.lstrip().startswith("{"):
        return yamltext.trees(name, content)
    try:
        return jsontext.trees(name, content)
    except ConfigError as error:
        try:
            return list(yamltext.trees(name, content))
        except ConfigError:
            raise error from None


def _is_list(value: Any) -> bool:
    kind = value.get("kind") if isinstance(value, dict) else None
    return isinstance(kind, str) and kind.endswith("List") and isinstance(value.get("items"), list)


def _unlisted(name: str, tree: Tree) -> Iterator[Manifest | None]:
    """Yield the objects in a document: itself, or the items of a list (`List`, or `PodList` as the API gives it).

    What is no object is None.
    """
    value: Any = tree.value
    if not _is_list(value):
        yield Manifest(name, clean(value), tree.mark) if _is_object(value) else None
        return
    kind = value["kind"].removesuffix("List")
    head = {"apiVersion": value.get("apiVersion"), "kind": kind} if kind else {}
    for index, item in enumerate(value["items"]):
        mark = find(tree.mark, ["items", str(index)])
        yield from _unlisted(name, Tree({**head, **item} if isinstance(item, dict) else item, mark))


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(value.get(key), str) and value[key] for key in ("apiVersion", "kind")
    )
