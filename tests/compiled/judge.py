"""Judges the jobs in a file, and prints a line for each job and endpoint: what was decided, whole.

    python judge.py PACKS JOBS

It runs twice, with the compiled package first on the path and with the plain one. The first line says which it was.
After a tab stand the words of exceptions of Python's own, which compiled code words in another way: they are not
compared.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import webhook.engine.evaluate
from webhook.engine.evaluate import evaluate, needs, verdicts
from webhook.engine.explain import Heard, Traced, explain
from webhook.engine.facts import Facts, Missing, Needs, Owner
from webhook.errors import ConfigError, ReviewError
from webhook.model import answer, image, oci
from webhook.model.decision import Decision, Fault, Finding
from webhook.model.neighbours import Found, Ref
from webhook.model.oci import Inspected, Lookup
from webhook.model.review import Review, decode, parse
from webhook.packs.compile import ruleset
from webhook.packs.rule import Ruleset

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SPACE = {"metadata": {"name": "shop", "labels": {"tier": "web", "team": "shop"}}}
RAISED = re.compile(r"[A-Z][A-Za-z]*(Error|Exception|Iteration|Exit|Interrupt): ")
"""How a fault begins that is no sentence of a rule's own: engine/sitting.py."""


def main(packs: str, jobs: str) -> None:
    """Print which package this is, then a line for each job and endpoint."""
    written = json.loads(Path(packs).read_text())

    @cache
    def compiled(key: str) -> Ruleset:
        try:
            return ruleset([(name, text) for name, text in written[key]], mode="enforce")
        except ConfigError:
            if not key.endswith(" with its fix"):
                raise
            return compiled(key.removesuffix(" with its fix"))  # a check that has none

    print(json.dumps(webhook.engine.evaluate.__file__))
    with Path(jobs).open() as lines:
        for number, line in enumerate(lines):
            job = json.loads(line)
            for endpoint in job["endpoints"]:
                print(_told(compiled(job["rules"]), job, endpoint, number % 7 == 0))


def _told(rules: Ruleset, job: dict[str, Any], endpoint: str, closely: bool) -> str:
    raised: list[str] = []
    told = {"job": job["label"], "rules": job["rules"], "endpoint": endpoint}
    try:
        review = parse(decode(base64.b64decode(job["body"])))
        told |= _judged(rules, review, job["facts"], endpoint, closely, raised)
    except ReviewError as error:
        told |= {"refused": error.message, "answer": answer.failure("u", error.message, False).decode()}
    except Exception as error:  # whatever comes out here would end a review
        told |= {"raised": "out of the engine"}
        raised.append(f"{type(error).__name__}: {error}")
    return f"{json.dumps(told, default=repr)}\t{json.dumps(raised)}"


def _judged(
    rules: Ruleset, review: Review, known: dict[str, Any], endpoint: str, closely: bool, raised: list[str]
) -> dict[str, Any]:
    wanted = needs(rules, review, endpoint)
    facts = _facts(known, wanted)
    decision = evaluate(rules, review, facts, NOW, endpoint, seen=wanted.subjects)
    told: dict[str, Any] = {
        "needs": _needs(wanted),
        "title": review.title,
        "is": _decided(review, decision, endpoint, raised),
    }
    if decision.wants:  # as the service does
        facts = _facts(known, replace(wanted, names=wanted.names | decision.wants))
        decision = evaluate(rules, review, facts, NOW, endpoint, seen=wanted.subjects)
        told["then"] = _decided(review, decision, endpoint, raised)
    if closely and endpoint != "mutate":
        told["verdicts"] = sorted(verdicts(rules, review, facts, NOW, endpoint).items())
        told["trace"] = [_traced(one) for one in explain(rules, review, facts, NOW, endpoint).rules]
    return told


def _traced(one: Traced) -> list[Any]:
    if one.absent is not None:
        return [one.rule.label, one.absent.out.clause, one.absent.found]
    return [one.rule.label, *(_heard(heard) for heard in one.heard)]


