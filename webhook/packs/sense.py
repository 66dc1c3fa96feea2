"""What a schema cannot say in one clear sentence: names, kinds of rules, selectors, patches, versions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import webhook
from webhook.errors import Problem
from webhook.packs.parse import Document, Path
from webhook.packs.suggest import hint, listed, near
from webhook.packs.walk import shown, walk

_LOW = re.compile(r">=[0-9]{1,9}(?:\.[0-9]{1,9}){0,3}")
_RELEASE = re.compile(r"[0-9]+(?:\.[0-9]+)*")

KINDS_OF_RULE = ("check", "expression", "patch")

ONLY_WITH: Mapping[str, tuple[str, ...]] = {
    "params": ("check",),
    "fix": ("check",),
    "quiet": ("check", "patch"),
    "variables": ("expression", "patch"),
    "message": ("expression", "patch"),
    "messageExpression": ("expression",),
    "when": ("patch",),
}
"""The keys of a rule that only some kinds of rules have; elsewhere they would do nothing."""


def sense(document: Document, params: Mapping[str, Mapping[str, Any]], waiting: bool) -> Iterator[Problem]:
    """Yield what is wrong with a pack beyond its schema. Leaves alone what has the wrong type already.

    `params` are the schemas of parameters by check. `waiting`: its base is not known, so rules may yet
    inherit what they lack.
    """
    spec = _mapping(document.value.get("spec"))
    yield from _requires(document, spec)
    yield from _scope(document, ("spec", "match"), spec.get("match"))
    rules = [(index, rule) for index, rule in enumerate(_list(spec.get("rules"))) if isinstance(rule, dict)]
    yield from _unique(document, ("spec", "rules"), spec.get("rules"), "a rule")
    names = [rule["name"] for _, rule in rules if isinstance(rule.get("name"), str)]
    for index, rule in rules:
        path = ("spec", "rules", index)
        yield from _rule(document, path, rule, names, waiting)
        yield from _scope(document, (*path, "match"), rule.get("match"))
        check = rule.get("check")
        if isinstance(check, str) and check in params and isinstance(rule.get("params", {}), dict):
            yield from walk(document, (*path, "params"), rule.get("params", {}), params[check])
    if not waiting:
        yield from _exemptions(document, spec, names)


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _unique(document: Document, path: Path, elements: object, what: str) -> Iterator[Problem]:
    first: dict[str, Path] = {}
    for index, element in enumerate(_list(elements)):
        name = _mapping(element).get("name")
        here = (*path, index, "name")
        if not isinstance(name, str):
            continue
        if name in first:
            place = document.place(first[name])
            text = f"{what} named {name} is there already ({place.where}); give this one another name"
            yield document.problem(here, text)
        first.setdefault(name, here)


def _rule(document: Document, path: Path, rule: dict[str, Any], names: list[str], waiting: bool) -> Iterator[Problem]:
    yield from _unique(document, (*path, "variables"), rule.get("variables"), "a variable")
    given = [key for key in KINDS_OF_RULE if key in rule]
    if not given:
        # A misspelt kind is reported as an unknown key already.
        if not waiting and not any(near(key, KINDS_OF_RULE) for key in rule):
            others = [name for name in names if name != rule.get("name")]
            meant = hint(str(rule.get("name", "")), others)
            yield document.problem(path, f"has no check, expression or patch; {meant}a rule has exactly one of them")
        return
    if len(given) > 1:
        text = f"a rule has exactly one of {listed(KINDS_OF_RULE, 'and')}; this one has {listed(given, 'and')}"
        yield document.problem((*path, given[1]), text, key=True)
        return
    for key, kinds in ONLY_WITH.items():
        if key in rule and given[0] not in kinds:
            text = f"belongs to rules with {listed(kinds)}, and would do nothing beside {given[0]}; leave it out"
            yield document.problem((*path, key), text, key=True)
    if given == ["patch"]:
        if "when" not in rule and not waiting and not any(near(key, ["when"]) for key in rule):
            yield document.problem(
                (*path, "patch"), "has no `when` beside it; wanted CEL that is true where the patch is due"
            )
        for index, operation in enumerate(_list(rule["patch"])):
            yield from _operation(document, (*path, "patch", index), _mapping(operation))


def _operation(document: Document, path: Path, operation: dict[str, Any]) -> Iterator[Problem]:
    given = [key for key in ("value", "valueExpression") if key in operation]
    op = operation.get("op")
    if op == "remove" and given:
        yield document.problem((*path, given[0]), "does nothing with op remove; leave it out", key=True)
    elif op in ("add", "replace") and len(given) != 1:
        found = "both" if given else "neither"
        yield document.problem(path, f"op {op} has one of value and valueExpression; this one has {found}")
    target = operation.get("path")
    if isinstance(target, str) and target.startswith("/spec/template/"):
        meant = target.removeprefix("/spec/template")
        yield document.problem(
            (*path, "path"), f"{shown(target)} begins at the workload; paths begin at its pod: {meant}"
        )


def _scope(document: Document, path: Path, match: object) -> Iterator[Problem]:
    scope = _mapping(match)
    yield from _unique(document, (*path, "matchConditions"), scope.get("matchConditions"), "a match condition")
    for selector in ("namespaceSelector", "objectSelector"):
        expressions = _list(_mapping(scope.get(selector)).get("matchExpressions"))
        for index, expression in enumerate(expressions):
            here = (*path, selector, "matchExpressions", index)
            yield from _requirement(document, here, _mapping(expression))


def _requirement(document: Document, path: Path, expression: dict[str, Any]) -> Iterator[Problem]:
    """Yield where values and operator do not fit; source: LabelSelectorRequirement in the API of meta/v1."""
    operator, values = expression.get("operator"), expression.get("values", [])
    if operator in ("In", "NotIn") and values == []:
        yield document.problem((*path, "values"), f"operator {operator} wants at least one value")
    if operator in ("Exists", "DoesNotExist") and values != []:
        yield document.problem((*path, "values"), f"operator {operator} has no values; leave them out", key=True)


def _exemptions(document: Document, spec: dict[str, Any], names: list[str]) -> Iterator[Problem]:
    for index, exemption in enumerate(_list(spec.get("exemptions"))):
        for place, name in enumerate(_list(_mapping(exemption).get("rules"))):
            if isinstance(name, str) and name and name not in names:
                known = ", ".join(names[:20]) or "none"
                text = f"the pack has no rule {shown(name)}; {hint(name, names)}its rules: {known}"
                yield document.problem(("spec", "exemptions", index, "rules", place), text)


def _requires(document: Document, spec: dict[str, Any]) -> Iterator[Problem]:
    requires = spec.get("requires")
    if not isinstance(requires, str) or not requires:
        return
    if _plainly(requires):
        return
    # Costs 20 ms, and most packs don't ask for more than a first version.
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    path = ("spec", "requires")
    try:
        fits = SpecifierSet(requires).contains(webhook.__version__, prereleases=True)
    except InvalidSpecifier:
        yield document.problem(path, f"{shown(requires)} is no range of versions; wanted e.g. >=0.3 or >=0.3,<2")
        return
    if not fits:
        text = f"the pack needs Plimsoll {requires}, this is {webhook.__version__}; install one that fits"
        yield document.problem(path, text)


def _plainly(requires: str) -> bool:
    """Say whether it is plain that this version is in a range: `>=0.3`, and digits and dots on both sides.

    What is not plain, or does not fit, is for those to judge who know all that a range may be.
    """
    low, version = _LOW.fullmatch(requires), _RELEASE.fullmatch(webhook.__version__)
    return bool(low and version) and _numbers(webhook.__version__) >= _numbers(requires.removeprefix(">="))


def _numbers(version: str) -> list[int]:
    numbers = [int(part) for part in version.split(".")]
    while numbers and numbers[-1] == 0:  # 0.3 is 0.3.0
        numbers.pop()
    return numbers
