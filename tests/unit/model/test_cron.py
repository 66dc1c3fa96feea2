"""How close two runs of a schedule come, as Kubernetes reads it."""

from __future__ import annotations

from fractions import Fraction

import pytest

from webhook.model.cron import shortest


@pytest.mark.parametrize(
    ("schedule", "minutes"),
    [
        ("* * * * *", 1),
        ("? * * * *", 1),
        ("*/7 * * * *", 4),
        ("5/15 * * * *", 15),
        ("0-10/3,40 1 * * *", 3),
        ("0 */2 * * *", 120),
        ("@hourly", 60),
        ("@daily", 1440),
        ("@every 90s", Fraction(3, 2)),
        ("@every 1h30m", 90),
        ("@every 10ms", Fraction(1, 60)),
        ("@every -5m", Fraction(1, 60)),
        ("@every 0", Fraction(1, 60)),
        ("*/+2 * * * *", 2),
        ("? ? * * ?", 1),
        ("1,,3 * * * *", 2),
        ("TZ=UTC */2 * * * *", 2),
        ("0,59 0,23 * * *", 1),
        ("0,59 0,23 * * MON-FRI", 1),
        ("0,59 0,23 28 2 *", 59),
        ("0,59 0,23 31,1 dec,jan *", 1),
        # neither day field is *: one suffices, and the 1st can be a Sunday
        ("0 0 1 * 1", 1440),
        # a step leaves the field restricted, so that one of the two suffices here as well
        ("0 0 1 * */2", 1440),
        ("0 0 1 * */1", None),
    ],
)
def test_the_two_closest_runs_count(schedule: str, minutes: Fraction | int | None) -> None:
    assert shortest(schedule) == minutes


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* * * * 7",
        "*/0 * * * *",
        "5-1 * * * *",
        "1-2-3 * * * *",
        "٣ * * * *",
        "* " * 2000,
        "@reboot",
        "@every",
        "@every x",
    ],
)
def test_what_kubernetes_refuses_has_no_runs(schedule: str) -> None:
    assert shortest(schedule) is None


def test_a_day_that_never_comes_has_no_runs() -> None:
    assert shortest("* * 30 2 *") is None
    assert shortest(", * * * *") is None
    assert shortest("* * 29 2 *") == 1
