"""What a CEL text looks at, as far as its words tell: so that two findings without a found value can be compared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from webhook.model.record import record

# a pattern of ours, linear: a quote is looked for in vain at most once
_TOKEN = re.compile(r"""[A-Za-z_][A-Za-z0-9_]*|'[^']*'|"[^"]*"|\S""", re.ASCII)
# what follows the list that these walk is said about its elements, by their fields
_MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter", "transformList"})


@lru_cache(maxsize=256)  # a variable is read again for each text of its rule
def _tokens(text: str) -> tuple[str, ...]:
    return tuple(_TOKEN.findall(text))


@record(frozen=True, slots=True)
class Mentions:
    """The fields that a text passes through (`spec` in `pod.spec.hostNetwork`), and those that it takes whole."""

    through: frozenset[str] = frozenset()
    whole: frozenset[str] = frozenset()

    def of(self, value: Any) -> Any:
        """Return the parts of a value that are mentioned; a list keeps its length, an empty map is none."""
        if isinstance(value, list):
            return [self.of(element) for element in value]
        if not isinstance(value, Mapping):
            return value
        kept = {key: item for key, item in value.items() if key in self.whole}
        parts = {key: self.of(item) for key, item in value.items() if key in self.through - self.whole}
        return kept | {key: part for key, part in parts.items() if part != {}}


def mentions(texts: Iterable[str]) -> Mentions:
    """Return the fields that CEL texts mention: names, and strings, which may be keys."""
    through: set[str] = set()
    whole: set[str] = set()
    for text in texts:
        tokens = [*_tokens(text), "", "", ""]
        for number, token in enumerate(tokens[:-3]):
            behind, name, bracket = tokens[number + 1 : number + 4]
            if token[0] in "'\"":
                whole.add(token[1:-1])
            elif behind == "[" or (behind == "." and (bracket != "(" or name in _MACROS)):
                through.add(token)
            else:
                whole.add(token)
    return Mentions(frozenset(through), frozenset(whole))


def on_replicas(texts: Iterable[str]) -> bool:
    """Say whether CEL texts look at nothing of `object` but its replicas and its metadata.

    Such a rule can judge a Scale (`kubectl scale`), which has `spec.replicas` and a name, and nothing else of the
    workload.
    """
    seen = False
    for text in texts:
        tokens = ["", *(word for word in _tokens(text) if word != "?"), "", "", "", ""]
        for number, word in enumerate(tokens[:-4]):
            if word != "object" or tokens[number - 1] == ".":
                continue
            path = tokens[number + 1 : number + 5]
            if path[:2] == [".", "metadata"]:
                continue
            if path != [".", "spec", ".", "replicas"]:
                return False
            seen = True
    return seen


def values_read(text: str) -> set[str]:
    """Return the values that a CEL text needs: `a` of `values.a`, but not of `has(values.a)` or `values.?a`."""
    tokens = ["", "", *_tokens(text), "", ""]
    return {
        tokens[number + 2]
        for number, word in enumerate(tokens[:-2])
        if word == "values"
        and tokens[number - 1] != "."
        and tokens[number + 1] == "."
        and tokens[number + 2].isidentifier()
        and tokens[number - 2 : number] != ["has", "("]
    }
