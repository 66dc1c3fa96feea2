"""Why an image is approved or not: what each rule on images says of a pod with it, and its layers beside a base's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile, zip_longest
from typing import Any

from webhook.checks import approved_image
from webhook.cli.judge import Judged, creation, strongest
from webhook.cli.report.text import VERDICTS, count, plain, weaker
from webhook.cli.report.text import field as said
from webhook.cli.report.words import WOULD
from webhook.engine.view import concerns
from webhook.model import lock
from webhook.model.decision import Decision, Fault, Finding
from webhook.model.image import Image
from webhook.model.oci import Build, Content, Inspected, Lookup, Platform
from webhook.model.pods import subjects
from webhook.packs.parse import Document
from webhook.packs.rule import Rule, Ruleset
from webhook.ports import ImageReader

NAME = "image"
"""What the pod and its container are called."""
_BY_NAME = (approved_image.ID,)
"""Checks that judge what an image is called, beside those that ask what it is."""


def pod(image: str, namespace: str) -> dict[str, Any]:
    """Return a pod that has nothing but one container with this image."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {"containers": [{"name": NAME, "image": image}]},
    }


@dataclass(frozen=True, slots=True)
class Seen:
    """A reader that remembers what it was answered, so that it can be shown; everything else is another's."""

    images: ImageReader
    answers: dict[Lookup, Inspected] = field(default_factory=dict)

    def look(self, lookups: Collection[Lookup], namespace: str, timeout: float) -> Mapping[Lookup, Inspected]:
        """Return what the other says."""
        found = self.images.look(lookups, namespace, timeout)
        self.answers.update(found)
        return found

    def of(self, reference: str) -> Inspected:
        """Return what is known of a reference; it is asked for where nobody has asked."""
        lookup = Lookup(reference)
        return self.answers.get(lookup) or self.look([lookup], "", 0.0)[lookup]


