"""The document that is being compiled, and the problems found in it so far."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from webhook.checks import cel
from webhook.errors import Problem
from webhook.model.glob import Globs, compile_globs
from webhook.packs.mentions import values_read
from webhook.packs.parse import Document, Path
from webhook.packs.suggest import hint

T = TypeVar("T")


@dataclass(slots=True)
class Notes:
    """Collects problems, each with the place in the document where it stands."""

    document: Document
    problems: list[Problem] = field(default_factory=list)

    @property
    def values(self) -> Mapping[str, Any]:
        """The values of the pack, empty where there are none that can be read."""
        spec = self.document.value.get("spec")
        values = spec.get("values") if isinstance(spec, dict) else None
        return values if isinstance(values, dict) else {}

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

        A value that the pack does not have is noted too: it would fail whenever a review is judged.

        `names` are the words that it may use, each with its key in the activation.
        """
        for at, source in ((path, text), *self._variables(path, variables)):
            for name in sorted(values_read(source) - set(self.values)):
                known = ", ".join(sorted(self.values)) or "nothing"
                self.problem(at, f"values has no {name}; {hint(name, list(self.values))}it has: {known}")
        try:
            return cel.compile(text, names=names, variables=variables, wants=wants, words=frozenset(names))
        except cel.CelError as error:
            self._cel(path, error.problems)
            places = [at for at, _ in self._variables(path, variables)]
            order = [name for name, _ in variables]
            for name, problems in error.variables.items():
                self._cel(places[order.index(name)], problems)
            return None

    def _variables(self, path: Path, variables: Sequence[tuple[str, str]]) -> list[tuple[Path, str]]:
        """Return place and text of the variables of the rule in which `path` is."""
        rule = path[: path.index("rules") + 2] if "rules" in path else path
        return [((*rule, "variables", i, "expression"), source) for i, (_, source) in enumerate(variables)]

    def _cel(self, path: Path, problems: Sequence[tuple[int, int, str]]) -> None:
        for problem in problems:
            self.problem(path, cel.placed(problem))


def entries(spec: Mapping[str, Any], key: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield number and entry of a list that may be absent."""
    yield from enumerate(spec.get(key) or ())


def globs(spec: Mapping[str, Any], key: str) -> Globs | None:
    """Return the globs under `key`; None where there are none, or one that matches everything."""
    compiled = compile_globs(spec[key]) if key in spec else None
    return None if compiled is not None and compiled.everything and not key.startswith("exclude") else compiled
