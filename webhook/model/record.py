"""Values that are made anew for each review: frozen for whoever writes code, and cheap to make.

A frozen dataclass sets each of its fields by a call, to get around its own ban: 2 µs for four fields, where a plain
one takes 0.3. The ban is mypy's to keep, which sees a frozen dataclass; at run time nothing is looked at.

A dataclass also writes and compiles the source of each of its methods, which is what imports consist of, and a command
waits for: 0.8 ms for a class. Here only `__init__` is made so; the others are the same for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["record"]

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass, fields
    from operator import attrgetter

    def record(*, frozen, slots):
        """Return the decorator of a class whose objects are compared and hashed by their fields."""

        def made(cls):
            native = hasattr(cls, "__mypyc_attrs__")  # then its fields are slots already, and a copy would be lost
            own = "__init__" in vars(cls)  # dataclass would write and compile one all the same, and throw it away
            return _complete(dataclass(init=not own, eq=False, repr=False, slots=slots and not native)(cls), frozen)

        return made

    def _complete(cls, frozen):
        shown = [field.name for field in fields(cls) if field.repr]
        compared = attrgetter(*(field.name for field in fields(cls) if field.compare))

        def __repr__(self):
            told = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
            return f"{type(self).__qualname__}({told})"

        def __eq__(self, other):
            return compared(self) == compared(other) if type(other) is type(self) else NotImplemented

        def __hash__(self):
            return hash(compared(self))

        cls.__repr__, cls.__eq__, cls.__hash__ = __repr__, __eq__, __hash__ if frozen else None
        return cls
