"""The admission endpoints: an AdmissionReview comes in by POST, one goes out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import parse_qsl

from webhook.errors import ReviewError
from webhook.model import answer
from webhook.model.decision import Decision
from webhook.model.record import record
from webhook.model.review import Review, decode, parse

LOG = logging.getLogger(__name__)
ENDPOINTS = ("mutate", "validate", "advise")
PACKS = "packs"
"""The endpoint that judges packs, and not by them."""
MARGIN = 0.2
"""Seconds of the caller's timeout that are left for the way back."""

FAILED = "Plimsoll failed on this review, which is a bug of its own; its log has the place, by the uid"

STARTED = "plimsoll.started"
"""The key in a request's environ under which the time of its first byte stands (monotonic seconds)."""


@record(frozen=True, slots=True)
class Limits:
    """How long a decision may take at most (seconds), and how large a request body may be (bytes)."""

    deadline: float = 10.0
    body: int = 7 * 2**20


@record(frozen=True, slots=True)
class Answer:
    """What is sent back: HTTP status, body, content type."""

    status: int
    body: bytes
    type: str = "application/json"


class Decider(Protocol):
    """The service, as far as the endpoints need it."""

    def decide(self, endpoint: str, review: Review, deadline: float | None) -> Decision:
        """Decide one review until `deadline` (monotonic seconds)."""
        ...


Vetter = Callable[[Review, float], tuple[Sequence[str], Sequence[str]]]
"""Returns all that keeps the pack of a review from being loaded, and advice where nothing does, until a time."""


Work = Callable[[Review, float], bytes]
"""Returns the answer to a review, as JSON, until a time (monotonic seconds)."""


def deciding(service: Decider, endpoint: str) -> Work:
    """Return the work of /validate, /advise or /mutate."""
    return lambda review, until: answer.encode(review, service.decide(endpoint, review, until), endpoint)


def vetting(judge: Vetter) -> Work:
    """Return the work of /packs: whether a pack that somebody applies can be loaded."""

    def vetted(review: Review, until: float) -> bytes:
        problems, advice = judge(review, until)
        return answer.vetted(review.uid, f"{review.kind.kind} {review.name}", problems, advice)

    return vetted


def admit(work: Work, endpoint: str, limits: Limits, environ: Mapping[str, Any]) -> Answer:
    """Answer one request (its WSGI environ, PEP 3333) to `endpoint`, which does `work`.

    What is wrong with the request is said with a 4xx and a sentence. This is the outermost handler, one of
    the broad excepts: whatever a bug of ours raises outside a rule (rules have their own net in the
    engine), the caller gets an AdmissionReview with its uid, and the log the place of the error.
    /validate then denies, since nobody knows whether the object keeps the standards, and `failurePolicy:
    Fail` means just that; the API server doesn't ask failurePolicy about a review that was answered, so this
    answers in its place. /mutate and /advise allow with a warning: they are registered as Ignore, and no bug
    of ours may take deployments down there. So does /packs: the loader looks at the pack again.
    """
    uid = ""
    try:
        started = float(environ.get(STARTED) or time.monotonic())
        kind = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return refuse(415, f"content type is {kind or 'missing'!r}, wanted application/json")
        document = decode(_body(environ, limits.body))
        uid = _uid(document)
        review = parse(document)
        until = deadline(started, _timeout(environ.get("QUERY_STRING", "")), limits.deadline)
        return Answer(200, work(review, until))
    except ReviewError as error:
        LOG.info("no review: %s", error.message, extra={"fields": {"endpoint": endpoint, "uid": uid}})
        return refuse(error.status, error.message)
    except Exception:
        LOG.exception("a bug of the server itself", extra={"fields": {"endpoint": endpoint, "uid": uid}})
        return Answer(200, answer.failure(uid, FAILED, allowed=endpoint != "validate"))


def _body(environ: Mapping[str, Any], most: int) -> bytes:
    """Return the body. Raises ReviewError (413) where it is over `most` bytes; a length is believed unread."""
    said = environ.get("CONTENT_LENGTH") or ""
    length = int(said) if said.isdecimal() and "HTTP_TRANSFER_ENCODING" not in environ else None
    if length is None and not environ.get("wsgi.input_terminated"):
        return b""  # nobody says where it ends
    if length is None or length <= most:
        body: bytes = environ["wsgi.input"].read(most + 1 if length is None else length)
        if len(body) <= most:
            return body
    raise ReviewError(f"the body is over {most} bytes, and no more is read (--body-limit)", 413)


def _uid(document: Mapping[str, Any]) -> str:
    """Return the review's uid as far as there is one, before anything else is judged."""
    request = document.get("request")
    uid = request.get("uid") if isinstance(request, dict) else None
    return uid if isinstance(uid, str) else ""


@lru_cache(maxsize=64)  # an API server sends the same again and again
def _timeout(query: str) -> float | None:
    """Return the seconds that the API server puts into the URL as `timeout`, None where it doesn't.

    A duration as Go prints it: `3s`, `1.5s`, `500ms`, `1m0s`. What can't be read counts as not given.
    """
    found = (value for key, value in parse_qsl(query) if key == "timeout")
    return duration(next(found, ""))


def deadline(started: float, seconds: float | None, most: float) -> float:
    """Return when a decision must be there, in the unit of `started` (monotonic seconds)."""
    return started + (most if seconds is None else min(most, max(0.0, seconds - MARGIN)))


def duration(text: str) -> float | None:
    """Return a Go duration in seconds, None for what isn't one."""
    units = {"ms": 0.001, "h": 3600.0, "m": 60.0, "s": 1.0}
    total, rest = 0.0, text
    while rest:
        digits = len(rest) - len(rest.lstrip("0123456789."))
        unit = next((unit for unit in units if rest.startswith(unit, digits)), None)
        if not digits or unit is None or digits > 12:
            return None
        try:
            total += float(rest[:digits]) * units[unit]
        except ValueError:
            return None
        rest = rest[digits + len(unit) :]
    return total if text else None


def refuse(status: int, sentence: str) -> Answer:
    """Return an answer that says in one sentence what is wrong with the request."""
    return Answer(status, f"{sentence}\n".encode(), "text/plain; charset=utf-8")
