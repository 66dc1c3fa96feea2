"""JUnit XML of `plimsoll check`: an object is a test case, what denies it a failure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from webhook.cli.judge import Judged
from webhook.cli.report.tally import Tally
from webhook.cli.report.words import ask, contacts, details, failure, place, title
from webhook.cli.report.xml import attribute, body, case, document
from webhook.cli.report.xml import failure as failed
from webhook.cli.spool import kept
from webhook.errors import Problem
from webhook.model.decision import Fault, Finding


class JUnit:
    """The report; warnings and audit findings stand in the output of a case that passes."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Take what could not be read: each is a case with an error."""
        self._problems = problems

    def block(self, one: Judged) -> str:
        """Return the case of one object."""
        found = [finding for finding in one.decision.findings if finding.exempt is None]
        items: list[Finding | Fault] = [*found, *one.decision.errors, *one.decision.unknown]
        denied = _text(one, [item for item in items if item.effective == "deny"])
        noted = _text(one, [item for item in items if item.effective != "deny"])
        inner = ""
        if denied:
            inner += failed("deny", denied.partition("\n")[0], denied)
        if noted:
            inner += f"      <system-out>{body(noted)}</system-out>\n"
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


def _text(one: Judged, items: Sequence[Finding | Fault]) -> str:
    """Return what is said of an object, and whom to ask about it."""
    lines = [line for item in items for line in _lines(one, item)] + [ask(*each) for each in sorted(contacts(items))]
    return "".join(f"{line}\n" for line in lines)


def _lines(one: Judged, item: Finding | Fault) -> Iterator[str]:
    tail = f"{item.effective}: {item.pack}/{item.rule}"
    if isinstance(item, Finding):
        yield f"{place(one, item.violation.pointer)}: {tail}: {title(item)}"
        yield from (f"  {name}: {text}" for name, text in details(item))
    else:
        yield f"{one.manifest.source}: {tail}: {failure(item)}"
