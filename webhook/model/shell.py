"""What a container's command line starts, as far as it can be read without running it.

A command line such as `tini -- sh -c "cron && exec web"` starts a program through others; `starts` gives the programs
behind them (`cron`, `web`). Shell scripts are read as far as words, quotes, lists, loops and here-documents go
(POSIX, Shell Command Language); what a variable or a substitution holds stays as it is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import re2

from webhook.model.record import record

Words = tuple[str, ...]

SHELLS = frozenset({"sh", "bash", "ash", "dash", "ksh", "zsh"})
# programs that run the program named behind their options: options with a value of their own, and words in between
_WRAPPERS: dict[str, tuple[frozenset[str], int]] = {
    "tini": (frozenset({"-p", "-e"}), 0),
    "tini-static": (frozenset({"-p", "-e"}), 0),
    "docker-init": (frozenset({"-p", "-e"}), 0),
    "dumb-init": (frozenset({"-r", "--rewrite"}), 0),
    "catatonit": (frozenset(), 0),
    "busybox": (frozenset(), 0),
    "exec": (frozenset({"-a"}), 0),
    "command": (frozenset(), 0),
    "env": (frozenset({"-u", "--unset", "-C", "--chdir"}), 0),
    "nohup": (frozenset(), 0),
    "setsid": (frozenset(), 0),
    "sudo": (frozenset({"-u", "-g", "-h", "-p"}), 0),
    "nice": (frozenset({"-n"}), 0),
    "ionice": (frozenset({"-c", "-n"}), 0),
    "stdbuf": (frozenset({"-i", "-o", "-e"}), 0),
    "setpriv": (
        frozenset({"--reuid", "--regid", "--groups", "--inh-caps", "--ambient-caps", "--bounding-set", "--securebits"}),
        0,
    ),
    "chroot": (frozenset(), 1),
    "setuidgid": (frozenset(), 1),
    "s6-setuidgid": (frozenset(), 1),
    "gosu": (frozenset(), 1),
    "su-exec": (frozenset(), 1),
}
_KEYWORDS = frozenset({"if", "then", "elif", "else", "fi", "do", "done", "while", "until", "{", "}", "!", "time"})
_TALK = frozenset({"date", "echo", "printf"})  # what keeps a log alive is no work
_DEEPEST = 8
_LONGEST = 16_384  # characters of a script that are read; what a person writes into a manifest is far shorter
_ASSIGNMENT = re2.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=(?s:.*)")
_DOCUMENT = re2.compile(r"(?:^|[^<])<<-?[ \t]*[\\'\"]?([A-Za-z_][A-Za-z0-9_]*)")
_TOKEN = re2.compile(
    r"(?P<quoted>'[^']*'|\"(?:[^\"\\]|\\(?s:.))*\"|`[^`]*`|\$\{[^}]*\}|\$#|\\(?s:.))"
    r"|(?P<redirect>&>>?|[0-9]*(?:<<<|<<-?|<>|>>|>\||[<>]&?))"
    r"|(?P<operator>\$\(|&&|\|\||;;|[;&|()\n])"
    r"|(?P<comment>#[^\n]*)"
    r"|(?P<blank>[ \t\r]+)"
    r"|(?P<run>[^\s'\"\\;&|()<>`$#][^\s'\"\\;&|()<>`$]*|(?s:.))"
)


@record(frozen=True, slots=True)
class Start:
    """One program that is started: its words, without what wraps it. `alone`: nothing else is started beside it.

    `idle` is a whole loop that does nothing but wait, for ever; its words are those of the loop.
    """

    words: Words
    alone: bool
    idle: bool = False

    @property
    def program(self) -> str:
        """The name of the program, without its directory."""
        return name(self.words[0])


@dataclass(slots=True)
class _Loop:
    """A loop while it is read. Not frozen, and that is its job: it lives in one call."""

    endless: bool
    commands: list[Words] = field(default_factory=list)


def name(word: str) -> str:
    """Return the name of a program, without its directory."""
    return word.rpartition("/")[2]


def plain(word: str) -> bool:
    """Say whether a command line that begins with a word starts the program of that name, and no other."""
    if not word or ("=" in word and word[0].isidentifier()):
        return False
    program = name(word)
    return program not in SHELLS and program not in _WRAPPERS


def starts(argv: Sequence[str], depth: int = 0) -> Iterator[Start]:
    """Yield the programs that a command line starts, in their order; scripts given by `sh -c` are looked into."""
    words = unwrapped(tuple(argv))
    script = _script(words)
    if not words or depth > _DEEPEST:
        return
    if script is None:
        yield Start(words, True)
        return
    commands, idle = read(script)
    for command in commands:
        for start in starts(command, depth + 1):
            yield Start(start.words, start.alone and len(commands) == 1, start.idle)
    for loop in idle:
        yield Start(loop, len(commands) == 0, True)


def unwrapped(words: Words) -> Words:
    """Return a command line without assignments, and without programs that only start another (`exec`, `tini --`)."""
    at, end = 0, len(words)
    while at < end:
        wrapper = _WRAPPERS.get(name(words[at]))
        if "=" in words[at] and words[at][0].isidentifier() and _ASSIGNMENT.fullmatch(words[at]):
            at += 1
        elif wrapper is None or (words[at] == "command" and words[at + 1 : at + 2] in (("-v",), ("-V",))):
            break
        else:
            valued, between = wrapper
            at += 1
            while at < end and words[at].startswith("-"):
                last, at = words[at], at + (2 if words[at] in valued else 1)
                if last == "--":
                    break
            at += between
    return words[at:]


def _script(words: Words) -> str | None:
    """Return the script behind `sh -c`, or None where the command line is something else."""
    if not words or name(words[0]) not in SHELLS:
        return None
    given, at = False, 1
    while at < len(words) and words[at][:1] in ("-", "+") and len(words[at]) > 1:
        short = words[at][1:] if words[at][:2] != "--" else ""
        given = given or "c" in short
        at += 2 if short[-1:] in ("o", "O") else 1
    return words[at] if given and at < len(words) else None


def read(script: str) -> tuple[list[Words], list[Words]]:
    """Return the simple commands of a shell script, and its loops that only wait, each once.

    Only the beginning of a very long script is read. Commands inside such a loop are not among the commands, nor are
    the pauses of a loop that does something. Names of functions and patterns of `case` are no commands.
    """
    reader = _Reader()
    for match in _TOKEN.finditer(_without_documents(script[:_LONGEST])):
        reader.take(match.lastgroup or "run", match[0])
    reader.finish()
    return reader.commands, reader.idle


def _without_documents(script: str) -> str:
    """Return a script without the lines of its here-documents, whose words are no commands."""
    if "<<" not in script:
        return script
    kept: list[str] = []
    waiting: list[str] = []
    for line in script.split("\n"):
        if waiting:
            if line.strip() == waiting[0]:
                del waiting[0]
        else:
            kept.append(line)
            waiting = [match[1] for match in _DOCUMENT.finditer(line)]
    return "\n".join(kept)


class _Reader:
    """Reads tokens one by one into commands. It lives for one script, in `read`."""

    def __init__(self) -> None:
        self.commands: list[Words] = []
        self.idle: list[Words] = []
        self._words: list[str] = []
        self._piece: str | None = None
        self._open: list[list[str] | None] = []  # for each ( : the words around it, None for a subshell
        self._loops: list[_Loop] = []
        self._target = ""  # the redirection whose target is the next word
        self._cases = 0
        self._pattern = False  # what is read is a pattern of `case`, up to its )

    def take(self, kind: str, text: str) -> None:
        """Read one token."""
        if text == "\\\n":
            return  # the line goes on
        if kind in ("quoted", "run"):
            self._piece = (self._piece or "") + _plain(text)
        elif kind == "comment" and self._piece is not None:
            self._piece += text
        elif kind == "redirect":
            self._close()
            self._target = text
        elif kind == "operator":
            self._operate(text)
        else:
            self._close()

    def end(self, operator: str) -> None:
        """Close the word and the command that are being read."""
        self._close()
        words, self._words = self._words, []
        if words[:1] == ["case"] or words[:1] == ["esac"]:
            self._cases += 1 if words[0] == "case" else -1
            self._pattern = words[0] == "case" and operator != ")"
        elif self._pattern:
            self._pattern = operator != ")"
        elif operator != "(":  # that would be the name of a function
            self._command(words)
        if operator == ";;" and self._cases > 0:
            self._pattern = True

    def finish(self) -> None:
        """Close what is still open: the last command, and loops without an end."""
        self.end("\n")
        for loop in self._loops:
            self.commands += loop.commands

    def _command(self, words: list[str]) -> None:
        while words and words[0] in _KEYWORDS:
            self._keyword(words.pop(0))
        if words[:1] == ["for"] or words[:1] == ["select"]:
            self._loops.append(_Loop(False))
        elif words and words[0] != "function":
            (self._loops[-1].commands if self._loops else self.commands).append(tuple(words))

    def _operate(self, operator: str) -> None:
        if operator == "$(":
            self._open.append([*self._words, self._piece or ""])
            self._words, self._piece = [], None
        elif operator == "(" and (self._piece or "").endswith("="):
            self._open.append([*self._words, self._piece or ""])
            self._words, self._piece = ["echo"], None  # the elements of an array are no commands
        elif operator == "(":
            self.end("(")
            self._open.append(None)
        elif operator == ")" and self._open:
            self.end(")")
            around = self._open.pop()
            if around is not None:
                *self._words, piece = around
                self._piece = piece + "$()"
        else:
            self.end(operator)

    def _close(self) -> None:
        if self._piece is None:
            return
        if not self._target:
            self._words.append(self._piece)
        self._piece, self._target = None, ""

    def _keyword(self, word: str) -> None:
        if word in ("while", "until"):
            self._loops.append(_Loop(True))
        elif word == "do" and self._loops:
            loop = self._loops[-1]
            loop.endless = loop.endless and all(_constant(command) for command in loop.commands)
        elif word == "done" and self._loops:
            loop = self._loops.pop()
            if loop.endless and all(map(_waits, loop.commands)) and any(c[0] == "sleep" for c in loop.commands):
                pauses = "; ".join(" ".join(command) for command in loop.commands if command[0] == "sleep")
                self.idle.append(("while", "true;", "do", f"{pauses};", "done"))
            else:
                works = not all(_waits(command) or command[0] in _TALK for command in loop.commands)
                kept = (command for command in loop.commands if not (works and _pauses(command)))
                (self._loops[-1].commands if self._loops else self.commands).extend(kept)


def _constant(command: Words) -> bool:
    """Say whether a condition of `while` never changes: `true`, `[ 1 ]`, or a pause."""
    return name(command[0]) in ("true", ":", "false", "sleep") or command in (
        ("[", "1", "]"),
        ("[", "true", "]"),
        ("[[", "1", "]]"),
    )


def _pauses(command: Words) -> bool:
    """Say whether a command is a pause that ends: between two rounds of work it is none of what a script starts."""
    return command[0].rpartition("/")[2] == "sleep" and not {"infinity", "inf"} & set(command)


def _waits(command: Words) -> bool:
    return _constant(command) or command[0] == "wait"


def _plain(piece: str) -> str:
    """Return a piece of a word without its quotes."""
    if piece[0] == "\\":
        return piece[1:].removeprefix("\n")
    if len(piece) > 1 and piece[0] in "'\"" and piece[-1] == piece[0]:
        return piece[1:-1]
    return piece
