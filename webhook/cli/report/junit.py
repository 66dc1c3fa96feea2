"""JUnit XML, as CI systems read it: an object is a test case, what denies it a failure.

In the shape that Jenkins' xunit plugin describes (junit-10.xsd), which the others read, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape, quoteattr

from webhook.cli.judge import Judged
from webhook.cli.report.tally import Tally
from webhook.cli.report.words import details, failure, place, title
from webhook.errors import Problem
from webhook.model.decision import Finding

# what XML 1.0 has no way to write (w3.org/TR/xml, Char)
_NEVER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class JUnit:
    """The report; warnings and audit findings stand in the output of a case that passes."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Take what could not be read: each is a case with an error."""
        self._problems = problems

    def block(self, one: Judged) -> str:
        """Return the case of one object."""
        found = [finding for finding in one.decision.findings if finding.exempt is None]
        denied = [_text(one, finding) for finding in found if finding.effective == "deny"]
        noted = [_text(one, finding) for finding in found if finding.effective != "deny"]
        for fault in (*one.decision.errors, *one.decision.unknown):
            listed = denied if fault.effective == "deny" else noted
            listed.append(f"{one.manifest.source}: {fault.effective}: {fault.pack}/{fault.rule}: {failure(fault)}\n")
        inner = ""
        if denied:
            head = _attribute(denied[0].partition("\n")[0])
            inner += f'      <failure type="deny" message={head}>{_body("".join(denied))}</failure>\n'
        if noted:
            inner += f"      <system-out>{_body(''.join(noted))}</system-out>\n"
        return _case(one.manifest.file, f"{one.review.title} ({one.manifest.source})", inner)

    def pieces(self, blocks: Iterator[str], tally: Tally) -> Iterator[str]:
        """Yield the document: the figures stand before the cases."""
        cases = list(blocks)
        figures = tally.summary()
        wrong = len(self._problems)
        # of what is denied each object is one failure, whether by findings or by what could not be decided
        counts = f'tests="{figures["objects"] + wrong}" failures="{figures["denied"]}" errors="{wrong}"'
        yield f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="plimsoll check" {counts}>\n'
        yield f'  <testsuite name="plimsoll check" {counts} skipped="0">\n'
        for problem in self._problems:
            text = f"      <error message={_attribute(problem.text)}>{_body(str(problem))}</error>\n"
            yield _case(problem.source, f"{problem.source} can be read", text)
        yield from cases
        yield "  </testsuite>\n</testsuites>\n"


def _case(file: str, name: str, inner: str) -> str:
    head = f"    <testcase classname={_attribute(file)} name={_attribute(name)}"
    return f"{head}>\n{inner}    </testcase>\n" if inner else f"{head}/>\n"


def _text(one: Judged, finding: Finding) -> str:
    head = f"{place(one, finding.violation.pointer)}: {finding.effective}: {finding.pack}/{finding.rule}"
    lines = [f"{head}: {title(finding)}", *(f"  {name}: {text}" for name, text in details(finding))]
    return "\n".join(lines) + "\n"


def _attribute(text: str) -> str:
    return quoteattr(_NEVER.sub("\ufffd", text))


def _body(text: str) -> str:
    return escape(_NEVER.sub("\ufffd", text))
