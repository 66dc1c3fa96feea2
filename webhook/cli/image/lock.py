"""The lock file as text: written anew, and renewed in place, so that all that did not change stays byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from webhook.cli.emit import yaml_text
from webhook.errors import ConfigError, Problem
from webhook.model import image, lock
from webhook.model.image import Image
from webhook.model.lock import Entry
from webhook.model.oci import Content
from webhook.packs.parse import Document, documents
from webhook.packs.walk import walk

HEAD = """\
# What these images were on the days named, asked of their registries by `plimsoll images lock`: digests, and the
# digests of the layers for each platform. A rule with the check approved-base takes the images for approved bases by
# its parameter `locks`. Renew this file by `plimsoll images lock --update FILE`; what did not change stays as it is.
"""


@dataclass(frozen=True, slots=True)
class Held:
    """An entry of a file that is there, and its lines: from `start` to before `end`, counted from 0."""

    entry: Entry
    start: int
    end: int

    @property
    def image(self) -> Image:
        """The image that was locked."""
        return image.parse(self.entry.image)


@dataclass(frozen=True, slots=True)
class File:
    """A lock file as it is: its name, its lines with their ends, how far entries are indented, and the entries."""

    name: str
    lines: tuple[str, ...]
    indent: int
    held: tuple[Held, ...]

    @property
    def current(self) -> Mapping[Image, Held]:
        """The entry that counts for each image: of several the first; those below it are what it was before."""
        found: dict[Image, Held] = {}
        for one in self.held:
            found.setdefault(one.image, one)
        return found

    @property
    def moving(self) -> list[Image]:
        """The images whose reference may stand for something else by now: those without a digest."""
        return [image for image in self.current if not image.digest]


@dataclass(frozen=True, slots=True)
class Renewed:
    """A lock file as it is to be written, and what is said of each of its images."""

    text: str
    said: tuple[str, ...]
    changed: bool


def entries(contents: Mapping[Image, Content], today: date) -> list[Entry]:
    """Return what is locked of some images, sorted. Raises ConfigError for those without layers."""
    found, problems = [], []
    for named, content in contents.items():
        try:
            found.append(lock.entry(str(named), content, today))
        except ValueError as error:
            problems.append(Problem(str(named), 0, "", str(error)))
    if problems:
        raise ConfigError(problems)
    return sorted(found, key=lambda one: one.image)


def text(locked: Iterable[Entry]) -> str:
    """Return a lock file with these entries."""
    document = {"apiVersion": lock.API_VERSION, "kind": lock.KIND, "images": [lock.dump(one) for one in locked]}
    return HEAD + yaml_text(document)


def read(name: str, content: str) -> File:
    """Return a lock file. Raises ConfigError with every mistake and its line."""
    found = documents(name, content)
    if len(found) != 1:
        said = f"holds {len(found) or 'no'} documents; wanted exactly one with kind: {lock.KIND}"
        raise ConfigError([Problem(name, 0, "", said)])
    document = found[0]
    problems = list(walk(document, (), document.value, lock.FILE))
    if problems:
        raise ConfigError(problems)
    for number, value in enumerate(document.value["images"]):
        if "@" in value["image"] and not value["image"].endswith(f"@{value['digest']}"):
            said = f"{value['digest']} is not what {value['image']} names; lock it anew"
            problems.append(document.problem(("images", number, "digest"), said))
    lines = tuple((content if content.endswith("\n") else content + "\n").splitlines(keepends=True))
    held = []
    for number, value in enumerate(document.value["images"]):
        try:
            held.append(_held(document, number, lock.parse(value), lines))
        except ValueError as error:
            problems.append(document.problem(("images", number), str(error)))
    if problems:
        raise ConfigError(problems)
    return File(name, lines, document.value_place(("images", 0)).column - 1 - len("- "), tuple(held))


def renew(file: File, locked: Sequence[Entry], keep: bool) -> Renewed:
    """Return a lock file with these entries in place of those of the same images, others added in their order.

    An entry that says the same but for its day is left as it is. With `keep` what an image was before stays below.
    """
    lines, said, changed = list(file.lines), [], False
    latest = {image.parse(entry.image): entry for entry in locked}
    current = file.current
    for named, held in sorted(current.items(), key=lambda pair: -pair[1].start):
        entry = latest.get(named)
        if entry is None or entry.same == held.entry.same:
            said.append(f"{named}: unchanged, {held.entry.digest}{_since(held.entry)}")
            continue
        lines[held.start : held.start if keep else held.end] = _block(entry, file.indent)
        said.append(f"{named}: changed from {held.entry.digest}{_since(held.entry)} to {entry.digest}")
        changed = True
    for named, entry in latest.items():
        if named not in current:
            file = read(file.name, "".join(lines))
            lines[_place(file, entry) : _place(file, entry)] = _block(entry, file.indent)
            said.append(f"{named}: added, {entry.digest}")
            changed = True
    return Renewed("".join(lines), tuple(sorted(said)), changed)


def _held(document: Document, number: int, entry: Entry, lines: Sequence[str]) -> Held:
    """Return an entry with its lines. Raises ValueError where it doesn't have lines of its own."""
    place = ("images", number)
    start = document.value_place(place)
    ends = [at.line for path, at in document.starts.items() if path[:2] == place]
    head = lines[start.line - 1][: start.column - 1]
    if head.strip() != "-" or not head.endswith("- ") or not lines[max(ends) - 1].strip():
        raise ValueError("is not written as `plimsoll images lock` writes it; wanted an entry on lines of its own")
    return Held(entry, start.line - 1, max(ends))


def _block(entry: Entry, indent: int) -> list[str]:
    """Return the lines of an entry, indented as the file's are."""
    written = yaml_text([lock.dump(entry)]).splitlines(keepends=True)
    return [" " * indent + line for line in written]


def _place(file: File, entry: Entry) -> int:
    """Return the line before which an entry belongs: that of the first image behind it in the alphabet, or the end."""
    behind = [held.start for held in file.held if held.entry.image > entry.image]
    return behind[0] if behind else file.held[-1].end


def _since(entry: Entry) -> str:
    return f" (locked {entry.locked})" if entry.locked else ""
