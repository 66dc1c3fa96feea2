"""What a file was and would be, as a unified diff that `patch -p0` takes."""

from __future__ import annotations

import difflib

_COLOURS = {"---": "1", "+++": "1", "@@": "36", "-": "31", "+": "32"}
_NO_END = "\n\\ No newline at end of file\n"


def unified(name: str, before: str, after: str, colour: bool) -> str:
    """Return the differences of two texts, with three lines around each; "" where there are none."""
    lines = difflib.unified_diff(_lines(before), _lines(after), name, name)
    return "".join(_painted(line if line.endswith("\n") else line + _NO_END, colour) for line in lines)


def _lines(text: str) -> list[str]:
    # at \n alone, as diff and patch: YAML has more line breaks, and Python's splitlines more still
    *lines, last = text.split("\n")
    return [*(f"{line}\n" for line in lines), *([last] if last else [])]


def _painted(line: str, colour: bool) -> str:
    code = next((code for mark, code in _COLOURS.items() if line.startswith(mark)), "")
    if not colour or not code:
        return line
    return f"\033[{code}m{line[:-1]}\033[0m\n"
