"""Plain YAML scalars to values, by the YAML 1.2 core schema as far as JSON has it."""

from __future__ import annotations

import math
import re

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# A zero in front makes an octal number in YAML 1.1 (kubectl's), a decimal one in YAML 1.2: so it stays text,
# and is refused wherever a number is wanted.
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_OCTAL = re.compile(r"0o[0-7]+\Z")
_HEX = re.compile(r"0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NO_NUMBER = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
_DIGITS = 400


class NotJson(ValueError):
    """A scalar that YAML takes for a number and JSON, or CEL, has not."""


def resolve(text: str) -> str | int | float | bool | None:
    """Return the value of a plain scalar: null, a truth value, a number, or else the text itself.

    `on`, `yes`, `0777`, `12:30:45` and `2026-12-01` are text. Whole numbers are those of 64 bits, as in
    Kubernetes and CEL. Raises NotJson for infinities, `.nan`, and numbers that are too large.
    Source: YAML 1.2.2, section 10.3.2.
    """
    if text in _WORDS:
        return _WORDS[text]
    if not (text[0] in "+-." or text[0].isdigit()):
        return text
    if _NO_NUMBER.match(text):
        raise NotJson(f"{text} is no number that JSON has")
    for pattern, base in ((_INTEGER, 10), (_OCTAL, 8), (_HEX, 16)):
        if pattern.match(text):
            return _whole(text, base)
    if _FLOAT.match(text):
        return _number(text)
    return text


def _whole(text: str, base: int) -> int:
    # int() itself refuses more than 4,300 digits.
    number = 2**64 if len(text) > _DIGITS else int(text.removeprefix("0o").removeprefix("0x"), base)
    if not -(2**63) <= number < 2**63:
        raise NotJson(f"{text[:24]}{'...' if len(text) > 24 else ''} has more than 64 bits")
    return number


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise NotJson(f"{text[:24]} is larger than any number that JSON readers have")
    return number
