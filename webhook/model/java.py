"""The options that hold in a Java virtual machine, and what they make of its memory.

Source: arguments.cpp, `parse_vm_init_args` and `set_heap_size`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from webhook.model import jvm
from webhook.model.record import record

_QUARTER = Fraction(25)  # MaxRAMPercentage where nothing is set
HIDDEN = ""  # the flag under which an option stands that is not seen


@record(frozen=True, slots=True)
class Source:
    """One place of options: how it is called, where it stands, its options."""

    name: str
    pointer: str
    options: tuple[jvm.Option, ...]


@record(frozen=True, slots=True)
class Held:
    """A flag as it holds: the option, and who sets it."""

    option: jvm.Option
    source: Source

    @property
    def found(self) -> str:
        """What was found, in words."""
        return f"{self.option.text} in {self.source.name}"


@record(frozen=True, slots=True)
class Machine:
    """One JVM: what holds, by flag. `complete`: no option of the manifest is out of sight."""

    held: Mapping[str, Held]
    complete: bool

    def given(self, flag: str) -> Held | None:
        """Return a flag that is set to anything but 0 or less, which leaves it to the JVM."""
        held = self.held.get(flag)
        return None if held is None or (held.option.value is not None and held.option.value <= 0) else held

    @property
    def contained(self) -> bool:
        """Whether the JVM looks at the limits of its container at all."""
        held = self.held.get("UseContainerSupport")
        return held is None or held.option.value != 0

    @property
    def share(self) -> tuple[Held, Fraction | None] | None:
        """The option that says how much of the memory the heap takes, and that in percent; None where nothing does."""
        percentage, fraction = self.held.get("MaxRAMPercentage"), self.held.get("MaxRAMFraction")
        if percentage is not None or fraction is None:
            return None if percentage is None else (percentage, percentage.option.value)
        return fraction, 100 / fraction.option.value if fraction.option.value else None

    @property
    def largest(self) -> tuple[Held, Fraction, str] | None:
        """The option that gives the largest heap in bytes, whatever the memory is, that size, and how.

        Source: arguments.cpp, `set_heap_size`: -Xmx goes before all shares, and MaxRAM, where it is set, is what the
        shares are taken of, even above the memory that there is.
        """
        size, memory, share = self.given("MaxHeapSize"), self.given("MaxRAM"), self.share
        if size is not None:
            return None if size.option.value is None else (size, size.option.value, "")
        percent = _QUARTER if share is None else share[1]
        if memory is None or memory.option.value is None or percent is None:
            return None
        return memory, memory.option.value * percent / 100, f", of which {float(percent):g} percent are heap"


def hold(sources: Iterable[Source], before: Mapping[str, Held]) -> dict[str, Held]:
    """Return what holds in the end; an option that is not seen may change all before it, and stands as `HIDDEN`."""
    held = dict(before)
    for source in sources:
        for option in source.options:
            if option.unknown:
                held = {HIDDEN: Held(option, source)}
            else:
                held[option.flag] = Held(option, source)
    return held
