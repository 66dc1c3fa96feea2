"""Which options hold in a JVM, and what they make of its memory."""

from __future__ import annotations

import pytest

from webhook.model import jvm
from webhook.model.java import HIDDEN, Machine, Source, hold


def source(name: str, options: str) -> Source:
    return Source(name, f"/{name}", tuple(jvm.options(options.split())))


def machine(options: str) -> Machine:
    return Machine(hold([source("A", options)], {}), True)


def test_the_last_option_of_a_flag_holds_with_the_place_where_it_is_written() -> None:
    held = hold([source("A", "-Xmx1g -Xms1g"), source("B", "-XX:MaxHeapSize=2g")], {})
    assert held["MaxHeapSize"].found == "-XX:MaxHeapSize=2g in B"
    assert held["InitialHeapSize"].source.pointer == "/A"


def test_what_is_not_seen_hides_all_before_it_and_nothing_behind_it() -> None:
    held = hold([source("A", "-Xms1g @file -Xmx2g")], hold([source("B", "-Xms3g")], {}))
    assert set(held) == {HIDDEN, "MaxHeapSize"}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("-Xmx1g -XX:MaxRAM=8g", (2**30, "")),
        ("-XX:MaxRAM=8g", (2 * 2**30, ", of which 25 percent are heap")),
        ("-XX:MaxRAM=8g -XX:MaxRAMPercentage=75", (6 * 2**30, ", of which 75 percent are heap")),
        ("-XX:MaxRAM=8g -XX:MaxRAMFraction=2", (4 * 2**30, ", of which 50 percent are heap")),
        ("-XX:MaxRAM=8g -XX:MaxRAMPercentage=most", None),
        ("-XX:MaxRAMPercentage=75", None),
        ("-Xmx$(HEAP) -XX:MaxRAM=8g", None),
        ("-Xmx0 -XX:MaxRAM=8g", (2 * 2**30, ", of which 25 percent are heap")),
    ],
)
def test_the_largest_heap_is_a_size_or_a_share_of_a_memory_that_is_given(
    options: str, wanted: tuple[int, str] | None
) -> None:
    one = machine(options)
    assert (one.largest and one.largest[1:]) == wanted


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("", None),
        ("-XX:MaxRAMFraction=2", ("MaxRAMFraction", 50)),
        ("-XX:MaxRAMFraction=0", ("MaxRAMFraction", None)),
        ("-XX:MaxRAMFraction=1 -XX:MaxRAMPercentage=50", ("MaxRAMPercentage", 50)),
    ],
)
def test_a_percentage_goes_before_a_fraction(options: str, wanted: tuple[str, int] | None) -> None:
    one = machine(f"-Da=b {options}")
    assert (one.share and (one.share[0].option.flag, one.share[1])) == wanted


def test_a_count_of_none_or_less_leaves_it_to_the_jvm() -> None:
    for text, wanted in (("1", True), ("0", False), ("-1", False), ("$(CORES)", True)):
        one = machine(f"-XX:ActiveProcessorCount={text}")
        assert (one.given("ActiveProcessorCount") is not None) is wanted


def test_container_support_may_be_switched_off() -> None:
    for text, wanted in (("-XX:-UseContainerSupport", False), ("-XX:+UseContainerSupport", True), ("-Da=b", True)):
        one = machine(text)
        assert one.contained is wanted
