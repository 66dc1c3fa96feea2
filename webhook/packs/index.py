"""Which rules concern which kind at which endpoint."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from webhook.model.workloads import Kinds
from webhook.packs.rule import Key, Rule


def index(rules: Iterable[Rule], kinds: Kinds) -> Mapping[Key, tuple[Rule, ...]]:
    """Return the rules by (endpoint, group, kind), in the order given.

    Each rule stands at exactly one of `validate` and `advise`: a pack that can deny is at `validate` for kinds
    with a pod template, everything else is at `advise`. `all` holds both, and `mutate` the rules with a fix.
    A wrapper's kind also gets the rules of what it may carry, since only its manifests tell.
    """
    rules = [rule for rule in rules if rule.pack.mode != "disabled"]
    denying = {rule.pack.name for rule in rules if _can_deny(rule)}
    wrappers = {key for key, row in kinds.items() if row.wraps}
    found: dict[Key, list[Rule]] = defaultdict(list)
    for rule in rules:
        for group, kind in sorted(rule.kinds | (wrappers if _carried(rule, wrappers) else frozenset())):
            strict = (group, kind) in kinds and rule.pack.name in denying
            found["validate" if strict else "advise", group, kind].append(rule)
            found["all", group, kind].append(rule)
            if rule.fix:
                found["mutate", group, kind].append(rule)
    return MappingProxyType({key: tuple(entry) for key, entry in found.items()})


def _can_deny(rule: Rule) -> bool:
    """Say whether anything of a rule can deny: what it finds, its own failure, or a fact that is not there."""
    return rule.pack.mode == "enforce" and "deny" in (rule.about.action, rule.on_error, rule.on_unknown)


def _carried(rule: Rule, wrappers: set[tuple[str, str]]) -> bool:
    """Say whether a rule judges any kind that a wrapper may carry: any at all that is no wrapper itself."""
    return bool(rule.kinds - wrappers)
