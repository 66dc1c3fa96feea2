"""Plain scalars of a manifest as kubectl reads them.

kubectl turns YAML into JSON by sigs.k8s.io/yaml, which reads it by go.yaml.in/yaml/v2; this is that reader's
`resolve`. It is YAML 1.1 where that differs from 1.2: `yes`, `on` and `y` are true, `0777` is 511. Base 60 numbers
and days stay text there, and here. Compared with it on some thousand scalars: only keys that are numbers of more than
64 bits, and `.5_0`, are read in another way.
"""

from __future__ import annotations

import re

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
}
_NO_NUMBER = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
# strconv.ParseInt with base 0
_INTEGERS = (
    (re.compile(r"([-+]?)0[xX]([0-9a-fA-F]+)\Z"), 16),
    (re.compile(r"([-+]?)0[bB]([01]+)\Z"), 2),
    (re.compile(r"([-+]?)0[oO]?([0-7]+)\Z"), 8),
    (re.compile(r"([-+]?)(0|[1-9][0-9]*)\Z"), 10),
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_DIGITS = 400


def resolve(text: str) -> str | int | float | bool | None:
    """Return the value of a plain scalar. Raises ValueError with a sentence for numbers that JSON does not have."""
    if text in _WORDS:
        return _WORDS[text]
    if not (text[0] in "+-." or text[0].isdigit()):
        return text
    if _NO_NUMBER.match(text):
        raise ValueError(f"{text} is no number that JSON has")
    plain = text if text[0] == "." else text.replace("_", "")
    if len(plain) <= _DIGITS:
        for pattern, base in _INTEGERS:
            found = pattern.match(plain)
            if found:
                number = int(found[1] + found[2], base)
                if -(2**63) <= number < 2**64:
                    return number
    return _float(plain) if _FLOAT.match(plain) else text


def _float(text: str) -> str | int | float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        return text
    # Go writes 1e3 into JSON as 1000, which the API server then reads as a whole number
    return int(number) if number.is_integer() and abs(number) < 1e21 else number