@dataclass(frozen=True, slots=True)
class Base:
    """An approved base for one platform: its reference, and its layers, the lowest first."""

    name: str
    platform: Platform
    layers: tuple[str, ...]

    def fits(self, build: Build) -> bool:
        """Say whether it is for the machines of a build; of variants (`arm64/v8`) the layers tell which it is."""
        own, other = self.platform, build.platform
        return (own.os, own.architecture) == (other.os, other.architecture)

    def shared(self, build: Build) -> int:
        """Return how many of the lowest layers are the same."""
        pairs = zip(build.diff_ids, self.layers, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    def whole(self, build: Build) -> bool:
        """Say whether all its layers are the lowest of a build."""
        return self.shared(build) == len(self.layers)


def about_images(ruleset: Ruleset, documents: Iterable[Document]) -> list[tuple[Rule, Mapping[str, Any]]]:
    """Return the rules that look into images, or at their names, each with its entry in the pack."""
    entries = {
        (document.value["metadata"]["name"], entry["name"]): entry
        for document in documents
        for entry in document.value["spec"].get("rules") or ()
    }
    found = ((rule, entries[rule.about.pack, rule.about.rule]) for rule in ruleset.rules if rule.check is not None)
    return [
        (rule, entry)
        for rule, entry in found
        if rule.check is not None and (rule.check.into_images or entry["check"] in _BY_NAME)
    ]


def bases(asked: Iterable[tuple[Rule, Mapping[str, Any]]], seen: Seen) -> list[Base]:
    """Return the bases that the rules approve, as far as it is known what they are; each once, in the rules' order."""
    found: dict[Base, None] = {}
    for rule, entry in asked:
        files = entry.get("params", {}).get("locks", ())
        for locked in (lock.parse(document) for file in files for document in file["images"]):
            name = f"{locked.image} ({_short(locked.digest)})"
            found.update((Base(name, on, one.layers), None) for on, one in locked.platforms.items())
        for name in rule.check.bases if rule.check is not None else ():
            content = seen.of(name).content
            if content is not None:
                found.update((Base(name, build.platform, build.diff_ids), None) for build in content.builds)
    return [base for base in found if base.layers]


def concerned(ruleset: Ruleset, obj: Mapping[str, Any], asked: Iterable[Rule]) -> frozenset[str]:
    """Return the labels of the rules that are asked about a pod: those whose match doesn't leave it out."""
    review = creation(obj, "")
    kind = review.kind
    subject = subjects(obj, kind.group, kind.kind, review.namespace, review.name, ruleset.kinds)[0]
    return frozenset(rule.label for rule in asked if concerns(ruleset, rule, review, subject))


def only(decision: Decision, asked: Iterable[Rule]) -> Decision:
    """Return a decision with what some rules say, and nothing else."""
    labels = {rule.label for rule in asked}

    def of(rows: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(row for row in rows if f"{row.pack}/{row.rule}" in labels)

    findings, errors, unknown = of(decision.findings), of(decision.errors), of(decision.unknown)
    return replace(decision, findings=findings, errors=errors, unknown=unknown, patched=of(decision.patched))


def lines(
    image: Image, inspected: Inspected, judged: Judged | None, rules: Sequence[Rule], asked: Collection[str]
) -> Iterator[str]:
    """Yield what comes of a pod with the image, then rule by rule; `asked` are the labels of those that it concerns."""
    decision = Decision() if judged is None else judged.decision
    yield f"{image}: a pod with it is {VERDICTS[strongest(decision)]}"
    yield from said("is", inspected.content.digest if inspected.content else f"not known: {inspected.lacking}")
    for rule in rules:
        yield ""
        yield from _rule(rule, decision, rule.label in asked)
        if judged is not None:
            yield from _fix(rule, judged.mended)


def _rule(rule: Rule, decision: Decision, asked: bool) -> Iterator[str]:
    own = (rule.about.pack, rule.about.rule)
    findings = [finding for finding in decision.findings if (finding.pack, finding.rule) == own]
    faults = [fault for fault in (*decision.errors, *decision.unknown) if (fault.pack, fault.rule) == own]
    if not (findings or faults):
        yield f"  {'kept' if asked else 'not asked'}: {rule.label}"
        if not asked:
            yield from said("why", "its match leaves this pod out")
    for finding in findings:
        yield from _finding(finding, rule)
    for fault in faults:
        yield from _fault(fault, rule)


def _fix(rule: Rule, mended: Decision) -> Iterator[str]:
    """Yield what a cluster does about it before it is judged."""
    for fixed in mended.patched:
        if (fixed.pack, fixed.rule) == (rule.about.pack, rule.about.rule):
            would = WOULD if fixed.would else "corrects it before it is judged"
            yield from said("fix", f"in a cluster /mutate {would}")
    for fault in (*mended.errors, *mended.unknown):
        if (fault.pack, fault.rule) == (rule.about.pack, rule.about.rule):
            yield from said("no fix", fault.message)


def _finding(finding: Finding, rule: Rule) -> Iterator[str]:
    shown = "exempt" if finding.exempt is not None else finding.effective
    yield f"  not kept: {rule.label} ({shown}): {plain(finding.violation.reason)}"
    yield from said("found", finding.violation.found)
    yield from said("wanted", finding.violation.wanted)
    if finding.exempt is not None:
        yield from said("exempt", finding.exempt)
        return
    if finding.effective != finding.action:
        yield from said("note", weaker(finding))
    yield from said("do", finding.about.remediation)
    yield from said("docs", finding.about.docs)


def _fault(fault: Fault, rule: Rule) -> Iterator[str]:
    yield f"  {'failed' if fault.kind == 'error' else 'unknown'}: {rule.label} ({fault.effective})"
    yield from said("why", fault.message)


def beside(content: Content, known: Sequence[Base]) -> Iterator[str]:
    """Yield the layers of each build beside those of the base that shares most of them, and where they part."""
    for build in content.builds if known else ():
        able = [base for base in known if base.fits(build)]
        yield ""
        if able:
            nearest = max(able, key=lambda base: (base.whole(build), base.shared(build)))
            yield from _compared(build, nearest, len(able))
        else:
            yield f"{build.platform}: no base is for this platform"


def _compared(build: Build, base: Base, among: int) -> Iterator[str]:
    nearest = f", the nearest of {among} bases" if among > 1 else ""
    yield f"{build.platform}: its layers beside those of {base.name}{nearest}"
    shared, layers = base.shared(build), base.layers
    for number, (own, other) in enumerate(zip_longest(build.diff_ids, layers, fillvalue="")):
        sign = "" if number >= len(layers) else "=" if number < shared else "!="
        note = "  here they part" if number == shared and not base.whole(build) else ""
        yield f"  {number + 1:3}  {_short(own):19}  {sign:2}  {_short(other)}{note}".rstrip()
    yield f"  {shared} of the {count(len(layers), 'layer')} of the base are the lowest of the image"


def _short(digest: str) -> str:
    return digest[:19]


def denies(decision: Decision) -> bool:
    """Say whether a decision keeps the pod out."""
    return strongest(decision) == "deny"
