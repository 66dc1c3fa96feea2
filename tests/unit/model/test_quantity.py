"""Quantities: the verdicts and values of Kubernetes' own parser."""

from __future__ import annotations

import json
import math
import time
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.model import quantity

GOLDEN = Path(__file__).parents[2] / "golden" / "quantity.json"
ROWS = json.loads(GOLDEN.read_text())["rows"]
REFUSED = [
    "", " ", " 1", "1 ", "1\n", "1 Gi", "1KB", "1Kb", "1ki", "1K", "1kib", "1GB", "1gi", "1i", "1Zi", "NaN", "nan",
    "Infinity", "-Infinity", "inf", "1_000", "1,000", "0x10", "１２", "1\u0660", "½", "1e", "1e+", "1e1.5", "1e3k",
    "--1", "+-1", "1-", "1.2.3", "..", "1Mi1", "one", "1%", "1\u0000", "1Gi\u200b", "m1", "1/2",
]  # fmt: skip


@pytest.mark.parametrize(("text", "value", "canonical"), ROWS, ids=[repr(row[0])[:40] for row in ROWS])
def test_a_text_is_read_as_the_go_parser_reads_it(text: str, value: str | None, canonical: str | None) -> None:
    if value is None:
        with pytest.raises(ValueError, match="quantity"):
            quantity.parse(text)
    else:
        assert quantity.parse(text) == Fraction(value)
        assert canonical is not None
        # from 10^21 on the Go code writes no suffix: `1000E` becomes `1`
        assert abs(Fraction(value)) >= 10**21 or quantity.parse(canonical) == Fraction(value)


def test_the_table_has_many_texts_of_both_verdicts() -> None:
    refused = sum(1 for row in ROWS if row[1] is None)
    assert refused >= 200
    assert len(ROWS) - refused >= 400


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_quantity_is_refused_in_a_sentence_that_names_it(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity; wanted a number") as error:
        quantity.parse(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1000m"), ("1Gi", "1073741824"), ("1e3", "1k"), ("0.5", "500m"), ("1E", "1e18"), ("1E3", "1000"),
        ("1.5Gi", "1536Mi"), ("100m", "0.1"), ("1u", "1000n"), ("0.1n", "1n"), ("8Ei", "9223372036854775807"),
        ("1G", "1000M"), ("-1", "-1000m"), ("+1", "1"), ("1e-3", "1m"), ("007", "7"), ("1.", "1"), (".5", "0.5"),
    ],
)  # fmt: skip
def test_one_value_has_many_texts(one: str, other: str) -> None:
    assert quantity.parse(one) == quantity.parse(other)


@pytest.mark.parametrize(("one", "other"), [("1G", "1Gi"), ("1M", "1m"), ("1E", "1E0"), ("1k", "1Ki")])
def test_texts_that_look_alike_are_different_values(one: str, other: str) -> None:
    assert quantity.parse(one) != quantity.parse(other)


@pytest.mark.parametrize(
    ("number", "value"),
    [(1, Fraction(1)), (0, Fraction(0)), (0.5, Fraction(1, 2)), (0.1, Fraction(1, 10)), (1e-7, Fraction(1, 10**7)),
     (1e22, Fraction(10**22)), (2**63, Fraction(2**63)), (-1, Fraction(-1)), (1.0, Fraction(1))],
)  # fmt: skip
def test_a_number_counts_as_its_decimal_text(number: float, value: Fraction) -> None:
    assert quantity.parse(number) == value
    assert quantity.read(number) == value


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, True, False, 10**300])
def test_numbers_that_are_no_amount_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        quantity.parse(number)


def test_a_number_that_python_would_not_even_print_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 300 digits is no quantity"):
        quantity.parse(10**5000)


@pytest.mark.parametrize("value", [True, [], {}, None, b"1"])
def test_a_field_that_is_neither_text_nor_number_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        quantity.read(value)


def test_a_field_may_have_space_around_it_as_in_the_api_server() -> None:
    assert quantity.read(" 1Gi\n") == 2**30
    with pytest.raises(ValueError, match="no quantity"):
        quantity.read("\x1c1Gi")


@pytest.mark.parametrize(
    "text",
    ["1e999999999", "1e-999999999", "-1e2147483647", "1e9223372036854775807", "1e-9223372036854775808",
     "9" * 100_000, "0." + "0" * 100_000 + "1", "1" + "k" * 100_000, "1e" + "9" * 100_000],
    ids=lambda text: text[:24],
)  # fmt: skip
def test_huge_texts_and_exponents_take_no_time(text: str) -> None:
    began = time.process_time()
    try:
        value = quantity.parse(text)
    except ValueError as error:
        assert len(str(error)) < 300
    else:
        assert abs(value) <= 1
    assert time.process_time() - began < 0.05


def test_nothing_is_too_small_to_be_asked_for() -> None:
    assert quantity.parse("1e-999999999") == Fraction(1, 10**9)
    assert quantity.parse("-0.0000000001") == Fraction(-1, 10**9)
    assert quantity.parse("0e-9") == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [(Fraction(1, 2), "500m"), (Fraction(4), "4"), (Fraction(3, 2), "1500m"), (Fraction(512 * 2**20), "512Mi"),
     (Fraction(2**30), "1Gi"), (Fraction(10**9), "1G"), (Fraction(1000), "1k"), (Fraction(0), "0"),
     (Fraction(-5), "-5"), (Fraction(1, 3), "333333334n"), (Fraction(1536 * 2**20), "1536Mi")],
)  # fmt: skip
def test_a_value_is_shown_short(value: Fraction, text: str) -> None:
    assert quantity.show(value) == text


@given(st.fractions(min_value=-(10**25), max_value=10**25))
def test_what_is_shown_reads_back_to_the_value_rounded_to_a_billionth(value: Fraction) -> None:
    billionths = -(-abs(value) * 10**9 // 1) if value else 0
    assert abs(quantity.parse(quantity.show(value))) == Fraction(billionths, 10**9)
    assert quantity.show(quantity.parse(quantity.show(value))) == quantity.show(value)


@given(st.text(alphabet="0123456789.+-eEinumkKMGTP ", max_size=12))
def test_any_text_is_a_value_or_a_sentence(text: str) -> None:
    try:
        value = quantity.parse(text)
    except ValueError as error:
        assert "quantity" in str(error)
    else:
        assert quantity.parse(quantity.show(value)) == value
