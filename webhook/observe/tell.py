"""Tells of denials, so that they can be written down as Events: the worker's side, which never waits.

A worker says in a few hundred bytes what was refused and whose it was; the process beside the workers
(`upkeep/events.py`) adds up, and writes. Between them is a pair of datagram sockets, made before the fork: it needs no
name in a file system, outlives that process, and holds more than the 10 datagrams that the kernel lets wait at a
socket with a name (net.unix.max_dgram_qlen).
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from webhook.model import answer
from webhook.model.decision import Decision
from webhook.model.pods import mapping
from webhook.model.review import Review

LOG = logging.getLogger(__name__)
MESSAGE = 1024
"""Characters that an Event's message may have (k8s.io/kubernetes pkg/apis/core/validation `ValidateEventCreate`)."""
LONGEST = 8192
"""Bytes of one telling: a message, and names that have their own bounds."""
Object = dict[str, Any]


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the end that workers write to and the end that is read. Neither ever waits."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.setblocking(False)
    far.setblocking(False)
    return near, far


class Teller:
    """Hands denials on. Implements `ports.Recorder`; any process and thread may use it."""

    def __init__(self, sink: socket.socket, count: Callable[[str], None]) -> None:
        """Write to `sink`; `count` is told `dropped` of what finds no room there."""
        self._sink = sink
        self._count = count

    def record(self, endpoint: str, review: Review, decision: Decision, seconds: float) -> None:
        """Tell of a denial. A dry run leaves no trace."""
        if decision.allowed or review.dry_run:
            return
        about = target(review)
        if about is None:
            return
        told = {"object": about, "rules": answer.denying(decision), "message": message(review, decision)}
        data = orjson.dumps(told)
        if len(data) > LONGEST:
            self._count("dropped")
            return
        try:
            self._sink.send(data)
        except OSError:  # full: whoever reads is slow, or about to be started again
            self._count("dropped")


def target(review: Review) -> Object | None:
    """Return the reference (v1 ObjectReference) of what people look at when this was refused; None for nothing.

    What a controller made is refused because of what its owner says, and it is the owner that is there, and that is
    described when its Pods don't come. An update was about an object that is there. What a person wanted to create is
    not there: its name is told nevertheless, without a uid, for `kubectl get events` in its namespace.
    """
    obj = review.object if review.object is not None else review.old_object
    meta = mapping(mapping(obj).get("metadata"))
    owner = _controller(meta)
    if owner is not None:
        return {**owner, "namespace": review.namespace}
    name = review.name.rstrip("*").rstrip("-.")
    if not name:
        return None
    group, version = review.kind.group, review.kind.version
    found: Object = {
        "apiVersion": f"{group}/{version}" if group else version,
        "kind": review.kind.kind,
        "name": name,
        "namespace": review.namespace,
    }
    uid = mapping(mapping(review.old_object).get("metadata")).get("uid")
    return {**found, "uid": uid} if isinstance(uid, str) else found


def _controller(meta: Mapping[str, Any]) -> Object | None:
    references = meta.get("ownerReferences")
    for held in references if isinstance(references, list) else ():
        if isinstance(held, Mapping) and held.get("controller") is True:
            found = {key: held.get(key) for key in ("apiVersion", "kind", "name", "uid")}
            return found if all(isinstance(value, str) and value for value in found.values()) else None
    return None


def message(review: Review, decision: Decision) -> str:
    """Return what an Event says, in at most 1,024 characters: what was refused, by which rules, found and wanted."""
    text = f"refused {review.title}: "[:300]
    said = answer.denials(decision)
    for number, sentence in enumerate(said):
        more = f"; and {len(said) - number} more"
        if number and len(text) + 2 + len(sentence) + len(more) > MESSAGE:
            return text + more
        text += f"; {sentence}" if number else sentence
    return text[:MESSAGE]
