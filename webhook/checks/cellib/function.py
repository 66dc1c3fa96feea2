"""One row of a table of CEL functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from webhook.model.record import record


@record(frozen=True, slots=True)
class Function:
    """An overload: its name in CEL, the types that go in and come out, and the Python function.

    Types are the binding's words (`STRING`, `INT`, `DOUBLE`, `BOOL`, `MAP`, `LIST`; `DYN` only for
    results). A parameter is never `DYN`: the binding kills the process when an optional value meets
    one. For a member the first parameter is the receiver. `call` raises ValueError with a sentence.
    """

    name: str
    parameters: tuple[str, ...]
    member: bool
    returns: str
    call: Callable[..., Any]
