"""What an answer with an error says about asking again (RFC 9110 10.2.3, RFC 6585 4)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from webhook.registry.http import Answer
from webhook.registry.source import Unanswered

LONGEST = 3600.0
"""Seconds of rest that a registry is believed."""
_WHOLE = frozenset({429, 502, 503, 504})  # these say something about the registry, the others about what was asked


def _now() -> datetime:
    return datetime.now(UTC)


def rest(answer: Answer, now: Callable[[], datetime] = _now) -> float:
    """Return for how many seconds an answer asks not to be asked again: Retry-After, in seconds or as a date."""
    said = answer.headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdigit():
        return min(LONGEST, float(said[:9]))
    try:
        until = parsedate_to_datetime(said)
        # the date is by the clock of who sends it, which sends that along
        at = parsedate_to_datetime(answer.headers["Date"]) if "Date" in answer.headers else now()
        return min(LONGEST, max(0.0, (until - at).total_seconds()))
    except (TypeError, ValueError, OverflowError):  # no date, one of two without its zone, a zone out of this world
        return 0.0


def unanswered(answer: Answer, asked: str, host: str, now: Callable[[], datetime] = _now) -> Unanswered:
    """Return the error for a status that is no answer: `asked` says to what.

    `host` is the registry that does not answer if this is about more than what was asked, '' for none.
    """
    seconds = rest(answer, now)
    again = f"; it wants not to be asked for {seconds:.0f} s" if seconds else ""
    busy = "429, too many requests" if answer.status == 429 else str(answer.status)
    whole = host if answer.status in _WHOLE else ""
    return Unanswered(f"{answer.host}: answers {busy} {asked}{again}", seconds, whole)
