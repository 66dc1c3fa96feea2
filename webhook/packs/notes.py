"""The document that is being compiled, and the problems found in it so far."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from webhook.checks import cel
from webhook.errors import Problem
from webhook.model.glob import Globs, compile_globs
from webhook.packs.parse import Document, Path

T = TypeVar("T")


@dataclass(slots=True)
class Notes:
    """Collects problems, each with the place in the document where it stands."""

    document: Document
    problems: list[Problem] = field(default_factory=list)

    def problem(self, path: Path, text: str) -> None:
        """Note that something is wrong at `path`."""
        self.problems.append(self.document.problem(path, text))

    def each(self, path: Path, texts: Sequence[str], make: Callable[[str], T], known: Sequence[str] = ()) -> list[T]:
        """Return `make(text)` of every text; a ValueError is noted, with the known word that is nearly right."""
        made: list[T] = []
        for number, text in enumerate(texts):
            try:
                made.append(make(text))
            except ValueError as error:
                near = difflib.get_close_matches(text, known, 1)
                self.problem((*path, number), f"{error}; did you mean {near[0]}?" if near else str(error))
        return made

    def cel(
        self,
        path: Path,
        text: str,
        names: Mapping[str, str],
        wants: Any,
        variables: Sequence[tuple[str, str]] = (),
    ) -> cel.Program | None:
        """Return a CEL text compiled, or None where that failed (which is noted).

        `names` are the words that it may use, each with its key in the activation.
        """
        try:
            return cel.compile(text, names=names, variables=variables, wants=wants, words=frozenset(names))
        except cel.CelError as error:
            self._cel(path, error.problems)
            order = [name for name, _ in variables]
            for name, problems in error.variables.items():
                rule = path[: path.index("rules") + 2] if "rules" in path else path
                self._cel((*rule, "variables", order.index(name), "expression"), problems)
            return None

    def _cel(self, path: Path, problems: Sequence[tuple[int, int, str]]) -> None:
        for line, column, sentence in problems:
            where = f"line {line}, column {column}" if line > 1 else f"column {column}"
            self.problem(path, f"CEL, {where}: {sentence}")


def entries(spec: Mapping[str, Any], key: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield number and entry of a list that may be absent."""
    yield from enumerate(spec.get(key) or ())


def globs(spec: Mapping[str, Any], key: str) -> Globs | None:
    """Return the globs under `key`; None where there are none, or one that matches everything."""
    compiled = compile_globs(spec[key]) if key in spec else None
    return None if compiled is not None and compiled.everything and not key.startswith("exclude") else compiled
