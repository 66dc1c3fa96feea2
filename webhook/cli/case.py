"""One case of a pack's test: judged, and compared with what it expects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from webhook.cli.judge import Neighbours as Among
from webhook.cli.judge import admission, neighbours, strongest
from webhook.cli.report.text import weaker
from webhook.cli.suite import Case
from webhook.engine.evaluate import evaluate, needs
from webhook.engine.facts import Facts, Missing, Needs, Owner
from webhook.model import answer, image, oci
from webhook.model import pointer as pointers
from webhook.model.decision import Decision
from webhook.model.neighbours import Found, Ref
from webhook.model.oci import Inspected, Lookup
from webhook.model.patch import apply
from webhook.model.pods import group_of, mapping
from webhook.model.review import Review, parse
from webhook.packs.rule import Ruleset

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Heard:
    """A case before the rules: what was asked, what was known, what came of it, and what `/mutate` makes of it."""

    review: Review
    facts: Facts
    decision: Decision
    mended: Decision
    endpoint: str


def hear(case: Case, ruleset: Ruleset, now: datetime) -> Heard:
    """Return what the packs decide about a case.

    Without `endpoint` a case is judged by /validate and /advise together, and fixes, their warnings and
    annotations are those of /mutate. Raises ReviewError for a request that no API server would send.
    """
    review, endpoint = review_of(case), case.spec.get("endpoint", "all")
    wanted = [needs(ruleset, review, place) for place in ("all", "mutate")]
    facts = facts_of(case, wanted, now)
    decision = evaluate(ruleset, review, facts, now, endpoint)
    mended = decision if endpoint == "mutate" else evaluate(ruleset, review, facts, now, "mutate")
    return Heard(review, facts, decision, mended, endpoint)


def differences(case: Case, heard: Heard) -> list[str]:
    """Return how what was decided differs from what a case expects, as lines for people; nothing where it doesn't."""
    review, decision, mended, endpoint = heard.review, heard.decision, heard.mended, heard.endpoint
    expect = case.spec["expect"]
    lines: list[str] = []
    # /mutate never says no: the findings of the rules it could not mend are the others' to judge
    action = "allow" if endpoint == "mutate" else strongest(decision)
    if "action" in expect and expect["action"] != action:
        lines += ["action:", f"  - {expect['action']}", f"  + {action}"]
    if "findings" in expect:
        lines += _findings(expect["findings"], decision)
    if "warnings" in expect:
        lines += _warnings(expect["warnings"], _said(endpoint, decision, mended))
    if "patched" in expect:
        lines += _patched(expect["patched"], review, mended)
    if "annotations" in expect:
        lines += _annotations(expect["annotations"], _noted(endpoint, decision, mended))
    if lines and "findings" not in expect:
        lines += [f"    found: {line}" for line in _shown(decision)]
    return lines


def review_of(case: Case) -> Review:
    """Return the review that a case asks about. Raises ReviewError for a request that no API server would send."""
    spec, space = case.spec, case.spec.get("namespace", "default")
    request: dict[str, Any] = {"oldObject": case.old}
    operation = spec.get("operation", "CREATE")
    if operation in ("DELETE", "CONNECT"):
        # a DELETE carries only the old object (admission/v1); a case may name it as `object`
        request["object"], request["oldObject"] = None, case.old or case.object
    user = {"username": spec.get("user", "plimsoll-test"), "groups": spec.get("groups", ["system:authenticated"])}
    request.update(userInfo=user, subResource=spec.get("subResource"))
    return parse(admission(case.object, space, operation, **request))


def facts_of(case: Case, wanted: Iterable[Needs], now: datetime) -> Facts:
    """Return what a case says of the facts that the rules want; what it does not say is missing."""
    given = case.spec.get("facts", {})
    namespace: Mapping[str, Any] | Missing = Missing("the test gives no namespaceLabels")
    if "namespace" in given:
        namespace = given["namespace"]
    elif "namespaceLabels" in case.spec:
        name = _namespace(case)
        labels = {"kubernetes.io/metadata.name": name, **case.spec["namespaceLabels"]}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    owners: tuple[Owner, ...] | Missing = Missing("the test gives no facts.owners")
    if "owners" in given:
        owners = tuple(_owner(obj) for obj in given["owners"])
    refs = {ref for needed in wanted for ref in needed.neighbours}
    lookups = {lookup for needed in wanted for lookup in needed.images}
    return Facts(namespace, owners, _neighbours(case, given, refs), _images(given, lookups, now))


def _images(given: Mapping[str, Any], wanted: Iterable[Lookup], now: datetime) -> Mapping[Lookup, Inspected]:
    known = {str(image.parse(name)): oci.inspected(what, now) for name, what in given.get("images", {}).items()}
    unsaid = Inspected(lacking="the test says nothing of it in facts.images")
    return {lookup: known.get(lookup.reference, unsaid) for lookup in wanted}


