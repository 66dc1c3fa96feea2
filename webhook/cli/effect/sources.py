"""Where a body comes from: manifests, recorded reviews, an API server's audit log, a cluster."""

from __future__ import annotations

import marshal
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qs, urlsplit

from webhook.cli import objects, shelf
from webhook.cli.effect.body import DRY, NO_OBJECT, OTHER, SYSTEM, Body, Case
from webhook.cli.judge import namespaces as spaces_of
from webhook.engine.evaluate import SUBRESOURCES
from webhook.engine.view import controller
from webhook.errors import ConfigError, Problem, ReviewError
from webhook.model.kinds import SYSTEM_NAMESPACES
from webhook.model.pods import mapping
from webhook.model.review import MIRROR, clean, decode, parse
from webhook.ports import Cluster, Unknown

OPERATIONS = ("CREATE", "UPDATE")
LINE = 64 * 2**20
"""Bytes that one line may have: a recorded update holds two objects, an audit event two and more."""
MOST = 20
"""Problems of one file that are told; a file with more is hardly what it was taken for."""
AUDIT = "audit.k8s.io/v1"
FAILED = "requests that failed (status 400 and above)"
STAGE = "events of another stage than ResponseComplete"
VERB = "requests of other verbs than create, update and patch"
PATCH = "patches without their result (audit level Request has none, RequestResponse has)"
BARE = "events without an object (audit level Metadata has none, Request has)"
CUT = "events that the API server cut, since they were too long"
NODE = "mirror pods, which only a node makes"
REVISION = "old revisions, which a controller keeps without replicas"


def manifests(body: Body, paths: Sequence[str], jobs: int | None, progress: bool) -> None:
    """Add the objects in files, each as if it were created; the same object in two files counts twice."""
    if not paths:
        return
    found = shelf.read(paths, jobs, progress)
    body.problems += found.problems
    if found.strangers:
        body.left[NO_OBJECT] += found.strangers
    for packed in found.packed:
        source = shelf.unpack(packed).source
        body.add(Case(packed, source), source)


def reviews(body: Body, paths: Sequence[str]) -> None:
    """Add recorded reviews: of `serve --record` (*.jsonl, a line each), or an AdmissionReview a file (*.json)."""
    for name in objects.files(paths, (".jsonl", ".json"), body.problems):
        for source, document in _documents(body, name, name.endswith(".json")):
            when = document.get("time")
            # the line of a recording, or a bare review
            held = document.get("review", document)
            try:
                _review(body, held, source, when if isinstance(when, str) else "")
            except ReviewError as error:
                body.problems.append(_at(source, error.message))


def _review(body: Body, document: Any, source: str, when: str) -> None:
    if not isinstance(document, dict):
        raise ReviewError("this is no AdmissionReview; wanted a file that plimsoll serve --record wrote")
    review = parse(document)
    if review.dry_run:
        body.left[DRY] += 1
    elif review.operation not in OPERATIONS or review.object is None or review.subresource not in SUBRESOURCES:
        body.left[OTHER] += 1
    elif not all(isinstance(review.object.get(key), str) for key in ("apiVersion", "kind")):
        raise ReviewError("request.object has no apiVersion and kind")
    else:
        case = Case.of(review.object, source, review.operation, review.request, when)
        body.add(case, review.resource, review.subresource)


def audit(body: Body, paths: Sequence[str]) -> None:
    """Add what was asked of an API server, from its audit log: a line for each event of audit.k8s.io/v1."""
    for name in paths:
        for source, document in _documents(body, name, False):
            try:
                for event in _events(document):
                    _event(body, event, source)
            except ReviewError as error:
                body.problems.append(_at(source, error.message))


def _events(document: Mapping[str, Any]) -> list[Any]:
    """Return the event on a line; a webhook backend gets lists of them."""
    kind = document.get("kind") if document.get("apiVersion") == AUDIT else None
    items = [document] if kind == "Event" else document.get("items") if kind == "EventList" else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ReviewError(f"this is no event of an audit log; wanted kind Event of {AUDIT}")
    return items


def _event(body: Body, event: Mapping[str, Any], source: str) -> None:
    why = _left(event)
    obj = why or _object(event)
    if isinstance(obj, str):
        body.left[obj] += 1
        return
    ref = mapping(event.get("objectRef"))
    # a patch or an update makes an object, too, where there is none yet
    made = event["verb"] == "create" or mapping(event.get("responseStatus")).get("code") == 201
    when = str(event.get("stageTimestamp", ""))
    case = Case.of(obj, source, "CREATE" if made else "UPDATE", _request(event, ref), when)
    body.add(case, str(ref.get("resource", "")), str(ref.get("subresource", "")))


