"""Which flags a version of the JVM (HotSpot) knows: with one that it does not, it refuses to start.

Sources: `special_jvm_flags` and the flags' declarations in src/hotspot/share/runtime/arguments.cpp and globals.hpp of
each release. A flag that is *obsolete* is ignored with a warning; only when it is *expired*, or its entry is gone, the
JVM says `Unrecognized VM option`, and exits. Only what is common in containers, and in what was written for JDK 8, is
here; of any other flag nothing is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from webhook.model import jvm

# JDK-8146115 and JDK-8186315, and their backports to 8u191
_CONTAINER = frozenset(
    {"UseContainerSupport", "ActiveProcessorCount", "InitialRAMPercentage", "MinRAMPercentage", "MaxRAMPercentage"}
)
_GONE: Mapping[str, int] = MappingProxyType(
    {
        # JEP 271, unified logging of garbage collection
        **dict.fromkeys(("PrintGCDateStamps", "PrintGCTimeStamps", "UseGCLogFileRotation"), 9),
        **dict.fromkeys(("NumberOfGCLogFiles", "GCLogFileSize"), 9),
        "UseParNewGC": 11,  # obsolete in 10
        "UseCGroupMemoryLimitForHeap": 11,  # JDK-8194086
        "AggressiveOpts": 13,
        # JEP 363, no more CMS: obsolete in 14
        **dict.fromkeys(("UseConcMarkSweepGC", "CMSInitiatingOccupancyFraction", "UseCMSInitiatingOccupancyOnly"), 15),
        **dict.fromkeys(("CMSParallelRemarkEnabled", "CMSScavengeBeforeRemark", "CMSClassUnloadingEnabled"), 15),
        "UseParallelOldGC": 16,  # JEP 366
        # obsolete from 8 on
        **dict.fromkeys(("PermSize", "MaxPermSize"), 17),
        "UseBiasedLocking": 19,  # JEP 374
    }
)
"""The first versions that do not know a flag any more."""


def refused(flag: str, version: jvm.Version) -> str | None:
    """Return which versions know a flag, in words, where this one does not; None where it does, or nothing is known."""
    if flag in _CONTAINER:
        least = ", ".join(map(str, jvm.CGROUP_V1))
        return f"Java {least} or later" if version.reaches(jvm.CGROUP_V1) is False else None
    gone = _GONE.get(flag)
    return f"a Java before {gone}" if gone is not None and version.major >= gone else None
