"""Which flags a version of the JVM refuses to start with."""

from __future__ import annotations

import pytest

from webhook.model import jvm
from webhook.model.flags import refused


@pytest.mark.parametrize(
    ("flag", "version", "wanted"),
    [
        ("MaxRAMPercentage", "8u181", "Java 8u191, 10 or later"),
        ("MaxRAMPercentage", "8u191", None),
        ("MaxRAMPercentage", "8", None),
        ("MaxRAMPercentage", "9.0.4", "Java 8u191, 10 or later"),
        ("UseContainerSupport", "10", None),
        ("ActiveProcessorCount", "8u172", "Java 8u191, 10 or later"),
        ("UseCGroupMemoryLimitForHeap", "8u181", None),
        ("UseCGroupMemoryLimitForHeap", "11", "a Java before 11"),
        ("PrintGCDateStamps", "8u352", None),
        ("PrintGCDateStamps", "17.0.9", "a Java before 9"),
        ("UseConcMarkSweepGC", "14.0.2", None),
        ("UseConcMarkSweepGC", "15", "a Java before 15"),
        ("MaxPermSize", "16", None),
        ("MaxPermSize", "17", "a Java before 17"),
        ("MaxHeapSize", "8u20", None),
        ("NobodyKnowsThisOne", "17", None),
    ],
)
def test_a_flag_is_refused_by_the_versions_that_do_not_know_it(flag: str, version: str, wanted: str | None) -> None:
    found = jvm.version(version)
    assert found is not None
    assert refused(flag, found) == wanted
