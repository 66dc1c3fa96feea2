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
    readings = iter(
        tick
        for start in range(0, 9000, 100)
        # the object; the check; the first rule in CEL, which takes 50 more; the second
        for tick in (start, start + 1, start + 10, start + 12, start + 20, start + 73, start + 80, start + 83)
    )
    packs = load(TWO + '  - {name: two, expression: "containers.size() < 3", action: deny}\n')
    found = costs(packs, review(deployment()), Facts(), now, readings.__next__, 1)
    assert found.rules["pack/two"] == 3
    assert found.cel == 53  # nothing else tells what the first would have cost later


def test_an_object_that_no_rule_concerns_costs_nothing(load, review, now):
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    assert costs(load(TWO), review(config), Facts(), now, count().__next__, 5) is None
