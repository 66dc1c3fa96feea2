"""Costs: what each rule takes of a review, by whatever clock is handed in."""

from __future__ import annotations

from itertools import count

from webhook.engine.cost import costs
from webhook.engine.facts import Facts

TWO = """
rules:
  - {name: paths, check: no-host-path, action: deny}
  - {name: one, expression: "containers.size() == 1", action: deny}
"""


def test_each_rule_has_its_cost_and_what_all_share_stands_apart(load, review, deployment, now):
    found = costs(load(TWO), review(deployment()), Facts(), now, count().__next__, 5)
    assert dict(found.rules) == {"pack/paths": 1, "pack/one": 1}
    assert (found.object, found.cel) == (1, 0)


def test_what_only_the_first_rule_in_cel_pays_is_on_no_rules_bill(load, review, deployment, now):
    check, first, later = 2, 53, 3
    # three rounds, each of which begins with another rule: the object, then each rule in its turn
    orders = ((1, check, first, later), (1, first, later, check), (1, first, check, later))
    at, readings = 0, []
    for order in orders:
        for spent in order:
            readings += [at, at + spent]
            at += 100
    packs = load(TWO + '  - {name: two, expression: "containers.size() < 3", action: deny}\n')
    found = costs(packs, review(deployment()), Facts(), now, iter(readings).__next__, 3)
    assert dict(found.rules) == {"pack/paths": check, "pack/one": later, "pack/two": later}
    assert (found.object, found.cel) == (1, first - later)


def test_an_object_that_no_rule_concerns_costs_nothing(load, review, now):
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    assert costs(load(TWO), review(config), Facts(), now, count().__next__, 5) is None
