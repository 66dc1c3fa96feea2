"""Annotations of GitHub Actions: a workflow command for each finding, shown beside the line in a pull request.

docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands: what is special in a message and in a
property is written in percent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from webhook.cli.judge import Judged
from webhook.cli.report.tally import Tally
from webhook.cli.report.words import ask, contacts, details, failure, title
from webhook.errors import Problem
from webhook.model.decision import Fault, Finding

_LEVELS = {"deny": "error", "warn": "warning", "audit": "notice"}


class GitHub:
    """The report; exempt findings are left out, as nobody has to do anything about them."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Take what could not be read."""
        self._problems = problems

    def block(self, one: Judged) -> str:
        """Return the commands for one object."""
        lines = [_command(one, finding) for finding in one.decision.findings if finding.exempt is None]
        for fault in (*one.decision.errors, *one.decision.unknown):
            spot = {
                "file": one.manifest.file,
                "line": str(one.manifest.line("")),
                "title": f"{fault.pack}/{fault.rule}",
            }
            text = [f"{one.review.title}: {failure(fault)}", *_asked(fault)]
            lines.append(_line(_LEVELS.get(fault.effective, "notice"), spot, "\n".join(text)))
        return "".join(lines)

    def pieces(self, blocks: Iterator[str], tally: Tally) -> Iterator[str]:
        """Yield the commands, those about what could not be read first, and the figures as a line of the log."""
        for problem in self._problems:
            spot = {"file": problem.source, "line": str(problem.line), "title": "cannot be read"}
            yield _line("error", spot, problem.text)
        yield from blocks
        figures = tally.summary()
        yield ", ".join(f"{figures[name]} {name}" for name in figures) + "\n"


def _command(one: Judged, finding: Finding) -> str:
    line = str(one.manifest.line(finding.violation.pointer))
    spot = {"file": one.manifest.file, "line": line, "title": f"{finding.pack}/{finding.rule}"}
    text = [f"{one.review.title}: {title(finding)}", *(f"{name}: {what}" for name, what in details(finding))]
    return _line(_LEVELS[finding.effective], spot, "\n".join([*text, *_asked(finding)]))


def _asked(item: Finding | Fault) -> list[str]:
    return [ask(*one) for one in contacts([item])]


def _line(level: str, spot: dict[str, str], message: str) -> str:
    named = ",".join(f"{name}={_property(value)}" for name, value in spot.items() if value != "0")
    return f"::{level} {named}::{_data(message)}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
