"""How findings are shown: one file for each format. A report is any object with the two methods of `Report`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from webhook.cli.judge import Judged
from webhook.cli.report.tally import Tally


class Report(Protocol):
    """One format. `block` is called in whatever process judged an object, `pieces` where it is printed."""

    def block(self, one: Judged) -> str:
        """Return what the report has of one object; '' for nothing."""
        ...

    def pieces(self, blocks: Iterator[str], tally: Tally) -> Iterator[str]:
        """Yield the whole report; `tally` is filled while `blocks` are taken, and whole when they are."""
        ...
