"""Advice on CEL: what always gives the same, and fields that no object of the kind has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from webhook.checks import cel
from webhook.checks.cel import Program
from webhook.errors import RuleError
from webhook.model import pointer
from webhook.packs import fields
from webhook.packs.fields import Table, Types
from webhook.packs.parse import Path
from webhook.packs.rule import Rule

Advice = tuple[Path, str]


def table() -> Table:
    """Return the fields of Kubernetes' kinds, which tests/controlplane/fields.py wrote."""
    found = json.loads((files("webhook.advice") / "fields.json").read_text(encoding="utf-8"))
    return Table(found["kubernetes"], found["kinds"], found["types"])


def constant(rule: Rule, written: Mapping[str, Any], path: Path) -> Iterator[Advice]:
    """Yield the expressions of a rule that look at nothing, and so always give the same.

    `expression: "false"` refuses all that is in scope, and `when: "true"` mends it: that may be meant.
    """
    if rule.expression is not None and written["expression"].strip() != "false":
        yield from _same(rule.expression.holds, (*path, "expression"), "it is always {}, whatever the object is")
    if rule.mutation is not None and written["when"].strip() != "true":
        yield from _same(rule.mutation.when, (*path, "when"), "it is always {}, whatever the object is")
    own = {condition["name"]: number for number, condition in enumerate(_conditions(written))}
    for scope in rule.scopes:
        for name, program in scope.conditions:
            if name in own:  # that of the pack is told once, at the pack
                at = (*path, "match", "matchConditions", own[name], "expression")
                yield from _same(program, at, "it is always {}: " + _MEANS)


_MEANS = "a condition that is always true says nothing, and where one is always false its rules never match"


def pack_constant(rules: list[Rule], match: Mapping[str, Any]) -> Iterator[Advice]:
    """Yield the conditions of a pack's own match that always give the same."""
    own = {condition["name"]: number for number, condition in enumerate(_conditions({"match": match}))}
    found = {name: program for rule in rules for scope in rule.scopes for name, program in scope.conditions}
    for name, number in own.items():
        if name in found and found[name].text == match["matchConditions"][number]["expression"]:
            at = ("spec", "match", "matchConditions", number, "expression")
            yield from _same(found[name], at, "it is always {}: " + _MEANS)


def _same(program: Program, path: Path, text: str) -> Iterator[Advice]:
    if program.reads:
        return
    try:
        value = program(cel.activation({}))
    except RuleError as error:
        yield path, f"it looks at nothing of the object, and always fails: {error}"
    else:
        yield path, text.format("true" if value is True else "false" if value is False else value)


def unheard(table: Table, rule: Rule, written: Mapping[str, Any], path: Path) -> Iterator[Advice]:
    """Yield the fields that the CEL and the patch of a rule name, and that no object has which it judges."""
    known = fields.names(table, rule.kinds)
    variables: dict[str, Types] = {}
    for number, one in enumerate(written.get("variables") or ()):
        at = (*path, "variables", number, "expression")
        yield from ((at, text) for text in fields.absent(table, one["expression"], known, variables))
        variables[one["name"]] = fields.gives(table, one["expression"], known, variables)
    texts = [((*path, key), written[key]) for key in ("expression", "messageExpression", "when") if key in written]
    for number, one in enumerate(_conditions(written)):
        texts.append(((*path, "match", "matchConditions", number, "expression"), one["expression"]))
    for number, one in enumerate(written.get("patch") or ()):
        if "valueExpression" in one:
            texts.append(((*path, "patch", number, "valueExpression"), one["valueExpression"]))
        wrong = fields.absent_below(table, pointer.split(one["path"]))
        if wrong:
            yield (*path, "patch", number, "path"), wrong
    for at, text in texts:
        yield from ((at, said) for said in fields.absent(table, text, known, variables))


def _conditions(written: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list((written.get("match") or {}).get("matchConditions") or ())
