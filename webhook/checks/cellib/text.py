"""CEL text as tokens, and edits of it that remember where the author wrote what.

Grammar: https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax. Text that the scanner
does not know becomes one-character tokens; the binding's parser then refuses it with its own words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

SCANNER = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<raw>(?:[rR][bB]?|[bB][rR])(?:\"\"\"[\s\S]*?\"\"\"|'''[\s\S]*?'''|"[^"\n]*"|'[^'\n]*'))
    |(?P<string>[bB]?(?:\"\"\"(?:\\[\s\S]|[^\\])*?\"\"\"|'''(?:\\[\s\S]|[^\\])*?'''
        |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*|`[^`\n]*`)
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?[uU]?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
    |(?P<sign>[\s\S])""",
    re.VERBOSE,
)
ESCAPE = re.compile(r"\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|([\s\S]))")
PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
OPEN, CLOSE = "([{", ")]}"


class Token(NamedTuple):
    """A piece of CEL: `kind` is name, string, number or sign; `start` and `end` are offsets."""

    kind: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Replace the text from `start` to `end` (offsets) by `text`."""

    start: int
    end: int
    text: str


def scan(text: str) -> tuple[Token, ...]:
    """Return the tokens of the text without blanks and comments."""
    found: list[Token] = []
    for match in SCANNER.finditer(text):
        kind = str(match.lastgroup)
        if kind != "space":
            found.append(Token("string" if kind == "raw" else kind, match.group(), match.start(), match.end()))
    return tuple(found)


def depth(tokens: Sequence[Token]) -> int:
    """Return how deeply brackets are nested."""
    deepest = level = 0
    for token in tokens:
        if token.kind == "sign":
            level += (token.text in OPEN) - (token.text in CLOSE)
            deepest = max(deepest, level)
    return deepest


def literal(token: Token) -> str | None:
    """Return the value of a string literal, None where the token is none (bytes are none either)."""
    if token.kind != "string":
        return None
    quote = min(index for index, character in enumerate(token.text) if character in "'\"")
    prefix, body = token.text[:quote].lower(), token.text[quote:]
    if "b" in prefix:
        return None
    width = 3 if len(body) >= 6 and body[:3] in ('"""', "'''") else 1
    inner = body[width:-width]
    return inner if "r" in prefix else ESCAPE.sub(_unescaped, inner)


def _unescaped(match: re.Match[str]) -> str:
    hexadecimal = match[1] or match[2] or match[3]
    if hexadecimal:
        code = int(hexadecimal, 16)
        return chr(code) if code <= 0x10FFFF else "\ufffd"
    return chr(int(match[4], 8)) if match[4] else PLAIN.get(match[5], match[5])


def closing(tokens: Sequence[Token], start: int) -> int:
    """Return the index of the bracket that closes the one at `start`; the end where none does."""
    depth = 0
    for index in range(start, len(tokens)):
        if tokens[index].kind == "sign":
            depth += (tokens[index].text in OPEN) - (tokens[index].text in CLOSE)
            if depth == 0:
                return index
    return len(tokens)


def opening(tokens: Sequence[Token], end: int) -> int:
    """Return the index of the bracket that the one at `end` closes; 0 where none does."""
    depth = 0
    for index in range(end, -1, -1):
        if tokens[index].kind == "sign":
            depth += (tokens[index].text in CLOSE) - (tokens[index].text in OPEN)
            if depth == 0:
                return index
    return 0


def arguments(tokens: Sequence[Token], start: int) -> list[range]:
    """Return the index range of each argument of the call whose `(` is at `start`."""
    end, depth, first = closing(tokens, start), 0, start + 1
    found: list[range] = []
    for index in range(start + 1, end):
        token = tokens[index]
        if token.kind != "sign":
            continue
        depth += (token.text in OPEN) - (token.text in CLOSE)
        if token.text == "," and depth == 0:
            found.append(range(first, index))
            first = index + 1
    return [*found, range(first, end)] if first < end else found


def place(text: str, offset: int) -> tuple[int, int]:
    """Return line and column of an offset, both from 1."""
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1


def offset(text: str, line: int, column: int) -> int:
    """Return the offset of line and column (from 1), within the text."""
    start = 0
    for _ in range(line - 1):
        start = text.find("\n", start) + 1
    return max(0, min(start + column - 1, len(text)))


def apply(text: str, edits: Sequence[Edit]) -> str:
    """Return the text with all edits made; they must not overlap."""
    pieces: list[str] = []
    done = 0
    for edit in sorted(edits, key=_order):
        pieces += [text[done : edit.start], edit.text]
        done = edit.end
    return "".join([*pieces, text[done:]])


def origin(text: str, edits: Sequence[Edit], where: int) -> int:
    """Return the offset in `text` of what stands at offset `where` after the edits."""
    shift = 0
    for edit in sorted(edits, key=_order):
        begin = edit.start + shift
        if where < begin:
            break
        if where < begin + len(edit.text):
            return edit.start
        shift += len(edit.text) - (edit.end - edit.start)
    return max(0, min(where - shift, len(text)))


def _order(edit: Edit) -> tuple[int, int]:
    # Two insertions at one offset keep the order in which they were asked for (sorted is stable).
    return edit.start, edit.end
