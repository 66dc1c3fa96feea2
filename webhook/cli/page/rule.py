"""The page of a rule: what its pack says of it, what of that counts today, and what its check is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import orjson

from webhook.checks import CHECKS
from webhook.cli.emit import yaml_text
from webhook.cli.page import check
from webhook.cli.page.markdown import Markdown
from webhook.cli.page.words import weaker
from webhook.cli.report.text import plain
from webhook.engine.mode import weigh
from webhook.packs.match import Known
from webhook.packs.parse import Document, Path, render
from webhook.packs.rule import Rule, Ruleset

ANYWHERE = Known("no namespace is meant", "no object is meant")
_BODY = ("variables", "expression", "message", "messageExpression", "when", "patch")
_FACTS = (
    ("action", "action"), ("today", "counts today as"), ("severity", "severity"), ("responsible", "who has to act"),
    ("check", "check"), ("fix", "/mutate"), ("existing", "what was there"), ("onError", "if it fails"),
    ("onUnknown", "if a fact lacks"), ("contact", "contact"), ("docs", "docs"), ("defined", "stands in"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule as it stands in a pack: the pack, the path of the rule in it, and the rule compiled.

    `rule` is None for one that is disabled by itself.
    """

    document: Document
    path: Path
    rule: Rule | None

    @property
    def value(self) -> Mapping[str, Any]:
        """The rule's text."""
        found: Mapping[str, Any] = self.document.value["spec"]["rules"][self.path[-1]]
        return found

    @property
    def name(self) -> str:
        """The rule's name."""
        return str(self.value["name"])

    @property
    def label(self) -> str:
        """`pack/rule`."""
        return f"{self.document.value['metadata']['name']}/{self.name}"


def entries(documents: Iterable[Document], ruleset: Ruleset) -> list[Entry]:
    """Return every rule of the packs, with those that are disabled."""
    compiled = {rule.label: rule for rule in ruleset.rules}
    found = [
        Entry(document, ("spec", "rules", number), None)
        for document in documents
        for number in range(len(document.value["spec"].get("rules") or ()))
    ]
    return [Entry(one.document, one.path, compiled.get(one.label)) for one in found]


def described(entry: Entry, now: datetime) -> dict[str, Any]:
    """Return what there is to say of a rule at `now`, as plain values."""
    spec, text, rule = entry.document.value["spec"], entry.value, entry.rule
    action = str(text.get("action", ""))
    today, why = (action, "") if rule is None else weigh(rule, rule.about.action, ANYWHERE, now, False)
    mode, day = (rule.pack.mode, rule.enforce_from) if rule is not None else (spec.get("mode", "enforce"), None)
    place = entry.document.place(entry.path)
    return {
        "rule": entry.label,
        "description": text.get("description", ""),
        "remediation": text.get("remediation", ""),
        "action": action,
        "mode": mode,
        "enforceFrom": day.isoformat() if day else None,
        "today": today,
        "weaker": weaker(why, mode, day),
        "severity": text.get("severity", "medium"),
        "responsible": text.get("responsible", ""),
        "existing": text.get("existing", "allow"),
        "onError": text.get("onError", "deny" if action == "deny" else "allow"),
        "onUnknown": text.get("onUnknown", "warn"),
        "fix": rule.fix if rule is not None else bool(text.get("fix") or "patch" in text),
        "contact": spec.get("contact", ""),
        "docs": text.get("docs", ""),
        "source": place.source,
        "line": place.line,
        "check": text.get("check"),
        "cel": {key: text[key] for key in _BODY if key in text},
        "match": {"pack": spec.get("match") or {}, "rule": text.get("match") or {}},
        "kinds": sorted(f"{group}/{kind}".lstrip("/") for group, kind in rule.kinds) if rule is not None else [],
        "parameters": list(_parameters(entry)),
        "exemptions": list(_exemptions(entry, now.astimezone(UTC).date())),
    }


