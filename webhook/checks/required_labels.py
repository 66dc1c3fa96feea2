"""Labels and annotations say whose a workload is, and whom to call.

## What it does
Asks for labels and annotations, with values that fit a pattern, on

- `workload`: the metadata of the workload itself (Deployment, CronJob, ... or a Pod that nobody made),
- `template`: the metadata of its pod template, which its Pods get; of a Pod, its own,
- `namespace`: the metadata of Namespaces.

An empty value, or one of blanks, counts as missing. What the controller of a workload made (ReplicaSets, a CronJob's
Jobs, Pods) is not judged again. Pods made by a controller that Plimsoll does not know count as workloads of their own.

## Why
At three in the morning, a Pod that is killed over and over says which image it runs, and not who can be called. Costs,
alerts and leftovers are found by labels, or by nobody. A value that fits no pattern (`owner: tbd`, `owner: Bob`) helps
no more than none.

## Example
```yaml
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "registry.example/shop/web:1.4.2"}]
```

## Use instead
```yaml
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {app.kubernetes.io/name: web}
  annotations: {acme.example/owner: shop-team@acme.example}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, app.kubernetes.io/name: web}}
    spec:
      containers: [{name: web, image: "registry.example/shop/web:1.4.2"}]
```

## Parameters
- `labels`: the labels that are asked for; default `app.kubernetes.io/name` on workload and template.
- `annotations`: the annotations that are asked for; default none.

Each entry has

- `name`, the key as it is written in the manifest,
- `places`, a list of `workload`, `template` and `namespace`; default `[workload]`,
- `pattern`, a regular expression (RE2) that the whole value fits; any value does where there is none,
- `hint`, what is wanted, in words; it stands in the message in place of the pattern,
- `fromNamespace`, the key of a label or an annotation of the namespace, whose value the fix writes where there is none,
- `default`, what the fix writes where there is none, and the namespace has none either. It has to fit the pattern.

An owner that somebody can call, on whatever runs and on its namespace:

```yaml
params:
  labels:
    - {name: app.kubernetes.io/name, places: [workload, template]}
    - {name: acme.example/tier, places: [template], pattern: "frontend|backend|batch", default: backend}
  annotations:
    - name: acme.example/owner
      places: [workload, namespace]
      pattern: '[^@\\s]+@acme\\.example|\\+[0-9][0-9 -]{6,20}'
      hint: an e-mail address of ours, or a telephone number such as +49 30 1234567
      fromNamespace: acme.example/owner
```

## Fix
Writes the value that the namespace has under `fromNamespace`, or else `default`, where the label or annotation is
missing. A value that is there and does not fit stays, for it says something to somebody; one of the namespace that does
not fit is not copied. Namespaces are read from the cluster, or from among the files; of one that cannot be read nothing
is copied. On an update the metadata of the workload stays as its author wrote it, and that of a template changes only
with the pods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal

import re2

from webhook.checks.check import Check, ParamError
from webhook.checks.spoken import Spoken, lacking, literal, of_kind
from webhook.model import pointer as pointers
from webhook.model.decision import Violation
from webhook.model.glob import remembered
from webhook.model.neighbours import NAMESPACE, Neighbours, Ref
from webhook.model.patch import Draft
from webhook.model.pods import Pod, Subject, mapping
from webhook.model.record import record
from webhook.model.workloads import KINDS as WORKLOADS

ID = "required-labels"
Place = Literal["workload", "template", "namespace"]
_PLACES = ("workload", "template", "namespace")
_FIELDS = ("labels", "annotations")


def _asked(what: str) -> dict[str, Any]:
    return {
        "type": "array",
        "description": f"The {what} that are asked for.",
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "description": "The key, as it is written in the manifest."},
                "places": {
                    "type": "array",
                    "items": {"type": "string", "enum": list(_PLACES)},
                    "description": "Where it is asked for; on the workload where not given.",
                },
                "pattern": {"type": "string", "description": "A regular expression (RE2) that the whole value fits."},
                "hint": {"type": "string", "description": "What is wanted, in words."},
                "fromNamespace": {
                    "type": "string",
                    "description": "The key of the namespace's label or annotation that the fix copies.",
                },
                "default": {"type": "string", "description": "What the fix writes where there is none."},
            },
        },
    }


PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"labels": _asked("labels"), "annotations": _asked("annotations")},
}
DEFAULTS: dict[str, Any] = {
    "labels": [{"name": "app.kubernetes.io/name", "places": ["workload", "template"]}],
    "annotations": [],
}
KINDS: tuple[str, ...] = ("Namespace",)
READS: tuple[str, ...] = ("object",)

# validation of qualified names and label values: k8s.io/apimachinery pkg/util/validation
_NAME = re2.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL = re2.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


@record(frozen=True, slots=True)
class Asked:
    """One label or annotation that is asked for, compiled; `field` is `labels` or `annotations`."""

    field: str
    name: str
    places: frozenset[str]
    fits: Callable[[str], Any]
    wanted: str
    inherited: str
    default: str | None

    def value(self, neighbours: Neighbours) -> str | None:
        """Return what the fix writes: the namespace's own value where it fits, else the default; None for nothing."""
        known = neighbours(NAMESPACE).objects if self.inherited else ()
        metadata = [mapping(obj.get("metadata")) for obj in known]
        held = (mapping(each.get(field)).get(self.inherited) for each in metadata for field in _FIELDS)
        return next(filter(self.takes, held), self.default)

    def takes(self, value: object) -> bool:
        """Say whether a value of the namespace's can be written here."""
        if not isinstance(value, str) or not value.strip() or not self.fits(value):
            return False
        return self.field == "annotations" or bool(_LABEL.fullmatch(value))


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for names, patterns and defaults that cannot be meant."""
    asked: list[Asked] = []
    problems: list[tuple[tuple[str | int, ...], str]] = []
    for field in _FIELDS:
        names: set[str] = set()
        for number, entry in enumerate(params[field]):
            found = tuple(_problems(field, entry, names))
            problems += [((field, number, *path), text) for path, text in found]
            names.add(entry["name"])
            if not found:
                asked.append(_compiled(field, entry))
    if problems:
        raise ParamError(problems)
    all_asked = tuple(asked)
    return Check(
        subject=partial(_subject, all_asked),
        fix=partial(_fix_pod, all_asked),
        fix_subject=partial(_fix, all_asked),
        fix_seeks=_seeks if any(entry.inherited for entry in all_asked) else None,
    )


def CEL(params: Mapping[str, Any]) -> Spoken:  # noqa: N802 - what the other constants of a check are
    """Return the check in CEL: of pods what is asked of workload and template, else that of workload or namespace."""
    of_pods = _spoken(params, "workload", "object.metadata") + _spoken(params, "template", "pod.metadata")
    namespace, workload = (_spoken(params, place, "object.metadata") for place in ("namespace", "workload"))
    row = sorted(f"{row.group}/{row.kind}" for row in WORKLOADS.values() if not row.wraps)
    others = (
        f"({of_kind('', 'Namespace')} ? {_listed(namespace)}"
        f" : (request.kind.group + '/' + request.kind.kind) in {literal(row)} ? {_listed(workload)} : [])"
    )
    without = Spoken("variables.missing.size() == 0", "variables.missing.join('; ')", (("missing", others),))
    reason = (
        "it writes beside the pods too, on an update only what that changes itself, and no policy is written for that"
    )
    return lacking((("bad", _listed(of_pods)),), others=without, fix=reason)


def _listed(parts: list[str]) -> str:
    return " + ".join(parts) or "[]"


def _spoken(params: Mapping[str, Any], place: str, metadata: str) -> list[str]:
    """Return in CEL, for each entry that is asked for at a place, a list: empty, or with what was found there."""
    found = []
    for field in _FIELDS:
        for entry in params[field]:
            if place not in entry.get("places", ["workload"]):
                continue
            name, what = entry["name"], field.removesuffix("s")
            value = f"dyn({metadata}.?{field}[?{literal(name)}].orValue(''))"
            fits = f" && v.matches({literal('^(?:' + entry['pattern'] + ')$')})" if "pattern" in entry else ""
            said = f"type(v) == string && v.trim() == '' ? {literal(f'no {what} {name}')}"
            said += f" : {literal(name + ': ')} + string(v)"
            found.append(f"[{value}].filter(v, !(type(v) == string && v.trim() != ''{fits})).map(v, {said})")
    return found


def _seeks(subject: Subject) -> tuple[Ref, ...]:
    return () if _is_namespace(subject) or not subject.namespace else (NAMESPACE,)


def _is_namespace(subject: Subject) -> bool:
    return (subject.group, subject.kind) == (NAMESPACE.group, NAMESPACE.kind)


def _problems(field: str, entry: Mapping[str, Any], names: set[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    name, default, inherited = entry["name"], entry.get("default"), entry.get("fromNamespace")
    if not _NAME.fullmatch(name):
        yield ("name",), f"{name!r} is no key of {field}; wanted for instance acme.example/owner"
    if inherited is not None and not _NAME.fullmatch(inherited):
        yield ("fromNamespace",), f"{inherited!r} is no key of a label or annotation; wanted for instance {name}"
    if name in names:
        yield ("name",), f"{name!r} is asked for twice; one entry can name several `places`"
    if "places" in entry and not entry["places"]:
        yield ("places",), f"names no place; wanted some of {', '.join(_PLACES)}"
    try:
        fits = _pattern(entry)
    except re2.error as error:
        yield ("pattern",), f"is no regular expression of RE2: {error}"
        return
    if default is not None and field == "labels" and not _LABEL.fullmatch(default):
        yield ("default",), f"{default!r} is no value of a label; wanted at most 63 of a-z A-Z 0-9 - _ ."
    elif default is not None and (not default or not fits(default)):
        yield ("default",), f"{default!r} does not fit the pattern {entry.get('pattern', '')!r}"


def _pattern(entry: Mapping[str, Any]) -> Callable[[str], Any]:
    text = entry.get("pattern")
    fits: Callable[[str], Any] = bool if text is None else remembered(re2.compile(text).fullmatch)
    return fits


def _compiled(field: str, entry: Mapping[str, Any]) -> Asked:
    pattern = entry.get("pattern")
    wanted = entry.get("hint") or (f"a value that fits {pattern}" if pattern else "a value")
    return Asked(
        field,
        entry["name"],
        frozenset(entry.get("places", ["workload"])),
        _pattern(entry),
        wanted,
        entry.get("fromNamespace", ""),
        entry.get("default"),
    )


def _subject(asked: tuple[Asked, ...], subject: Subject) -> Iterator[Violation]:
    for metadata, at, places in _metadata(subject):
        for entry in asked:
            if asked_here := entry.places & places:
                yield from _judge(entry, metadata, at, asked_here)


def _metadata(subject: Subject) -> Iterator[tuple[Mapping[str, Any], str, frozenset[str]]]:
    """Yield each metadata of a subject, with its pointer and what it is; that of a Pod is both."""
    own, at = mapping(subject.object.get("metadata")), f"{subject.pointer}/metadata"
    if _is_namespace(subject):
        yield own, at, frozenset({"namespace"})
        return
    row = WORKLOADS.get((subject.group, subject.kind))
    if not subject.pods and (row is None or row.wraps):
        return  # neither a workload of the table nor one that a company added
    templates = [pod for pod in subject.pods if pod.pointer != subject.pointer]
    both = bool(subject.pods) and not templates
    yield own, at, frozenset({"workload", "template"} if both else {"workload"})
    for pod in templates:
        yield pod.metadata, f"{pod.pointer}/metadata", frozenset({"template"})


def _judge(entry: Asked, metadata: Mapping[str, Any], at: str, places: frozenset[str]) -> Iterator[Violation]:
    value = mapping(metadata.get(entry.field)).get(entry.name)
    if isinstance(value, str) and not _absent(value) and entry.fits(value):
        return
    what = entry.field.removesuffix("s")
    place = pointers.join(at, entry.field, entry.name)
    wanted = f"{what} {entry.name}: {entry.wanted}"
    # a Pod, which is both, is compared with the template that it was made of
    where = "template" if "template" in places else "above"
    if _absent(value):
        found = f"no {what} {entry.name}" if value is None else f"an empty {what} {entry.name}"
        yield Violation(place, f"{what} is missing", found, wanted, same=(f"{found} {where}",))
    else:
        text = value if isinstance(value, str) else repr(value)
        found = f"{entry.name}: {text if len(text) <= 60 else text[:60] + '…'}"
        yield Violation(place, f"{what} does not fit", found, wanted, same=(f"{entry.name}: {text} {where}",))


def _absent(value: object) -> bool:
    """Say whether a label or annotation says nothing: it is not there, or blank."""
    return value is None or (isinstance(value, str) and not value.strip())


def _fix(asked: tuple[Asked, ...], subject: Subject, draft: Draft) -> None:
    for metadata, at, places in _metadata(subject):
        if places & {"workload", "namespace"}:
            _write(asked, metadata, at, places, subject.neighbours, draft)


def _fix_pod(asked: tuple[Asked, ...], pod: Pod, draft: Draft) -> None:
    _write(asked, pod.metadata, f"{pod.pointer}/metadata", frozenset({"template"}), pod.neighbours, draft)


def _write(
    asked: tuple[Asked, ...],
    metadata: Mapping[str, Any],
    at: str,
    places: frozenset[str],
    neighbours: Neighbours,
    draft: Draft,
) -> None:
    for entry in asked:
        there = metadata.get(entry.field)
        if not entry.places & places or not (there is None or isinstance(there, dict)):
            continue
        value = entry.value(neighbours) if _absent(mapping(there).get(entry.name)) else None
        if value is not None:
            draft.put(pointers.join(at, entry.field, entry.name), value)
