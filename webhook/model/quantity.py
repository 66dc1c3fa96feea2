"""Quantities of Kubernetes (`500m`, `1.5Gi`, `1e3`), exact, read as the API server reads them.

Source: k8s.io/apimachinery `pkg/api/resource/quantity.go` and `suffix.go`. The grammar is kept to the letter,
with what it lets pass: `1.`, `.5`, `+1`, and `m` alone, which is 0. `1E` is exa, `1E3` an exponent.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import re2

# sign, digits, digits after the point, suffix: the scanner `parseQuantityString`, which reads ASCII only
_SPLIT = re2.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[+-]?[0-9]*)")
_EXPONENT = re2.compile(r"[eE]([+-]?[0-9]+)")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_NANO = Fraction(1, 10**9)
_MOST = Fraction(2**63 - 1)
# Texts and exponents beyond these are no amount of anything; the API server itself runs out of memory on
# `1e999999999`, so that nothing which it could store is refused here.
_LONGEST = 300
_LARGEST = 300
# what Go's strings.TrimSpace takes away
_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)


def parse(text: str | int | float) -> Fraction:
    """Return the value of a quantity, exact down to one billionth; smaller parts are rounded away from zero.

    Numbers, as YAML and JSON may have them, count as their decimal text. Values with a binary suffix
    are capped at 2^63-1, as in the API server. Raises ValueError with a sentence that names the text.
    """
    return _value(_written(text))


def read(value: object) -> Fraction:
    """Return the value of a field of an object, where the API server also strips space around the text.

    Raises ValueError with a sentence; also where the value is neither text nor a number.
    """
    if isinstance(value, str):
        return _trimmed(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"a {type(value).__name__} is no quantity; wanted text such as 500m or 1Gi")
    return parse(value)


def billionths(value: object) -> int:
    """Return the value of a field of an object in billionths, which are whole: as fine as Kubernetes has them.

    Whole numbers are compared and added at a small part of the price of fractions. Raises as `read`.
    """
    return _counted(value) if isinstance(value, str) else count(read(value))


def positive(value: object) -> bool:
    """Say whether a field of an object holds a quantity above 0."""
    try:
        return billionths(value) > 0
    except ValueError:
        return False


@lru_cache(maxsize=2048)
def _counted(written: str) -> int:
    return count(_trimmed(written))


def count(value: Fraction) -> int:
    """Return in billionths what `parse` or `read` gave."""
    return value.numerator * (10**9 // value.denominator)


@lru_cache(maxsize=2048)
def show(value: Fraction | int) -> str:
    """Return the shortest text of a value that `parse` reads back, rounded away from zero to a billionth.

    A binary suffix is taken where it is not longer than the decimal one: `512Mi`, `1500m`, `4`, `1G`.
    """
    size = _rounded(abs(Fraction(value)))
    text = _shortest(size)
    return f"-{text}" if value < 0 and size else text


@lru_cache(maxsize=2048)
def _shortest(size: Fraction) -> str:
    return min(_decimal(size), _binary(size), key=len)


def _written(text: str | int | float) -> str:
    if isinstance(text, bool):
        raise ValueError(f"{str(text).lower()} is no quantity; wanted text such as 500m or 1Gi")
    if isinstance(text, int) and abs(text) >= 10**_LONGEST:
        raise ValueError(f"a whole number of more than {_LONGEST} digits is no quantity")
    return text if isinstance(text, str) else repr(text)


# the same few texts come again and again; what is refused is not kept
@lru_cache(maxsize=2048)
def _trimmed(written: str) -> Fraction:
    return _value(written.strip(_SPACE))


@lru_cache(maxsize=2048)
def _value(written: str) -> Fraction:
    found = _SPLIT.fullmatch(written) if len(written) <= _LONGEST else None
    if found is None or not written:
        raise _refusal(written)
    sign, digits, decimals, suffix = found[1], found[2] or "", found[3] or "", found[4] or ""
    mantissa = Fraction(int(digits + decimals or "0"), 10 ** len(decimals))
    if suffix in _BINARY:
        value = min(_rounded(mantissa * 2 ** _BINARY[suffix]), _MOST)
    else:
        exponent = _exponent(suffix, written)
        if exponent < -9 and not digits + decimals:
            raise _refusal(written)  # ErrNumeric: only here does the absence of digits count
        value = _scaled(mantissa, exponent, written)
    return -value if sign == "-" else value


def _exponent(suffix: str, written: str) -> int:
    if suffix in _DECIMAL:
        return _DECIMAL[suffix]
    found = _EXPONENT.fullmatch(suffix)
    if found is None:
        raise _refusal(written)
    exponent = int(found[1])
    if not -(2**63) <= exponent < 2**63:
        raise _refusal(written)  # strconv.ParseInt says no
    return (exponent + 2**31) % 2**32 - 2**31  # int32(parsed) takes the low 32 bits


def _scaled(mantissa: Fraction, exponent: int, written: str) -> Fraction:
    if not mantissa:
        return mantissa
    if exponent > _LARGEST:
        raise ValueError(f"{_clip(written)} is too large for a quantity")
    if exponent < -2 * _LONGEST:
        return _NANO  # any part of a billionth counts as one
    return _rounded(mantissa * Fraction(10) ** exponent)


def _rounded(value: Fraction) -> Fraction:
    return value if 10**9 % value.denominator == 0 else -(-value // _NANO) * _NANO


def _decimal(value: Fraction) -> str:
    for suffix, exponent in sorted(_DECIMAL.items(), key=lambda item: -item[1]):
        scaled = value / Fraction(10) ** exponent
        if scaled.denominator == 1 and (scaled or not exponent):
            return f"{scaled}{suffix}"
    raise AssertionError("every value is a whole number of billionths")


def _binary(value: Fraction) -> str:
    for suffix, exponent in sorted(_BINARY.items(), key=lambda item: -item[1]):
        scaled = value / 2**exponent
        if scaled and scaled.denominator == 1 and value <= _MOST:
            return f"{scaled}{suffix}"
    return _decimal(value)


def _refusal(written: str) -> ValueError:
    return ValueError(
        f"{_clip(written)} is no quantity; wanted a number with one of the suffixes "
        "n u m k M G T P E Ki Mi Gi Ti Pi Ei, or an exponent such as e3"
    )


def _clip(written: str) -> str:
    return repr(written if len(written) <= 60 else written[:60] + "…")
