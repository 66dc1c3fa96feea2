"""The three errors of Plimsoll: a bad configuration, a bad review, a rule that failed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with a file or a setting.

    `line` counts from 1; 0 means that the whole source is meant. `path` is the place inside the
    document (`spec.rules[2].action`), empty where there is none.
    """

    source: str
    line: int
    path: str
    text: str

    def __str__(self) -> str:
        """Return `file:line: path: text`, leaving out what is not known."""
        place = f"{self.source}:{self.line}" if self.line else self.source
        return ": ".join(part for part in (place, self.path, self.text) if part)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what pickle makes it anew from: by itself it would fill an empty one, which compiled code refuses."""
        return Problem, (self.source, self.line, self.path, self.text)


class ConfigError(Exception):
    """A pack, a test or a setting that cannot be used; carries every problem found, sorted."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ReviewError(Exception):
    """A request that is no AdmissionReview we can answer; `status` is the HTTP status to give (4xx)."""

    def __init__(self, message: str, status: int = 400) -> None:
        self.message = message
        self.status = status
        super().__init__(message)


class RuleError(Exception):
    """A rule that failed on an object: a CEL error, or a value that its check could not read."""