def _left(event: Mapping[str, Any]) -> str:
    """Return why an event is not judged, '' where it is."""
    ref, code = mapping(event.get("objectRef")), mapping(event.get("responseStatus")).get("code")
    tests = {
        STAGE: event.get("stage") != "ResponseComplete",
        VERB: event.get("verb") not in ("create", "update", "patch"),
        OTHER: ref.get("subresource", "") not in SUBRESOURCES,
        FAILED: isinstance(code, int) and code >= 400,
        DRY: "dryRun" in parse_qs(urlsplit(str(event.get("requestURI", ""))).query),
        SYSTEM: ref.get("namespace") in SYSTEM_NAMESPACES,
    }
    return next((why for why, so in tests.items() if so), "")


def _object(event: Mapping[str, Any]) -> dict[str, Any] | str:
    """Return the object of an event: as it was stored, else as it was sent; or why there is none."""
    held = [event.get("responseObject")]
    if event["verb"] != "patch":
        held.append(event.get("requestObject"))  # of a patch, that is the patch
    for obj in held:
        if isinstance(obj, dict) and obj.get("kind") != "Status":
            if not all(isinstance(obj.get(key), str) and obj[key] for key in ("apiVersion", "kind")):
                raise ReviewError("the event's object has no apiVersion and kind")
            cleaned: dict[str, Any] = clean(obj)
            return cleaned
    if mapping(event.get("annotations")).get("audit.k8s.io/truncated") == "true":
        return CUT
    return PATCH if event["verb"] == "patch" and event.get("level") != "Metadata" else BARE


def _request(event: Mapping[str, Any], ref: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the request had besides its object, as a webhook is told it."""
    user = mapping(event.get("impersonatedUser")) or mapping(event.get("user"))
    resource = {
        "group": ref.get("apiGroup", ""),
        "version": ref.get("apiVersion", ""),
        "resource": ref.get("resource", ""),
    }
    told = {
        "name": ref.get("name"),
        "namespace": ref.get("namespace"),
        "subResource": ref.get("subresource"),
    }
    said = {key: value for key, value in told.items() if value}
    return {**said, "resource": resource, "requestResource": resource, "userInfo": dict(user)}


def live(body: Body, cluster: Cluster, kinds: Collection[tuple[str, str]]) -> None:
    """Add what a cluster holds of some kinds, each as if it were created now. Raises ConfigError."""
    try:
        for obj in cluster.objects(kinds):
            meta = mapping(obj.get("metadata"))
            why = _idle(obj, meta)
            if why:
                body.left[why] += 1
            else:
                body.add(Case.of(clean(dict(obj)), "the cluster", "CREATE", {}, ""))
    except Unknown as error:
        raise ConfigError([Problem("--cluster", 0, "", f"not all of it can be read: {error}")]) from error


def _idle(obj: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
    if meta.get("namespace") in SYSTEM_NAMESPACES:
        return SYSTEM
    if obj["kind"] == "Pod" and MIRROR in mapping(meta.get("annotations")):
        return NODE
    if controller(obj) is not None and mapping(obj.get("spec")).get("replicas") == 0:
        return REVISION
    return ""


def known_namespaces(body: Body) -> dict[str, Mapping[str, Any]]:
    """Return the Namespaces in a body, by name."""
    held = (case.packed for case in body.cases.values())
    return spaces_of(marshal.loads(one.value) for one in held if (one.group, one.kind) == ("", "Namespace"))  # noqa: S302


def _documents(body: Body, name: str, whole: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (source, JSON object) of each line of a file, or of the `whole` of it. Notes what cannot be read."""
    told = len(body.problems)
    try:
        with _opened(name) as file:
            for number, line in enumerate(_lines(file, whole), start=1):
                source = f"{objects.SHOWN if name == objects.STDIN else name}:{number}"
                if not line.strip():
                    continue
                try:
                    if len(line) > LINE:
                        raise ReviewError(f"this line is over {LINE} bytes, more than any request of an API server")
                    yield source, decode(line)
                except ReviewError as error:
                    body.problems.append(_at(source, _of_a_line(error.message)))
                if len(body.problems) - told > MOST:
                    body.problems.append(_at(source, "there is more that cannot be read; the rest of the file is left"))
                    return
    except OSError as error:
        body.problems.append(Problem(name, 0, "", f"cannot be read: {error.strerror}"))


def _opened(name: str) -> BinaryIO:
    return sys.stdin.buffer if name == objects.STDIN else Path(name).open("rb")


def _lines(file: BinaryIO, whole: bool) -> Iterator[bytes]:
    if whole:
        yield file.read(LINE + 1)
        return
    while line := file.readline(LINE + 1):
        yield line
        while len(line) > LINE and not line.endswith(b"\n"):
            line = file.readline(LINE + 1)  # the rest of a line that is too long


def _of_a_line(message: str) -> str:
    return message.replace("the body", "this line").replace(", wanted an AdmissionReview object", ", wanted an object")


def _at(source: str, text: str) -> Problem:
    file, _, line = source.rpartition(":")
    return Problem(file, int(line), "", text)