def _parameters(entry: Entry) -> Iterator[dict[str, Any]]:
    """Yield the parameters in force, each with its value and where that comes from."""
    name, given = entry.value.get("check"), entry.value.get("params") or {}
    for key, default in CHECKS[name].DEFAULTS.items() if name else ():
        if key not in given:
            yield {"name": key, "value": default, "from": "default"}
            continue
        place = entry.document.value_place((*entry.path, "params", key))
        origin = render(place.path[1:]) if place.use else "the rule"
        yield {"name": key, "value": given[key], "from": f"{origin} ({place.source}:{place.line})"}


def _exemptions(entry: Entry, today: date) -> Iterator[dict[str, Any]]:
    for number, one in enumerate(entry.document.value["spec"].get("exemptions") or ()):
        if entry.name in one["rules"]:
            place = entry.document.place(("spec", "exemptions", number))
            over = date.fromisoformat(one["expires"]) < today
            said = {key: one[key] for key in ("match", "reason", "owner", "expires")}
            yield {**said, "over": over, "source": place.source, "line": place.line}


def lines(entry: Entry, ruleset: Ruleset, now: datetime, markdown: Markdown) -> Iterator[str]:
    """Yield the page for a terminal."""
    said = described(entry, now)
    yield from markdown.lines(f"# {said['rule']}")
    if said["description"]:
        yield from ("", *markdown.wrapped(plain(said["description"])))
    yield ""
    facts = {**said, **_facts(said)}
    for key, name in _FACTS:
        if facts[key]:
            yield from _field(markdown, name, str(facts[key]))
    if said["remediation"]:
        yield from ("", *markdown.lines("## What to write instead"), "", *markdown.wrapped(plain(said["remediation"])))
    yield from ("", *markdown.lines("## Scope"), "", *_scope(said, markdown))
    yield from _lists(said, markdown)
    if said["check"]:
        yield from ("", *check.lines(CHECKS[said["check"]], ruleset, markdown))
    else:
        yield from ("", *markdown.lines(f"## CEL\n```\n{yaml_text(said['cel'])}```"))


def _facts(said: Mapping[str, Any]) -> dict[str, str]:
    """Return in words what is a truth value or has two parts."""
    today = said["today"] if said["today"] != said["action"] else ""
    return {
        "today": f"{today}: {said['weaker']}" if today else "",
        "fix": "corrects it" if said["fix"] else "",
        "existing": _existing(said),
        "defined": f"{said['source']}:{said['line']}",
    }


def _existing(said: Mapping[str, Any]) -> str:
    if said["existing"] != "allow":
        return "is denied too"
    day = said["enforceFrom"]
    more = f", and so is what its controller makes again of a workload older than {day}" if day else ""
    return f"what an old object had is only warned of{more}"


def _field(markdown: Markdown, name: str, text: str) -> Iterator[str]:
    lead = f"  {name + ':':18}"
    yield from markdown.wrapped(plain(text), lead, " " * len(lead))


def _scope(said: Mapping[str, Any], markdown: Markdown) -> Iterator[str]:
    """Yield the clauses of both matches, each as it is written."""
    for whose in ("pack", "rule"):
        for clause, wanted in said["match"][whose].items():
            yield from markdown.wrapped(f"{clause}: {_json(wanted)} (the {whose}'s match)", "- ", "  ")
    if not any("kinds" in said["match"][whose] for whose in ("pack", "rule")):
        kinds = "the kinds that its check judges" if said["check"] else "every kind of workload"
        yield from markdown.wrapped(f"kinds: {kinds}", "- ", "  ")
    if not any(said["match"].values()):
        yield from markdown.wrapped("everywhere", "- ", "  ")


def _lists(said: Mapping[str, Any], markdown: Markdown) -> Iterator[str]:
    if said["parameters"]:
        yield from ("", *markdown.lines("## Parameters in force"), "")
    for one in said["parameters"]:
        yield from markdown.wrapped(f"{one['name']}: {_json(one['value'])}, by {one['from']}", "- ", "  ")
    if said["exemptions"]:
        yield from ("", *markdown.lines("## Exemptions"), "")
    for one in said["exemptions"]:
        over = "is over since" if one["over"] else "through"
        text = f"{_json(one['match'])}: {one['reason']} ({one['owner']}, {over} {one['expires']}; "
        yield from markdown.wrapped(plain(f"{text}{one['source']}:{one['line']})"), "- ", "  ")


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
