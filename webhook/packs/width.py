"""How much of an object CEL gets to see: what the texts of all packs read of it. The rest would be converted, too.

Of containers it is what they read of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from webhook.checks.cel import Program
from webhook.packs.rule import Rule, Width


def widths(rules: Iterable[Rule]) -> Mapping[str, Width]:
    """Return, for each word that no text of the rules uses whole, the fields that they read of it."""
    found: dict[str, dict[str, frozenset[str] | None]] = {}
    whole = set()
    for word, *fields in {path for rule in rules for program in _programs(rule) for path in program.paths}:
        if not fields:
            whole.add(word)
            continue
        width = found.setdefault(word, {})
        known = width.get(fields[0], frozenset())
        width[fields[0]] = None if known is None or len(fields) == 1 else known | {fields[1]}
    return MappingProxyType({word: MappingProxyType(width) for word, width in found.items() if word not in whole})


def _programs(rule: Rule) -> Iterator[Program]:
    for scope in rule.scopes:
        yield from (program for _, program in scope.conditions)
    if rule.expression is not None:
        yield rule.expression.holds
        if rule.expression.says is not None:
            yield rule.expression.says
    if rule.mutation is not None:
        yield rule.mutation.when
        yield from (write.program for write in rule.mutation.writes if write.program is not None)


def cut(value: Any, width: Width | None) -> Any:
    """Return the fields of an object that a width leaves in; None leaves in all."""
    if width is None or not isinstance(value, dict):
        return value
    return {
        name: {field: item[field] for field in below if field in item}
        if below is not None and isinstance(item := value[name], dict)
        else value[name]
        for name, below in width.items()
        if name in value
    }
