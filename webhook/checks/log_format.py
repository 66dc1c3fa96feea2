"""Logs are written in a format that the collector can read.

## What it does
Reads the annotations by which a pod tells the collector of its logs how to read them, for each container, and refuses
formats that are not approved. Which container an annotation means is part of its name; one for the whole pod means all
containers that have none of their own.

| collector | annotation | format |
| --- | --- | --- |
| `plimsoll` | `plimsoll.dev/log-format`, `plimsoll.dev/log-format-<container>` | the value |
| `fluent-bit` | `fluentbit.io/parser`, with `_stdout` or `_stderr`, and `-<container>` | the parser |
| `filebeat` | `co.elastic.logs/module`, `co.elastic.logs.<container>/module` | the module |
| `filebeat` | `co.elastic.logs/json.*`, `co.elastic.logs.<container>/json.*`, numbered or not | `json` |
| `datadog` | `ad.datadoghq.com/<container>.logs` | each `source` that it names |
| `promtail` | the one of `promtailAnnotation`, and with `-<container>` | the value |

The annotation `plimsoll.dev/log-format` is for collectors that go by none of these: what they are told elsewhere is
written down where the service is. With `require: true` every container needs an approved format by one of the
annotations; init containers, sidecars and debug containers are only judged by what they declare. An annotation that
names a container which the pod does not have is passed over, since an injector may bring it along.

## Why
A line that the collector cannot read becomes one long text without level, time and trace. Nobody finds it, and no alert
sees it. That shows in the very hour in which the logs are needed.

## Example
```yaml
apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations:
    plimsoll.dev/log-format: text
spec:
  containers:
    - {name: web, image: "registry.example/shop/web:1.4.2"}
```

## Use instead
```yaml
apiVersion: v1
kind: Pod
metadata:
  name: web
  annotations:
    plimsoll.dev/log-format: json
spec:
  containers:
    - {name: web, image: "registry.example/shop/web:1.4.2"}
```

## Parameters
- `formats` (default: `{plimsoll: [json, logfmt]}`): for each collector in use, globs of its approved formats. The
  annotations of a collector that is not named here are not looked at. Other formats for other containers are another
  rule, with `match: {containers: [...]}`.
- `require` (default: false): every container says its format.
- `default` (default: none): what the fix writes where a container has to say its format and does not:
  `{collector: plimsoll, format: json}`. It is one of the approved.
- `promtailAnnotation` (default: `promtail.io/parser`): Promtail has no annotation of its own; its `relabel_configs`
  read the one that a company has chosen.

```yaml
params:
  formats: {fluent-bit: [json, "nginx*"], plimsoll: [json]}
  require: true
  default: {collector: fluent-bit, format: json}
```

## Fix
Writes the `default` where a format is required and none is declared: for the whole pod where none of its containers
has one and all need one, else for the container. A format that somebody wrote is never replaced: what a service really
writes, only its owner knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import re2

from webhook.checks.check import Check, ParamError
from webhook.checks.spoken import Spoken, Unspoken, globbed, lacking, literal
from webhook.model import pointer as pointers
from webhook.model.decision import Violation
from webhook.model.glob import Globs, compile_globs
from webhook.model.patch import Draft
from webhook.model.pods import Container, Pod
from webhook.model.record import record

ID = "log-format"
COLLECTORS = ("datadog", "filebeat", "fluent-bit", "plimsoll", "promtail")
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "formats": {
            "type": "object",
            "description": "For each collector in use, globs of its approved formats.",
            "additionalProperties": False,
            "properties": {
                name: {
                    "type": "array",
                    "description": f"Approved formats of {name}.",
                    "items": {"type": "string"},
                }
                for name in COLLECTORS
            },
        },
        "require": {"type": "boolean", "description": "Every container says its format."},
        "default": {
            "type": "object",
            "description": "What the fix writes where a container has to say its format and does not.",
            "additionalProperties": False,
            "properties": {
                "collector": {
                    "type": "string",
                    "enum": list(COLLECTORS),
                    "description": "By whose annotation.",
                },
                "format": {"type": "string", "description": "The format."},
            },
        },
        "promtailAnnotation": {"type": "string", "description": "The annotation that Promtail reads."},
    },
}
DEFAULTS: dict[str, Any] = {
    "formats": {"plimsoll": ["json", "logfmt"]},
    "require": False,
    "default": {},
    "promtailAnnotation": "promtail.io/parser",
}
KINDS: tuple[str, ...] = ()
READS: tuple[str, ...] = ("pod",)

DENIED = "log format that is not approved"
MISSING = "no log format declared"
UNREADABLE = "log annotation that cannot be read"

_ANNOTATION = "plimsoll.dev/log-format"
_PARSER = "fluentbit.io/parser"
_ELASTIC = "co.elastic.logs"
_DATADOG = "ad.datadoghq.com/"
_NUMBER = re2.compile(r"^[0-9]+\.")
_LONGEST = 63  # of the name in the key of an annotation: IsQualifiedName, k8s.io/apimachinery pkg/util/validation


@record(frozen=True, slots=True)
class Declared:
    """One format that a pod declares for a container: by which annotation; None where that cannot be read."""

    key: str
    format: str | None


@record(frozen=True, slots=True)
class Standard:
    """The parameters, compiled; `default` is a collector and a format."""

    formats: Mapping[str, Globs]
    require: bool
    default: tuple[str, str] | None
    promtail: str


def build(params: Mapping[str, Any]) -> Check:
    """Return the check. Raises ParamError for a default that is not approved, or one that is only half there."""
    formats = {name: compile_globs(globs) for name, globs in params["formats"].items()}
    given = params["default"]
    problems: list[tuple[tuple[str | int, ...], str]] = []
    if given and set(given) != {"collector", "format"}:
        problems.append((("default",), "has one of two keys; wanted both collector and format, or {}"))
    elif given and (given["collector"] not in formats or not formats[given["collector"]](given["format"])):
        problems.append((("default",), f"{given['format']!r} is not among the `formats` of {given['collector']}"))
    if params["require"] and not formats:
        problems.append((("require",), "a format is required, and `formats` names no collector"))
    if not params["promtailAnnotation"]:
        problems.append((("promtailAnnotation",), "is empty; wanted the key of an annotation"))
    if problems:
        raise ParamError(problems)
    default = (given["collector"], given["format"]) if given else None
    standard = Standard(formats, params["require"], default, params["promtailAnnotation"])
    return Check(pod=partial(_pod, standard), kept=partial(_kept, standard), fix=partial(_fix, standard))


def CEL(params: Mapping[str, Any]) -> Spoken:  # noqa: N802 - what the other constants of a check are
    """Return the check in CEL: `rows` are the containers, each with what it declares by each collector.

    Raises Unspoken for Datadog's annotation.
    """
    formats = {name: compile_globs(globs) for name, globs in params["formats"].items()}
    if "datadog" in formats:
        raise Unspoken("Datadog's annotation is JSON inside of a text, which CEL has no function to read")
    declared = {"filebeat": _SPOKEN_FILEBEAT, "fluent-bit": _spoken_first(f"['_stdout', '_stderr'].map(s, {_STREAM})")}
    for name, key in (("plimsoll", _ANNOTATION), ("promtail", params["promtailAnnotation"])):
        declared[name] = _spoken_first(f"[[{literal(key)} + '-' + c.name, {literal(key)}]]")
    fields = ", ".join(f"{literal(name)}: {declared[name]}" for name in sorted(formats))
    named = "pod.spec.?{}.orValue([]).exists(o, o.?name.orValue('') == c.?name.orValue(''))"
    own = f"!{named.format('initContainers')} && !{named.format('ephemeralContainers')}"
    wrong = [f"r[{literal(name)}].exists(d, !({globbed('d.format', formats[name])}))" for name in sorted(formats)]
    if params["require"]:
        wrong.append(" && ".join(["r.own", *(f"r[{literal(name)}].size() == 0" for name in sorted(formats))]))
    said = " + ".join(f"r[{literal(name)}].map(d, d.key + ': ' + d.format)" for name in sorted(formats)) or "[]"
    bad = f"variables.rows.filter(r, {' || '.join(wrong) or 'false'})"
    return lacking(
        (
            ("annotations", "pod.metadata.?annotations.orValue({})"),
            ("named", f"containers.map(c, {{'name': c.?name.orValue(''), 'own': {own}}})"),
            ("rows", f"variables.named.map(c, {{'name': c.name, 'own': c.own{', ' if fields else ''}{fields}}})"),
            ("bad", f"{bad}.map(r, 'container ' + r.name + ' declares ' + string(({said}).join(', ')))"),
        ),
        fix="which annotation it writes hangs on all containers together, and no policy is written for that",
    )


def _spoken_first(keys: str) -> str:
    """Return in CEL what the first of each list of annotations says that is there, as maps of `key` and `format`."""
    there = f"{keys}.map(l, l.filter(k, k in variables.annotations)).filter(l, l.size() > 0)"
    return f"{there}.map(l, {{'key': l[0], 'format': string(variables.annotations[l[0]])}})"


def _spoken_hints(prefix: str, hint: str) -> str:
    rest = f"k.substring({prefix}.size()).matches('^([0-9]+\\\\.)?{hint}')"
    return f"variables.annotations.filter(k, k.startsWith({prefix}) && {rest})"


def _spoken_filebeat() -> str:
    modules, others = _spoken_hints("p", "module$"), _spoken_hints("p", "json\\\\.")
    of_modules = f"{modules}.map(k, {{'key': k, 'format': string(variables.annotations[k])}})"
    told = f"({modules}.size() > 0 ? {of_modules} : {others}.map(k, {{'key': k, 'format': 'json'}}))"
    own, whole = (f"[{one}].map(p, {told})[0]" for one in (f"'{_ELASTIC}.' + c.name + '/'", f"'{_ELASTIC}/'"))
    return f"({own}.size() > 0 ? {own} : {whole})"


_STREAM = f"['{_PARSER}' + s + '-' + c.name, '{_PARSER}-' + c.name, '{_PARSER}' + s, '{_PARSER}']"
_SPOKEN_FILEBEAT = _spoken_filebeat()


def _kept(standard: Standard, pod: Pod) -> bool:
    """Say whether a pod declares nothing, and need not."""
    if standard.require:
        return False
    for key in pod.annotations:
        if key.startswith((_ANNOTATION, _PARSER, _ELASTIC, _DATADOG, standard.promtail)):
            return False
    return True


def _pod(standard: Standard, pod: Pod) -> Iterator[Violation]:
    for container in pod.containers:
        declared = {name: list(_declared(standard, name, pod, container.name)) for name in standard.formats}
        for name, entries in sorted(declared.items()):
            for entry in entries:
                yield from _judge(standard.formats[name], pod, container, entry)
        if standard.require and container.role == "container" and not any(declared.values()):
            at = pointers.join(pod.pointer, "metadata", "annotations")
            wanted = " or ".join(
                f"{_key(standard, name, None) or _key(standard, name, container.name)}: {_texts(globs)}"
                for name, globs in sorted(standard.formats.items())
            )
            yield Violation(at, MISSING, "no annotation says it", wanted, container.name)


def _judge(approved: Globs, pod: Pod, container: Container, entry: Declared) -> Iterator[Violation]:
    at = pointers.join(pod.pointer, "metadata", "annotations", entry.key)
    if entry.format is None:
        wanted = 'JSON such as [{"source": "' + (approved.texts or ("java",))[0] + '"}]'
        yield Violation(at, UNREADABLE, f"{entry.key} holds no sources of logs", wanted, container.name)
    elif not approved(entry.format):
        shown = entry.format if len(entry.format) <= 80 else entry.format[:80] + "…"
        same = (f"{entry.key}: {entry.format}",)
        yield Violation(at, DENIED, f"{entry.key}: {shown}", _texts(approved), container.name, same)


def _texts(approved: Globs) -> str:
    return " or ".join(approved.texts) or "no such annotation"


def _declared(standard: Standard, collector: str, pod: Pod, container: str) -> Iterable[Declared]:
    """Return what a pod declares for a container by the annotations of one collector."""
    if collector == "fluent-bit":
        return _fluent_bit(pod.annotations, container)
    if collector == "filebeat":
        own = _filebeat(pod.annotations, f"{_ELASTIC}.{container}/")
        return own or _filebeat(pod.annotations, f"{_ELASTIC}/")
    if collector == "datadog":
        return _datadog(pod.annotations, f"{_DATADOG}{container}.logs")
    key = _ANNOTATION if collector == "plimsoll" else standard.promtail
    return _first(pod.annotations, f"{key}-{container}", key)


def _first(annotations: Mapping[str, Any], *keys: str) -> list[Declared]:
    """Return the first of the annotations that is there."""
    return [Declared(key, str(annotations[key])) for key in keys if key in annotations][:1]


def _fluent_bit(annotations: Mapping[str, Any], container: str) -> list[Declared]:
    # fluentbit.io/parser[_stream][-container]: Kubernetes filter, "Kubernetes Annotations"
    found = []
    for stream in ("stdout", "stderr"):
        keys = [f"{_PARSER}{part}{name}" for name in (f"-{container}", "") for part in (f"_{stream}", "")]
        found += _first(annotations, *keys)
    return list(dict.fromkeys(found))


def _filebeat(annotations: Mapping[str, Any], prefix: str) -> list[Declared]:
    # of several inputs each has a number: co.elastic.logs/1.module (Filebeat, "Hints based autodiscover")
    hints = {key: key.removeprefix(prefix) for key in sorted(annotations) if key.startswith(prefix)}
    plain = {key: _NUMBER.sub("", hint) for key, hint in hints.items()}
    modules = [Declared(key, str(annotations[key])) for key, hint in plain.items() if hint == "module"]
    return modules or [Declared(key, "json") for key, hint in plain.items() if hint.startswith("json.")][:1]


def _datadog(annotations: Mapping[str, Any], key: str) -> list[Declared]:
    if key not in annotations:
        return []
    try:
        entries = json.loads(str(annotations[key]))
    except (ValueError, RecursionError):
        return [Declared(key, None)]
    if not isinstance(entries, list):
        return [Declared(key, None)]
    # an entry without a source is one of the image's name, which says nothing of the format
    sources = [entry.get("source") for entry in entries if isinstance(entry, dict)]
    return [Declared(key, source) for source in dict.fromkeys(one for one in sources if isinstance(one, str))]


def _key(standard: Standard, collector: str, container: str | None) -> str | None:
    """Return the key by which a format is declared, for a container or the whole pod; None where there is none."""
    if collector == "datadog":
        return None if container is None else f"{_DATADOG}{container}.logs"
    if collector == "filebeat":
        return f"{_ELASTIC}/module" if container is None else f"{_ELASTIC}.{container}/module"
    key = {"plimsoll": _ANNOTATION, "fluent-bit": _PARSER}.get(collector, standard.promtail)
    return key if container is None else f"{key}-{container}"


def _fix(standard: Standard, pod: Pod, draft: Draft) -> None:
    if not standard.require or standard.default is None:
        return
    collector, form = standard.default
    lacking = [one for one in pod.containers if one.role == "container" and not _any(standard, pod, one.name)]
    everyone = {one.name for one in pod.everyone}
    # one annotation for the pod says something of all its containers, also of those outside of the rule
    alone = {one.name for one in lacking} == everyone and _key(standard, collector, None) is not None
    for name in [None] if alone else [one.name for one in lacking]:
        key = _key(standard, collector, name)
        if key is None or len(key.rpartition("/")[2]) > _LONGEST:
            continue
        value = json.dumps([{"source": form}]) if collector == "datadog" else form
        if collector == "filebeat" and form == "json":
            key, value = key.removesuffix("module") + "json.keys_under_root", "true"
        draft.put(pointers.join(pod.pointer, "metadata", "annotations", key), value)


def _any(standard: Standard, pod: Pod, container: str) -> bool:
    return any(list(_declared(standard, name, pod, container)) for name in standard.formats)
