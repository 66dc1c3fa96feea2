"""What every report says of a finding, in the same words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from webhook.cli.judge import Judged
from webhook.model.decision import Fault, Finding

WOULD = "would correct it, if the rule warned or denied"
"""What is said of a fix that `/mutate` does not make, because its rule only notes what it finds."""

ABSENT = "; a field that may be absent wants has(...) before it, or .?field.orValue(...)"
"""What is said to those who try a rule in CEL that met no field; developers who are denied can do nothing with it."""


def title(finding: Finding) -> str:
    """Return what is wrong and with whom: `requests differ from limits (web)`."""
    violation = finding.violation
    return violation.reason + (f" ({violation.container})" if violation.container else "")


def details(finding: Finding) -> Iterator[tuple[str, str]]:
    """Yield where it is, what was found and is wanted, what to do and where to read on; nothing that is empty."""
    violation = finding.violation
    yield "at", violation.pointer or "/"
    if violation.found:
        yield "found", violation.found
    if violation.wanted and violation.wanted != violation.reason:
        yield "wanted", violation.wanted
    if finding.about.remediation:
        yield "do", finding.about.remediation
    if finding.about.docs:
        yield "docs", finding.about.docs


def failure(fault: Fault) -> str:
    """Return that a rule failed, or could not be decided, and why; and what its author forgot, where that is plain."""
    if fault.kind != "error":
        return f"could not be decided: {fault.message}"
    cure = ABSENT if fault.message.startswith("no such key: ") else ""
    return f"the rule failed: {fault.message}{cure}"


def contacts(items: Iterable[Finding | Fault]) -> set[tuple[str, str]]:
    """Return (pack, whom to ask) of what was found, and of what is denied since it could not be judged."""
    told = [item.about for item in items if isinstance(item, Finding) or item.effective == "deny"]
    return {(about.pack, about.contact) for about in told if about.contact}


def ask(pack: str, contact: str) -> str:
    """Return whom to ask about a pack."""
    return f"Contact for pack {pack}: {contact}"


def place(one: Judged, pointer: str) -> str:
    """Return file and line of what a pointer leads to."""
    return f"{one.manifest.file}:{one.manifest.line(pointer)}"
