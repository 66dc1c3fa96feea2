"""JUnit XML of `plimsoll check`: an object is a test case, what denies it a failure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from webhook.cli.judge import Judged
from webhook.cli.report.tally import Tally
from webhook.cli.report.words import details, failure, place, title
from webhook.cli.report.xml import attribute, body, case, document
from webhook.cli.report.xml import failure as failed
from webhook.cli.spool import kept
from webhook.errors import Problem
from webhook.model.decision import Finding


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
            inner += failed("deny", denied[0].partition("\n")[0], "".join(denied))
        if noted:
            inner += f"      <system-out>{body(''.join(noted))}</system-out>\n"
        return case(one.manifest.file, f"{one.review.title} ({one.manifest.source})", inner)

    def pieces(self, blocks: Iterator[str], tally: Tally) -> Iterator[str]:
        """Yield the document: the figures stand before the cases."""
        cases = kept(blocks)
        figures = tally.summary()
        wrong = len(self._problems)
        unread = []
        for problem in self._problems:
            text = f"      <error message={attribute(problem.text)}>{body(str(problem))}</error>\n"
            unread.append(case(problem.source, f"{problem.source} can be read", text))
        # of what is denied each object is one failure, whether by findings or by what could not be decided
        counts = (figures["objects"] + wrong, figures["denied"], wrong)
        yield from document("plimsoll check", counts, chain(unread, cases))


def _text(one: Judged, finding: Finding) -> str:
    head = f"{place(one, finding.violation.pointer)}: {finding.effective}: {finding.pack}/{finding.rule}"
    lines = [f"{head}: {title(finding)}", *(f"  {name}: {text}" for name, text in details(finding))]
    return "\n".join(lines) + "\n"
