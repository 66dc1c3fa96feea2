"""What a check says in CEL, so that an API server can ask it without us (`plimsoll export`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Spoken:
    """A check in CEL, over the words of rules (`pod`, `containers`), in functions that Kubernetes has.

    `variables` are (name, text) in order, `expression` is true where the standard is kept, `found` gives a text that
    says what was found where it is not.
    """

    expression: str
    found: str
    variables: tuple[tuple[str, str], ...] = ()


class Unspoken(ValueError):
    """Something whose meaning CEL cannot carry: the sentence says why."""


Speaks = Callable[[Mapping[str, Any]], Spoken]
"""A check in CEL with parameters, defaults filled in. Raises Unspoken for parameters that CEL cannot carry."""
