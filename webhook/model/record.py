"""Values that are made anew for each review: frozen for whoever writes code, and cheap to make.

A frozen dataclass sets each of its fields by a call, to get around its own ban: 2 µs for four fields, where a plain
one takes 0.3. The ban is mypy's to keep, which sees a frozen dataclass; at run time nothing is looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["record"]

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass

    def record(*, frozen, slots):
        """Return the decorator of a class whose objects are compared and hashed by their fields."""
        return dataclass(slots=slots, unsafe_hash=frozen)