def _heard(heard: Heard) -> list[Any]:
    return [
        *(heard.subject.pointer, heard.state, heard.action, heard.weaker),
        heard.absent and (heard.absent.out.clause, heard.absent.out.name, heard.absent.found),
        [_finding(weighed.finding) for weighed in heard.findings],
        [_fault(fault) for fault in _nameless((*heard.errors, *heard.unknown))],
        # maps of CEL have no order that would be the same twice
        [json.dumps((v.name, v.pointer, v.value, v.failed), sort_keys=True, default=repr) for v in heard.values],
    ]


def _decided(review: Review, decision: Decision, endpoint: str, raised: list[str]) -> dict[str, Any]:
    """Return a decision as plain values, and the answer to it."""
    raised += [
        f"{fault.about.pack}/{fault.about.rule}: {fault.message}"
        for fault in decision.errors
        if RAISED.match(fault.message)
    ]
    decision = replace(decision, errors=_nameless(decision.errors), unknown=_nameless(decision.unknown))
    return {
        "allowed": decision.allowed,
        "findings": [_finding(finding) for finding in decision.findings],
        "errors": [_fault(fault) for fault in decision.errors],
        "unknown": [_fault(fault) for fault in decision.unknown],
        "patch": decision.patch,
        "patched": [(f.pack, f.rule, f.operations, f.pointer, f.quiet, f.would, f.steps) for f in decision.patched],
        "conflicts": [(c.rule, c.pointer, c.first) for c in decision.conflicts],
        "packs": decision.packs,
        "wants": sorted(decision.wants),
        "answer": answer.encode(review, decision, endpoint).decode(),
    }


def _nameless(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Return faults without the words of Python's own exceptions."""
    return tuple(dict.fromkeys(replace(f, message="raised") if RAISED.match(f.message) else f for f in faults))


def _finding(finding: Finding) -> list[Any]:
    one = finding.violation
    since = None if finding.since is None else (finding.since.owner, finding.since.day)
    return [
        *(finding.pack, finding.rule, finding.action, finding.effective, finding.exempt, finding.existing, since),
        *(one.pointer, one.container, one.reason, one.found, one.wanted),
    ]


def _fault(fault: Fault) -> list[Any]:
    return [fault.pack, fault.rule, fault.kind, fault.effective, fault.fact, fault.message]


def _needs(wanted: Needs) -> list[Any]:
    return [
        sorted(wanted.names),
        sorted(map(repr, wanted.neighbours)),
        sorted(map(repr, wanted.images)),
        repr(wanted.right),
    ]


def _facts(known: dict[str, Any], wanted: Needs) -> Facts:
    """Return what is known of what was asked for; what a test says wrong is missing, as that which failed."""
    given = Facts(
        neighbours={ref: _found(known, ref) for ref in wanted.neighbours},
        images={lookup: _image(known, lookup) for lookup in wanted.images},
        access=True if wanted.right else Missing("nobody was asked"),
    )
    if "namespace" in wanted.names:
        space = known.get("namespace", SPACE)
        given = replace(given, namespace=space if isinstance(space, dict) else Missing("no such namespace"))
    if "owners" in wanted.names:
        listed = [owner for owner in known.get("owners", [SPACE]) if isinstance(owner, dict)]
        given = replace(given, owners=tuple(Owner("apps", "Deployment", "web", owner) for owner in listed))
    return given


def _found(known: dict[str, Any], ref: Ref) -> Found:
    listed = known.get("neighbours")
    objects = [obj for obj in listed if isinstance(obj, dict)] if isinstance(listed, list) else []
    fitting = tuple(obj for obj in objects if ref.fits(*_named(obj)))
    lacking = known.get("lacking", "")
    return Found(fitting, lacking if isinstance(lacking, str) else "", known.get("failed") is True)


def _named(obj: dict[str, Any]) -> tuple[str, str, str]:
    metadata = obj.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else ""
    return str(obj.get("apiVersion")).rpartition("/")[0], str(obj.get("kind")), str(name)


def _image(known: dict[str, Any], lookup: Lookup) -> Inspected:
    images = known.get("images")
    for name, said in images.items() if isinstance(images, dict) else ():
        try:
            if str(image.parse(name)) == lookup.reference:
                return oci.inspected(said, NOW)
        except (ValueError, TypeError, AttributeError):
            return Inspected(lacking="the registry gave no answer that can be read")
    return oci.uninspected(lookup)


if __name__ == "__main__":
    main(*sys.argv[1:])
