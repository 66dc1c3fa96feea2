"""What each rule costs on a review: the work of `evaluate`, rule by rule, by a clock that is handed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from webhook.engine.facts import Facts
from webhook.engine.sitting import Sitting
from webhook.engine.view import View
from webhook.model.review import Review
from webhook.packs.rule import Rule, Ruleset


@dataclass(frozen=True, slots=True)
class Costs:
    """What one review costs, in the unit of the clock.

    `rules` by `pack/rule`; `object` is taking the object apart, `cel` what CEL's first look at it costs beyond that of
    a later one, since it converts what the expressions read.
    """

    rules: Mapping[str, float]
    object: float
    cel: float


def costs(
    ruleset: Ruleset, review: Review, facts: Facts, now: datetime, ticks: Callable[[], int], rounds: int
) -> Costs | None:
    """Return what the rules of /validate and /advise cost on a review, None where no rule concerns it.

    `ticks` reads a clock, `rounds` is how often it is all done; medians count. In each round the rules are asked in
    another order, so that what is done once for all of them is on nobody's bill.
    """
    review = ruleset.workload(review)
    bucket = ruleset.bucket("all", review)
    if not bucket.rules or review.object is None:
        return None
    rules, spent = bucket.rules, {rule.label: list[int]() for rule in bucket.rules}
    objects, firsts = [], []
    for number in range(rounds):
        started = ticks()
        view = View.of(ruleset, review, facts, review.object, rules)
        objects.append(ticks() - started)
        sitting = Sitting(ruleset, review, facts, now, view, bucket.packs)
        at = number * 7 % len(rules)
        first = True
        for rule in (*rules[at:], *rules[:at]):
            started = ticks()
            sitting.hear((rule,))
            taken = ticks() - started
            if first and _in_cel(rule):
                firsts.append((rule.label, taken))
                first = False
            else:
                spent[rule.label].append(taken)
    for label, taken in firsts:
        if not spent[label]:
            spent[label] = [taken]  # the only one in CEL: all of it is on its bill
    usual = {label: float(median(found)) for label, found in spent.items()}
    more = [taken - usual[label] for label, taken in firsts]
    return Costs(usual, float(median(objects)), max(0.0, median(more)) if more else 0.0)


def _in_cel(rule: Rule) -> bool:
    return rule.check is None