def _neighbours(case: Case, given: Mapping[str, Any], wanted: Iterable[Ref]) -> Mapping[Ref, Found]:
    if "neighbours" not in given:
        return {ref: Found(lacking="the test gives no facts.neighbours") for ref in wanted}
    space = _namespace(case)
    reader = Among(neighbours(given["neighbours"], space), lacking="")
    return {ref: reader.find(space, ref, 0) for ref in wanted}


def _namespace(case: Case) -> str:
    own = mapping(case.object.get("metadata")).get("namespace")
    return str(own or case.spec.get("namespace", "default"))


def _owner(obj: Mapping[str, Any]) -> Owner:
    name = mapping(obj.get("metadata")).get("name")
    return Owner(group_of(obj["apiVersion"]), obj["kind"], str(name or ""), obj)


def _findings(expected: list[Mapping[str, Any]], decision: Decision) -> Iterator[str]:
    """Yield the findings that are missing (-) and those that nobody expected (+); what is not named is not compared."""
    found = [finding for finding in decision.findings if finding.exempt is None]
    missing = []
    # the most specific first, so that a vague one does not take what only they can have
    for wish in sorted(expected, key=len, reverse=True):
        match = next((finding for finding in found if _fits(wish, finding)), None)
        if match is None:
            missing.append(wish)
        else:
            found.remove(match)
    lines = Counter(f"  - {_wish(wish)}" for wish in missing)
    lines += Counter(f"  + {line}" for line in _shown(decision, found))
    if lines:
        yield "findings:"
        yield from sorted(lines.elements(), key=lambda line: line[4:])


def _fits(wish: Mapping[str, Any], finding: Any) -> bool:
    return (
        wish["rule"] in (finding.rule, f"{finding.pack}/{finding.rule}")
        and wish["pointer"] == finding.violation.pointer
        and wish.get("container", finding.violation.container) == finding.violation.container
        and wish.get("effective", finding.effective) == finding.effective
    )


def _wish(wish: Mapping[str, Any]) -> str:
    words = [wish["rule"], wish["pointer"] or "/", wish.get("container", ""), wish.get("effective", "")]
    return " ".join(word for word in words if word)


def _shown(decision: Decision, findings: Any = None) -> list[str]:
    listed = decision.findings if findings is None else findings
    lines = [
        f"{finding.rule} {finding.violation.pointer or '/'} {finding.violation.container or ''} {finding.effective}"
        f" ({': '.join(part for part in (finding.violation.reason, finding.violation.found) if part)})"
        + (f"; {weaker(finding)}" if finding.exempt is None and finding.effective != finding.action else "")
        + (f" exempt: {finding.exempt}" if finding.exempt else "")
        for finding in listed
    ]
    faults = (*decision.errors, *decision.unknown) if findings is None else ()
    return [" ".join(line.split()) for line in lines] + [
        f"{fault.rule} {fault.kind} {fault.effective} ({fault.message})" for fault in faults
    ]


def _said(endpoint: str, decision: Decision, mended: Decision) -> list[str]:
    said = answer.warnings(decision)
    return said if endpoint != "all" else [*said, *(w for w in answer.warnings(mended) if w not in said)]


def _warnings(expected: list[str], said: list[str]) -> Iterator[str]:
    missing = [part for part in expected if not any(part in line for line in said)]
    extra = said if not expected else []  # an empty list says that there are none
    if missing or extra:
        yield "warnings:"
        yield from (f"  - {part}" for part in missing)
        yield from (f"  + {line}" for line in said)


def _noted(endpoint: str, decision: Decision, mended: Decision) -> dict[str, str]:
    noted = answer.audit(decision)
    return noted if endpoint != "all" else {**answer.audit(mended), **noted}


def _annotations(expected: Mapping[str, str], noted: Mapping[str, str]) -> Iterator[str]:
    for key, part in sorted(expected.items()):
        if part not in noted.get(key, "") or key not in noted:
            yield f"annotation {key}:"
            yield f"  - {part}"
            yield f"  + {noted.get(key, '(none)')}"


def _patched(expected: Mapping[str, Any], review: Review, mended: Decision) -> Iterator[str]:
    after = apply(review.object or {}, list(mended.patch))
    lines = [line for pointer, wanted, found in _unlike(expected, after, "") for line in (
        f"  - {pointer}: {_text(wanted)}", f"  + {pointer}: {_text(found)}")]  # fmt: skip
    if lines:
        yield "patched:"
        yield from lines


def _unlike(wanted: Any, found: Any, at: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield pointer, wanted and found wherever `wanted` is not a part of `found`.

    Of a mapping the keys named are compared (null: it is not there), of a list every element.
    """
    if isinstance(wanted, dict) and isinstance(found, dict):
        for key, inner in wanted.items():
            yield from _unlike(inner, found.get(key, _ABSENT), pointers.join(at, key))
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from _unlike(one, other, f"{at}/{index}")
    elif wanted is None and found is _ABSENT:
        return
    elif wanted != found or isinstance(wanted, bool) != isinstance(found, bool):
        yield at or "/", wanted, found


def _text(value: Any) -> str:
    return "(not there)" if value is _ABSENT or value is None else orjson.dumps(value).decode()
