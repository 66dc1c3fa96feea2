"""Cron schedules as Kubernetes reads them, and how close to each other two runs can come.

Source: `ParseStandard` of github.com/robfig/cron v3.0.1, which the CronJob controller uses: five fields with lists,
ranges, steps and names, the macros (`@daily`), and `@every 90m`. Where neither day field is `*`, one of them suffices.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise

import re2

from webhook.model.record import record

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_SECONDS = {
    "h": Fraction(3600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "\u03bcs": Fraction(1, 10**6),
    "ns": Fraction(1, 10**9),
}
_DURATION = re2.compile(rf"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)({'|'.join(sorted(_SECONDS, key=len, reverse=True))})")
_NO_NAMES: Mapping[str, int] = {}
_DAY = 24 * 60
_LONGEST = 1000


@record(frozen=True, slots=True)
class _Field:
    values: frozenset[int]
    star: bool


@record(frozen=True, slots=True)
class _Days:
    """The three fields that choose the day."""

    dates: _Field
    months: _Field
    weekdays: _Field

    def hold(self, month: int, date: int, weekday: int) -> bool:
        """Say whether a day is chosen; `weekday` 0 is Sunday."""
        if month not in self.months.values:
            return False
        by_date, by_weekday = date in self.dates.values, weekday in self.weekdays.values
        return by_date and by_weekday if self.dates.star or self.weekdays.star else by_date or by_weekday

    def any(self) -> bool:
        """Say whether there is such a day at all; there is no 30th of February."""
        return any(self.hold(*day, weekday) for day in _DATES for weekday in range(7))

    def adjoin(self) -> bool:
        """Say whether two days in a row can be chosen. Each date falls on each weekday in some year."""
        return any(
            self.hold(*day, weekday) and self.hold(*following, (weekday + 1) % 7)
            for day, following in _NEXT
            for weekday in range(7)
        )


_DATES = tuple((month, date) for month, length in enumerate(_LENGTHS, 1) for date in range(1, length + 1))
# the day after the 28th of February is the 29th or the 1st of March
_NEXT = (*pairwise(_DATES), (_DATES[-1], _DATES[0]), ((2, 28), (3, 1)))


def shortest(schedule: str) -> Fraction | None:
    """Return the minutes between the two runs that come closest to each other; at most a day's where a run is daily.

    None where the schedule runs at most once on each of days that do not adjoin, never, or is none that Kubernetes
    takes. A leading `TZ=` is passed over, and the hours that clocks jump in spring and autumn are not looked at.
    """
    text = schedule.strip()
    if len(text) > _LONGEST:
        return None
    if text.startswith(("TZ=", "CRON_TZ=")):
        text = text.partition(" ")[2].strip()
    if text.startswith("@every "):
        return _every(text.removeprefix("@every "))
    fields = _MACROS.get(text, text).split()
    if len(fields) != 5:
        return None
    minutes, hours = _field(fields[0], 0, 59), _field(fields[1], 0, 23)
    dates = _field(fields[2], 1, 31)
    months = _field(fields[3], 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)})
    weekdays = _field(fields[4], 0, 6, {name: number for number, name in enumerate(_DAYS)})
    if minutes is None or hours is None or dates is None or months is None or weekdays is None:
        return None
    return _closest(minutes, hours, _Days(dates, months, weekdays))


def _closest(minutes: _Field, hours: _Field, days: _Days) -> Fraction | None:
    if not days.any():
        return None
    times = sorted(hour * 60 + minute for hour in hours.values for minute in minutes.values)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    over_midnight = times[0] + _DAY - times[-1]
    if (not gaps or over_midnight < min(gaps)) and days.adjoin():
        gaps.append(over_midnight)
    return Fraction(min(gaps)) if gaps else None


def _field(text: str, least: int, most: int, names: Mapping[str, int] = _NO_NAMES) -> _Field | None:
    values: set[int] = set()
    star = False
    for part in text.split(","):
        if not part:
            continue  # strings.FieldsFunc leaves out what is empty
        found = _range(part, least, most, names)
        if found is None:
            return None
        values.update(found[0])
        star = star or found[1]
    return _Field(frozenset(values), star) if values else None


def _range(part: str, least: int, most: int, names: Mapping[str, int]) -> tuple[range, bool] | None:
    """Return the values of `*`, `a`, `a-b`, each with an optional `/step`, and whether they leave the field open."""
    bounds, slash, written = part.partition("/")
    step = _number(written, _NO_NAMES) if slash else 1
    first, dash, last = bounds.partition("-")
    star = first in ("*", "?")
    start = least if star else _number(first, names)
    # `5/15` is `5-59/15`
    end = most if star or (slash and not dash) else _number(last, names) if dash else start
    if step is None or start is None or end is None:
        return None
    if not step or not least <= start <= end <= most:
        return None
    return range(start, end + 1, step), star and step == 1


def _number(text: str, names: Mapping[str, int]) -> int | None:
    if text.lower() in names:
        return names[text.lower()]
    digits = text.removeprefix("+")  # strconv.Atoi takes a sign, and a minus would be a range
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else None


def _every(text: str) -> Fraction | None:
    """Return the minutes of a duration as Go's time.ParseDuration reads it; below a second it is one (cron.Every)."""
    unsigned = text[1:] if text[:1] in ("+", "-") else text
    if unsigned == "0":
        return Fraction(1, 60)
    total, at = Fraction(0), 0
    while at < len(unsigned):
        found = _DURATION.match(unsigned, at)
        if found is None:
            return None
        total += Fraction("0" + found[1].removesuffix(".")) * _SECONDS[found[2]]
        at = found.end()
    seconds = 1 if text.startswith("-") else max(1, int(total))
    return Fraction(seconds, 60) if unsigned else None
