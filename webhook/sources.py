"""Files, directories, globs and stdin as texts with names; and the packs that come with Plimsoll."""

from __future__ import annotations

import glob
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from webhook.errors import ConfigError, Problem
from webhook.model.record import record
from webhook.packs.parse import SIZE

STDIN = "-"
SHIPPED = "shipped:"
"""What begins the name of a pack that comes with Plimsoll, where a path is wanted: `shipped:cost`."""
_ENDINGS = (".yaml", ".yml")
_TESTS = (".test.yaml", ".test.yml")


@record(frozen=True, slots=True)
class Source:
    """A text, and its name as errors show it: the path as it was given, `stdin` for `-`."""

    name: str
    text: str


def read(paths: Sequence[str], *, limit: int = SIZE) -> list[Source]:
    """Return the texts at `paths`, in their order, each file once.

    A directory stands for its own *.yaml and *.yml files, sorted, without *.test.yaml and hidden ones (a
    mounted ConfigMap keeps second copies in hidden directories); a glob for what it matches, without tests;
    `shipped:NAME` for the pack of that name that comes with Plimsoll.
    `limit` is in bytes. Raises ConfigError with everything that is missing, unreadable, too large, not UTF-8.
    """
    problems: list[Problem] = []
    found: dict[Path, Source] = {}
    for given in paths:
        for name in _expanded(given, problems):
            key = _identity(name)
            if key not in found:
                source = _source(name, limit, problems)
                if source is not None:
                    found[key] = source
    if problems:
        raise ConfigError(problems)
    return list(found.values())


def shipped() -> list[Path]:
    """Return the packs that come with Plimsoll, sorted: in the installed package, or in the source tree.

    Raises ConfigError where the installation has none.
    """
    package = Path(__file__).parent
    for directory in (package / "policies", package.parent / "policies"):
        if directory.is_dir():
            packs = [path for path in sorted(directory.iterdir()) if _is_pack(path)]
            if packs:
                return packs
    text = "this installation has no packs of its own; name some by --policies, or install Plimsoll again"
    raise ConfigError([Problem(str(package / "policies"), 0, "", text)])


def _is_pack(path: Path) -> bool:
    name = path.name
    hidden = name.startswith(".")
    return (
        name.endswith(_ENDINGS) and not name.endswith(_TESTS) and not hidden and (path.is_file() or not path.exists())
    )


def _expanded(given: str, problems: list[Problem]) -> Iterator[str]:
    """Yield the names of the files that one path stands for."""
    if given == STDIN:
        yield given
        return
    if given.startswith(SHIPPED):
        yield from _named(given, problems)
        return
    try:
        path = Path(given)
        if not glob.has_magic(given) or path.exists():
            yield from _files(path, problems)
            return
        matches = [Path(name) for name in sorted(glob.glob(given, recursive=True))]  # noqa: PTH207 - absolute ones too
    except (OSError, ValueError) as error:
        problems.append(Problem(given, 0, "", f"cannot be read: {_reason(error)}"))
        return
    matches = [match for match in matches if match.is_dir() or not match.name.endswith(_TESTS)]
    if not matches:
        problems.append(Problem(given, 0, "", "no file matches; wanted a file, a directory, a glob, or - for stdin"))
    for match in matches:
        yield from _files(match, problems)


def _named(given: str, problems: list[Problem]) -> Iterator[str]:
    packs = {path.stem: path for path in shipped()}
    found = packs.get(given.removeprefix(SHIPPED))
    if found is None:
        problems.append(Problem(given, 0, "", f"Plimsoll comes with no such pack; there are: {', '.join(packs)}"))
    else:
        yield str(found)


def _files(path: Path, problems: list[Problem]) -> Iterator[str]:
    if not path.is_dir():
        yield str(path)
        return
    names = [str(inner) for inner in sorted(path.iterdir()) if _is_pack(inner)]
    if not names:
        problems.append(Problem(str(path), 0, "", "this directory holds no *.yaml or *.yml file"))
    yield from names


def _identity(name: str) -> Path:
    """Return what tells that two names mean one file."""
    try:
        return Path(name) if name == STDIN else Path(name).resolve()
    except (OSError, RuntimeError, ValueError):  # links in a circle, a NUL: reading it will say so
        return Path(name)


def _source(name: str, limit: int, problems: list[Problem]) -> Source | None:
    shown = "stdin" if name == STDIN else name
    try:
        if name == STDIN:
            data = sys.stdin.buffer.read(limit + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(limit + 1)
    except (OSError, ValueError) as error:
        problems.append(Problem(shown, 0, "", f"cannot be read: {_reason(error)}"))
        return None
    if len(data) > limit:
        problems.append(Problem(shown, 0, "", f"too large; at most {limit} bytes are read; split it"))
        return None
    try:
        return Source(shown, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        text = f"not UTF-8: byte 0x{data[error.start]:02x} in column {_column(data, error.start)}; save it as UTF-8"
        problems.append(Problem(shown, line, "", text))
        return None


def _column(data: bytes, position: int) -> int:
    return position - (data.rfind(b"\n", 0, position) + 1) + 1


def _reason(error: OSError | ValueError) -> str:
    """Return the operating system's words, `No such file or directory`, without number and path."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
