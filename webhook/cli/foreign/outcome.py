"""What came of an import: rules that the loader takes, and what could not be said here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from webhook.cli.emit import yaml_text
from webhook.cli.objects import Manifest
from webhook.errors import ConfigError, Problem
from webhook.packs.compile import ruleset

LONGEST = 63
Spec = dict[str, Any]


class Refusal(Exception):
    """What cannot be said here exactly; the text is the reason, the pointer where it stands in its manifest."""

    def __init__(self, reason: str, pointer: str = "") -> None:
        self.pointer = pointer
        super().__init__(reason)


@dataclass(slots=True)
class Outcome:
    """Packs as they are written, and what is not in them, with place and reason; `read` counts what was looked at."""

    packs: list[Spec] = field(default_factory=list)
    refused: list[Problem] = field(default_factory=list)
    read: int = 0

    def refuse(self, manifest: Manifest, pointer: str, name: str, reason: str) -> None:
        """Note what is not imported: `file:line: name: reason`."""
        self.refused.append(Problem(manifest.file, manifest.line(pointer), name, reason))


@dataclass(slots=True)
class Rules:
    """The rules of one pack while it is put together: each with a name of its own, and such that it loads."""

    outcome: Outcome
    taken: list[Spec] = field(default_factory=list)

    def add(self, manifest: Manifest, pointer: str, name: str, rules: Iterable[Mapping[str, Any]]) -> None:
        """Take the rules that something is imported as: all of them, or none where one does not load."""
        named: list[Spec] = []
        for rule in rules:
            names = {taken["name"] for taken in (*self.taken, *named)}
            named.append({"name": unique(rule.get("name", name), names), **{k: rule[k] for k in rule if k != "name"}})
        try:
            for rule in named:
                ruleset([("import", pack_text(pack("import", [rule])))])
        except ConfigError as error:
            reason = "; ".join(problem.text for problem in error.problems)
            self.outcome.refuse(manifest, pointer, name, f"no rule of Plimsoll can say this: {reason}")
        else:
            self.taken += named


def pack(name: str, rules: Sequence[Spec], **spec: Any) -> Spec:
    """Return a RulePack of this name."""
    head = {"apiVersion": "plimsoll.dev/v1", "kind": "RulePack", "metadata": {"name": name}}
    return {**head, "spec": {**spec, "rules": list(rules)}}


def pack_text(document: Mapping[str, Any]) -> str:
    """Return a pack as YAML."""
    return yaml_text(document)


def text(outcome: Outcome, origin: str) -> str:
    """Return the file: what was not imported as comments, then the packs."""
    lines = [f"# Imported from {origin} by `plimsoll import`. Read it before it is enforced."]
    if outcome.refused:
        lines.append("# Not imported:")
        lines += [f"#   {' '.join(str(problem).split())}" for problem in sorted(set(outcome.refused))]
    return "\n".join(lines) + "\n" + "---\n".join(pack_text(document) for document in outcome.packs)


def kebab(words: str) -> str:
    """Return words as the name of a rule or pack: kebab-case, at most 63 characters; a long one ends in its hash."""
    name = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "rule"
    if len(name) <= LONGEST:
        return name
    mark = hashlib.sha256(words.encode()).hexdigest()[:8]
    return f"{name[: LONGEST - 9].rstrip('-')}-{mark}"


def unique(words: str, taken: Iterable[str]) -> str:
    """Return a name as `kebab` does that is not taken yet."""
    names, name, number = set(taken), kebab(words), 2
    while name in names:
        name, number = kebab(f"{words}-{number}"), number + 1
    return name
