"""Values that are made anew for each review: frozen for whoever writes code, and cheap to make.

A frozen dataclass sets each of its fields by a call, to get around its own ban: 2 µs for four fields, where a plain
one takes 0.3. The ban is mypy's to keep, which sees a frozen dataclass; at run time nothing is looked at.

A dataclass also writes and compiles the source of each of its methods, which is what imports consist of, and a command
waits for: 0.8 ms for a class. Here `__init__` alone is made so, and when the first object is made: of most classes that
a command imports it makes none. The other methods are the same for all. It is a dataclass to `replace` and `fields`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["record"]

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import _FIELD, MISSING, Field, field
    from operator import attrgetter

    def record(*, frozen, slots):
        """Return the decorator of a class whose objects are compared and hashed by their fields."""
        if not (frozen and slots):
            raise TypeError("a record is frozen, and has slots; wanted frozen=True, slots=True, or a dataclass")
        return _made

    def _made(cls):
        if hasattr(cls, "__dataclass_fields__"):
            raise TypeError(f"{cls.__qualname__} inherits from a record, and a record's fields are its own")
        native = hasattr(cls, "__mypyc_attrs__")  # then its fields are slots already, and a copy would be lost
        found = _fields(cls)
        if not native:
            cls = _slotted(cls, found)
        cls.__dataclass_fields__ = found
        cls.__match_args__ = tuple(found)
        if "__init__" not in vars(cls):
            cls.__init__ = _constructor(cls) if native else _later(cls)
        return _complete(cls)

    def _fields(cls):
        """Return the fields of a class by their names, as `dataclasses` has them."""
        own = vars(cls)
        found = {}
        for name in own["__annotations__"]:
            given = own.get(name, MISSING)
            one = given if isinstance(given, Field) else field(default=given)
            if one.default is not MISSING and type(one.default).__hash__ is None:
                raise ValueError(f"{cls.__qualname__}.{name}: all objects would share the default; use default_factory")
            one.name, one._field_type = name, _FIELD
            found[name] = one
        return found

    def _slotted(cls, found):
        """Return a class anew with a slot for each field, since slots can't be had afterwards."""
        left = {"__dict__", "__weakref__", *found}
        own = {name: value for name, value in vars(cls).items() if name not in left}
        made = type(cls)(cls.__name__, cls.__bases__, {**own, "__slots__": tuple(found)})
        made.__qualname__ = cls.__qualname__
        return made

    def _later(cls):
        """Return a constructor that is made when it is called."""

        def __init__(self, *given, **named):
            cls.__init__ = _constructor(cls)
            cls.__init__(self, *given, **named)

        return __init__

    def _constructor(cls):
        """Return the constructor of a class, compiled from source."""
        scope = {"_missing_": MISSING}
        heads, lines = ["self"], []
        for name, one in cls.__dataclass_fields__.items():
            if one.default_factory is not MISSING:
                scope[f"_{name}_"] = one.default_factory
                heads.append(f"{name}=_missing_")
                lines.append(f"    self.{name} = _{name}_() if {name} is _missing_ else {name}")
                continue
            if one.default is not MISSING:
                scope[f"_{name}_"] = one.default
            heads.append(name if one.default is MISSING else f"{name}=_{name}_")
            lines.append(f"    self.{name} = {name}")
        exec(f"def __init__({', '.join(heads)}):\n" + "\n".join(lines or ["    pass"]), scope)  # noqa: S102 - as dataclasses do
        made = scope["__init__"]
        made.__qualname__, made.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
        return made

    def _complete(cls):
        shown = [name for name, one in cls.__dataclass_fields__.items() if one.repr]
        compared = attrgetter(*(name for name, one in cls.__dataclass_fields__.items() if one.compare))

        def __repr__(self):
            told = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
            return f"{type(self).__qualname__}({told})"

        def __eq__(self, other):
            return compared(self) == compared(other) if type(other) is type(self) else NotImplemented

        def __hash__(self):
            return hash(compared(self))

        cls.__repr__, cls.__eq__, cls.__hash__ = __repr__, __eq__, __hash__
        return cls
