"""Rules in CEL that are asked together: one call tells of all of them that they are kept, as mostly they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from webhook.checks import cel
from webhook.checks.cel import Several
from webhook.packs.rule import Chorus, Key, Rule


def choruses(index: Mapping[Key, tuple[Rule, ...]]) -> Mapping[Key, tuple[Chorus, ...]]:
    """Return, for each entry of the index, the rules that can be asked together, compiled to one program each."""
    known: dict[tuple[int, ...], tuple[Several, ...]] = {}
    found = {}
    for key, rules in index.items():
        groups: dict[Any, list[Rule]] = defaultdict(list)
        for rule in rules if key[0] != "mutate" else ():
            if rule.expression is not None and not rule.hangs and not rule.narrows:
                groups[_group(rule)].append(rule)
        found[key] = tuple(one for group in groups.values() for one in _of(group, known))
    return MappingProxyType({key: some for key, some in found.items() if some})


def _group(rule: Rule) -> Any:
    """Return what rules have in common that are judged or passed over together, on the same values."""
    values = {name for name in rule.expression.holds.scope if name[0] == "values"} if rule.expression else ()
    return rule.scopes, rule.operations, rule.on_workload, rule.on_replicas, "pod" in rule.reads, frozenset(values)


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
