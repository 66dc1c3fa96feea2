"""Plain scalars are what kubectl takes them for (go.yaml.in/yaml/v2, resolve_test and decode_test)."""

from __future__ import annotations

import pytest

from webhook.cli.scalars import resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("yes", True),
        ("y", True),
        ("On", True),
        ("off", False),
        ("N", False),
        ("nO", "nO"),
        ("true", True),
        ("1", 1),
        ("-1", -1),
        ("+1", 1),
        ("0777", 511),
        ("0o17", 15),
        ("08", 8),
        ("0x1F", 31),
        ("0b101", 5),
        ("-0b101", -5),
        ("1_000", 1000),
        ("18446744073709551615", 2**64 - 1),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1e3", 1000),
        ("1.0", 1),
        ("1.", 1),
        ("12:30:45", "12:30:45"),
        ("2026-11-23", "2026-11-23"),
        ("500m", "500m"),
        ("1Gi", "1Gi"),
        ("-", "-"),
        (".", "."),
        ("NaN", "NaN"),
        ("1.29.0", "1.29.0"),
        ("_1", "_1"),
        ("1e999", "1e999"),
    ],
)
def test_a_plain_scalar_is_what_kubectl_takes_it_for(text: str, value: object) -> None:
    found = resolve(text)

    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", [".nan", ".inf", "-.Inf"])
def test_a_number_that_json_does_not_have_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        resolve(text)
