"""JUnit XML, as CI systems read it, in the shape that Jenkins' xunit plugin describes (junit-10.xsd)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape, quoteattr

# what XML 1.0 has no way to write (w3.org/TR/xml, Char)
_NEVER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def document(name: str, counts: tuple[int, int, int], cases: Iterable[str]) -> Iterator[str]:
    """Yield the document with one suite of cases; `counts` are tests, failures and errors, which stand before them."""
    figures = 'tests="{}" failures="{}" errors="{}"'.format(*counts)
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name={attribute(name)} {figures}>\n'
    yield f'  <testsuite name={attribute(name)} {figures} skipped="0">\n'
    yield from cases
    yield "  </testsuite>\n</testsuites>\n"


def case(group: str, name: str, inner: str) -> str:
    """Return a test case; `inner` is what stands in it, indented by six spaces, and '' where it passes."""
    head = f"    <testcase classname={attribute(group)} name={attribute(name)}"
    return f"{head}>\n{inner}    </testcase>\n" if inner else f"{head}/>\n"


def failure(kind: str, message: str, text: str) -> str:
    """Return what a case that fails has in it."""
    return f"      <failure type={attribute(kind)} message={attribute(message)}>{body(text)}</failure>\n"


def attribute(text: str) -> str:
    """Return a text, quoted, as the value of an attribute."""
    return quoteattr(_NEVER.sub("\ufffd", text))


def body(text: str) -> str:
    """Return a text as it stands between tags."""
    return escape(_NEVER.sub("\ufffd", text))
