"""The wire answer (`admission.k8s.io/v1`): the only file that knows it.

Sources: k8s.io/api/admission/v1 `AdmissionResponse`; apiserver `admission/plugin/webhook` for what it does
with warnings and audit annotations.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import orjson

from webhook.model.decision import Decision, Fault, Finding, Fixed, Violation
from webhook.model.patch import Conflict
from webhook.model.review import API_VERSION, Review

MESSAGE_BYTES = 4096
WARNING_CHARACTERS = 120
ADVICE_CHARACTERS = 240  # of a warning about a pack, which begins with a long path
WARNINGS_CHARACTERS = 3000  # all of them; above 4,096 from all webhooks together the API server cuts each to 256
CAUSES_BYTES = 32768
"""How long all causes of a denial may be, as JSON; some 150 of them.

The API server writes them into the audit log with the Status, at every level. Where it truncates, it throws away an
event of over 100 KiB, and annotations may take half of that.
"""
ANNOTATION_BYTES = 10240
DETAIL_CHARACTERS = 400  # of one value in a message, a cause or an annotation: an image may be written in 3 MiB
FEW = 16
"""Items of a list that are measured at once."""
_ACTIONS = {"deny": "Deny", "warn": "Warn", "audit": "Audit", "allow": "Allow", "disabled": "Disabled"}
Texts = dict[int, tuple[str, bool]]
"""What was said of the findings of a decision, by their ids, and whether what was found is said as it is."""
Told = Callable[[Any, Texts], dict[str, Any]]
_lines: dict[str, str] = {}
"""What `_fixed` found; a plain dictionary, since asking `lru_cache` takes compiled code four times as long."""
SHOWS_ALL = "more; `plimsoll check` on the manifest shows all"


def encode(review: Review, decision: Decision, endpoint: str) -> bytes:
    """Return the AdmissionReview that answers a review: verdict, message, warnings, patch, audit annotations."""
    return orjson.dumps(document(review, decision, endpoint))


def document(review: Review, decision: Decision, endpoint: str) -> dict[str, Any]:
    """Return the answer as plain values."""
    response: dict[str, Any] = {"uid": review.uid, "allowed": decision.allowed}
    if _quiet(decision):  # most answers; what follows would come to the same
        if decision.packs:
            response["auditAnnotations"] = {"enforced-pack": _enforced(decision)}
        return _envelope(response)
    texts: Texts = {}
    if not decision.allowed:
        response["status"] = _status(review, decision, texts)
    if endpoint == "mutate" and decision.patch:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(orjson.dumps(decision.patch)).decode()
    if said := warnings(decision):
        response["warnings"] = said
    if noted := _audit(decision, texts):
        response["auditAnnotations"] = noted
    return _envelope(response)


def failure(uid: str, message: str, allowed: bool) -> bytes:
    """Return the answer for a review that could not be judged at all, by the outermost handler."""
    response: dict[str, Any] = {"uid": uid, "allowed": allowed}
    if allowed:
        response["warnings"] = [_line(message, WARNING_CHARACTERS)]
    else:
        response["status"] = {"status": "Failure", "message": message, "reason": "InternalError", "code": 500}
    return orjson.dumps(_envelope(response))


def vetted(uid: str, title: str, problems: Sequence[str], advice: Sequence[str]) -> bytes:
    """Return the answer for a pack that somebody applies: refused with all problems, a line each, or let in.

    `advice` goes with it as warnings. `title` is what a person calls it: `RulePack acme`.
    """
    response: dict[str, Any] = {"uid": uid, "allowed": not problems}
    if problems:
        count = f"{len(problems)} mistake{'s' if len(problems) != 1 else ''}"
        lines = [f"{_line(title, DETAIL_CHARACTERS)} can't be loaded ({count}):\n"]
        left = MESSAGE_BYTES - len(lines[0].encode()) - 80
        for problem in problems:
            line = _line(problem, DETAIL_CHARACTERS)
            left -= len(line.encode()) + 1
            if left < 0:
                break
            lines.append(line)
        cut = len(problems) - len(lines) + 1
        lines += [f"... and {cut} more; `plimsoll lint` on the file shows all"] if cut else []
        status = {"status": "Failure", "message": "\n".join(lines), "reason": "Forbidden", "code": 403}
        response["status"] = status
    if advice:
        response["warnings"] = _capped(dict.fromkeys(_line(line, ADVICE_CHARACTERS) for line in advice))
    return orjson.dumps(_envelope(response))


def _envelope(response: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}


# -- the message of a denial -----------------------------------------------------------------------------------


def message(review: Review, decision: Decision) -> str:
    """Return why an object is refused: every finding that denies, where, what was found, what to write instead.

    At most 4 KiB; what does not fit is counted. Contacts and docs stand at its end.
    """
    return _message(review, _denials(decision), {})


def _message(review: Review, denials: list[Finding | Fault], texts: Texts) -> str:
    count = f"{len(denials)} finding{'s' if len(denials) != 1 else ''}"
    head = f"{_line(review.title, DETAIL_CHARACTERS)} does not keep the standards ({count}):\n"
    tail = _tail(tuple([(item.about.contact, item.about.pack, item.about.docs) for item in denials]))
    left = MESSAGE_BYTES - _bytes(head) - _bytes(tail) - 60
    shown: list[str] = []
    for number, item in enumerate(denials, 1):
        block = _block(number, item, texts)
        left -= _bytes(block) + 1
        if left < 0 and shown:
            break
        shown.append(block)
    cut = len(denials) - len(shown)
    more = [f"... and {cut} {SHOWS_ALL}"] if cut else []
    return _cut("\n".join([head, *shown, *more]) + tail, MESSAGE_BYTES)


def denials(decision: Decision) -> list[str]:
    """Return one line for each finding that denies: its rule, where, what was found, what is wanted."""
    said = [
        _line(f"{finding.rule}: {_sentence(finding)}", DETAIL_CHARACTERS)
        for finding in decision.findings
        if _denies(finding)
    ]
    said += [
        _line(f"{fault.rule}: {fault.message}", DETAIL_CHARACTERS)
        for fault in _deciding((*decision.errors, *decision.unknown))
    ]
    return list(dict.fromkeys(said))


def denying(decision: Decision) -> list[str]:
    """Return the rules that deny, as pack/rule, sorted."""
    found = {f"{finding.pack}/{finding.rule}" for finding in decision.findings if _denies(finding)}
    found |= {f"{fault.pack}/{fault.rule}" for fault in _deciding((*decision.errors, *decision.unknown))}
    return sorted(found)


def _block(number: int, item: Finding | Fault, texts: Texts) -> str:
    if isinstance(item, Fault):
        what = "failed" if item.kind == "error" else "could not be decided"
        told = _line(f"{number}. {item.rule}: the rule {what}: {item.message}", DETAIL_CHARACTERS)
        return f"{told}\n   do:     ask those who keep the pack; {_who(item)}\n"
    violation = item.violation
    where = f" in {violation.container}" if violation.container else ""
    first, found = f"{number}. {_fixed(item.rule)}{where}: {violation.reason}", violation.found
    if not _told(item, texts)[1] or len(first) > DETAIL_CHARACTERS or first.endswith(" "):
        first, found = _line(first, DETAIL_CHARACTERS), _line(found, DETAIL_CHARACTERS)
    text = f"{first}\n   at:     {_line(violation.pointer or '/', DETAIL_CHARACTERS)}\n"
    if found:
        text += f"   found:  {found}\n"
    if violation.wanted and violation.wanted != violation.reason:
        text += f"   wanted: {_fixed(violation.wanted)}\n"
    if item.about.remediation:
        text += f"   do:     {_fixed(item.about.remediation)}\n"
    return text


def _who(fault: Fault) -> str:
    return (
        f"pack {fault.about.pack} says onError: deny" if fault.kind == "error" else "the fact may be there in a moment"
    )


@lru_cache(maxsize=256)  # the same rules are broken again and again
def _tail(abouts: tuple[tuple[str, str, str], ...]) -> str:
    """Return what stands at the end of a message, of the contact, the pack and the page of each rule."""
    contacts = sorted({f"{contact} (pack {pack})" for contact, pack, _ in abouts if contact})
    docs = sorted({page for _, _, page in abouts if page})
    lines = [f"Contact: {contact}" for contact in contacts] + [f"Docs: {doc}" for doc in docs[:5]]
    return "".join([f"\n{_fixed(line)}" for line in lines])


def _status(review: Review, decision: Decision, texts: Texts) -> dict[str, Any]:
    denials = _denials(decision)
    return {
        "status": "Failure",
        "message": _message(review, denials, texts),
        "reason": "Forbidden",
        "details": {
            "name": review.name.rstrip("*"),
            "group": review.kind.group,
            "kind": review.resource or review.kind.kind,
            "causes": _causes(denials, texts),
        },
        "code": 403,
    }


def _causes(denials: list[Any], texts: Texts) -> list[dict[str, Any]]:
    """Return one cause for each of what denies, at most 32 KiB; those that don't fit are counted by a last one.

    Its reason is no rule's name, which has no capitals.
    """
    causes = _fitting(denials, _cause, CAUSES_BYTES - 140, texts)
    if cut := len(denials) - len(causes):
        causes.append({"reason": "leftOut", "message": f"... and {cut} {SHOWS_ALL}", "field": ""})
    return causes


def _cause(item: Finding | Fault, texts: Texts) -> dict[str, Any]:
    if isinstance(item, Fault):
        return {"reason": item.rule, "message": _line(item.message, DETAIL_CHARACTERS), "field": ""}
    return {"reason": item.about.rule, "message": _said(item, texts), "field": item.violation.pointer}


# -- warnings --------------------------------------------------------------------------------------------------


def warnings(decision: Decision) -> list[str]:
    """Return one line for each finding that is warned of, each fix, each rule that failed; none too long.

    A newline or control character makes the API server drop a warning silently, so there are none.
    """
    lines = [_warned(finding) for finding in decision.findings if finding.effective == "warn" and not finding.exempt]
    lines += [
        f"{fault.about.pack}/{fault.rule}: rule {'failed' if fault.kind == 'error' else 'not decided'}: {fault.message}"
        for fault in (*decision.errors, *decision.unknown)
        if fault.effective == "warn"
    ]
    lines += [
        f"{fixed.about.pack}/{fixed.rule}: corrected {fixed.pointer}{_more(fixed.operations)}"
        for fixed in decision.patched
        if not fixed.would and not fixed.quiet
    ]
    lines += [f"{c.rule}: left {c.pointer} as {c.first} wrote it" for c in decision.conflicts]
    return _capped(dict.fromkeys([_line(line, WARNING_CHARACTERS) for line in lines])) if lines else []


def _capped(lines: Iterable[str]) -> list[str]:
    """Return lines that together are not too long for an API server; those left out are counted."""
    said = list(lines)
    total, kept = 0, 0
    for line in said:
        total += len(line)
        if total > WARNINGS_CHARACTERS:
            break
        kept += 1
    return said if kept == len(said) else [*said[:kept], f"plimsoll: and {len(said) - kept} more warnings"]


def _more(operations: int) -> str:
    return f" +{operations - 1}" if operations > 1 else ""


def _warned(finding: Finding) -> str:
    since = f", since {finding.since.day}" if finding.since else ""
    before = f" (as before{since})" if finding.existing else ""
    return f"{finding.pack}/{finding.rule}{before}: {_sentence(finding)}"


# -- audit annotations -----------------------------------------------------------------------------------------


def audit(decision: Decision) -> dict[str, str]:
    """Return the audit annotations; each value but `enforced-pack` is a JSON list of at most 10 KiB."""
    return _audit(decision, {})


def _audit(decision: Decision, texts: Texts) -> dict[str, str]:
    told: dict[str, str] = {}
    findings, patched = decision.findings, decision.patched
    if findings:
        counted = [f for f in findings if f.exempt is None]
        _list(told, "violations", [f for f in counted if f.effective in ("deny", "warn")], _noted, texts)
        _list(told, "would-violate", [f for f in counted if f.effective == "audit"], _noted, texts)
    if patched:
        _list(told, "patched", [f for f in patched if not f.would], _noted_fix, texts)
        _list(told, "would-patch", [f for f in patched if f.would], _noted_fix, texts)
    if findings:
        _list(told, "exempt", [f for f in findings if f.exempt is not None], _noted, texts)
    _list(told, "unknown", list(decision.unknown), _noted_fault, texts)
    _list(told, "error", [*decision.errors, *decision.conflicts], _noted_error, texts)
    if decision.packs:
        told["enforced-pack"] = _enforced(decision)
    return told


def _quiet(decision: Decision) -> bool:
    """Say whether an object is allowed and nothing is said of it, but which packs judged it."""
    return decision.allowed and not (
        decision.findings
        or decision.errors
        or decision.unknown
        or decision.patch
        or decision.patched
        or decision.conflicts
    )


def _enforced(decision: Decision) -> str:
    return _cut(",".join(decision.packs), ANNOTATION_BYTES)


def _noted(finding: Finding, texts: Texts) -> dict[str, Any]:
    violation, about = finding.violation, finding.about
    item: dict[str, Any] = {
        "message": _said(finding, texts),
        "policy": about.pack,
        "rule": about.rule,
        "pointer": violation.pointer,
        "validationActions": [_ACTIONS[finding.effective]],
    }
    if violation.container:
        item["container"] = violation.container
    if finding.existing:
        item["existing"] = True
    if finding.since:
        item |= {"owner": finding.since.owner, "since": finding.since.day}
    if finding.exempt is not None:
        item["exemption"] = finding.exempt
    return item


def _noted_fix(fixed: Fixed, _: Texts) -> dict[str, Any]:
    return {"policy": fixed.about.pack, "rule": fixed.rule, "pointer": fixed.pointer, "operations": fixed.operations}


def _noted_fault(fault: Fault, _: Texts) -> dict[str, Any]:
    item = {"message": _line(fault.message, DETAIL_CHARACTERS), "policy": fault.about.pack, "rule": fault.rule}
    return {**item, "fact": fault.fact} if fault.fact else item


def _noted_error(item: Fault | Conflict, texts: Texts) -> dict[str, Any]:
    if isinstance(item, Fault):
        return _noted_fault(item, texts)
    return {"message": f"not written, {item.first} wrote it", "rule": item.rule, "pointer": item.pointer}


def _list(annotations: dict[str, str], key: str, items: list[Any], noted: Told, texts: Texts) -> None:
    """Add an annotation, where there are items: a JSON list of at most 10 KiB, cut between them, the rest counted."""
    if not items:
        return
    if len(items) <= FEW:  # mostly, and then they mostly fit
        data = orjson.dumps([noted(item, texts) for item in items])
        if len(data) <= ANNOTATION_BYTES:
            annotations[key] = data.decode()
            return
    told = _fitting(items, noted, ANNOTATION_BYTES - 42, texts)
    if cut := len(items) - len(told):
        told.append({"leftOut": cut})
    annotations[key] = orjson.dumps(told).decode()


def _fitting(items: list[Any], told: Told, most: int, texts: Texts) -> list[dict[str, Any]]:
    """Return what is told of the first items, of as many as take at most so many bytes, as JSON."""
    found = [told(item, texts) for item in items[:FEW]]
    if len(items) <= FEW and len(orjson.dumps(found)) <= most:
        return found  # mostly: to measure each is dear
    left = most
    for number, item in enumerate(items):
        one = found[number] if number < FEW else told(item, texts)
        left -= len(orjson.dumps(one)) + 1
        if left < 0:
            return found[:number]
        if number >= FEW:
            found.append(one)
    return found


# -- texts -----------------------------------------------------------------------------------------------------


def _said(finding: Finding, texts: Texts) -> str:
    """Return what a cause and an annotation say of a finding."""
    return _told(finding, texts)[0]


def _told(finding: Finding, texts: Texts) -> tuple[str, bool]:
    """Return that, and whether container, reason and what was found are in it as they are; it is made once."""
    known = texts.get(id(finding))
    if known is not None:
        return known
    violation = finding.violation
    seen = _seen(violation)
    line = _line(seen, DETAIL_CHARACTERS)
    differs = violation.wanted != "" and violation.wanted != violation.reason
    text = f"{line}; wanted {_fixed(violation.wanted)}" if differs else line
    if len(text) > DETAIL_CHARACTERS:
        text = _line(_sentence(finding), DETAIL_CHARACTERS)
    told = (text, line == seen)
    texts[id(finding)] = told
    return told


def _fixed(text: str) -> str:
    """Return a text of a pack or a check as one line: it is the same in most denials, and looked through once."""
    line = _lines.get(text)
    if line is None:
        line = _line(text, DETAIL_CHARACTERS)
        if len(text) <= 2 * DETAIL_CHARACTERS:
            if len(_lines) >= 1024:
                _lines.clear()
            _lines[text] = line
    return line


def _sentence(finding: Finding) -> str:
    violation = finding.violation
    wanted = f"; wanted {violation.wanted}" if violation.wanted not in ("", violation.reason) else ""
    return f"{_seen(violation)}{wanted}"


def _seen(violation: Violation) -> str:
    where = f"{violation.container}: " if violation.container else ""
    found = f": {violation.found}" if violation.found else ""
    return f"{where}{violation.reason}{found}"


def _denials(decision: Decision) -> list[Finding | Fault]:
    """Return what denies: findings first, then rules that failed, then what is unknown."""
    denials: list[Finding | Fault] = [finding for finding in decision.findings if _denies(finding)]
    if decision.errors or decision.unknown:
        denials += _deciding((*decision.errors, *decision.unknown))
    return denials


def _denies(finding: Finding) -> bool:
    return finding.effective == "deny" and finding.exempt is None


def _deciding(faults: Iterable[Fault]) -> list[Fault]:
    return [fault for fault in faults if fault.effective == "deny"]


def _printable(text: str) -> str:
    """Return text on one line: every control, format and separator character becomes a space."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def _line(text: str, most: int) -> str:
    """Return text as one printable line of at most `most` characters."""
    plain = len(text) <= most and not text.startswith(" ") and not text.endswith(" ")
    if plain and "  " not in text and text.isprintable():
        return text  # as most are
    text = " ".join(_printable(text[: 8 * most]).split()) + ("…" if len(text) > 8 * most else "")
    return text if len(text) <= most else text[: most - 1] + "…"


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def _cut(text: str, most: int) -> str:
    if _bytes(text) <= most:
        return text
    data = text.encode(errors="replace")
    return data[: most - 4].decode(errors="ignore") + "…"
