"""Follows the pages of docs/ that show commands, as a reader does from a clone, and compares what is printed.

    python docs/follow.py [--update] [PAGE...]

Without PAGE, every page with a `console` block is followed. A page is one session of `sh`. Those of docs/ itself, which
tell how Plimsoll is installed, begin in the root of the clone; all others in an empty directory, with the `plimsoll`
of the clone on the path:

- A block with a title, such as ```` ```yaml title="acme.yaml" ````, is a file that the reader writes, from the
  directory in which the session is at that place.
- In a `console` block a line that begins with `$ ` is a command, run as it stands; what follows up to the next is all
  that it prints, stdout and stderr. `...` in such a line stands for any text; a line of `...` alone stands for itself.

Exit: 0 all is as the pages say; 1 something else was printed, shown as a diff; 2 wrong use. With `--update` what
was printed is written into the pages: read the difference before you commit it.

It needs nothing but Python, so that a page may begin with how Plimsoll is installed.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FENCE = re.compile(r'^```(\w*)(?: title="([^"\n]+)")?[^\n]*\n(.*?)^```$', re.MULTILINE | re.DOTALL)
MARK = "--- end of step"
ANY = "..."
MINUTES = 10
"""How long a page may take: installing is the longest of it. It ends a command that hangs, and proves nothing."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a page, and what it prints there: `text[start:end]` of the page."""

    line: int
    command: str
    start: int
    end: int


def steps(text: str) -> list[Step]:
    """Return the steps of a page in order. Raises ValueError where a console block begins with no command."""
    found: list[Step] = []
    for fence in FENCE.finditer(text):
        language, title, body = fence.groups()
        if title:
            found.append(_file(text, fence, title, body))
        elif language == "console":
            found += _commands(text, fence.start(3), body)
    return found


def _file(text: str, fence: re.Match[str], title: str, body: str) -> Step:
    path = shlex.quote(title)
    command = f"mkdir -p \"$(dirname {path})\" && cat > {path} <<'{MARK}'\n{body}{MARK}"
    return Step(_line(text, fence.start()), command, fence.end(), fence.end())


def _commands(text: str, offset: int, body: str) -> Iterator[Step]:
    begins = [match.start() for match in re.finditer(r"^\$ ", body, re.MULTILINE)]
    if not begins or begins[0]:
        raise ValueError(f"line {_line(text, offset)}: a console block has to begin with a command: $ ...")
    for begin, end in zip(begins, [*begins[1:], len(body)], strict=True):
        command, _, _ = body[begin:end].removeprefix("$ ").partition("\n")
        start = begin + len("$ ") + len(command) + 1
        yield Step(_line(text, offset + begin), command, offset + start, offset + end)


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def follow(todo: Sequence[Step], clone: bool) -> list[str]:
    """Run steps in one shell that begins in the `clone`, or in an empty directory; return what each printed.

    What is returned is shorter than `todo` where the shell ended before.
    """
    # the status goes on, so that a page may ask for it by `echo $?`
    after = f"\nstatus=$?; printf '\\n%s\\n' '{MARK}'; (exit $status)\n"
    with tempfile.TemporaryDirectory(prefix="plimsoll-") as directory:
        script = Path(directory) / "script"
        script.write_text("".join(step.command + after for step in todo), encoding="utf-8")
        made = Path(directory) / "made"
        made.mkdir()
        run = subprocess.run(
            ["sh", str(script)],
            cwd=ROOT if clone else made,
            env=_environment(made, clone),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=MINUTES * 60,
            check=False,
        )
    *printed, rest = run.stdout.decode().split(f"\n{MARK}\n")
    return printed if len(printed) == len(todo) else [*printed, rest]


def _environment(made: Path, clone: bool) -> dict[str, str]:
    # what `make` hands down makes another `make` say which directory it enters
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PLIMSOLL_"))}
    if not clone:
        ours["PATH"] = os.pathsep.join([str(ROOT / ".venv" / "bin"), ours["PATH"]])
    # unbuffered, so that stdout and stderr come in the order in which a terminal has them
    return {**ours, "TMPDIR": str(made), "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}


def fits(wanted: str, line: str) -> bool:
    """Say whether a line is what the page wants, where `...` is any text."""
    if ANY not in wanted or wanted.strip() == ANY:
        return wanted == line
    return re.fullmatch(".*".join(re.escape(part) for part in wanted.split(ANY)), line) is not None


def same(wanted: str, printed: str) -> bool:
    """Say whether what was printed is what the page wants, line by line."""
    one, other = wanted.splitlines(), printed.splitlines()
    return len(one) == len(other) and all(map(fits, one, other))


def renewed(wanted: str, printed: str) -> str:
    """Return what was printed, with those lines of the page that still fit and have a `...`."""
    loose = [line for line in wanted.splitlines() if ANY in line]
    lines = (next((old for old in loose if fits(old, line)), line) for line in printed.splitlines())
    return "".join(f"{line}\n" for line in lines)


def check(page: Path, update: bool) -> bool:
    """Follow a page, and print or write what differs; return whether it is as it should be."""
    text = page.read_text(encoding="utf-8")
    todo = steps(text)
    printed = follow(todo, page.resolve().parent == HERE)
    differing = [(step, said) for step, said in zip(todo, printed, strict=False) if not same(_wanted(text, step), said)]
    if len(printed) < len(todo):
        print(f"{page}:{todo[len(printed) - 1].line}: the shell ended here, before the page did:\n{printed[-1]}")
        return False
    if update:
        for step, said in reversed(differing):
            text = text[: step.start] + renewed(_wanted(text, step), said) + text[step.end :]
        page.write_text(text, encoding="utf-8")
        return True
    for step, said in differing:
        print(f"{page}:{step.line}: $ {step.command}")
        wanted = _wanted(text, step).splitlines()
        print("\n".join(difflib.unified_diff(wanted, said.splitlines(), "the page", "printed", lineterm="")))
    return not differing


def _wanted(text: str, step: Step) -> str:
    return text[step.start : step.end]


def pages() -> list[Path]:
    """Return the pages that show commands, first those that tell how Plimsoll is installed."""
    found = [page for page in HERE.rglob("*.md") if "\n```console\n" in page.read_text(encoding="utf-8")]
    return sorted(found, key=lambda page: (page.parent != HERE, page))


def main(argv: Sequence[str] | None = None) -> int:
    """Follow pages; return 0, 1 or 2."""
    parser = argparse.ArgumentParser(description="Follows the pages of docs/ that show commands.")
    parser.add_argument("--update", action="store_true", help="write what is printed into the pages")
    parser.add_argument("pages", nargs="*", type=Path, metavar="PAGE", help="default: all with a console block")
    args = parser.parse_args(argv)
    good = True
    for page in args.pages or pages():
        try:
            well = check(page, args.update)
        except ValueError as error:
            print(f"{page}: {error}", file=sys.stderr)
            return 2
        print(f"{page}: {('written' if args.update else 'as it says') if well else 'something else than it says'}")
        good &= well
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
