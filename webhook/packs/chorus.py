"""Rules in CEL that are asked together: one call tells of all of them that they are kept, as mostly they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from webhook.checks import cel
from webhook.checks.cel import Several
from webhook.packs.rule import Chorus, Expression, Key, Rule


def choruses(index: Mapping[Key, tuple[Rule, ...]]) -> Mapping[Key, tuple[Chorus, ...]]:
    """Return, for each entry of the index, the rules that can be asked together, compiled to one program each."""
    known: dict[tuple[int, ...], tuple[Several, ...]] = {}
    found = {}
    for key, rules in index.items():
        groups: dict[Any, list[Rule]] = defaultdict(list)
        for rule in rules if key[0] != "mutate" else ():
            if rule.expression is not None and not rule.hangs and not rule.narrows and not _confused(rule.expression):
                groups[_group(rule)].append(rule)
        found[key] = tuple(one for group in groups.values() for one in _of(group, known))
    return MappingProxyType({key: some for key, some in found.items() if some})


def _group(rule: Rule) -> Any:
    """Return what rules have in common that are judged or passed over together, on the same values.

    Those that leave a loop's variable behind (`Program.leaves`) are apart from those that bind names.
    """
    values = {name for name in rule.expression.holds.scope if name[0] == "values"} if rule.expression else ()
    leaves = rule.expression is not None and rule.expression.holds.leaves
    kind = rule.scopes, rule.operations, rule.on_workload, rule.on_replicas, "pod" in rule.reads
    return kind, frozenset(values), leaves


def _confused(expression: Expression) -> bool:
    """Say whether a text may be asked with no other: it confuses those that bind names, and is confused itself."""
    return expression.holds.leaves and expression.holds.binds


def _of(group: Iterable[Rule], known: dict[tuple[int, ...], tuple[Several, ...]]) -> list[Chorus]:
    asking: dict[int, list[Rule]] = defaultdict(list)
    programs = {}
    for rule in group:
        if rule.expression is not None:
            holds = rule.expression.holds
            programs[id(holds.expression)] = holds  # packs with the same text share it
            asking[id(holds.expression)].append(rule)
    if tuple(programs) not in known:
        known[tuple(programs)] = cel.together(list(programs.values()))
    return [
        Chorus(several, tuple(rule for program in several.programs for rule in asking[id(program.expression)]))
        for several in known[tuple(programs)]
    ]
