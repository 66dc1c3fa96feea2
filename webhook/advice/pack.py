"""All advice on packs: days that are over, values that nobody reads, words that are missing, endless exemptions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from webhook.advice import cel, reach
from webhook.errors import Problem
from webhook.model.kinds import find
from webhook.model.workloads import KINDS
from webhook.packs.parse import Document, Path
from webhook.packs.rule import Rule
from webhook.packs.suggest import hint

SOON = timedelta(days=30)
"""An exemption that ends within this time is told of."""


def advice(packs: Iterable[tuple[Document, Sequence[Rule]]], today: date, written: str) -> list[Problem]:
    """Return what is hardly meant in packs that load, sorted; only what is certain.

    Each comes with its compiled rules. `today` is a UTC day, `written` the text of all packs and those that they
    may extend.
    """
    found: set[Problem] = set()
    for document, rules in packs:
        found.update(_of_pack(document, today))
        found.update(_of_rules(document))
        found.update(_of_compiled(document, rules))
        found.update(_of_exemptions(document, rules, today))
        found.update(_of_values(document, written))
    return sorted(found)


def _of_pack(document: Document, today: date) -> Iterator[Problem]:
    spec = document.value["spec"]
    if not spec.get("contact"):
        text = "is missing: whoever is refused does not learn whom to ask; write a team and a page"
        yield document.problem(("spec", "contact"), text)
    rules = [rule for _, rule in _rules(document)]
    dated = ((("spec",), spec, rules), *((path, rule, [rule]) for path, rule in _rules(document)))
    for path, entry, of in dated:
        day = entry.get("enforceFrom")
        # what was there before the day goes on by it, for as long as it stands
        if day and date.fromisoformat(day) <= today and not any(map(_grandfathers, of)):
            text = f"{day} has come, so this changes nothing any more; take it away"
            yield document.problem((*path, "enforceFrom"), text)


def _grandfathers(rule: Mapping[str, Any]) -> bool:
    return rule.get("action") == "deny" and rule.get("existing", "allow") == "allow"


def _of_values(document: Document, written: str) -> Iterator[Problem]:
    names = list(document.value["spec"].get("values") or ())
    known = [name for name in names if _used(name, written)]
    for name in names:
        if name not in known:
            text = f"no rule reads the value {name}; {hint(name, known)}a rule reads it by ${{values.{name}}}"
            yield document.problem(("spec", "values", name), text, key=True)


def _used(name: str, written: str) -> bool:
    return any(use in written for use in (f"values.{name}", f"values['{name}']", f'values["{name}"]'))


def _of_rules(document: Document) -> Iterator[Problem]:
    spec = document.value["spec"]
    denying = [(path, rule) for path, rule in _rules(document) if rule.get("action") == "deny"]
    for path, rule in denying:
        if not rule.get("remediation"):
            text = "is missing in a rule that denies: whoever is refused does not learn what to write instead"
            yield document.problem((*path, "remediation"), text)
        if (rule.get("match") or {}).get("objectSelector"):
            yield _selectable(document, (*path, "match", "objectSelector"), f"rule {rule['name']} denies")
    if denying and (spec.get("match") or {}).get("objectSelector"):
        yield _selectable(document, ("spec", "match", "objectSelector"), "the pack has rules that deny")


def _selectable(document: Document, path: Path, why: str) -> Problem:
    text = f"{why}, and users write these labels: one label takes an object out of its sight; match by namespaces"
    return document.problem(path, text, key=True)


def _of_compiled(document: Document, compiled: Sequence[Rule]) -> Iterator[Problem]:
    """Yield what only a compiled rule tells: where it reaches, and what its CEL reads."""
    match = document.value["spec"].get("match") or {}
    rules = {rule.about.rule: rule for rule in compiled}
    table = cel.table()
    for at, text in cel.pack_constant(list(rules.values()), match):
        yield document.problem(at, text)
    for path, written in _rules(document):
        rule = rules.get(written["name"])
        if rule is None:  # it is disabled
            continue
        own = written.get("match") or {}
        for clause, text in reach.dead_ends(rule, match, own):
            where = (*path, "match", clause) if clause in own else ("spec", "match", clause)
            yield document.problem(where, f"{text} (rule {written['name']})", key=True)
        for at, text in (*cel.constant(rule, written, path), *cel.unheard(table, rule, written, path)):
            yield document.problem(at, text)


def _of_exemptions(document: Document, compiled: Sequence[Rule], today: date) -> Iterator[Problem]:
    judged = {rule.about.rule: rule.kinds for rule in compiled}
    for number, entry in enumerate(document.value["spec"].get("exemptions") or ()):
        path: Path = ("spec", "exemptions", number)
        last = date.fromisoformat(entry["expires"])
        if last < today:
            text = f"{entry['expires']} is over, so it exempts nothing; take it away, or ask {entry['owner']}"
            yield document.problem((*path, "expires"), text)
            continue
        if last - today <= SOON:
            text = f"ends in {(last - today).days} days, after {entry['expires']}; ask {entry['owner']} what then"
            yield document.problem((*path, "expires"), text)
        for rule in entry["rules"]:
            if rule in judged and _everything(entry["match"], judged[rule]):
                text = f"covers all that rule {rule} judges until {entry['expires']}; narrow it, or disable the rule"
                yield document.problem((*path, "match"), text, key=True)


def _everything(match: Mapping[str, Any], judged: frozenset[tuple[str, str]]) -> bool:
    """Say whether an exemption's match leaves nothing of a rule that judges these kinds."""
    for clause, wanted in match.items():
        if clause == "kinds":
            if not judged <= {find(kind, KINDS) for kind in wanted}:
                return False
        elif clause not in ("namespaces", "names") or "*" not in wanted:
            # findings on the object as a whole have no container, and so no `containers: ["*"]` covers them
            return False
    return True


def _rules(document: Document) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for number, rule in enumerate(document.value["spec"].get("rules") or ()):
        yield ("spec", "rules", number), rule
